"""Cube: the published environment stepped from states alone, a picture that shows the cube, data that move it."""

import multiprocessing
import os
import threading
import time

import numpy as np
import pytest

import envs
from envs import _cube_physics as physics
from envs._cube_policy import MIN_NORM, MOST_NOISE, NOISE_SHAPE
from envs._mujoco import without_display

with without_display():
    from ogbench.manipspace.envs.cube_env import CubeEnv

WORLD = envs.load("cube")
COLUMN = {name: column for column, name in enumerate(WORLD.state_names)}


@pytest.fixture(scope="module")
def published():
    """The package's own environment, as it comes but for what would show the target."""
    env = CubeEnv("single", mode="data_collection", visualize_info=False)
    env.reset(seed=0)
    return env


def restore(published, state):
    """As if it had come to this state by itself, but for the solver's memory."""
    published.set_state(state[:21], state[21:41])
    published.data.qacc_warmstart[:] = 0
    cos, sin = np.cos(state[physics.EFFECTOR_YAW]), np.sin(state[physics.EFFECTOR_YAW])
    published.data.site_xpos[published._pinch_site_id] = state[physics.EFFECTOR]
    published.data.site_xmat[published._pinch_site_id] = cos, -sin, 0, sin, cos, 0, 0, 0, 1


def walk(n, steps, seed=0, world=WORLD):
    """-> states (n, steps + 1, S), actions (n, steps, 5), by the world's policy"""
    rng = np.random.default_rng(seed)
    states, actions = [world.sample(n, rng)], []
    policy = world.policy(n, rng)
    for _ in range(steps):
        actions.append(policy.act(states[-1]))
        states.append(world.step(states[-1], actions[-1]))
    return np.stack(states, axis=1), np.stack(actions, axis=1)


@pytest.fixture(scope="module")
def episodes():
    """-> states (6, 101, S), actions (6, 100, 5)"""
    return walk(6, WORLD.episode_steps)


def test_the_published_numbers(published):
    simulator = physics._simulator(physics.CUBE_SIZE)
    assert (simulator.model.opt.timestep, simulator._n_steps) == (0.002, 25)
    assert simulator.action_high.tolist() == [0.05, 0.05, 0.05, 0.3, 1.0]
    assert simulator.model.geom("object_0").size.tolist() == [0.02, 0.02, 0.02]
    assert np.array_equal(simulator.model.opt.gravity, published.model.opt.gravity)
    assert (MIN_NORM, MOST_NOISE, NOISE_SHAPE.tolist()) == (0.4, 0.1, [1, 1, 1, 3, 10])
    assert (WORLD.frameskip, WORLD.goal_offset, WORLD.budget, WORLD.episode_steps) == (5, 25, 50, 100)
    assert (WORLD.action_dim, WORLD.together) == (5, 4)
    assert WORLD.render_fps * simulator._n_steps * simulator.model.opt.timestep == 1


def test_it_moves_as_the_published_environment_does(published, episodes):
    """Over the way to a goal, from wherever it is."""
    states, actions = episodes
    apart = []
    for episode, start in ((episode, start) for episode in range(3) for start in (0, 25, 50, 75)):
        restore(published, states[episode, start])
        for action in actions[episode, start : start + 25]:
            published.step(action)
        after = states[episode, start + 25]
        apart.append(np.linalg.norm(after[physics.CUBE] - published.data.qpos[physics.CUBE]))
        assert np.abs(after[:6] - published.data.qpos[:6]).max() < 0.02
    assert np.median(apart) < 1e-5
    assert np.max(apart) < 0.002


def test_one_step_is_the_published_one(published, episodes):
    states, actions = (part[:, ::9][:, :11].reshape(-1, part.shape[2]) for part in (episodes[0][:, :-1], episodes[1]))
    for before, action, after in zip(states, actions, WORLD.step(states, actions), strict=True):
        restore(published, before)
        published.step(action)
        assert np.abs(after[:21] - published.data.qpos).max() < 1e-6
        assert np.abs(after[21:41] - published.data.qvel).max() < 1e-4
        assert after[physics.CONTACT] == pytest.approx(
            published.compute_ob_info()["proprio/gripper_contact"][0], abs=1e-4
        )


def test_what_else_a_state_holds_is_what_the_package_reads(published, episodes):
    states, actions = episodes
    for before, action, after in zip(states[:, 40], actions[:, 40], states[:, 41], strict=True):
        restore(published, before)
        published.step(action)
        info = published.compute_ob_info()
        assert np.abs(after[physics.EFFECTOR] - info["proprio/effector_pos"]).max() < 1e-6
        for name, key in (
            ("effector_yaw", "proprio/effector_yaw"),
            ("cube_yaw", "privileged/block_0_yaw"),
            ("gripper_opening", "proprio/gripper_opening"),
            ("gripper_contact", "proprio/gripper_contact"),
        ):
            assert after[COLUMN[name]] == pytest.approx(info[key][0], abs=1e-3)
        joints = [COLUMN[name] for name in WORLD.quantities["joint_positions"]]
        assert np.abs(after[joints] - info["proprio/joint_pos"]).max() < 1e-6


def test_a_step_follows_from_the_state_alone(episodes):
    states, actions = episodes
    assert np.array_equal(WORLD.step(states[:3, 40], actions[:3, 40]), states[:3, 41])
    WORLD.sample(3, np.random.default_rng(1))
    envs.load("cube", {"cube_size": 0.03}).step(states[:2, 10], actions[:2, 10])
    WORLD.render(states[:2, 20], 16)
    again = WORLD.step(states[:3, 40][::-1], actions[:3, 40][::-1])
    assert np.array_equal(again[::-1], states[:3, 41])


