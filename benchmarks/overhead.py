"""What the machinery costs: seconds per trial of one update and one measure, against what Ray Tune itself takes.

`python benchmarks/overhead.py [--trials 200] [--kinds floor,arms,search,floor] [--profile DIR]`: whole commands (store,
Tune, MLflow, report), one after the other in processes of their own: a sweep of distinct arms, and a search of as many
candidates by the sampler `random`. The floor is Tune with the same settings and a trainable that reports once. Printed:
seconds per trial while trials run, from the first one's end to the last one's; its ratio to the floor of the same run;
the same over the last 100 trials before 200, 500, 1,000 and 2,000; seconds before the first trial's end and after the
last one's; processor seconds of the driver per trial. `--profile` keeps a cProfile of each driver's main thread.
"""

from __future__ import annotations

import cProfile
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from search_spaces._sweep import Sweep, levels, log_uniform, search
from study import cluster, drive
from study.plan import Study
from study.uris import default_uri
from trainables.store import Store

SETS = {
    "data.image_size": 32,
    "data.episodes": 8,
    "data.held_out": 6,
    "data.steps": 50,
    "encoder.channels": 4,
    "encoder.features": 32,
    "projector.dim": 16,
    "projector.width": 32,
    "predictor.size": "tiny",
    "optim.steps": 1,
    "optim.batch": 16,
    "protocol.tasks": 10,
    "measures": {"latent_spectrum": {"frames": 100}},
}
MARKS = (200, 500, 1000, 2000)
WINDOW = 100  # trials before a mark


def study(trials: int, searched: bool) -> Study:
    """A sweep of so many arms, or a search of so many candidates that differ in their learning rate."""
    found = search({"optim.lr": log_uniform(1e-4, 1e-2)}, ["effective_rank"], trials, sampler="random")
    rates = [1e-4 * (1 + i / trials) for i in range(trials)]
    arms = {"search": found} if searched else {"arms": levels("optim.lr", rates), "baseline": f"{rates[0]:g}"}
    about = {"question": "What does a trial cost that costs nothing?", "base": "lewm", "worlds": {"local": "two_room"}}
    sweep = Sweep(**about, **arms, primary="effective_rank", seeds=(0,))
    return Study(name="overhead", sweep=sweep, world="two_room", scale="local", sets=SETS, seeds=(0,))


def ours(trials: int, folder: Path, searched: bool) -> list[float]:
    """Run a study to its report; when each trial's measure was kept, s since the epoch."""
    store = Store(folder / "store")
    places = drive.Places(tracking_uri=default_uri(store))
    drive.run(study(trials, searched), store, None, places, lambda text: None)
    return sorted(file.stat().st_mtime for file in store.root.glob("train/*/measures/*/manifest.json"))


def floor(trials: int, folder: Path) -> list[float]:
    """Tune with our settings of it and a trainable that reports once; when each trial ended."""
    cluster.quieten()
    from ray import tune

    ends: list[float] = []

    class Ends(tune.Callback):
        def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
            ends.append(time.time())

        def __reduce__(self) -> tuple:
            return tune.Callback, ()

    def report(setting: dict[str, int]) -> None:
        tune.report({"event": setting["number"]})

    with cluster.cluster(None):
        tune.Tuner(
            tune.with_resources(report, {"CPU": 1}),
            param_space={"number": tune.grid_search(list(range(trials)))},
            tune_config=tune.TuneConfig(reuse_actors=True),
            run_config=tune.RunConfig(name="tune", storage_path=str(folder), verbose=0, callbacks=[Ends()]),
        ).fit()
    return ends


KINDS: dict[str, Callable[[int, Path], list[float]]] = {
    "floor": floor,
    "arms": lambda trials, folder: ours(trials, folder, False),
    "search": lambda trials, folder: ours(trials, folder, True),
}


def measure(kind: str, trials: int, profile: Path | None) -> dict[str, Any]:
    """Run one kind in a process of its own; its numbers."""
    command = [sys.executable, __file__, "--trials", str(trials), "--kinds", kind, "--here"]
    command += ["--profile", str(profile)] if profile else []
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def here(kind: str, trials: int, profile: Path | None) -> None:
    """Run one kind in this process and print its numbers as JSON."""
    profiler = cProfile.Profile()
    with tempfile.TemporaryDirectory() as folder:
        began = time.time()
        if profile:
            profiler.enable()
        ends = KINDS[kind](trials, Path(folder))
        profiler.disable()
    if profile:
        profile.mkdir(parents=True, exist_ok=True)
        profiler.dump_stats(profile / f"{kind}.pstats")
    pace = {mark: (ends[mark - 1] - ends[mark - WINDOW]) / (WINDOW - 1) for mark in MARKS if mark <= len(ends)}
    found = {"each": (ends[-1] - ends[0]) / (len(ends) - 1), "before": ends[0] - began, "after": time.time() - ends[-1]}
    print(json.dumps(found | {"pace": pace, "cpu": time.process_time() / len(ends)}))


def main(
    trials: Annotated[int, typer.Option()] = 200,
    kinds: Annotated[str, typer.Option(help="comma-separated, in order; the floor first")] = "floor,arms,search,floor",
    profile: Annotated[Path | None, typer.Option(help="a folder for profiles")] = None,
    here_: Annotated[bool, typer.Option("--here", hidden=True)] = False,
) -> None:
    """Print one row per kind."""
    if here_:
        return here(kinds, trials, profile)
    floors: list[float] = []
    typer.echo(f"{os.cpu_count()} cores, {trials} trials")
    for kind in kinds.split(","):
        found = measure(kind, trials, profile)
        floors += [found["each"]] if kind == "floor" else []
        ratio = f"{found['each'] / floors[-1]:5.1f} x floor" if floors else ""
        pace = ", ".join(f"{seconds:.3f} s at {mark}" for mark, seconds in found["pace"].items())
        rest = f"{found['before']:.0f} s before, {found['after']:.0f} s after, driver {1e3 * found['cpu']:.0f} ms each"
        typer.echo(f"{kind:7} {found['each']:.3f} s a trial {ratio}  ({pace}; {rest}; load {os.getloadavg()[0]:.1f})")
    return None


if __name__ == "__main__":
    typer.run(main)
