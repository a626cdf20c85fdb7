"""Time variance: every dimension of the latent should move within a clip (PLDM, arXiv:2502.14819).

    mean_{b,d} max(0, target - sqrt(Var_t z_{b,t,d} + 1e-4)),   Var unbiased, over the frames of one clip

LeWM's comparison (arXiv:2603.19312) takes off every frame's mean over the global batch before, and sees four frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from trainables.terms._moments import shortfall
from trainables.terms._over_time import OverTime, window

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.terms._latents import Dims, Latents


class Config(OverTime):
    name: Literal["time_variance"] = "time_variance"
    weight: float = Field(default=0.7, ge=0)  # LeWM's comparison (Table 2)
    target: float = Field(default=1.0, gt=0)  # standard deviation from which on nothing is lost


def head(config: Config, dims: Dims) -> None:
    """None: the term has no weights."""


def loss(config: Config, head: None, batch: Latents) -> Tensor:
    """How far deviations over time fall short of the target."""
    return statistic(window(config, batch), config.target)


def statistic(z: Tensor, target: float) -> Tensor:
    """The formula above for z (B, T, D), a scalar in [0, target)."""
    return shortfall(z.var(dim=1), target)
