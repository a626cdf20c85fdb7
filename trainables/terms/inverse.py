"""L_inverse = mean |h(z_t, z_{t+1}) - a_t|^2: what the latent keeps to tell the action (arXiv:2606.20104, eq. 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from trainables.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor, nn

    from trainables.terms._latents import Dims, Latents


class Config(Settings):
    name: Literal["inverse"] = "inverse"
    weight: float = Field(default=1.0, ge=0)  # lambda; depends on the world, see methods/smwm.py
    width: int = Field(default=256, ge=1)  # hidden units of both layers


def head(config: Config, dims: Dims) -> nn.Module:
    """The inverse model h: (..., 2 P D) -> (..., A)."""
    from torch import nn

    return nn.Sequential(
        nn.Linear(2 * dims.latent, config.width),
        nn.ReLU(),
        nn.Linear(config.width, config.width),
        nn.ReLU(),
        nn.Linear(config.width, dims.action),
    )


def loss(config: Config, head: nn.Module, batch: Latents) -> Tensor:
    """Mean squared error of the action block, in units of its variance: 1 is chance."""
    import torch

    z = batch.z.flatten(2)
    return (head(torch.cat([z[:, :-1], z[:, 1:]], dim=-1)) - batch.actions).square().mean()
