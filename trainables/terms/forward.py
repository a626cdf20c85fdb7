"""L_forward = mean |z'_{t+1} - z_{t+1}|^2, with gradients into prediction and target (arXiv:2606.20104, eq. 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from trainables.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.terms._latents import Dims, Latents


class Config(Settings):
    name: Literal["forward"] = "forward"
    weight: float = Field(default=1.0, ge=0)


def head(config: Config, dims: Dims) -> None:
    """None: the predictor is the world model's own."""


def loss(config: Config, head: None, batch: Latents) -> Tensor:
    """Mean squared one-step error over batch, time and latent."""
    return (batch.predicted - batch.z[:, 1:]).square().mean()
