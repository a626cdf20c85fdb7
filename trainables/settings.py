"""The base of every config: frozen, strict, no unknown names."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

EARLIER_ROWS = 10  # rows of an episode before every start of a planning task, whatever the history
LARGEST = 2**53  # of whole numbers that every reader of a record has exactly
ROLLOUT_BLOCKS = 5  # action blocks of the longest open-loop rollout that is measured


class ConfigError(ValueError):
    """A setting that cannot be: the message names the field, the value and the nearest valid choice."""


class Settings(BaseModel):
    """Frozen and strict: no coercion, no unknown field."""

    @field_validator("*")
    @classmethod
    def _exact(cls, value: Any) -> Any:
        if isinstance(value, int) and abs(value) > LARGEST:
            raise ValueError(f"is out of range, whole numbers reach to {LARGEST}")
        return value

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())
