"""A study of seconds: two projectors on a few episodes for a few steps, with Ray in processes or without Ray at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from study import cluster, run
from study import plan as plans
from tests._small import SMALL
from trainables import pipeline
from trainables.store import Store

cluster.quieten()  # before any test imports Ray

ROOT = Path(__file__).parents[2]
SWEEP = "projector_norm"
SETS = SMALL | {"predictor.size": "tiny", "optim.steps": 60}


@pytest.fixture(scope="session")
def command():
    """The function that gives the arguments of the small study: command(store, "--seeds", "2", sets={path: value})."""

    def arguments(store, *more, sets=None):
        sets = [part for path, value in (SETS | (sets or {})).items() for part in ("--set", f"{path}={value}")]
        return ["--sweep", SWEEP, "--store", str(store), *sets, *more]

    return arguments


@pytest.fixture(scope="session")
def small():
    """The function that gives the study which `command` runs: small(seeds=2, **sets by path)."""

    def make(seeds=2, **sets):
        return plans.make_study(SWEEP, sets=SETS | sets, seeds=seeds)

    return make


@pytest.fixture(scope="session")
def done(tmp_path_factory, small):
    """A store that holds the small study's trials with three seeds, made in this process without Ray."""
    store = Store(tmp_path_factory.mktemp("done"))
    for trial in small(seeds=3).trials:
        pipeline.run_trial(trial.config, store)
    return store


@pytest.fixture(scope="session")
def invoke():
    """The function that runs the command line in this process: exit_code, stdout and stderr of the result."""
    return lambda *arguments: CliRunner().invoke(run.app, [str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def spawn():
    """The function that starts the command line as a process of its own, in a session of its own."""

    def start(arguments, folder):
        return subprocess.Popen(
            [sys.executable, str(ROOT / "study" / "run.py"), *arguments],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return start
