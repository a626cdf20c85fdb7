"""Looks at a training change nothing in it, come from validation episodes, and come again after a resume."""

from __future__ import annotations

import pytest
import torch

from envs._episodes import Clips, Episodes
from trainables import monitors, training
from trainables.files import read_json
from trainables.monitors import Watch


@pytest.fixture(scope="module")
def config(tiny):
    return tiny()


@pytest.fixture(scope="module")
def episodes(config, data):
    return {split: folder for split, folder in data(config).items() if split != "test"}


def train(config, episodes, folder, watch=None, progress=None):
    (folder / "out").mkdir(parents=True)
    training.train(config, episodes, folder, folder / "out", progress, watch)
    return read_json(folder / "out" / "result.json")


def looks(events):
    return [(event["step"], event["monitor"]) for event in events if "monitor" in event]


def test_a_watched_training_has_the_bits_of_one_that_was_not(config, episodes, tmp_path):
    events = []
    watch = Watch((1, 7, config.optim.steps - 1), tuple(monitors.VALUES))
    watched = train(config, episodes, tmp_path / "watched", watch, events.append)
    plain = train(config, episodes, tmp_path / "plain")
    assert watched["trace"] == plain["trace"]
    assert [step for step, _ in looks(events)] == list(watch.steps)
    assert all(values.keys() == monitors.VALUES.keys() for _, values in looks(events))


def test_looks_do_not_depend_on_the_state_of_global_generators(config, episodes, tmp_path):
    found = []
    for number in range(2):
        torch.manual_seed(number)
        events = []
        train(config, episodes, tmp_path / str(number), Watch((5,), ("probe_r2",)), events.append)
        found.append(looks(events))
    assert found[0] == found[1]


def test_a_model_that_diverged_between_two_checks_of_the_loss_is_not_looked_at(tiny, episodes, tmp_path, monkeypatch):
    """Steps 51 to 59 are not logged, so that what goes wrong there shows at step 60."""
    advance, events = training.Run.advance, []

    def spoiled(run):
        status = advance(run)
        if run.step == 51:
            run.parameters[0].data.fill_(float("nan"))
        return status

    monkeypatch.setattr(training.Run, "advance", spoiled)
    result = train(tiny(optim__steps=70), episodes, tmp_path, Watch((51,), ("probe_r2",)), events.append)
    assert (result["status"], result["steps"]) == ("diverged", 60)
    assert looks(events) == []


def test_collapse_is_looked_for_whatever_else_is(config, episodes, tmp_path):
    events = []
    train(config, episodes, tmp_path, Watch((2,), ()), events.append)
    ((_, values),) = looks(events)
    assert values.keys() == {monitors.ALWAYS}
    assert values[monitors.ALWAYS] > 0


def test_a_look_is_at_validation_episodes(config, episodes, tmp_path):
    """The same look with training episodes in their place gives other numbers."""
    run = training.Run(config, _clips(config, episodes), Episodes(episodes["validation"]))
    watch = Watch((1,), ("rollout_error_1",))
    held_out = watch.look(run, episodes)
    assert held_out == watch.look(run, episodes)
    assert held_out != watch.look(run, {**episodes, "validation": episodes["train"]})


def test_a_resumed_training_tells_again_what_was_seen(config, episodes, tmp_path):
    first, second = [], []
    watch = Watch((3,), ("effective_rank",))

    class StoppedError(Exception):
        pass

    def stop(event):
        first.append(event)
        if event["step"] == 10:
            raise StoppedError

    (tmp_path / "out").mkdir()
    run = training.Run(config, _clips(config, episodes), Episodes(episodes["validation"]))
    for _ in range(3):
        run.advance()
    run.look(watch, episodes)
    run.save(tmp_path, 0.0)
    with pytest.raises(StoppedError):
        training.train(config, episodes, tmp_path, tmp_path / "out", stop, watch)
    training.train(config, episodes, tmp_path, tmp_path / "out", second.append, watch)
    assert looks(first) == looks(second) == looks(run.looks)
    assert [step for step, _ in looks(second)] == [3]


def test_every_watched_number_is_one_that_its_measure_reports():
    assert monitors.VALUES.keys() >= {"probe_r2", "effective_rank", "rollout_error_1", monitors.ALWAYS}
    assert not any("loss" in name for name in monitors.VALUES)
    assert monitors.higher_is_better("probe_r2")
    assert not monitors.higher_is_better("rollout_error_1")


def _clips(config, episodes):
    return Clips(Episodes(episodes["train"]), config.clip, config.frameskip)
