"""Named streams of randomness: a generator is a function of (seed, stream, index), never of what ran before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # what suggests trials needs no torch
    import torch


def entropy(seed: int, stream: str, *index: int) -> int:
    """A 63-bit seed for one use of a stream."""
    text = ":".join(map(str, (seed, stream, *index)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(seed: int, stream: str, *index: int) -> torch.Generator:
    """A CPU torch generator."""
    import torch

    return torch.Generator().manual_seed(entropy(seed, stream, *index))


def rng(seed: int, stream: str, *index: int) -> np.random.Generator:
    """A NumPy generator."""
    return np.random.default_rng(entropy(seed, stream, *index))


@contextmanager
def seeded(seed: int, stream: str, *index: int) -> Iterator[None]:
    """For library code that only knows torch's global generators (initialisation, dropout): seed them, then restore."""
    import torch

    devices = list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices):
        torch.manual_seed(entropy(seed, stream, *index))
        yield
