"""Covariance: different dimensions of the latent should tell different things (PLDM, arXiv:2502.14819, after VICReg,
arXiv:2105.04906, eq. 3 and 4). Per frame of a clip, with C the unbiased D x D covariance over the global batch, and
averaged over frames:

    sum_{i != j} C_ij^2 / (D (D - 1))

VICReg divides by D alone, and LeWM's text (arXiv:2603.19312) leaves out the square, which its code has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from trainables.settings import Settings
from trainables.terms._moments import Steps, off_diagonal, seen

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from trainables.terms._latents import Dims, Latents


class Config(Settings):
    name: Literal["covariance"] = "covariance"
    weight: float = Field(default=12.0, ge=0)  # LeWM's comparison (arXiv:2603.19312, Table 2)
    steps: Steps = "all"  # LeWM's comparison; PLDM's own code sees the first frame alone


def head(config: Config, dims: Dims) -> None:
    """None: the term has no weights."""


def loss(config: Config, head: None, batch: Latents) -> Tensor:
    """How much the latent's dimensions go together over the batch."""
    return statistic(seen(batch.z, config.steps), batch.mean, batch.workers)


def statistic(z: Tensor, mean: Callable[[Tensor], Tensor], workers: int = 1) -> Tensor:
    """The formula above for z (B, T, D), a non-negative scalar; `mean` averages over the global batch."""
    import torch

    rows = z.shape[0] * workers
    deviation = (z - mean(z)).transpose(0, 1)  # (T, B, D)
    with torch.autocast(z.device.type, enabled=False):  # half precision would blur what is small beside the diagonal
        mine = deviation.mT @ deviation / z.shape[0]  # of this worker's rows, so that B x D x D is never held
    return off_diagonal(mean(mine[None]) * rows / (rows - 1))
