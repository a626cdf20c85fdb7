"""Time covariance: different dimensions of the latent should move differently within a clip (PLDM, arXiv:2502.14819).
With C_b the D x D unbiased covariance over the frames of clip b:

    mean_b sum_{i != j} C_{b,ij}^2 / (D (D - 1))

Every published setting gives it the weight zero. The code of LeWM's comparison leaves out the mean over time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from trainables.terms._moments import off_diagonal
from trainables.terms._over_time import OverTime, window

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.terms._latents import Dims, Latents


class Config(OverTime):
    name: Literal["time_covariance"] = "time_covariance"
    weight: float = Field(default=0.0, ge=0)  # as published


def head(config: Config, dims: Dims) -> None:
    """None: the term has no weights."""


def loss(config: Config, head: None, batch: Latents) -> Tensor:
    """How much the latent's dimensions go together over time."""
    return statistic(window(config, batch))


def statistic(z: Tensor) -> Tensor:
    """The formula above for z (B, T, D), a non-negative scalar; B x D x D numbers are held."""
    import torch

    deviation = z - z.mean(dim=1, keepdim=True)
    with torch.autocast(z.device.type, enabled=False):  # half precision would blur what is small beside the diagonal
        return off_diagonal(deviation.mT @ deviation / (z.shape[1] - 1))
