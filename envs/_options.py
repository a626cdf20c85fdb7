"""What can be chosen about a world: factors of variation, and in some worlds what moves."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, ClassVar

import numpy as np
from PIL import ImageColor
from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _known(color: str) -> str:
    try:
        ImageColor.getrgb(color)
    except ValueError:
        raise ValueError(f"{color!r} is no colour; give a CSS name such as 'red' or '#rrggbb'") from None
    return "#" + rgb(color).tobytes().hex()  # one colour has one name


Color = Annotated[str, AfterValidator(_known)]


def rgb(color: str) -> np.ndarray:
    """A colour's red, green and blue -> (3,) uint8."""
    return np.array(ImageColor.getrgb(color)[:3], np.uint8)


@lru_cache(maxsize=16)
def plain(color: str, size: int) -> np.ndarray:
    """A picture of one colour -> (size, size, 3) uint8, not to be written to; copying it is faster than filling."""
    return np.tile(rgb(color), (size, size, 1))


class Options(BaseModel):
    """Options that every world has; a world adds its own in a subclass. Defaults are the papers' world."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True)

    # Options that change what happens and not only how it looks: planning cannot differ in them from the episodes.
    dynamics: ClassVar[frozenset[str]] = frozenset()

    noise: float = Field(default=0.0, ge=0, le=128)  # standard deviation of the noise on every pixel, in grey levels
