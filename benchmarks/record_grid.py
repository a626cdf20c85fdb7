"""Record a small grid of real trials for `replay.py`: what looks show while they train, and how they plan in the end.

`python benchmarks/record_grid.py --store /tmp/grid [--at-most 2] [--steps 128] [--few]`: LeWM on TwoRoom at scale local
with fewer updates and a cheaper planner, one seed, judged on validation tasks, looked at after a quarter and a half of
its updates as `asha` does. Run through `study.execute`, so a killed recording goes on where it was. Writes
benchmarks/data/grid.json; `--few` records four trials of seconds and prints them in its place.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from search_spaces._sweep import Sweep, Trial, grid
from study import cluster
from study.sources import Arms
from trainables import pipeline
from trainables.monitors import Watch
from trainables.provenance import commit
from trainables.store import Store

AXES = {
    "predictor.dropout": (0.0, 0.3),
    "terms.sigreg.weight": (0.01, 0.1, 1.0),
    "optim.lr": (1e-4, 3e-4, 1e-3, 3e-3),
    "predictor.size": ("tiny", "small", "base"),
}
SETS = {
    "data.episodes": 200,
    "optim.batch": 64,
    "planner.samples": 32,
    "planner.iterations": 4,
    "planner.elites": 4,
    "protocol.split": "validation",
}
SEED = 1000
SHARES = (4, 2)  # a training is looked at after steps / these
WATCHED = ("effective_rank", "probe_r2", "rollout_error_1")
JOURNAL = "benchmarks/grid"
FILE = Path(__file__).parent / "data" / "grid.json"


class Watched(Arms):
    """A list of trials that notes what is seen of them while they train, and stops none."""

    def __init__(self, trials: Sequence[Trial], store: Store):
        super().__init__(trials, store)
        self._notes, self._count = store, len(store.lines(JOURNAL))

    def judge(self, trial: Trial, report: dict[str, Any]) -> bool:
        """Keep the looks."""
        for look in report["looks"]:
            self._notes.append(JOURNAL, self._count, {"arm": trial.arm, **look})
            self._count += 1
        return False


class Lines:
    """A listener that says which trial is over."""

    def __init__(self, total: int):
        self._left, self._began = total, time.monotonic()

    def collecting(self, what: str, done: int, total: int) -> None:
        """See `execute.Listener`."""

    def started(self, trial: Trial) -> None:
        """Nothing."""

    def reported(self, trial: Trial, report: dict[str, Any]) -> None:
        """Nothing."""

    def again(self, trial: Trial, why: str) -> None:
        """Say so."""
        typer.echo(f"{trial.arm}: {why}; again")

    def waits(self, what: str) -> None:
        """Say so."""
        typer.echo(what)

    def finished(self, trial: Trial, record: dict[str, Any]) -> None:
        """Say so."""
        self._left -= 1
        success, seconds = record["measures"].get("success_rate"), time.monotonic() - self._began
        typer.echo(f"{seconds:6.0f} s, {self._left} left: {trial.arm}: {record['status']}, success {success}")


def trials(steps: int, few: bool) -> list[Trial]:
    """The grid's, every one watched."""
    axes = {path: values[:2] for path, values in itertools.islice(AXES.items(), 2)} if few else AXES
    arms = grid(axes)
    sweep = Sweep(
        question="What would a search have found here?",
        base="lewm",
        worlds={"local": "two_room"},
        arms=arms,
        baseline=arms[0].name,
        seeds=(SEED,),
    )
    watch = Watch(tuple(steps // share for share in SHARES), WATCHED)
    sets = SETS | {"optim.steps": steps}
    return [replace(trial, watch=watch) for trial in sweep.trials("two_room", "local", sets, sweep.seeds)]


def recorded(wanted: Sequence[Trial], store: Store) -> list[dict[str, Any]]:
    """What there is of every trial: its settings, looks by step, how it ended and planned."""
    looks: dict[str, dict[int, dict[str, float]]] = {}
    for line in store.lines(JOURNAL):
        looks.setdefault(line["arm"], {})[line["step"]] = {k: float(f"{v:.5g}") for k, v in line["values"].items()}
    rows = []
    for trial in wanted:
        record = pipeline.record_part(trial.config, store)
        row = {"params": dict(trial.changes), "looks": looks.get(trial.arm, {}), "status": record["status"]}
        rows.append(row | {"success_rate": record["measures"].get("success_rate")})
    return rows


def main(
    store: Annotated[str, typer.Option(help="a folder for the trials")],
    steps: Annotated[int, typer.Option(help="updates of a training")] = 128,
    at_most: Annotated[int, typer.Option(help="trials at a time")] = 2,
    few: Annotated[bool, typer.Option("--few", help="four trials of 20 updates")] = False,
) -> None:
    """Train what is missing and write the grid."""
    steps = 20 if few else steps
    place, wanted = Store(store), trials(steps, few)
    missing = [trial for trial in wanted if pipeline.state(trial.config, place) != "done"]
    typer.echo(
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; {len(missing)} of {len(wanted)} trials to train"
    )
    if missing:
        cluster.quieten()
        from study.execute import execute

        execute(Watched(missing, place), place, [Lines(len(missing))], at_most=at_most)
    rows = recorded(wanted, place)
    about = {"command": f"python benchmarks/record_grid.py --steps {steps}", "commit": commit(), "steps": steps}
    about |= {"looks": [steps // share for share in SHARES], "sets": SETS}
    axes = {path: list(values) for path, values in AXES.items()}
    head = json.dumps({**about, "axes": axes}, indent=1).removesuffix("\n}")
    text = f'{head},\n "trials": [\n' + ",\n".join(f"  {json.dumps(row)}" for row in rows) + "\n ]\n}\n"
    if few:
        typer.echo(text)
        return
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(text)
    typer.echo(f"{FILE}: {len(text) / 1e3:.0f} kB")


if __name__ == "__main__":
    typer.run(main)
