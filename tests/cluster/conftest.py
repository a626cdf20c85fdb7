"""The small study of tests/study/, on clusters of several nodes on this machine."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path

import pytest

from study import report
from trainables import pipeline
from trainables.store import Store

ROOT = Path(__file__).parents[2]


def _load(file):
    spec = importlib.util.spec_from_file_location(f"of_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_study = _load(ROOT / "tests" / "study" / "conftest.py")
command, small = _study.command, _study.small
Machines = _load(Path(__file__).with_name("_machines.py")).Machines


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, small):
    """A store with the small study's trials of two seeds, made in this process without Ray, and the study's report."""
    store, study = Store(tmp_path_factory.mktemp("done")), small(seeds=2)
    for trial in study.trials:
        pipeline.run_trial(trial.config, store)
    return store, report.write(study, store, report.records(study, store))


@pytest.fixture(scope="session")
def untimed():
    """The function that reads the rows of a report's table.csv but those of measured time."""

    def rows(folder):
        with open(folder / "table.csv", newline="") as file:
            return [row for row in csv.DictReader(file) if row["timed"] != "true"]

    return rows


@pytest.fixture
def machines():
    """A head, a worker and a laptop, gone afterwards with all that ran on them."""
    made = Machines()
    yield made
    made.destroy()
