"""Batches of latents for the tests of terms."""

import threading
from concurrent.futures import ThreadPoolExecutor

import torch

from trainables.collective import batch_mean
from trainables.terms._latents import Latents


def sample(*shape, seed=0):
    """Standard normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def latents(z, predicted=None, actions=None, pixels=None, unrolled=None, seed=0, history=1, mean=batch_mean, workers=1):
    """A batch with latents z (B, T, P, D); what a test does not give is plain. `unrolled` is all of a rollout."""
    predicted = z[:, 1:] if predicted is None else predicted
    actions = torch.zeros(len(z), z.shape[1] - 1, 4) if actions is None else actions
    unrolled = predicted[:, history - 1 :] if unrolled is None else unrolled
    generator = torch.Generator().manual_seed(seed)
    return Latents(z, predicted, actions, pixels, history, lambda n: unrolled[:, :n], generator, mean, workers)


def drawn(ahead, rows=32, image=12):
    """The tensors of a batch whose clips have `ahead` frames after the first, by name; D = 8, A = 4."""
    frames = 1 + ahead
    pixels = torch.randint(0, 256, (rows, frames, 3, image, image), generator=torch.Generator().manual_seed(4))
    return {
        "z": sample(rows, frames, 1, 8),
        "predicted": sample(rows, frames - 1, 1, 8, seed=1),
        "actions": sample(rows, frames - 1, 4, seed=2),
        "unrolled": sample(rows, frames - 1, 1, 8, seed=3),
        "pixels": pixels.to(torch.uint8),
    }


def side_by_side(loss, parts):
    """`loss(mean, part)` of every part at the same time, as on workers whose `mean` is over all parts."""
    barrier, given = threading.Barrier(len(parts)), [None] * len(parts)

    def run(rank):
        def mean(x):
            given[rank] = x.mean(0)
            barrier.wait(timeout=30)
            total = torch.stack(given).mean(0)
            barrier.wait(timeout=30)
            return total

        return loss(mean, parts[rank])

    with ThreadPoolExecutor(len(parts)) as pool:
        return list(pool.map(run, range(len(parts))))
