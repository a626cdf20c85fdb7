"""Where a trial's wall time goes: what of it is neither training nor evaluation, in the Tune trial and on Ray Train.

`python benchmarks/trial_share.py [--steps 600] [--trials 2]`: LeWM on TwoRoom at scale local with episodes that are
there already, one trial at a time through `study.execute`, after a first one that starts the processes and does not
count. A trial's time runs from its start, as Tune tells it, to its end; training is what the training itself counts,
evaluation what the measures count. Printed: the share of each part, and what Ray Train adds.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from search_spaces._sweep import Trial
from study import cluster
from study.sources import Arms
from trainables import ids, pipeline
from trainables.paths import assign_all, base_config
from trainables.store import Store

SETS = {"data.episodes": 200, "protocol.tasks": 50}


class Clock:
    """A listener that notes when a trial starts, is heard of in each phase, and ends."""

    def __init__(self) -> None:
        self.times: dict[str, list[tuple[str, float]]] = {}

    def collecting(self, what: str, done: int, total: int) -> None:
        """See `execute.Listener`."""

    def started(self, trial: Trial) -> None:
        """Note it."""
        self._note(trial, "start")

    def reported(self, trial: Trial, report: dict[str, Any]) -> None:
        """Note it."""
        self._note(trial, report["event"]["phase"])

    def again(self, trial: Trial, why: str) -> None:
        """It would spoil the numbers."""
        raise RuntimeError(why)

    def waits(self, what: str) -> None:
        """Say so."""
        typer.echo(what)

    def finished(self, trial: Trial, record: dict[str, Any]) -> None:
        """Note it."""
        self._note(trial, "end")

    def _note(self, trial: Trial, what: str) -> None:
        self.times.setdefault(trial.arm, []).append((what, time.monotonic()))


def trials(executor: str, count: int, steps: int) -> list[Trial]:
    """So many that differ in their seed, after a short one that starts the processes."""
    base = assign_all(base_config("lewm", "two_room", "local"), {**SETS, "optim.steps": steps, "executor": executor})
    first = assign_all(base, {"optim.steps": 2})
    configs = [first, *(base.model_copy(update={"seed": seed}) for seed in range(count))]
    return [Trial(f"{executor} {number}", config.seed, config) for number, config in enumerate(configs)]


def parts(trial: Trial, clock: Clock, store: Store) -> dict[str, float]:
    """Seconds of a trial's parts; `rest` is neither training nor evaluation."""
    times = clock.times[trial.arm]
    first = {what: next((at for name, at in times if name == what), None) for what in ("start", "train", "end")}
    record = pipeline.record_part(trial.config, store)
    whole = first["end"] - first["start"]
    spent = {"whole": whole, "training": record["seconds"]["train"], "evaluation": record["seconds"]["measures"]}
    spent["until the first update is heard of"] = first["train"] - first["start"]
    return spent | {"rest": whole - spent["training"] - spent["evaluation"]}


def main(
    steps: Annotated[int, typer.Option(help="updates of a training")] = 600,
    count: Annotated[int, typer.Option("--trials", help="of each executor")] = 2,
) -> None:
    """Print the parts of a trial by executor."""
    cluster.quieten()
    from study.execute import execute

    found: dict[str, list[dict[str, float]]] = {}
    for executor in ("trial", "train"):
        # A store of its own: the executor is part of no id, so the other's trainings would be found.
        with tempfile.TemporaryDirectory() as folder:
            store, clock, wanted = Store(Path(folder)), Clock(), trials(executor, count, steps)
            for split in ids.SPLITS:
                pipeline.ensure_data(wanted[0].config, store, split)
            execute(Arms(wanted, store), store, [clock], at_most=1)
            found[executor] = [parts(trial, clock, store) for trial in wanted[1:]]
    for executor, rows in found.items():
        middle = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
        typer.echo(f"executor {executor}: {middle['whole']:.1f} s a trial, load {os.getloadavg()[0]:.1f}")
        for name in middle:
            typer.echo(f"  {name:36} {middle[name]:7.2f} s {middle[name] / middle['whole']:7.1%}")
    rest = {executor: statistics.median(row["rest"] for row in rows) for executor, rows in found.items()}
    typer.echo(f"Ray Train adds {rest['train'] - rest['trial']:.1f} s a trial")


if __name__ == "__main__":
    typer.run(main)
