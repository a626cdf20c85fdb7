"""How fast worlds are: frames per second of one core, for drawing, stepping, the policy, and recording altogether.

`python benchmarks/worlds.py [WORLD ...] [--size 64] [--steps 50]`: processor time of this process, all its threads
counted. Drawing, steps and policy are of 256 states at once that the policy came to in 20 steps, the best of at least
three; a recording is one part, as many episodes as the world simulates at once. A world that cannot be loaded or drawn
here is listed with why.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from typing import Annotated

import numpy as np
import typer

import envs

TOGETHER = 256  # states
WARM_UP = 20  # steps of the policy: states to start from are seldom those in which there is most to do, or draw


def main(
    worlds: Annotated[list[str] | None, typer.Argument(help="all of envs/ otherwise")] = None,
    size: Annotated[int, typer.Option(min=8, help="of a frame, in pixels")] = 64,
    steps: Annotated[int, typer.Option(min=1, help="of a recorded episode")] = 50,
    seconds: Annotated[float, typer.Option(help="of processor time for each number, at least")] = 1.0,
) -> None:
    """Print one row per world."""
    typer.echo(f"load average {os.getloadavg()[0]:.1f}, {size} x {size} pixels, frames per second of processor time")
    typer.echo(f"{'world':18} {'drawing':>10} {'stepping':>10} {'policy':>10} {'recording':>10}")
    for name in worlds or envs.names():
        try:
            speeds = measured(envs.load(name), size, steps, seconds)
        except Exception as error:  # noqa: BLE001  a world may fail in any way, the others are still measured
            typer.echo(f"{name:18} {type(error).__name__}: {' '.join(str(error).split())}")
        else:
            typer.echo(f"{name:18} " + " ".join(f"{speed:10,.0f}" for speed in speeds))


def measured(world: envs.World, size: int, steps: int, seconds: float) -> tuple[float, float, float, float]:
    """Frames per second: drawing, stepping, policy, recording."""
    rng = np.random.default_rng(0)
    states, canvas = world.sample(TOGETHER, rng), np.empty((TOGETHER, size, size, 3), np.uint8)
    policy = world.policy(TOGETHER, rng)
    for _ in range(WARM_UP):
        states = world.step(states, policy.act(states))
    drawing = best(lambda: world.render(states, size, out=canvas), seconds)
    acting = best(lambda: policy.act(states), seconds)
    actions = policy.act(states).astype(np.float32)
    stepping = best(lambda: world.step(states, actions), seconds)
    return TOGETHER / drawing, TOGETHER / stepping, TOGETHER / acting, recording(world.name, size, steps)


def best(function: Callable[[], object], seconds: float) -> float:
    """Processor seconds of a call, the least of several, after one that does not count."""
    function()
    times: list[float] = []
    while len(times) < 3 or sum(times) < seconds:
        began = time.process_time()
        function()
        times.append(time.process_time() - began)
    return min(times)


def recording(name: str, size: int, steps: int) -> float:
    """Frames per second of simulating, drawing and writing one part in this process."""
    asked = envs.Recording(name, "train", envs.load(name).together, steps, size, 0)
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        envs.record(asked, folder)
        return asked.episodes * (steps + 1) / (time.process_time() - began)


if __name__ == "__main__":
    typer.run(main)
