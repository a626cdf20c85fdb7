"""What the papers find: the cheapest pair always, the rest by `make findings` (WM_FINDINGS=all), which takes long.

WM_FINDINGS_STORE says where trainings are kept and found again, `runs` unless told otherwise.
"""

from __future__ import annotations

import os

import pytest
import torch

from tests._small import SMALLEST
from trainables import pipeline
from trainables.paths import assign_all, base_config
from trainables.remote import open_store
from trainables.store import Store

collect_ignore = [] if os.environ.get("WM_FINDINGS") == "all" else ["test_local.py"]
CHEAP = {"probe_r2": {}, "latent_spectrum": {}, "rollout_error": {}}  # nothing is planned


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """What a sum comes to depends on how many threads share it."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shelf(tmp_path_factory) -> Store:
    """Where small trials are kept."""
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def small():
    """The function that makes configs of seconds on a dot world; changes by path."""
    tiny = {path: value for path, value in SMALLEST.items() if path != "data.steps"} | {"predictor.size": "tiny"}
    return lambda method, world, changes: assign_all(base_config(method, world, "local"), tiny | changes)


@pytest.fixture(scope="session")
def judged():
    """The function that trains a method at scale local and measures it: (method, world, seed, changes) -> record."""
    store = open_store(os.environ.get("WM_FINDINGS_STORE", "runs"))

    def judge(method, world, seed=0, **changes):
        sets = {path.replace("__", "."): value for path, value in changes.items()}
        config = assign_all(base_config(method, world, "local"), {"measures": CHEAP, "seed": seed, **sets})
        return pipeline.run_trial(config, store)

    return judge