def test_episodes_start_at_rest_with_the_cube_on_the_table():
    states = WORLD.sample(40, np.random.default_rng(0))
    assert (states[:, physics.VELOCITIES] == 0).all()
    assert (states[:, COLUMN["cube_z"]] == 0.02).all()
    assert (states[:, physics.CONTACT] == 0).all()
    low, high = states[:, physics.CUBE][:, :2].min(0), states[:, physics.CUBE][:, :2].max(0)
    assert ((low > [0.3, -0.3]) & (low < [0.32, -0.24])).all()
    assert ((high < [0.55, 0.3]) & (high > [0.53, 0.24])).all()
    assert states[:, COLUMN["effector_z"]].min() > 0.19
    small = envs.load("cube", {"cube_size": 0.01}).sample(2, np.random.default_rng(0))
    assert (small[:, COLUMN["cube_z"]] == 0.01).all()


def test_success_is_the_centre_within_four_centimetres_whatever_the_turn():
    state = WORLD.sample(1, np.random.default_rng(0))
    for shift, solved in ((0.0399, True), (0.0401, False), (-0.0399, True)):
        for axis in ("cube_x", "cube_y", "cube_z"):
            goal = state.copy()
            goal[0, COLUMN[axis]] += shift
            assert WORLD.distance(state, goal)[0] == pytest.approx(abs(shift))
            assert WORLD.solved(state, goal)[0] == solved
    turned = state.copy()
    turned[0, physics.QUATERNION] = 1, 0, 0, 0
    turned[0, COLUMN["effector_x"]] += 1
    assert WORLD.distance(state, turned)[0] == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cube_x", 2.0),
        ("cube_y", -1.1),
        ("cube_z", -0.1),
        ("cube_qw", 2.0),
        ("elbow", 7.0),
        ("elbow_velocity", 300.0),
        ("cube_x_velocity", np.nan),
    ],
)
def test_states_that_cannot_be(name, value):
    state = WORLD.sample(1, np.random.default_rng(0))
    assert WORLD.contains(state)[0]
    state[0, COLUMN[name]] = value
    assert not WORLD.contains(state)[0]


def test_public_files_are_read_and_completed(episodes):
    states = episodes[0][:, ::10].reshape(-1, len(WORLD.state_names))
    parts = np.split(states[:, :46], [21, 41, 44, 45], axis=1)
    columns = dict(zip(WORLD.source_columns, parts, strict=True))
    assert np.array_equal(WORLD.from_source(columns), states)
    single = WORLD.from_source({name: values.astype(np.float32) for name, values in columns.items()})
    assert WORLD.contains(single).all()
    assert np.abs(single - states)[:, :47].max() < 1e-5


def test_the_episodes_move_the_cube(episodes):
    states, actions = episodes
    moved, moving, solved = WORLD.coverage(states).values()
    assert moved > 0.8
    assert 0.3 < moving < 0.7
    assert 0.1 < solved < 0.4
    assert states[..., physics.CONTACT].max() > 0.5
    assert states[..., COLUMN["cube_z"]].max() > 0.1
    assert np.abs(actions).max() <= 1
    assert len(WORLD.coverage(states[:, :20])) == 2


def test_a_policy_goes_on_after_it_is_done():
    policy = WORLD.policy(1, np.random.default_rng(0))
    first = policy.episodes[0].target["privileged/target_block_pos"]
    state = WORLD.sample(1, np.random.default_rng(0))
    for _ in range(150):
        state = WORLD.step(state, policy.act(state))
    later = policy.episodes[0].target["privileged/target_block_pos"]
    assert not np.array_equal(first, later)
    for target in (first, later):
        assert ((target >= [0.3, -0.3, 0.02]) & (target <= [0.55, 0.3, 0.02])).all()


def test_episodes_have_targets_and_noise_of_their_own():
    episodes = WORLD.policy(20, np.random.default_rng(0)).episodes
    targets = np.stack([episode.target["privileged/target_block_pos"] for episode in episodes])
    noise = np.array([episode.noise[0] for episode in episodes])
    assert np.ptp(targets[:, :2], axis=0).min() > 0.15
    assert 0 <= noise.min() < 0.02
    assert 0.08 < noise.max() <= 0.1


def test_the_policy_leaves_numpys_generator_alone():
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    acted = walk(2, 3)[1]
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    assert np.array_equal(walk(2, 3)[1], acted)


def test_one_episode_does_not_change_the_actions_of_another(episodes):
    states, _ = episodes
    a, b = (WORLD.policy(2, np.random.default_rng(0)) for _ in range(2))
    for step in range(100):
        here = states[[0, 1], step], states[[2, 1], step]
        assert np.array_equal(a.act(here[0])[1], b.act(here[1])[1])


def _step_and_draw(state, action):
    after = WORLD.step(state, action)
    return after, WORLD.render(after, 16)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_nobody_forks_in_the_middle_of_a_step():
    begun = threading.Event()

    def step():
        with physics._lock:
            begun.set()
            time.sleep(0.3)

    thread = threading.Thread(target=step)
    thread.start()
    begun.wait()
    child = os.fork()
    if not child:
        os._exit(0 if physics._lock.acquire(timeout=5) else 1)
    thread.join()
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_of_fork_steps_and_draws_the_same(episodes):
    states, actions = episodes
    here = states[:1, 30], actions[:1, 30]
    expected = _step_and_draw(*here)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        ours = pool.apply_async(_step_and_draw, here).get(timeout=120)
    assert all(np.array_equal(a, b) for a, b in zip(ours, expected, strict=True))
