"""Time similarity: consecutive latents should be close (PLDM, arXiv:2502.14819).

    mean |z_{t+1} - z_t|^2

over batch, frames and latent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from trainables.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.terms._latents import Dims, Latents


class Config(Settings):
    name: Literal["time_similarity"] = "time_similarity"
    weight: float = Field(default=0.2, ge=0)  # LeWM's comparison (arXiv:2603.19312, Table 2)


def head(config: Config, dims: Dims) -> None:
    """None: the term has no weights."""


def loss(config: Config, head: None, batch: Latents) -> Tensor:
    """Mean squared step of the latent over the frames of a clip, with gradients into both ends."""
    return statistic(batch.z.flatten(2))


def statistic(z: Tensor) -> Tensor:
    """The formula above for z (B, T, D), a mean over batch, time and latent: a non-negative scalar."""
    return z.diff(dim=1).square().mean()
