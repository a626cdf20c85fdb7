"""What a term sees of one training step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor


@dataclass(frozen=True)
class Dims:
    """Sizes that heads are built for."""

    latent: int  # P x D, one frame's latent laid flat
    action: int  # A, one action block


@dataclass(frozen=True)
class Latents:
    """One worker's share of a batch."""

    z: Tensor  # (B, T, P, D) encoded frames
    predicted: Tensor  # (B, T - 1, P, D) predictions of z[:, 1:]
    actions: Tensor  # (B, T - 1, A) action blocks, unit variance
    generator: Generator  # CPU generator seeded from (seed, step), the same on every worker
    mean: Callable[[Tensor], Tensor]  # mean over the first axis and all workers, differentiable
    workers: int  # sharing the batch; the global batch is B x workers
