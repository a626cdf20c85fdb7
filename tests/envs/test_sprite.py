"""The sprite: which of its movements an action controls, and that pictures show where it points."""

import numpy as np
import pytest

import envs
from envs.sprite import FULL_TURN, HIGH, LOW, REACH, SHAPE, TURN

CONTROLS = ["none", "x", "y", "t", "xy", "xt", "yt", "xyt"]


def world(control):
    return envs.load("sprite", {"control": control})


def test_the_numbers_are_the_published_ones():
    # 8 px per step; as fast as the rim at 7.5 px, and half a turn where all is controlled; 21 - 8 to 42 + 8.
    assert [8, 8 / 7.5, np.pi, 13, 50] == [REACH, TURN, FULL_TURN, LOW, HIGH]
    assert np.allclose(SHAPE, [[12, 0], [-6.75, 7.5], [-6.75, -7.5]])
    assert world("xyt").reach.tolist() == [8, 8, np.pi] and world("xy").reach.tolist() == [8, 8, 8 / 7.5]


@pytest.mark.parametrize("control", CONTROLS)
def test_what_is_controlled_follows_the_action_and_what_is_not_moves_by_chance(control):
    sprite = world(control)
    rng = np.random.default_rng(0)
    states = sprite.sample(500, rng)
    states[:, :2] = 31.5  # far from every edge
    actions = rng.uniform(-1, 1, (500, sprite.action_dim))
    moved = (sprite.step(states, actions) - states)[:, :3]
    moved[:, 2] = (moved[:, 2] + np.pi) % (2 * np.pi) - np.pi
    still = (sprite.step(states, np.zeros_like(actions)) - states)[:, :3]
    for axis, name in enumerate("xyt"):
        if name in control and control != "none":
            column = [c for c in "xyt" if c in control].index(name)
            assert np.allclose(moved[:, axis], sprite.reach[axis] * actions[:, column], atol=1e-9)
        else:
            assert np.allclose(np.sin((moved - still)[:, axis] / 2), 0, atol=1e-9)
            assert np.std(moved[:, axis]) == pytest.approx(sprite.reach[axis] / np.sqrt(3), rel=0.1)


def test_without_control_there_is_one_action_that_is_recorded_as_nothing():
    sprite = world("none")
    assert sprite.action_dim == 1
    states = sprite.sample(5, np.random.default_rng(0))
    assert not sprite.policy(5, np.random.default_rng(0)).act(states).any()


def test_the_policy_s_actions_are_the_moves_that_happen():
    sprite, rng = world("xyt"), np.random.default_rng(0)
    states = sprite.sample(300, rng)
    policy = sprite.policy(300, rng)
    for _ in range(10):
        actions = policy.act(states)
        after = sprite.step(states, actions)
        assert np.allclose((after - states)[:, :2], 8 * actions[:, :2], atol=1e-9)
        states = after
    assert (states[:, :2] == LOW).any() or (states[:, :2] == HIGH).any()


def test_success_counts_what_is_controlled():
    state, near = np.array([[30.0, 30, 3.1, 1]]), np.array([[33.0, 30, -3.1, 2]])
    assert world("xyt").solved(state, near)[0]  # over the edge of the angle
    assert not world("xyt").solved(state, near + np.array([0, 0, 0.3, 0]))[0]
    assert world("x").solved(state, near + np.array([0, 10, 1, 0]))[0]
    assert not world("x").solved(state, near + np.array([0.1, 0, 0, 0]))[0]
    assert world("t").distance(state, np.array([[0, 0, 3.1 - 0.15, 0]]))[0] == pytest.approx(1.5)


@pytest.mark.parametrize("size", [32, 64, 128])
def test_the_arrow_is_where_it_is_and_points_where_it_points(size):
    sprite = world("xyt")
    states = sprite.sample(100, np.random.default_rng(0))
    ink = (255.0 - sprite.render(states, size)[..., 1]) / 255
    middle = (np.arange(size) + 0.5) * 64 / size - 0.5
    x, y = (ink.sum(axis) @ middle / ink.sum((1, 2)) for axis in (1, 2))
    centre = SHAPE.mean(axis=0)[0]  # of mass, ahead of the middle or behind it
    assert np.abs(x - states[:, 0] - centre * np.cos(states[:, 2])).max() < 0.15 * 64 / size
    assert np.abs(y - states[:, 1] + centre * np.sin(states[:, 2])).max() < 0.15 * 64 / size
    assert np.abs(ink.sum((1, 2)) * (64 / size) ** 2 - 140.6).max() < 3 * 64 / size  # 1/2 x 18.75 x 15
    tip = states[:, :2] + 10 * np.stack([np.cos(states[:, 2]), -np.sin(states[:, 2])], axis=1)
    pixel = np.floor((tip + 0.5) * size / 64).astype(int)
    assert (ink[np.arange(100), pixel[:, 1], pixel[:, 0]] > 0.3).mean() > 0.95


def test_looks_and_controls_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="control: 'yx': Input should be 'none'"):
        world("yx")
    with pytest.raises(ValueError, match="size: 3"):
        envs.load("sprite", {"size": 3})
