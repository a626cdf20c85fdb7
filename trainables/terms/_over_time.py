"""What the terms over the time of one clip share: which frames they see, and about what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from trainables.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.terms._latents import Latents


class OverTime(Settings):
    """Defaults are those of LeWM's comparison; PLDM's own are frames=16, skip=1, batch_centred=False."""

    frames: int = Field(default=4, ge=2)  # of a clip, from its first on
    skip: int = Field(default=0, ge=0)  # of these, left out at the beginning
    batch_centred: bool = True  # every frame's mean over the batch is taken off first

    @model_validator(mode="after")
    def _leaves_two(self) -> OverTime:
        if self.skip > self.frames - 2:
            raise ValueError(f"skip={self.skip} leaves less than two of frames={self.frames}, {self.frames - 2} do")
        return self

    def clip(self, history: int) -> int:
        """Frames that a clip needs."""
        return self.frames


def window(config: OverTime, batch: Latents) -> Tensor:
    """The latents that are seen, laid flat: (B, frames - skip, P x D)."""
    z = batch.z.flatten(2)[:, : config.frames]
    return (z - batch.mean(z) if config.batch_centred else z)[:, config.skip :]
