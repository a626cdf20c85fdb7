"""The single dot: sizes, clamping and threshold as published, and a displacement that is the action."""

import numpy as np
import pytest

import envs

WORLD = envs.load("single_dot")


def test_the_action_is_the_displacement_in_sixteenths():
    states = np.array([[30.0, 30.0], [30.0, 30.0], [20.0, 44.0]])
    actions = np.array([[0.5, -0.25], [1.0, 0.03], [-1.0, 1.0]])
    assert WORLD.step(states, actions).tolist() == [[38, 26], [45, 30], [18, 45]]


def test_the_policy_acts_what_happens():
    rng = np.random.default_rng(0)
    states = WORLD.sample(500, rng)
    policy = WORLD.policy(500, rng)
    for _ in range(16):
        actions = policy.act(states)
        assert np.array_equal(actions, actions.astype(np.float32))
        stepped = WORLD.step(states, actions)
        assert np.array_equal(stepped - states, 16 * actions)
        states = stepped


def test_starts_fill_the_field_from_18_to_45():
    states = WORLD.sample(5000, np.random.default_rng(0))
    assert np.array_equal(np.unique(states), np.arange(18, 46))


def test_success_is_within_three_pixels():
    here = np.array([[30.0, 30.0]])
    assert WORLD.solved(here, here + np.array([3, 0]))[0]
    assert WORLD.solved(here, here + np.array([2, 2]))[0]
    assert not WORLD.solved(here, here + np.array([3, 1]))[0]


def test_the_dot_has_thirteen_red_pixels_on_white_at_64():
    picture = WORLD.render(np.array([[20.0, 40.0]]), 64)[0]
    red = {(x, y) for y, x in np.argwhere((picture == (255, 0, 0)).all(axis=2)).tolist()}
    assert red == {(20 + dx, 40 + dy) for dx in range(-2, 3) for dy in range(-2, 3) if dx * dx + dy * dy <= 4}
    assert len(red) == 13
    assert (picture == 255).all(axis=2).sum() == 64 * 64 - 13


@pytest.mark.parametrize("size", [8, 16, 32, 48, 64, 96, 224])
def test_the_dot_is_at_the_same_place_at_every_size(size):
    states = np.array([[x, y] for x in range(18, 46) for y in range(18, 46)], float)
    red = WORLD.render(states, size)[..., 1] == 0
    middle = (np.arange(size) + 0.5) * 64 / size - 0.5
    found = np.stack([red.sum(1) @ middle, red.sum(2) @ middle], axis=1) / red.sum((1, 2))[:, None]
    assert np.abs(found - states).max() <= 0.5 * max(1, 64 / size)
