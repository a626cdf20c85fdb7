"""PLDM's own prediction error, open loop: predictions are fed back for `steps` action blocks (arXiv:2502.14819).

    mean_{k = 1..steps} |z'_{t+k} - z_{t+k}|^2,   z'_{t+k} = f(z'_{t+k-1}, a_{t+k-1}),   z'_t = z_t

There is no stop-gradient: errors reach predictions, the first frames and the targets. A predictor with a history starts
from that many frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from trainables.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.terms._latents import Dims, Latents


class Config(Settings):
    name: Literal["unrolled_forward"] = "unrolled_forward"
    weight: float = Field(default=1.0, ge=0)
    steps: int = Field(default=15, ge=1)  # action blocks; PLDM's clips have 16 frames, so 15 predictions

    def clip(self, history: int) -> int:
        """Frames that a clip needs."""
        return history + self.steps


def head(config: Config, dims: Dims) -> None:
    """None: the predictor is the world model's own."""


def loss(config: Config, head: None, batch: Latents) -> Tensor:
    """Mean squared error over batch, steps and latent."""
    target = batch.z[:, batch.history : batch.history + config.steps]
    return (batch.unroll(config.steps) - target).square().mean()
