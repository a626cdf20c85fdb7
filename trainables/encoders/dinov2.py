"""DINOv2's ViT-S/14 (arXiv:2304.07193) from timm, pretrained; frozen in DINO-WM (arXiv:2411.04983), where its patch
tokens are the latent. Frames are resized to `side` and their positions interpolated to as many patches, as there.

The weights come from the Hugging Face hub or from a file, and never from chance unless that is asked for by name. The
hub's are not pinned to a revision: ids say "hub", and mean whatever file timm's repository had when this machine
downloaded it. Those of a file go into the ids by its content.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from trainables import plugins
from trainables.settings import Settings

if TYPE_CHECKING:
    from torch import nn

PATCH, WIDTH = 14, 384  # px, F
HUB, RANDOM = "hub", "random"


class Config(Settings):
    """Defaults are those of DINO-WM: 14 x 14 patches of 384 features; 22,056,192 parameters at its own 518 px."""

    name: Literal["dinov2"] = "dinov2"
    side: int = Field(default=196, ge=PATCH, le=74 * PATCH)  # px that frames are resized to, a multiple of 14
    tokens: Literal["patch", "class"] = "patch"  # the latent: a vector per patch, or the class token's alone
    frozen: bool = True  # False: fine-tuned, from the same weights
    # If frozen: the features of all recorded frames are computed once and kept, (side / 14)^2 x 768 bytes a frame.
    cached: bool = Field(default=True, validate_default=True)
    weights: str = HUB  # "hub": timm's; a path: a state dict, safetensors or .pth; "random": from no training at all
    fingerprint: str | None = None  # of that file, found when it is named: what the ids go by

    @property
    def features(self) -> int:
        """F."""
        return WIDTH

    @property
    def bare(self) -> Config:
        """The same network without its weights, for those that a checkpoint has."""
        return self.model_copy(update={"weights": RANDOM, "fingerprint": None})

    @model_validator(mode="before")
    @classmethod
    def _identified(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not isinstance(weights := value.get("weights", HUB), str):
            return value
        if weights in (HUB, RANDOM):
            return value
        from envs._source_file import fingerprint

        try:
            found = value.get("fingerprint") or fingerprint(weights)
            return {**value, "weights": str(Path(weights).absolute()), "fingerprint": found}  # trials run elsewhere
        except ValueError as error:
            close = plugins.nearest(weights, [HUB, RANDOM])
            raise ValueError(f"weights: {error}{close}; valid: {HUB}, {RANDOM}, or the path of a file") from None

    @field_validator("side")
    @classmethod
    def _divides(cls, value: int) -> int:
        if value % PATCH:
            raise ValueError(f"is no multiple of {PATCH} px, the nearest is {max(1, round(value / PATCH)) * PATCH}")
        return value

    @field_validator("cached")
    @classmethod
    def _only_frozen(cls, value: bool, info: ValidationInfo) -> bool:
        """What is trained cannot be kept: so that one training has one id, it says so."""
        return value and info.data.get("frozen", True)

    @model_validator(mode="after")
    def _of_a_file(self) -> Config:
        if self.fingerprint and self.weights in (HUB, RANDOM):
            raise ValueError(f"fingerprint: {self.fingerprint!r} is of a file, weights={self.weights} is none")
        return self


def lacking(config: Config) -> str | None:
    """What this machine lacks to build it, "no weights: ..."; None if nothing. Takes seconds at most, and no torch."""
    from trainables.encoders._dinov2_weights import unavailable

    return unavailable(config)


def build(config: Config, image_size: int) -> nn.Module:
    """A network (N, 3, H, W) -> (N, P, 384), P = (side / 14)^2 or 1; the same weights whatever the trial's seed.

    ValueError if there are no weights, or if they are those of another network.
    """
    from trainables.encoders._dinov2 import Dinov2

    return Dinov2(config)
