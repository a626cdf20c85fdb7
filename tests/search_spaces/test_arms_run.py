"""Every arm of every sweep trains and is measured, at the smallest size there is, or says what the machine lacks."""

from __future__ import annotations

import pytest

import search_spaces
from tests._small import SMALLEST
from trainables import pipeline
from trainables.settings import ConfigError
from trainables.store import Store

SIZES = {path: value for path, value in SMALLEST.items() if not path.startswith("encoder.")}
SIZES |= {
    "data.steps": 100,
    "optim.steps": 2,
    "optim.batch": 8,
    "protocol.tasks": 4,
    "measures.rollout_error.clips": 10,
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


def smallest(sweep):
    """The trials of one seed, with every size set that the sweep does not vary."""
    sets = dict(SIZES)
    while True:
        try:
            return sweep.trials(sweep.world("local"), "local", sets, [0])
        except ConfigError as error:
            del sets[str(error).split(":")[0]]


@pytest.mark.parametrize("name", [name for name in search_spaces.names() if not search_spaces.load(name).search])
def test_every_arm_runs_or_says_what_is_lacking(name, store):
    sweep = search_spaces.load(name)
    trials = smallest(sweep)
    for trial in trials:
        if why := pipeline.lacking(trial.config):
            assert ": " in why
            continue
        record = pipeline.run_trial(trial.config, store)
        assert record["status"] in ("ok", "collapsed"), (trial.arm, record)
        assert sweep.primary in record["measures"], trial.arm
    assert sum(pipeline.lacking(trial.config) is None for trial in trials) >= 2
