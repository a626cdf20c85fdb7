"""Random training clips per second and the memory that takes: our files of episodes against HDF5, in one run.

`python benchmarks/loader.py [--episodes 400] [--size 64]`: batches of 128 clips of 2 frames, 5 steps apart, of TwoRoom
episodes, gathered by `envs.Clips` and from HDF5 files of the same frames, read item by item as stable-worldmodel reads
them (arXiv:2602.08968): the whole span of a clip is read and every fifth frame kept, with a chunk cache of 256 MB. The
published files are far larger than that cache, so there is a row with one as small a share of the data. Files are
in the page cache, each reader runs in a process of its own, in turns, and all must gather the same bytes. Then the
memory of fresh processes that gathered from these episodes, and from 8 times as many: USS, in which pages of a mapped
file count that no other process has mapped at the moment, and without them, which is what the process takes from
others: pages of files are the system's to keep or to drop.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import psutil
import typer

import envs

BATCH, FRAMES, SKIP = 128, 2, 5
ROUNDS = 3
BATCHES = 200  # gathered before memory is measured
CACHE = 256 * 2**20  # bytes of chunks, as the public reader asks for
PUBLISHED = 10_000 * 92 * 3 * 224**2  # bytes of pixels of TwoRoom's published episodes: what that cache has to serve

Gather = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def arrow(folder: Path, steps: int) -> Gather:
    """-> a function of the numbers of clips (B,) -> pixels (B, T, size, size, 3), actions (B, T - 1, skip * A)."""
    return envs.Clips(envs.Episodes(folder), FRAMES, SKIP).gather


def hdf5(name: str, strided: bool = False, cache: float = 1.0) -> Callable[[Path, int], Gather]:
    """A reader of the file of that name: item by item, whole spans or, as well as HDF5 can, only the rows needed."""

    def opened(folder: Path, steps: int) -> Gather:
        import h5py
        import hdf5plugin  # noqa: F401  registers blosc

        size = CACHE if cache == 1 else int(CACHE * (folder / "episodes.arrow").stat().st_size / PUBLISHED)
        file, span = h5py.File(folder / name, "r", rdcc_nbytes=size), (FRAMES - 1) * SKIP + 1
        columns = dict(file) if strided else file  # the public reader looks columns up for every item

        def item(clip: int) -> tuple[np.ndarray, np.ndarray]:
            episode, step = divmod(clip, steps + 2 - span)
            first = episode * (steps + 1) + step
            last = first + span
            if strided:
                pixels = np.stack([columns["pixels"][row] for row in range(first, last, SKIP)])
            else:
                pixels = columns["pixels"][first:last][::SKIP]
            return pixels, columns["action"][first : last - 1].reshape(FRAMES - 1, -1)

        def gather(index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            pixels, actions = zip(*(item(int(clip)) for clip in index), strict=True)
            return np.stack(pixels), np.stack(actions)

        return gather

    return opened


READERS = {
    "ours": (arrow, "episodes.arrow"),
    "chunks of 100, blosc": (hdf5("blosc.h5"), "blosc.h5"),
    "... with a cache to scale": (hdf5("blosc.h5", cache=0), "blosc.h5"),
    "chunks of 1": (hdf5("single.h5"), "single.h5"),
    "contiguous": (hdf5("plain.h5"), "plain.h5"),
    "contiguous, strided": (hdf5("plain.h5", strided=True), "plain.h5"),
}


def main(
    episodes: Annotated[int, typer.Option(min=8)] = 400,
    steps: Annotated[int, typer.Option(min=10, help="per episode")] = 100,
    size: Annotated[int, typer.Option(min=8, help="of a frame, in pixels")] = 64,
    seconds: Annotated[float, typer.Option(help="per reader and round")] = 3.0,
) -> None:
    """Print one row per reader, then one per number of episodes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        record(folder / "few", episodes, steps, size)
        copy(folder / "few", size)
        speeds(folder / "few", steps, seconds)
        record(folder / "many", 8 * episodes, steps, size)
        memory([folder / "few", folder / "many"])


def record(folder: Path, episodes: int, steps: int, size: int) -> None:
    """Training episodes of TwoRoom into the folder."""
    envs.record(envs.Recording("two_room", "train", episodes, steps, size, 0), folder)


