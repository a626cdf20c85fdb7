"""What a trial costs at scale local: milliseconds per training step and seconds per evaluation, with ratios.

`python benchmarks/local_scale.py [--world two_room] [--steps 20]`: every encoder and predictor size, one thread.
"""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import torch
import typer

from envs._episodes import Clips, Episodes
from trainables import ids, pipeline, plugins, training
from trainables.config import TrialConfig
from trainables.measures._trained import Trained
from trainables.paths import assign_all, base_config
from trainables.planning import evaluate
from trainables.scales import local
from trainables.store import Store


def main(
    world: Annotated[str, typer.Option()] = "two_room",
    steps: Annotated[int, typer.Option(help="timed training steps per row")] = 20,
) -> None:
    """Print one row per encoder, then one per predictor size."""
    with tempfile.TemporaryDirectory() as folder:
        store, few = Store(Path(folder)), {"data.episodes": 40, "optim.steps": 10}
        base = assign_all(base_config("lewm", world, "local"), few)
        data = {split: pipeline.ensure_data(base, store, split) for split in ids.SPLITS}
        times = {
            name: step_seconds(assign_all(base, {"encoder": name}), data, steps) for name in plugins.names("encoders")
        }
        for name, seconds in times.items():
            typer.echo(
                f"training step, encoder {name:8} {1e3 * seconds:7.1f} ms  {seconds / times['conv']:5.2f} x conv"
            )
        times = {
            size: evaluation(assign_all(base, {"predictor.size": size}), store)
            for size in local.SIZES["predictor.size"]
        }
        for size, (one, two) in times.items():
            ratio = one / times["small"][0]
            typer.echo(
                f"evaluation, predictor {size:6} {one:6.1f} s on one core, {ratio:5.2f} x small; {two:5.1f} s on two"
            )


def step_seconds(config: TrialConfig, data: dict[str, Path], steps: int) -> float:
    """Processor seconds per update on one thread."""
    torch.set_num_threads(1)
    clips = Clips(Episodes(data["train"]), config.clip, config.frameskip)
    run = training.Run(assign_all(config, {"optim.steps": 1000}), clips, Episodes(data["validation"]))
    for _ in range(3):
        run.advance()
    began = time.process_time()
    for _ in range(steps):
        run.advance()
    return (time.process_time() - began) / steps


def evaluation(config: TrialConfig, store: Store) -> tuple[float, float]:
    """Wall seconds of planning all tasks, in this process and in two."""
    judged = assign_all(config, {"protocol.plan_seed": 1})
    pipeline.run_trial(config, store)
    data = {split: pipeline.ensure_data(config, store, split) for split in ids.SPLITS}
    trained = Trained(store.get(ids.train_key(config)), data)
    one = _wall(lambda: evaluate(trained, judged, lambda function, items: [function(item) for item in items]))
    with ProcessPoolExecutor(2, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(abs, [1, 2]))
        return one, _wall(lambda: evaluate(trained, judged, lambda function, items: list(pool.map(function, items))))


def _wall(function) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


if __name__ == "__main__":
    typer.run(main)
