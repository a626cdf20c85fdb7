"""Cross-entropy method over action blocks: sample plans around a mean, keep the elites, refit, repeat.

Defaults are the published setting: 300 samples, 30 iterations, 30 elites, 5 blocks planned and all 5 executed
(arXiv:2603.19312 and 2606.20104). Unlike their code, samples are clipped to the action bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from trainables.settings import Settings

if TYPE_CHECKING:
    from torch import Generator, Tensor


class Config(Settings):
    name: Literal["cem"] = "cem"
    samples: int = Field(default=300, ge=2)  # S, plans per iteration
    iterations: int = Field(default=30, ge=1)
    elites: int = Field(default=30, ge=2)
    horizon: int = Field(default=5, ge=1)  # H, action blocks
    receding: int = Field(default=5, ge=1)  # blocks executed before planning again
    std: float = Field(default=1.0, gt=0)  # of the first samples, in units of the actions' deviation

    @model_validator(mode="after")
    def _fits(self) -> Config:
        if self.elites > self.samples:
            raise ValueError(f"elites={self.elites} is more than samples={self.samples}")
        if self.receding > self.horizon:
            raise ValueError(f"receding={self.receding} is more than horizon={self.horizon}")
        return self


def plan(
    config: Config,
    cost: Callable[[Tensor], Tensor],
    bounds: tuple[Tensor, Tensor],
    generators: Sequence[Generator],
) -> Tensor:
    """The elite mean (B, H, A) after the last iteration, one plan for each of the B `generators`' tasks.

    `cost` maps plans (B, S, H, A) to (B, S), lower is better; `bounds` are the least and greatest action block (A,).
    Every task draws from its own generator, so that its plan does not depend on which tasks it is planned with.
    """
    import torch

    low, high = bounds
    shape = (config.iterations, config.samples, config.horizon, low.shape[0])
    noise = torch.stack([torch.randn(shape, generator=generator) for generator in generators], dim=1).to(low.device)
    mean = torch.zeros(len(generators), config.horizon, low.shape[0], device=low.device)
    std = torch.full_like(mean, config.std)
    for draw in noise:
        plans = mean.unsqueeze(1) + std.unsqueeze(1) * draw
        plans[:, 0] = mean  # the mean itself competes
        plans = plans.clamp(low, high)
        best = cost(plans).topk(config.elites, dim=1, largest=False).indices
        elites = plans.gather(1, best[..., None, None].expand(-1, -1, *plans.shape[2:]))
        mean, std = elites.mean(1), elites.std(1)
    return mean
