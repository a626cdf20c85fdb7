"""The base of every config: frozen, strict, no unknown names."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

EARLIER_ROWS = 10  # rows of an episode before every start of a planning task, whatever the history
ROLLOUT_BLOCKS = 5  # action blocks of the longest open-loop rollout that is measured


class ConfigError(ValueError):
    """A setting that cannot be: the message names the field, the value and the nearest valid choice."""


class Settings(BaseModel):
    """Frozen and strict: no coercion, no unknown field."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())
