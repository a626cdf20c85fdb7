"""Dot worlds: what each group does, that dots never lie on each other, and that pictures show them."""

import numpy as np
import pytest

import envs
from envs import _chance
from envs._dots import COLORS, HIGH, LOW

DIMENSIONS = {"dots_independent": 4, "dots_coupled": 2, "dots_distractor": 2, "dots_static": 2, "dots_combined": 6}


def walk(world, n=200, steps=16, seed=0):
    rng = np.random.default_rng(seed)
    states, actions = [world.sample(n, rng)], []
    policy = world.policy(n, rng)
    for _ in range(steps):
        actions.append(policy.act(states[-1]))
        states.append(world.step(states[-1], actions[-1]))
    return np.stack(states), np.stack(actions)


def places(world, states):
    return states[..., : 2 * world.dots].reshape(*states.shape[:-1], world.dots, 2)


def every(groups):
    return envs.load("dots", {"groups": groups})


@pytest.mark.parametrize(("name", "dimensions"), DIMENSIONS.items())
def test_the_action_has_the_papers_true_dimension(name, dimensions):
    assert envs.load(name).action_dim == dimensions


def test_the_paper_s_compositions():
    groups = {name: envs.load(name).groups for name in DIMENSIONS}
    assert groups["dots_combined"] == "coupled+independent+independent+random"
    assert groups["dots_distractor"] == "independent+random"
    assert envs.load("dots_combined").dots == 5


@pytest.mark.parametrize("name", DIMENSIONS)
def test_recorded_actions_are_the_displacements_that_happen(name):
    world = envs.load(name)
    states, actions = walk(world)
    moved = np.diff(places(world, states), axis=0)
    own = [
        group[0] for kind, group in zip(world.kinds, world.members, strict=True) if kind in ("independent", "coupled")
    ]
    assert np.array_equal(moved[:, :, own].reshape(actions.shape), 16 * actions)


def test_a_pair_moves_as_one_and_a_static_dot_not_at_all():
    world = every("coupled+static")
    moved = np.diff(places(world, walk(world)[0]), axis=0)
    assert np.array_equal(moved[..., 0, :], moved[..., 1, :])
    assert np.abs(moved[..., 0, :]).max() == 16
    assert not moved[..., 2, :].any()


def test_a_random_dot_moves_as_much_as_a_controlled_one_whatever_the_action():
    world = envs.load("dots_distractor")
    states, actions = walk(world, n=2000, steps=4)
    moved = np.diff(places(world, states), axis=0)
    assert np.std(moved[..., 1, :]) == pytest.approx(np.std(moved[..., 0, :]), rel=0.05)
    assert abs(np.corrcoef(moved[..., 1, 0].ravel(), actions[..., 0].ravel())[0, 1]) < 0.05
    other = world.step(states[0], -actions[0])
    free = (other[:, 2:4] != states[0][:, 2:4]).any(1) & (states[1][:, 2:4] != states[0][:, 2:4]).any(1)
    assert np.array_equal(other[free, 2:4], states[1][free, 2:4])
    assert free.mean() > 0.8


def test_chance_is_uniform_and_never_the_same_twice():
    chance = np.arange(1000.0)
    numbers, following = _chance.draw(chance, 50)
    assert (numbers >= 0).all() and (numbers < 1).all()
    counts, _ = np.histogram(numbers, bins=20, range=(0, 1))
    assert abs(counts - 2500).max() < 250
    assert abs(np.corrcoef(numbers[:, :5], rowvar=False) - np.eye(5)).max() < 0.15
    assert len(np.unique(following)) == 1000 and _chance.valid(following).all()
    assert not np.array_equal(_chance.draw(following, 50)[0], numbers)


@pytest.mark.parametrize("groups", ["independent+random+static+coupled", "coupled+coupled+coupled+coupled"])
def test_dots_never_lie_on_each_other(groups):
    world = every(groups)
    rng = np.random.default_rng(0)
    states = world.sample(100, rng)
    for _ in range(30):
        states = world.step(states, rng.uniform(-1, 1, (100, world.action_dim)))
        gaps = np.linalg.norm(places(world, states)[:, :, None] - places(world, states)[:, None], axis=-1)
        assert gaps[:, ~np.eye(world.dots, dtype=bool)].min() >= 5


def test_what_is_in_the_way_stops_a_dot_and_the_policy_goes_elsewhere():
    world = every("independent+static")
    start = np.array([[20.0, 30.0, 30.0, 30.0]])
    assert world.step(start, np.array([[10 / 16, 0]]))[0].tolist() == [20, 30, 30, 30]
    assert world.step(start, np.array([[1, 0]]))[0].tolist() == [36, 30, 30, 30]
    _, actions = walk(world, n=500)
    assert (actions == 0).all(axis=-1).mean() < 0.005


def test_the_field_cuts_a_pair_s_move_short_for_both():
    world = every("coupled")
    assert world.step(np.array([[20.0, 20, 40, 40]]), np.array([[1.0, 0]]))[0].tolist() == [25, 20, HIGH, 40]
    assert world.step(np.array([[20.0, 20, 40, 40]]), np.array([[-1.0, 0]]))[0].tolist() == [LOW, 20, 38, 40]


def test_success_is_the_controlled_dots_within_three_pixels():
    world = envs.load("dots_distractor")
    state, goal = np.array([[20.0, 20, 40, 40, 5]]), np.array([[23.0, 20, 30, 20, 9]])
    assert world.solved(state, goal)[0] and world.distance(state, goal)[0] == 3
    assert not world.solved(state, goal + np.array([1, 0, 0, 0, 0]))[0]


def test_the_farthest_controlled_dot_counts():
    world = envs.load("dots_independent")
    assert world.distance(np.array([[20.0, 20, 40, 40]]), np.array([[20.0, 21, 40, 30]]))[0] == 10


def test_pictures_show_every_dot_in_its_colour_and_later_ones_on_top():
    world = envs.load("dots_combined")
    states = world.sample(20, np.random.default_rng(0))
    pictures = world.render(states, 64)
    for color, dots in zip(COLORS, places(world, states).swapaxes(0, 1), strict=False):
        value = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
        for picture, (x, y) in zip(pictures, dots.astype(int), strict=True):
            assert picture[y, x].tolist() == value
            assert (picture == value).all(axis=2).sum() == 13


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"groups": "independent+rand"},
            "'rand' is no group of dots; join any of independent, coupled, random, static",
        ),
        ({"groups": "random+static"}, "has nothing to control"),
        ({"groups": "+".join(["coupled"] * 5)}, "has 10 dots; 8 are the most"),
        ({"colors": ["red"]}, "colors"),
        ({"radius": 9}, "radius: 9"),
    ],
)
def test_compositions_and_looks_that_cannot_be_are_refused(options, message):
    with pytest.raises(ValueError, match=message.replace("+", r"\+")):
        envs.load("dots", options)


def test_looks_change_pictures_alone():
    plain, odd = envs.load("dots_static"), envs.load("dots_static", {"background": "black", "radius": 3.0})
    states = plain.sample(5, np.random.default_rng(0))
    assert (odd.render(states, 64)[:, 0, 0] == 0).all()
    assert (odd.render(states, 64) == [255, 0, 0]).all(axis=3).sum() > (plain.render(states, 64) == [255, 0, 0]).all(
        3
    ).sum()
    assert np.array_equal(odd.step(states, np.ones((5, 2))), plain.step(states, np.ones((5, 2))))
