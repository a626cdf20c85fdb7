"""Variance: every dimension of the latent should spread over the batch (PLDM, arXiv:2502.14819, after VICReg,
arXiv:2105.04906, eq. 1). Per frame t of a clip, averaged over frames:

    mean_d max(0, target - sqrt(Var_b z_{b,t,d} + 1e-4)),   Var unbiased, over the global batch
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from trainables.settings import Settings
from trainables.terms._moments import Steps, seen, shortfall

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from trainables.terms._latents import Dims, Latents


class Config(Settings):
    name: Literal["variance"] = "variance"
    weight: float = Field(default=18.0, ge=0)  # LeWM's comparison (arXiv:2603.19312, Table 2)
    target: float = Field(default=1.0, gt=0)  # standard deviation from which on nothing is lost
    steps: Steps = "all"  # LeWM's comparison; PLDM's own code sees the first frame alone


def head(config: Config, dims: Dims) -> None:
    """None: the term has no weights."""


def loss(config: Config, head: None, batch: Latents) -> Tensor:
    """How far deviations over the batch fall short of the target."""
    return statistic(seen(batch.z, config.steps), config.target, batch.mean, batch.workers)


def statistic(z: Tensor, target: float, mean: Callable[[Tensor], Tensor], workers: int = 1) -> Tensor:
    """The formula above for z (B, T, D), a scalar in [0, target); `mean` averages over the global batch."""
    rows = z.shape[0] * workers
    return shortfall(mean((z - mean(z)).square()) * rows / (rows - 1), target)
