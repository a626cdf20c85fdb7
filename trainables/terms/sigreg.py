"""SIGReg: a batch of latents, seen along random directions u, should look standard normal (arXiv:2511.08544, used by
LeWM, arXiv:2603.19312). Per direction, with x = <u, z> over a batch of B and knots t in [0, 3]:

    B * sum_t w_t [ (mean cos(t x) - exp(-t^2 / 2))^2 + (mean sin(t x))^2 ],   w_t = trapezoid(t) * exp(-t^2 / 2)

The average over directions is about 1 for a standard normal batch and about 103 at B = 256 for a constant one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from trainables.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from trainables.terms._latents import Dims, Latents

LAST_KNOT = 3.0  # as in LeWM's code; its text says [0.2, 4]


class Config(Settings):
    name: Literal["sigreg"] = "sigreg"
    weight: float = Field(default=0.09, ge=0)  # lambda; LeWM's code 0.09, its text 0.1
    projections: int = Field(default=1024, ge=1)  # random directions, new at every step
    knots: int = Field(default=17, ge=2)


def head(config: Config, dims: Dims) -> None:
    """None: the term has no weights."""


def loss(config: Config, head: None, batch: Latents) -> Tensor:
    """Each frame's latents are tested on their own, then averaged."""
    import torch

    z = batch.z.flatten(2)
    directions = torch.randn(z.shape[-1], config.projections, generator=batch.generator).to(z)
    return statistic(z, directions / directions.norm(dim=0), config.knots, batch.mean, batch.workers)


def statistic(z: Tensor, directions: Tensor, knots: int, mean: Callable[[Tensor], Tensor], workers: int = 1) -> Tensor:
    """SIGReg of z (B, T, D) along unit `directions` (D, M), a scalar; `mean` averages over the global batch."""
    import torch

    t = torch.linspace(0, LAST_KNOT, knots, device=z.device, dtype=z.dtype)
    step = LAST_KNOT / (knots - 1)
    normal = torch.exp(-t.square() / 2)
    # Doubled inside and single at the ends: the trapezoid rule on [-3, 3] folded onto its right half.
    weight = torch.full_like(t, 2 * step).index_fill(0, torch.tensor([0, knots - 1], device=z.device), step) * normal
    with torch.autocast(z.device.type, enabled=False):  # half precision would blur small differences of large sums
        angle = (z @ directions).unsqueeze(-1) * t  # (B, T, M, knots)
        error = (mean(angle.cos()) - normal).square() + mean(angle.sin()).square()
        return (error @ weight).mean() * z.shape[0] * workers
