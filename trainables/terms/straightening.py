"""Temporal straightening: latents of a clip should lie on a straight line (arXiv:2603.12231; Straightness in LeWM,
arXiv:2603.19312, Fig. 17). With velocities v_t = z_{t+1} - z_t, laid flat:

    1 - mean <v_t, v_{t+1}> / (|v_t| |v_{t+1}|)

0 on a straight line, 1 where directions have nothing to do with each other, 2 going back and forth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from trainables.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.terms._latents import Dims, Latents

SHORTEST = 1e-4  # a frame that repeats has no direction: its cosine is 0, and its gradient is kept from growing


class Config(Settings):
    name: Literal["straightening"] = "straightening"
    weight: float = Field(default=0.1, ge=0)  # ours

    def clip(self, history: int) -> int:
        """Frames that a clip needs: two velocities."""
        return 3


def head(config: Config, dims: Dims) -> None:
    """None: the term has no weights."""


def loss(config: Config, head: None, batch: Latents) -> Tensor:
    """One less the mean cosine of consecutive velocities, over all frames of the clips."""
    return statistic(batch.z.flatten(2))


def statistic(z: Tensor) -> Tensor:
    """The formula above for z (B, T, D), T at least 3: a scalar in [0, 2]."""
    velocity = z.diff(dim=1)
    direction = velocity / velocity.norm(dim=-1, keepdim=True).clamp(min=SHORTEST)
    return 1 - (direction[:, :-1] * direction[:, 1:]).sum(-1).mean()
