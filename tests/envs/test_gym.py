"""Every world as a gymnasium environment."""

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs

every = pytest.mark.parametrize("name", envs.names())


def make(name, **kwargs):
    return gymnasium.make(envs.gymnasium_id(name), render_mode="rgb_array", **kwargs)


@every
def test_gymnasiums_checker_has_nothing_to_say(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(make(name).unwrapped)


@every
def test_it_can_be_vectorised(name):
    vector = gymnasium.make_vec(envs.gymnasium_id(name), num_envs=3)
    pixels, info = vector.reset(seed=0)
    assert pixels.shape == (3, 64, 64, 3)
    assert np.array_equal(pixels, envs.load(name).render(info["state"], 64))
    vector.action_space.seed(0)
    pixels, _, _, _, info = vector.step(vector.action_space.sample())
    assert np.array_equal(pixels, envs.load(name).render(info["state"], 64))
    vector.close()


@every
def test_a_state_is_restored_to_the_pixel(name):
    env, other = make(name, size=48), make(name, size=48)
    env.reset(seed=1)
    env.action_space.seed(1)
    pixels, _, _, _, info = env.step(env.action_space.sample())
    again, restored = other.reset(seed=99, options={"state": info["state"], "goal_state": info["goal"]})
    assert np.array_equal(again, pixels)
    assert np.array_equal(other.render(), env.render())
    assert restored["distance"] == info["distance"]
    action = env.action_space.sample()
    for ours, theirs in zip(env.step(action)[:2], other.step(action)[:2], strict=True):
        assert np.array_equal(ours, theirs)


@every
def test_a_given_state_leaves_the_goal_as_it_would_be_and_the_other_way_round(name):
    env, state = make(name), envs.load(name).sample(1, np.random.default_rng(5))[0]
    _, free = env.reset(seed=4)
    _, with_state = env.reset(seed=4, options={"state": state})
    _, with_goal = env.reset(seed=4, options={"goal_state": state})
    assert np.array_equal(with_state["state"], state)
    assert np.array_equal(with_state["goal"], free["goal"])
    assert np.array_equal(with_goal["goal"], state)
    assert np.array_equal(with_goal["state"], free["state"])


@every
def test_reaching_the_goal_ends_the_episode_with_reward_one(name):
    env, world = make(name), envs.load(name)
    state = world.sample(1, np.random.default_rng(0))
    action = np.full((1, world.action_dim), 0.25)
    env.reset(options={"state": state[0], "goal_state": world.step(state, action)[0]})
    _, reward, terminated, _, info = env.step(action[0])
    assert (reward, terminated, info["distance"]) == (1.0, True, 0.0)


@every
def test_an_episode_starts_unsolved_and_is_cut_at_the_budget(name):
    env, world = make(name), envs.load(name)
    _, info = env.reset(seed=0)
    assert not world.solved(info["state"][None], info["goal"][None])[0]
    stay = np.zeros(world.action_dim, np.float32)
    ends = [env.step(stay)[1:4] for _ in range(world.budget)]
    assert ends == [(0.0, False, False)] * (world.budget - 1) + [(0.0, False, True)]


@every
def test_a_seed_gives_the_same_episode(name):
    first, second = make(name), make(name)
    assert np.array_equal(first.reset(seed=7)[0], second.reset(seed=7)[0])
    assert not np.array_equal(first.reset(seed=7)[1]["state"], second.reset(seed=8)[1]["state"])


@every
def test_impossible_states_and_unknown_options_are_refused(name):
    env, width = make(name), len(envs.load(name).state_names)
    with pytest.raises(ValueError, match=f"{name} cannot be in the state"):
        env.reset(options={"state": np.full(width, 1e6)})
    with pytest.raises(ValueError, match=f"{name} cannot be in the state"):
        env.reset(options={"goal_state": np.zeros(width + 1)})
    with pytest.raises(ValueError, match=r"unknown options \['goal'\]"):
        env.reset(options={"goal": np.zeros(width)})


def test_an_unknown_render_mode_is_refused():
    with pytest.raises(ValueError, match="render_mode must be None or one of"):
        type(make("two_room").unwrapped)("two_room", render_mode="human")


@every
def test_what_info_holds_is_the_callers_to_change(name):
    env = make(name)
    pixels, info = env.reset(seed=0)
    goal = info["goal"].copy()
    info["state"][:] = info["goal"][:] = 1e6
    assert np.array_equal(env.render(), pixels)
    assert np.array_equal(env.step(np.zeros(env.action_space.shape, np.float32))[4]["goal"], goal)


def test_options_of_the_world_are_those_of_the_environment():
    plain, odd = make("two_room"), make("two_room", options={"background": "blue"})
    assert not np.array_equal(plain.reset(seed=0)[0], odd.reset(seed=0)[0])
    with pytest.raises(ValueError, match="did you mean 'background'"):
        make("two_room", options={"backgroud": "blue"})


def test_the_ids_are_the_worlds_names_in_camel_case():
    assert envs.gymnasium_id("push_t") == "wm/PushT-v0"
    assert {"wm/TwoRoom-v0", "wm/DotsCombined-v0", "wm/Sprite-v0"} <= set(gymnasium.registry)
