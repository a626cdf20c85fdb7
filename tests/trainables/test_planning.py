"""Planners find known optima, tasks are strict, and no grouping of tasks changes a bit."""

from functools import partial

import numpy as np
import pytest
import torch

import envs
from envs._episodes import Episodes
from trainables import pipeline, plugins, streams
from trainables.measures._trained import Trained
from trainables.planners import cem
from trainables.planning import choose_tasks, evaluate, floors, pursue
from trainables.settings import EARLIER_ROWS

WORLD = envs.load("two_room")


def gens(*tasks):
    return [streams.generator(0, "plan", task) for task in tasks]


def edges(dim, width=2.0):
    return torch.full((dim,), -width), torch.full((dim,), width)


@pytest.mark.parametrize("name", plugins.names("planners"))
def test_every_planner_finds_the_least_cost_within_the_bounds(name):
    planner = plugins.load("planners", name)
    target = torch.tensor([0.5, -1.0, 1.5, 5.0]).expand(2, 1, 3, 4)
    plan = planner.plan(
        planner.Config(horizon=3, receding=3), lambda p: (p - target).square().sum((-1, -2)), edges(4), gens(0, 1)
    )
    assert plan.shape == (2, 3, 4)
    assert torch.allclose(plan, target[:, 0].clamp(-2, 2), atol=0.15)
    assert plan.abs().max() <= 2


def test_a_plan_does_not_depend_on_the_tasks_it_is_planned_with():
    cost = lambda plans: (plans - 1).square().sum((-1, -2))  # noqa: E731
    plan = partial(cem.plan, cem.Config(samples=32, elites=8, iterations=3), cost, edges(2))
    together = plan(gens(3, 4, 5))
    assert torch.equal(together[1], plan(gens(4))[0]) and torch.equal(together[2], plan(gens(5, 3))[0])
    assert not torch.equal(together[0], together[1])


@pytest.fixture(scope="module")
def test_set(tiny, data):
    config = tiny("smwm")
    return config, Episodes(data(config)["test"])


def test_strict_tasks_are_unsolved_starts_with_ten_earlier_rows_and_a_goal_exactly_offset_steps_ahead(test_set):
    config, episodes = test_set
    tasks = choose_tasks(WORLD, episodes, config.protocol)
    episode = np.searchsorted(episodes.episode_start, tasks.start, side="right") - 1
    first = np.asarray(episodes.episode_start)[episode]
    assert len(tasks) == 10 and len(set(tasks.start.tolist())) == 10
    assert (tasks.start - first >= EARLIER_ROWS).all()
    assert (tasks.goal - tasks.start == 25).all()
    assert (tasks.goal < first + np.asarray(episodes.length)[episode]).all()
    assert not WORLD.solved(episodes.states(tasks.start), episodes.states(tasks.goal)).any()


def test_tasks_are_the_same_for_every_model_and_other_for_another_task_seed(test_set, tiny):
    config, episodes = test_set
    again = choose_tasks(WORLD, episodes, tiny("lewm", seed=7, history=2).protocol)
    assert np.array_equal(again.start, choose_tasks(WORLD, episodes, config.protocol).start)
    other = choose_tasks(WORLD, episodes, tiny("smwm", protocol__task_seed=1).protocol)
    assert not np.array_equal(again.start, other.start)


def test_more_tasks_than_starts_is_refused(test_set, tiny):
    with pytest.raises(ValueError, match=r"protocol\.tasks=10000 is more than the"):
        choose_tasks(WORLD, test_set[1], tiny("smwm").protocol.model_copy(update={"tasks": 10_000}))


def test_walking_straight_to_the_goal_solves_what_has_no_wall_between():
    start, goal = np.array([[40.0, 100.0], [40.0, 40.0]]), np.array([[80.0, 100.0], [40.0, 150.0]])

    def towards(states, past, number):
        gap = goal - states[:, -1]
        return (gap / np.abs(gap).max(1, keepdims=True))[:, None].repeat(5, axis=1)

    outcome = pursue(WORLD, start[:, None], goal, np.zeros((2, 0, 10)), 25, 5, towards)
    assert outcome.solved.tolist() == [True, True]
    assert outcome.solved_last.tolist() == WORLD.solved(np.array([[80, 100], [40, 150]], float), goal).tolist()


def test_success_at_any_step_and_at_the_last_are_told_apart():
    start, goal = np.array([[40.0, 100.0]]), np.array([[70.0, 100.0]])
    outcome = pursue(WORLD, start[:, None], goal, np.zeros((1, 0, 2)), 20, 1, lambda *_: np.full((1, 1, 2), [1.0, 0.0]))
    assert outcome.solved.tolist() == [True] and outcome.solved_last.tolist() == [False]


def test_floors_tell_how_far_from_the_goal_they_end(test_set, data):
    config, episodes = test_set
    tasks = choose_tasks(WORLD, episodes, config.protocol)
    still = WORLD.distance(episodes.states(tasks.start), episodes.states(tasks.goal))
    assert floors(data(config)["test"], config)["no-op"]["distance"] == [still.tolist()]


def test_the_budget_ends_a_plan_halfway_and_the_history_keeps_its_depth():
    seen = []

    def look(states, past, number):
        seen.append((states.shape, past.shape, number))
        return np.zeros((1, 4, 2))

    pursue(WORLD, np.zeros((1, 3, 2)) + 50, np.zeros((1, 2)) + 60, np.zeros((1, 2, 4)), 6, 2, look)
    assert seen == [((1, 3, 2), (1, 2, 4), 0), ((1, 3, 2), (1, 2, 4), 1)]


def test_floors_do_nothing_or_move_at_random_and_are_the_same_every_time(test_set, data):
    config, _ = test_set
    one, two = (floors(data(config)["test"], config) for _ in range(2))
    assert one == two
    assert one["no-op"]["success"] == [[False] * 10]  # no start is solved
    assert len({tuple(repeat) for repeat in one["random"]["distance"]}) == 5


@pytest.fixture(scope="module", params=[1, 2])
def trained(request, tiny, data, shelf):
    config = tiny("smwm", history=request.param)
    pipeline.run_trial(config, shelf)
    from trainables import ids

    return Trained(shelf.get(ids.train_key(config)), data(config)), config


def test_neither_order_nor_grouping_of_chunks_changes_a_bit(trained):
    model, config = trained
    forwards, _ = evaluate(model, config, lambda f, items: [f(item) for item in items])
    backwards, _ = evaluate(model, config, lambda f, items: [f(item) for item in items[::-1]][::-1])
    assert np.array_equal(forwards.distance, backwards.distance)
    assert np.array_equal(forwards.solved, backwards.solved)


def test_a_task_is_planned_alike_whichever_tasks_share_its_chunk(trained, tiny):
    model, config = trained
    few = config.model_copy(update={"protocol": config.protocol.model_copy(update={"tasks": 3})})
    all_, three = (evaluate(model, each, lambda f, items: [f(item) for item in items])[0] for each in (config, few))
    assert np.array_equal(all_.distance[:3], three.distance)


def test_planning_uses_the_action_units_that_training_used(trained):
    model, _ = trained
    assert model.model.normaliser.std.min() > 0 and not torch.equal(model.model.normaliser.std, torch.ones(10))