def copy(folder: Path, size: int) -> None:
    """The folder's episodes as HDF5: in chunks of 100 frames, as published; of one, as the public writer does; in one
    piece."""
    import h5py
    import hdf5plugin

    episodes = envs.Episodes(folder)
    storage = {
        "blosc.h5": {"chunks": (100, size, size, 3), **hdf5plugin.Blosc(cname="zstd")},
        "single.h5": {"chunks": (1, size, size, 3)},
        "plain.h5": {},
    }
    for name, how in storage.items():
        with h5py.File(folder / name, "w") as file:
            file["action"] = episodes.actions(np.arange(episodes.rows))
            pixels = file.create_dataset("pixels", (episodes.rows, size, size, 3), np.uint8, **how)
            for first in range(0, episodes.rows, 1000):
                rows = np.arange(first, min(first + 1000, episodes.rows))
                pixels[first : first + 1000] = episodes.pixels(rows)


def speeds(folder: Path, steps: int, seconds: float) -> None:
    """Print clips per second of all readers, the best round of each, with ratios to the published files' layout."""
    pools = {name: _process() for name in READERS}
    found = {name: pool.submit(check, name, folder, steps).result() for name, pool in pools.items()}
    if len(set(found.values())) > 1:
        raise RuntimeError(f"the readers do not read the same: {found}")
    rates: dict[str, list[float]] = {name: [] for name in READERS}
    typer.echo(f"load average {os.getloadavg()[0]:.1f}")
    for _ in range(ROUNDS):
        for name, pool in pools.items():
            rates[name].append(pool.submit(rate, seconds).result())
    typer.echo(f"{'clips per second':26} {'best':>8} {'worst':>8} {'ours / it':>10} {'MB':>8}")
    for name, values in rates.items():
        ratio, size = max(rates["ours"]) / max(values), (folder / READERS[name][1]).stat().st_size / 1e6
        typer.echo(f"{name:26} {max(values):8.0f} {min(values):8.0f} {ratio:10.1f} {size:8.0f}")
    for pool in pools.values():
        pool.shutdown()


def _process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, get_context("spawn"))


_held: dict[str, Any] = {}  # the reader of this process


def check(name: str, folder: Path, steps: int) -> str:
    """Open a reader in this process, read its file once; a hash of what it gathers, the same clips for every reader."""
    reader, file = READERS[name]
    with (folder / file).open("rb") as whole:
        while whole.read(2**24):
            pass
    _held["gather"], _held["clips"] = reader(folder, steps), len(envs.Clips(envs.Episodes(folder), FRAMES, SKIP))
    digest, rng = hashlib.blake2b(digest_size=8), np.random.default_rng(0)
    for part in _held["gather"](rng.integers(0, _held["clips"], 4 * BATCH)):
        digest.update(part.tobytes())
    return digest.hexdigest()


def rate(seconds: float) -> float:
    """Clips per second of this process's reader over so many seconds."""
    rng, began, done = np.random.default_rng(1), time.perf_counter(), 0
    while (now := time.perf_counter()) - began < seconds:
        _held["gather"](rng.integers(0, _held["clips"], BATCH))
        done += BATCH
    return done / (now - began)


def memory(folders: list[Path]) -> None:
    """Print what a fresh process holds after it opened and gathered from each, and the differences."""
    rows = []
    for folder in folders:
        with _process() as pool:
            rows.append(pool.submit(held, folder).result())
    rows.append(tuple(np.subtract(rows[1], rows[0])))
    typer.echo(f"\n{'MB after 200 batches':26} {'data':>8} {'USS':>8} {'no files':>8} {'no files, just opened':>22}")
    for name, values in zip(("these episodes", "8 times as many", "difference"), rows, strict=True):
        typer.echo(f"{name:26} {values[0]:8.0f} {values[1]:8.1f} {values[2]:8.1f} {values[3]:22.1f}")


def held(folder: Path) -> tuple[float, float, float, float]:
    """MB: of the file, of this process (USS; no files) after it gathered, and no files when it had opened it."""
    clips, rng = envs.Clips(envs.Episodes(folder), FRAMES, SKIP), np.random.default_rng(0)
    opened = _anonymous()
    for _ in range(BATCHES):
        clips.gather(rng.integers(0, len(clips), BATCH))
    size, uss = (folder / "episodes.arrow").stat().st_size, psutil.Process().memory_full_info().uss
    return size / 1e6, uss / 1e6, _anonymous(), opened


def _anonymous() -> float:
    return sum(area.anonymous for area in psutil.Process().memory_maps(grouped=True)) / 1e6


if __name__ == "__main__":
    typer.run(main)
