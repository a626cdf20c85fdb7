"""Multi-step inverse: which action came first on the way from z_t to z_{t+k} (toy study of arXiv:2606.20104, its later
code). The paper draws k from 1..k_max; this is the exact mean over all k, and over all t that fit into a clip:

    mean_{k = 1..k_max} mean_t |h(z_t, z_{t+k}, onehot(k)) - a_t|^2
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from trainables.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor, nn

    from trainables.terms._latents import Dims, Latents


class Config(Settings):
    name: Literal["multi_step_inverse"] = "multi_step_inverse"
    weight: float = Field(default=1.0, ge=0)  # depends on the world as the inverse model's does, see methods/smwm.py
    width: int = Field(default=256, ge=1)  # hidden units of both layers
    k_max: int = Field(default=4, ge=1)  # action blocks; 2, 4 and 8 are studied, 1 is the plain inverse model

    def clip(self, history: int) -> int:
        """Frames that a clip needs."""
        return self.k_max + 1


def head(config: Config, dims: Dims) -> nn.Module:
    """The inverse model h: (..., 2 P D + k_max) -> (..., A)."""
    from torch import nn

    return nn.Sequential(
        nn.Linear(2 * dims.latent + config.k_max, config.width),
        nn.ReLU(),
        nn.Linear(config.width, config.width),
        nn.ReLU(),
        nn.Linear(config.width, dims.action),
    )


def loss(config: Config, head: nn.Module, batch: Latents) -> Tensor:
    """Mean squared error of the first action block, in units of its variance: 1 is chance."""
    import torch

    z = batch.z.flatten(2)
    return torch.stack([_error(config, head, z, batch.actions, k) for k in range(1, config.k_max + 1)]).mean()


def _error(config: Config, head: nn.Module, z: Tensor, actions: Tensor, k: int) -> Tensor:
    """The error at distance `k`, of z (B, T, P x D) and actions (B, T - 1, A)."""
    import torch

    before, after = z[:, :-k], z[:, k:]
    distance = torch.eye(config.k_max, device=z.device, dtype=z.dtype)[k - 1].expand(*before.shape[:2], -1)
    return (head(torch.cat([before, after, distance], dim=-1)) - actions[:, : before.shape[1]]).square().mean()
