"""Protocols are what was published, by name, and a name never says what is not so."""

import numpy as np
import pytest
import torch

import envs
from envs._episodes import Episodes
from trainables import ids, pipeline, plugins
from trainables.measures._trained import Trained
from trainables.model import WorldModel
from trainables.paths import assign, assign_all, base_config
from trainables.planners import cem
from trainables.planning import choose_tasks, evaluate
from trainables.settings import ConfigError

PUBLISHED = [name for name in plugins.names("protocols") if name != "strict"]
TASKS = {"smwm": (100, "test"), "lewm_v1": (50, "train"), "lewm_v3": (50, "train"), "lewm_code": (50, "train")}
HISTORY = {  # arXiv:2606.20104's code; arXiv:2603.19312 v1 and v3; LeWM's code
    "smwm": {"two_room": 1, "push_t": 1, "cube": 1, "reacher": 1},
    "lewm_v1": {"two_room": 1, "push_t": 3, "cube": 3, "reacher": 3},
    "lewm_v3": {"two_room": 1, "push_t": 3, "cube": 3, "reacher": 3},
    "lewm_code": {"two_room": 3, "push_t": 3, "cube": 3, "reacher": 3},
}


def settings(name, world):
    return plugins.load("protocols", name).settings(world)


def test_the_default_protocol_is_strict():
    found = base_config("smwm", "two_room", "local").protocol
    assert (found.name, found.split, found.early, found.earlier_rows) == ("strict", "test", 0, 10)
    assert (found.solved_starts, found.clip, found.context) == (False, True, None)
    assert (found.offset, found.budget) == (25, 50)


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("world", ["two_room", "reacher", "push_t", "cube"])
def test_published_protocols_are_as_published(name, world):
    found = settings(name, world)
    far = name == "lewm_v1" and world == "two_room"
    assert (found["protocol.offset"], found["protocol.budget"]) == ((100, 150) if far else (25, 50))
    assert (found["protocol.tasks"], found["protocol.split"]) == TASKS[name]
    assert found["history"] == HISTORY[name][world]
    iterations = 30 if name in ("smwm", "lewm_code") or world == "push_t" else 10
    planner = {
        key: found[f"planner.{key}"] for key in ("samples", "iterations", "elites", "horizon", "receding", "std")
    }
    assert planner == {
        "samples": 300, "iterations": iterations, "elites": 30, "horizon": 5, "receding": 5, "std": 1.0
    }  # fmt: skip
    assert found["protocol.early"] == (name == "smwm")  # the last row of a slice of 25 is 24 steps ahead
    assert found["protocol.context"] == (1 if name == "lewm_code" else None)
    assert found["protocol.solved_starts"] and not found["protocol.clip"]


def test_a_protocol_is_chosen_by_its_name_and_loses_it_when_it_is_changed():
    base = base_config("smwm", "two_room", "local")
    chosen = assign(base, "protocol", "smwm")
    assert (chosen.protocol.name, chosen.protocol.early, chosen.planner.iterations) == ("smwm", 1, 30)
    assert assign(base, "protocol.name", "smwm") == chosen
    for path, value in {
        "protocol.offset": 20,
        "planner.iterations": 10,
        "history": 2,
        "protocol.split": "train",
    }.items():
        rows = {"protocol.earlier_rows": 10} if path == "history" else {}
        assert assign_all(base, {"protocol": "smwm", path: value, **rows}).protocol.name == "custom"
    assert assign(chosen, "protocol.task_seed", 5).protocol.name == "smwm"
    assert assign_all(base, {"protocol.offset": 30, "protocol.budget": 60}).protocol.name == "strict"
    assert assign(base, "protocol.solved_starts", True).protocol.name == "custom"


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ({"protocol": "smmw"}, "protocol: 'smmw' is unknown, did you mean 'smwm'"),
        ({"protocol.context": 2}, "2 frames are more than the history of 1"),
        ({"protocol.early": 1, "protocol.offset": 1}, "early=1 leaves nothing of offset=1"),
        ({"protocol": "lewm_v1"}, "protocol.offset: 100 env steps and the 0 before the start are more than the 50"),
        ({"protocol.look.wall_colour": "blue"}, "no such option of two_room, did you mean 'wall_color'"),
        ({"history": 3, "protocol.earlier_rows": 5}, "history: 10 frames back are more than the 5"),
    ],
)
def test_a_protocol_that_cannot_be_is_refused(tiny, sets, message):
    with pytest.raises(ConfigError, match=message):
        assign_all(tiny("smwm"), sets)


@pytest.mark.parametrize(
    "sets",
    [
        {"protocol": 5},
        {"protocol": None},
        {"protocol": "custom"},
        {"protocol": {"name": "smwm"}},
        {"data": 5},
        {"protocol": "smwm", "planner": None},
        {"protocol.name": 5},
        {"protocol.look": 5},
    ],
)
def test_what_is_no_protocol_at_all_is_refused_in_words(tiny, sets):
    with pytest.raises(ConfigError):
        assign_all(tiny("smwm"), sets)


def test_a_name_is_no_part_of_an_id_and_neither_is_what_changes_nothing():
    base = base_config("smwm", "push_t", "local")
    keys = lambda **sets: (  # noqa: E731
        ids.measure_key(assign_all(base, {k.replace("__", "."): v for k, v in sets.items()}), "success_rate")
    )
    assert keys(protocol="lewm_v1") == keys(protocol="lewm_v3") != keys(protocol="lewm_code")
    assert keys(protocol__look__noise=8) == keys(protocol__look__noise=8.0) != keys()
    assert (
        keys(protocol__look__background="white") == keys(protocol__look__noise=0) == keys() == keys(protocol__context=1)
    )
    assert ids.floors_key(assign(base, "protocol.look.noise", 8)) == ids.floors_key(base)


