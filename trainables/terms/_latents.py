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
    image: int  # px, side of a frame


@dataclass(frozen=True)
class Latents:
    """One worker's share of a batch."""

    z: Tensor  # (B, T, P, D) encoded frames
    predicted: Tensor  # (B, T - 1, P, D) predictions of z[:, 1:], each from at most the last `history` frames
    actions: Tensor  # (B, T - 1, A) action blocks, unit variance
    pixels: Tensor | None  # (B, T, C, Hpx, Wpx) uint8; None where a frozen encoder's features take their place
    history: int
    unroll: Callable[[int], Tensor]  # n -> (B, n, P, D), open loop: z[:, history : history + n] from those before
    generator: Generator  # CPU generator seeded from (seed, step), the same on every worker
    mean: Callable[[Tensor], Tensor]  # mean over the first axis and all workers, differentiable
    workers: int  # sharing the batch; the global batch is B x workers
