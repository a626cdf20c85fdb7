"""What an update costs, and how much of it is not forward, backward or optimiser.

`python benchmarks/training_step.py [--scale local] [--method smwm ...] [--set path=value ...] [--compiled]`: a row per
method, each in a process of its own. Printed: milliseconds per update, the share of it spent outside the three (reading
clips, moving them, drawing seeds, keeping the log), images per second, and peak memory. On a GPU also the share of the
card's matrix rate, as measured here by products of large bf16 matrices, that the model's own products come to, with
`--compiled` a second row by torch.compile. What is timed waits for the GPU at each boundary, so that what overlaps in a
real training counts as outside here.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch.utils.flop_counter import FlopCounterMode

from envs._episodes import Clips, Episodes
from trainables import ids, pipeline, plugins, training
from trainables.config import TrialConfig
from trainables.paths import assign_all, base_config, parse_settings
from trainables.store import Store

FEW = {"data.episodes": 40, "data.held_out": 20, "protocol.tasks": 1}  # enough for clips that differ
WARM = 5  # updates that do not count
SIDE = 8192  # of the matrices that the card's rate is measured with


@dataclass(frozen=True)
class Row:
    """One method's update: seconds of it and in its three parts, images, operations, bytes."""

    seconds: float
    parts: float
    images: int
    operations: float
    memory: int


def main(
    scale: Annotated[str, typer.Option()] = "local",
    world: Annotated[str, typer.Option()] = "two_room",
    method: Annotated[list[str] | None, typer.Option(help="every one that can run here, unless given")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="path=value")] = None,
    steps: Annotated[int, typer.Option(help="timed updates")] = 60,
    compiled: Annotated[bool, typer.Option(help="a second row by torch.compile")] = False,
) -> None:
    """Print the rows."""
    rate = _matrix_rate() if torch.cuda.is_available() else None
    typer.echo(f"{torch.cuda.get_device_name()}: {rate / 1e12:.0f} TFLOP/s of bf16 products" if rate else "CPU")
    for name in method or plugins.names("methods"):
        base = assign_all(base_config(name, world, scale), {**FEW, **parse_settings(set_ or [])})
        if lacks := pipeline.lacking(base):
            typer.echo(f"{name:16} not run: {lacks}")
            continue
        for backend in (None, "inductor")[: 1 + compiled]:
            with ProcessPoolExecutor(1, get_context("spawn")) as alone:
                row = alone.submit(measured, assign_all(base, {"compile": backend}), steps).result()
            typer.echo(f"{name + (' compiled' if backend else ''):24} {_described(row, rate)}")


def measured(config: TrialConfig, steps: int) -> Row:
    """Time `steps` updates after WARM that do not count."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        data = {split: pipeline.ensure_data(config, store, split) for split in ids.SPLITS}
        clips = Clips(Episodes(data["train"]), config.clip, config.frameskip)
        torch.set_num_threads(config.threads)
        run = training.Run(assign_all(config, {"optim.steps": 10_000}), clips, Episodes(data["validation"]))
        for _ in range(WARM):
            run.advance()
        operations = _operations(run)
        before = _peak(reset=True)
        with _timed(run) as parts:
            began = _now()
            for _ in range(steps):
                run.advance()
            whole = _now() - began
        images = config.optim.batch * config.clip
        return Row(whole / steps, sum(parts) / steps, images, operations, max(before, _peak()))


@contextmanager
def _timed(run: training.Run) -> Iterator[list[float]]:
    """Seconds of every forward pass, backward pass and step of the optimiser while the context lasts."""
    spent: list[float] = []

    def watched(function: Callable) -> Callable:
        def call(*given, **named):
            began = _now()
            try:
                return function(*given, **named)
            finally:
                spent.append(_now() - began)

        return call

    # What a training calls, in place of which it finds the watched ones.
    places = ((run, "objective"), (torch.Tensor, "backward"), (run.optimiser, "step"))
    clip = (torch.nn.utils, "clip_grad_norm_")
    before = [(place, name, getattr(place, name)) for place, name in (*places, clip)]
    for place, name, function in before:
        setattr(place, name, watched(function))
    try:
        yield spent
    finally:
        for place, name, function in before:
            setattr(place, name, function)


def _operations(run: training.Run) -> float:
    """Floating point operations of the products in one update."""
    with FlopCounterMode(display=False) as counter:
        run.advance()
    return float(counter.get_total_flops())


def _matrix_rate(repeats: int = 30) -> float:
    """Operations per second of large bf16 products on this card."""
    a, b = (torch.randn(SIDE, SIDE, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(WARM):
        a @ b
    began = _now()
    for _ in range(repeats):
        a @ b
    return repeats * 2 * SIDE**3 / (_now() - began)


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def _peak(reset: bool = False) -> int:
    """Most bytes of the GPU in use since the last reset, of the process where there is none."""
    if not torch.cuda.is_available():
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = torch.cuda.max_memory_allocated()
    if reset:
        torch.cuda.reset_peak_memory_stats()
    return found


def _described(row: Row, rate: float | None) -> str:
    outside = 1 - row.parts / row.seconds
    text = f"{1e3 * row.seconds:8.1f} ms an update, {outside:6.1%} outside, {row.images / row.seconds:8.0f} images/s"
    text += f", {row.operations / row.seconds / 1e9:7.0f} GFLOP/s"
    if rate:
        text += f" ({row.operations / row.seconds / rate:.1%} of the card's)"
    return f"{text}, peak {row.memory / 1e9:.2f} GB"


if __name__ == "__main__":
    typer.run(main)