def test_the_table_says_what_a_protocol_does(tiny):
    from analysis.captions import protocol
    from analysis.records import parse
    from trainables.paths import flatten

    def said(config):
        return protocol(parse([{"trial": "", "arm": "a", "seed": 0, "status": "ok", "config": flatten(config)}]))

    config = base_config("smwm", "two_room", "local")
    assert said(config) == "strict, test split, 100 tasks, goal 25 env steps ahead, at most 50 steps"
    assert said(assign(config, "protocol", "smwm")) == (
        "smwm, test split, 100 tasks, goal 24 env steps ahead, at most 50 steps, solved starts kept, "
        "plans not clipped to the action bounds"
    )
    assert said(assign(config, "protocol.look.noise", 8)).endswith(", seen with noise 8")


def test_the_papers_protocols_are_refused_where_the_papers_do_not_plan():
    with pytest.raises(ConfigError, match="protocol: the papers do not plan in the world 'single_dot'"):
        assign(base_config("smwm", "single_dot", "local"), "protocol", "smwm")


@pytest.fixture(scope="module")
def test_set(tiny, data):
    return Episodes(data(tiny("smwm"))["test"])


def tasks(tiny, episodes, **changes):
    return choose_tasks(envs.load("two_room"), episodes, tiny("smwm", **changes).protocol)


def test_a_goal_that_comes_early_is_a_step_nearer(tiny, test_set):
    found = tasks(tiny, test_set, protocol__early=1)
    assert (found.goal - found.start == 24).all()
    episode = np.searchsorted(test_set.episode_start, found.start, side="right") - 1
    assert (found.start + 25 < test_set.episode_start[episode] + test_set.length[episode]).all()


def test_solved_starts_are_kept_where_the_protocol_keeps_them(tiny, test_set):
    every = tasks(tiny, test_set, protocol__solved_starts=True, protocol__tasks=90, protocol__earlier_rows=0)
    world = envs.load("two_room")
    solved = world.solved(test_set.states(every.start), test_set.states(every.goal))
    assert 0 < solved.sum() < 90
    rows = every.start - test_set.episode_start[np.searchsorted(test_set.episode_start, every.start, side="right") - 1]
    assert rows.min() < 10


def test_planning_on_training_episodes_leaves_the_other_measures_on_the_test_set(tiny, shelf, data):
    config = tiny("smwm", protocol__split="train")
    assert (
        ids.judging_split(config) == "test" and ids.judging_split(tiny("smwm", protocol__split="validation")) != "test"
    )
    assert ids.measure_key(config, "probe_r2") == ids.measure_key(tiny("smwm"), "probe_r2")
    assert ids.measure_key(config, "success_rate") != ids.measure_key(tiny("smwm"), "success_rate")
    assert pipeline.run_trial(config, shelf)["status"] in ("ok", "collapsed")


def outcome(tiny, shelf, data, **changes):
    config = tiny("smwm", **changes)
    trained = Trained(shelf.get(ids.train_key(config)), data(config))
    return evaluate(trained, config, lambda function, items: [function(item) for item in items])[0]


def test_planning_sees_the_frames_and_the_bounds_that_the_protocol_says(tiny, shelf, data, monkeypatch):
    seen = []

    def rollout(model, z, plans, past):
        seen.append((z.shape[1], past.shape[1]))
        return original(model, z, plans, past)

    original = WorldModel.rollout
    pipeline.run_trial(tiny("smwm", history=2), shelf)
    monkeypatch.setattr(WorldModel, "rollout", rollout)
    outcome(tiny, shelf, data, history=2)
    assert set(seen) == {(2, 1)}
    seen.clear()
    outcome(tiny, shelf, data, history=2, protocol__context=1)
    assert set(seen) == {(1, 0)}


def test_plans_are_clipped_unless_the_protocol_says_otherwise(tiny, shelf, data, monkeypatch):
    bounds, original = [], cem.plan

    def plan(config, cost, edges, generators):
        bounds.append(torch.stack(edges))
        return original(config, cost, edges, generators)

    monkeypatch.setattr(cem, "plan", plan)
    pipeline.run_trial(tiny("smwm"), shelf)
    outcome(tiny, shelf, data)
    outcome(tiny, shelf, data, protocol__clip=False)
    assert torch.isfinite(bounds[0]).all() and torch.isinf(bounds[-1]).all()


def test_a_look_changes_what_planning_sees_and_not_what_was_trained(tiny, shelf, data):
    pipeline.run_trial(tiny("smwm"), shelf)
    base, odd = tiny("smwm"), tiny("smwm", protocol__look={"background": "blue"})
    assert ids.train_key(base) == ids.train_key(odd)
    assert ids.measure_key(base, "success_rate") != ids.measure_key(odd, "success_rate")
    assert not np.array_equal(
        outcome(tiny, shelf, data).distance,
        outcome(tiny, shelf, data, protocol__look={"background": "blue"}).distance,
    )


def test_a_look_cannot_change_what_happens():
    with pytest.raises(ConfigError, match=r"protocol\.look\.control: changes what happens"):
        assign(base_config("smwm", "sprite", "local"), "protocol.look.control", "x")
