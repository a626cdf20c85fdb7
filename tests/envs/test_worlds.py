"""What holds for every world; a new file in envs/ is tested by being there."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import envs

worlds = pytest.mark.parametrize("world", [envs.load(name) for name in envs.names()], ids=envs.names())


def few(world, n):
    """n, or fewer in a world so slow that it records few episodes together."""
    return max(2, n * min(32, world.together) // 32)


def walk(world, n, steps, seed=0):
    """States (steps + 1, n, S) and actions (steps, n, A) of the world's own policy."""
    rng = np.random.default_rng(seed)
    states, actions = [world.sample(n, rng)], []
    policy = world.policy(n, rng)
    for _ in range(steps):
        actions.append(policy.act(states[-1]))
        states.append(world.step(states[-1], actions[-1]))
    return np.stack(states), np.stack(actions)


def test_an_unknown_world_is_refused_with_the_nearest_name():
    with pytest.raises(ValueError, match="unknown world 'two_rooms', did you mean 'two_room'"):
        envs.load("two_rooms")


def test_importing_the_package_registers_every_world_and_imports_none():
    code = (
        "import sys, gymnasium, envs;"
        "assert not [m for m in sys.modules if m.startswith('envs.') and not m.startswith('envs._')];"
        "assert all(envs.gymnasium_id(name) in gymnasium.registry for name in envs.names());"
        "assert 'wm/TwoRoom-v0' in gymnasium.registry and 'wm/SingleDot-v0' in gymnasium.registry"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@worlds
def test_a_world_describes_itself(world):
    assert world.name in envs.names()
    assert world.version >= 1
    assert min(world.action_dim, world.frameskip, world.goal_offset, world.render_fps) >= 1
    assert all(set(names) <= set(world.state_names) for names in world.quantities.values())
    assert world.quantities
    # A goal lies within an episode, and plans made of whole model steps fit offset and budget.
    assert world.goal_offset < world.episode_steps
    assert world.goal_offset % world.frameskip == 0
    assert world.budget % world.frameskip == 0


@pytest.mark.parametrize("name", ["two_room", "reacher", "push_t", "cube"])
def test_the_papers_worlds_are_planned_in_as_published(name):
    """Five steps to a block, goals 25 steps ahead, a budget of 50 (arXiv:2606.20104, arXiv:2603.19312v3)."""
    world = envs.load(name)
    assert (world.frameskip, world.goal_offset, world.budget) == (5, 25, 50)
    assert world.action_dim == (5 if name == "cube" else 2)


@worlds
def test_samples_are_states_of_the_world_and_follow_from_the_generator(world):
    states = world.sample(100, np.random.default_rng(1))
    assert states.shape == (100, len(world.state_names))
    assert states.dtype == np.float64
    assert world.contains(states).all()
    assert np.array_equal(states, world.sample(100, np.random.default_rng(1)))
    assert not np.array_equal(states, world.sample(100, np.random.default_rng(2)))


@worlds
def test_no_state_lies_outside_a_world_far_away(world):
    assert not world.contains(np.full((1, len(world.state_names)), 1e6)).any()


@worlds
@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32), strength=st.sampled_from([0.1, 1.0, 10.0]))
def test_no_sequence_of_actions_leaves_the_world(world, seed, strength):
    rng = np.random.default_rng(seed)
    n = few(world, 20)
    states = world.sample(n, rng)
    push = strength * rng.standard_normal((n, world.action_dim))
    for _ in range(60):
        states = world.step(states, push + rng.standard_normal(push.shape))
        assert world.contains(states).all()


@worlds
def test_a_step_clips_actions_and_leaves_its_arguments_alone(world):
    rng = np.random.default_rng(0)
    states, actions = world.sample(50, rng), 3 * rng.standard_normal((50, world.action_dim))
    kept = states.copy(), actions.copy()
    stepped = world.step(states, actions)
    assert np.array_equal(stepped, world.step(states, np.clip(actions, -1, 1)))
    assert np.array_equal(states, kept[0])
    assert np.array_equal(actions, kept[1])


@worlds
def test_an_action_means_the_same_in_single_precision(world):
    states, actions = walk(world, 50, 1)
    rounded = actions[0].astype(np.float32)
    assert np.array_equal(world.step(states[0], rounded), world.step(states[0], rounded.astype(np.float64)))


@worlds
def test_neither_steps_nor_pictures_depend_on_the_batch(world):
    states, actions = walk(world, 5, 3)
    together = world.step(states[2], actions[2])
    pictures = world.render(states[2], 64)
    for i in range(5):
        assert np.array_equal(world.step(states[2, i : i + 1], actions[2, i : i + 1]), together[i : i + 1])
        assert np.array_equal(world.render(states[2, i : i + 1], 64)[0], pictures[i])


@worlds
def test_more_states_than_are_drawn_at_a_time_are_all_drawn(world):
    states = world.sample(600, np.random.default_rng(0))
    pictures = world.render(states, 16)
    for row in (0, 255, 256, 511, 512, 599):
        assert np.array_equal(pictures[row], world.render(states[row : row + 1], 16)[0])


@worlds
@pytest.mark.parametrize("size", [8, 33, 64, 224])
def test_a_picture_has_the_size_asked_for_and_shows_the_state(world, size):
    states, _ = walk(world, 2, 1)
    pictures = world.render(states[0], size)
    assert pictures.shape == (2, size, size, 3)
    assert pictures.dtype == np.uint8
    assert not np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures, world.render(states[1], size))


@worlds
def test_drawing_into_a_given_array_overwrites_all_of_it(world):
    states = world.sample(3, np.random.default_rng(0))
    out = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    assert world.render(states, 32, out) is out
    assert np.array_equal(out, world.render(states, 32))


@worlds
def test_a_picture_that_cannot_be_is_refused(world):
    states = world.sample(3, np.random.default_rng(0))
    with pytest.raises(ValueError, match="at least 8 pixels, got 7"):
        world.render(states, 7)
    with pytest.raises(ValueError, match="out must be uint8"):
        world.render(states, 32, np.empty((2, 32, 32, 3), np.uint8))
    with pytest.raises(ValueError, match="out must be uint8"):
        world.render(states, 32, np.empty((3, 32, 32, 3), np.float32))


@worlds
def test_a_state_is_its_own_solved_goal_and_most_others_are_not(world):
    states = world.sample(200, np.random.default_rng(0))
    assert np.array_equal(world.distance(states, states), np.zeros(200))
    assert world.solved(states, states).all()
    assert world.solved(states[:100], states[100:]).mean() < 0.2
    assert np.array_equal(world.distance(states[:100], states[100:]), world.distance(states[100:], states[:100]))


@worlds
def test_the_policy_acts_within_bounds_and_follows_from_the_generator(world):
    n = few(world, 10)
    states, actions = walk(world, n, world.episode_steps, seed=3)
    assert actions.shape == (world.episode_steps, n, world.action_dim)
    assert np.abs(actions).max() <= 1
    assert world.contains(states.reshape(-1, states.shape[2])).all()
    assert np.array_equal(actions, walk(world, n, world.episode_steps, seed=3)[1])


@worlds
def test_the_policy_gets_somewhere_within_the_goal_offset(world):
    states, _ = walk(world, few(world, 50), world.episode_steps)
    starts, goals = states[: -world.goal_offset], states[world.goal_offset :]
    width = states.shape[2]
    assert world.solved(starts.reshape(-1, width), goals.reshape(-1, width)).mean() < 0.3
