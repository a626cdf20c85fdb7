"""The studies that faults befall, smallest first, and what holds of every one of them once it is complete."""

from __future__ import annotations

import csv
import json
import os
import random
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from analysis.mlflow_records import read_mlflow
from study import plan as plans
from study.mlflow_runs import children, client
from tests._small import SMALL
from tests.faults._driver import Driver
from trainables.paths import parse_settings

ALL = os.environ.get("WM_FAULTS") == "all"
SEED = os.environ.get("WM_FAULTS_SEED", "0")
SETS = SMALL | {"predictor.size": "tiny", "optim.steps": 150}


@dataclass(frozen=True)
class Kind:
    """A sweep by name, with options of its own. `repeats`: whether it ends the same whatever befalls it."""

    name: str
    sweep: str
    options: tuple[str, ...]
    budget: int = 0  # of a search
    repeats: bool = True

    def make(self, place: Path, store: Path | None = None, seen: Path | None = None, **sets: Any) -> Study:
        """Such a study, with its store in `place` unless told otherwise, which also gets what its drivers print."""
        place.mkdir(parents=True, exist_ok=True)
        store = store or place / "store"
        return Study(self, place, store, seen or store, {**SETS, **sets})


ARMS = Kind("arms", "inverse_weight", ("--seeds", "1"))
SEARCH = Kind("search", "tune_mixture", ("--seeds", "1", "--budget", "4", "--at-most", "1"), budget=4)
# What a search of several trials at a time suggests depends on which of them is the first to end.
TOGETHER = Kind("together", "tune_mixture", ("--seeds", "1", "--budget", "5"), budget=5, repeats=False)
KINDS = [ARMS, SEARCH, TOGETHER]


def kinds(*few: Kind) -> pytest.MarkDecorator:
    """Try it on a `few` kinds of study, or on all of them."""
    return pytest.mark.parametrize("kind", KINDS if ALL else few, ids=lambda kind: kind.name)


@dataclass(frozen=True)
class Study:
    """A study in a store, run by command. `seen`: where this process finds the store."""

    kind: Kind
    place: Path
    store: Path
    seen: Path
    sets: Mapping[str, Any]

    def start(self, *more: str, **options: Any) -> Driver:
        """The command, as a process of its own; `options` of `Driver`."""
        sets = [part for path, value in self.sets.items() for part in ("--set", f"{path}={value}")]
        arguments = ["--sweep", self.kind.sweep, "--store", str(self.store), *self.kind.options, *sets, *more]
        return Driver(arguments, self.place, **options)

    def run(self, *more: str, **options: Any) -> Driver:
        """The command from its start to a good end, which repeats nothing that is finished."""
        finished = self.entries()
        driver = self.start(*more, **options)
        self.end(driver, finished)
        return driver

    def end(self, driver: Driver, finished: Mapping[str, int]) -> None:
        """Wait for the driver's good end; what was `finished` by then was not made again."""
        code = driver.wait()
        assert code == 0, f"{code}\n{driver.out}\n{driver.err}"
        assert "Traceback" not in driver.err
        assert finished.items() <= self.entries().items()

    @property
    def key(self) -> str:
        """By which its report and its record are found."""
        sets = parse_settings([f"{path}={value}" for path, value in self.sets.items()])
        return plans.make_study(self.kind.sweep, sets=sets, seeds=1).key

    @property
    def uri(self) -> str:
        """Of its own record."""
        return f"sqlite:///{self.store}/mlflow.db"

    def entries(self) -> dict[str, int]:
        """When every entry of the store was made."""
        inside = {file.parent.relative_to(self.seen): file.stat() for file in self.seen.rglob("manifest.json")}
        return {str(key): at.st_mtime_ns for key, at in inside.items() if key.parts[0] not in ("work", "quarantine")}

    def trained(self) -> int:
        """Finished trainings."""
        return len(list(self.seen.glob("train/*/manifest.json")))

    def working(self) -> bool:
        """Whether there is a training to go on from."""
        return any(self.seen.glob("work/train/*/checkpoint.json"))

    def traces(self) -> dict[str, str]:
        """The fingerprint of every training's losses and final weights."""
        files = self.store.glob("train/*/result.json")
        return {file.parent.name: json.loads(file.read_text())["trace"] for file in files}

    def table(self) -> list[dict[str, str]]:
        """The final table, measured times aside."""
        with open(self.store / "reports" / self.key / "table.csv", newline="") as file:
            return [row for row in csv.DictReader(file) if row["timed"] != "true"]

    def journal(self) -> list[dict[str, Any]]:
        """What the search asked for, was shown and was told, in order; times aside."""
        (file,) = self.store.glob("notes/searches/*/*.jsonl")
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        for line in lines:
            line.get("about", {}).pop("seconds", None)
        return lines

    def check(self, undisturbed: Study, uri: str | None = None, lost: Collection[str] = ()) -> None:
        """That the study ended as if nothing had happened, with every trial recorded once.

        `lost`: trainings that are not made again, since a search that has noted a result needs no more of it.
        """
        if self.kind.budget:
            self._check_search(undisturbed)
        if self.kind.repeats:
            assert self.table() == undisturbed.table()
            assert _without(lost, self.traces()) == _without(lost, undisturbed.traces())
            kept, expected = _comparable(uri or self.uri, self.key), _comparable(undisturbed.uri, undisturbed.key)
            assert _without(lost, kept) == _without(lost, expected)
        self._check_record(uri or self.uri)

    def _check_search(self, undisturbed: Study) -> None:
        """The exact budget, every trial asked for and told once, no look noted twice."""
        lines = self.journal()
        for event in ("ask", "tell"):
            assert sorted(line["number"] for line in lines if line["event"] == event) == [*range(self.kind.budget)]
        looks = [(line["number"], line["step"]) for line in lines if line["event"] == "report"]
        assert len(looks) == len(set(looks))
        if self.kind.repeats:
            assert [line for line in lines if line["event"] != "crash"] == undisturbed.journal()

    def _check_record(self, uri: str) -> None:
        """One parent, one child per trial, each ended, no point of a curve twice."""
        here = client(uri)
        (parent,) = _parents(here, self.key)
        assert parent.info.status == "FINISHED"
        runs = children(here, parent.info.run_id)
        assert set(Counter((run.data.tags["trial"], run.data.tags["arm"]) for run in runs).values()) == {1}
        assert {run.info.status for run in runs} == {"FINISHED"}
        assert len(runs) == (self.kind.budget + 2 if self.kind.budget else 4)
        for run in runs:
            steps = [point.step for point in here.get_metric_history(run.info.run_id, "train/loss")]
            assert len(steps) == len(set(steps))  # by time, which a clock that was set back puts in another order


def _comparable(uri: str, key: str) -> dict[str, Any]:
    """What the record says of each trial, by its training's id, but times and how it came about."""
    timed = {"planning_seconds"}
    return {
        record["trial"]: (
            record["arm"],
            record["seed"],
            record["status"],
            {name: value for name, value in record["measures"].items() if name not in timed},
            record["tasks"],
        )
        for record in read_mlflow(uri, key)
    }


def _without(lost: Collection[str], found: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key not in lost}


def _parents(here: Any, key: str) -> list[Any]:
    experiments = [found.experiment_id for found in here.search_experiments()]
    return here.search_runs(experiments, f"tags.study = '{key}'")


def instants(most: int, few: int = 3) -> int:
    """How often to try a thing."""
    return most if ALL else few


def draws(*name: object) -> random.Random:
    """Random numbers for the test of that name."""
    return random.Random(f"{SEED} {name}")
