"""Reacher: the published physics and thresholds, a picture that shows the arm, data that cover its configurations."""

import numpy as np
import pytest

import envs
from envs import reacher
from envs._mujoco import mujoco, without_display

WORLD = envs.load("reacher")


def at(shoulder, wrist, *velocities):
    """The state of these joints -> (1, S)"""
    qpos, qvel = np.array([[shoulder, wrist]]), np.array([velocities or (0.0, 0.0)])
    return WORLD.from_source({"qpos": qpos, "qvel": qvel})


def walk(n, steps, seed=0):
    """-> states (n, steps + 1, S), actions (n, steps, 2), by the world's policy"""
    rng = np.random.default_rng(seed)
    states, actions = [WORLD.sample(n, rng)], []
    policy = WORLD.policy(n, rng)
    for _ in range(steps):
        actions.append(policy.act(states[-1]))
        states.append(WORLD.step(states[-1], actions[-1]))
    return np.stack(states, axis=1), np.stack(actions, axis=1)


def test_the_published_numbers():
    model = reacher._model()
    assert (reacher.ACTION_REPEAT, model.opt.timestep, reacher.REACHED) == (2, 0.02, 0.05)
    assert model.actuator_gear[:, 0].tolist() == [0.05, 0.05]
    assert model.actuator_ctrlrange.tolist() == [[-1, 1], [-1, 1]]
    assert model.jnt_range[1] == pytest.approx([-reacher.WRIST_LIMIT, reacher.WRIST_LIMIT])
    assert (WORLD.frameskip, WORLD.goal_offset, WORLD.budget, WORLD.episode_steps) == (5, 25, 50, 100)
    assert WORLD.render_fps * reacher.ACTION_REPEAT * model.opt.timestep == 1


def test_it_moves_as_dm_controls_does():
    with without_display():
        from dm_control.suite import reacher as published

    physics = published.Physics.from_xml_string(*published.get_model_and_assets())
    rng = np.random.default_rng(0)
    for start in WORLD.sample(3, rng):
        state = start[None]
        with physics.reset_context():
            physics.data.qpos[:], physics.data.qvel[:] = state[0, :2], state[0, 2:4]
        for _ in range(50):
            action = rng.uniform(-1, 1, 2)
            physics.set_control(action)
            physics.step(reacher.ACTION_REPEAT)
            state = WORLD.step(state, action[None])
        apart = state[0, :2] - physics.data.qpos
        assert np.abs(np.mod(apart + np.pi, 2 * np.pi) - np.pi).max() < 1e-9
        assert np.abs(state[0, 2:4] - physics.data.qvel).max() < 1e-9
        assert np.abs(state[0, 4:] - physics.named.data.geom_xpos["finger", :2]).max() < 1e-9


def test_a_step_follows_from_the_state_alone():
    states, actions = walk(8, 5)
    before = WORLD.step(states[:, 3], actions[:, 3])
    assert np.array_equal(before, states[:, 4])
    WORLD.step(WORLD.sample(50, np.random.default_rng(1)), np.ones((50, 2)))
    envs.load("reacher", {"arm_color": "red"}).step(states[:, 0], -actions[:, 0])
    assert np.array_equal(WORLD.step(states[::-1, 3], actions[::-1, 3]), before[::-1])


def test_the_shoulder_stays_in_one_turn_and_the_fingertip_follows():
    state = at(3.1, 0.5, 4.0, 0.0)
    stepped = WORLD.step(state, np.zeros((1, 2)))
    assert -np.pi <= stepped[0, 0] < -3
    states, _ = walk(16, 100)
    assert np.abs(states[..., 0]).max() <= np.pi
    data = mujoco.MjData(reacher._model())
    for row in states[:, 60]:
        data.qpos[:] = row[:2]
        mujoco.mj_kinematics(reacher._model(), data)
        assert np.abs(data.geom("finger").xpos[:2] - row[4:]).max() < 1e-12


@pytest.mark.parametrize(
    ("goal", "distance", "solved"),
    [
        ((1.0499, 0.5), 0.0499, True),
        ((1.0501, 0.5), 0.0501, False),
        ((1.0, 0.4501), 0.0499, True),
        ((1.0, 0.4499), 0.0501, False),
        ((1.04, 0.46), 0.04, True),
    ],
)
def test_success_is_every_joint_within_a_twentieth(goal, distance, solved):
    assert WORLD.distance(at(1.0, 0.5), at(*goal))[0] == pytest.approx(distance)
    assert WORLD.solved(at(1.0, 0.5), at(*goal))[0] == solved


def test_the_shoulder_is_compared_modulo_a_turn_and_the_wrist_is_not():
    assert WORLD.distance(at(3.13, 0), at(-3.13, 0))[0] == pytest.approx(2 * np.pi - 6.26)
    assert WORLD.solved(at(3.13, 0), at(-3.13, 0))[0]
    assert WORLD.solved(at(1 + 4 * np.pi, 0), at(1, 0))[0]
    assert WORLD.distance(at(0, 2.79), at(0, -2.79))[0] == pytest.approx(5.58)
    velocities = at(1, 0, 5, 5), at(1, 0)
    assert WORLD.distance(*velocities)[0] == 0


@pytest.mark.parametrize(
    "wrong", [{0: 3.15}, {0: -3.15}, {1: 3.11}, {2: 11.0}, {3: -11.0}, {4: 0.3}, {5: 0.0}, {1: np.nan}]
)
def test_states_that_cannot_be(wrong):
    state = at(1.0, 0.5)
    assert WORLD.contains(state)[0]
    for column, value in wrong.items():
        state[0, column] = value
    assert not WORLD.contains(state)[0]


def test_public_files_are_read_and_their_turns_taken_out():
    states = WORLD.from_source({"qpos": np.array([[7.0, 1.0]], np.float32), "qvel": np.array([[1.0, 2.0]], np.float32)})
    assert WORLD.contains(states)[0]
    assert states[0, :4] == pytest.approx([7 - 2 * np.pi, 1, 1, 2])


def pixel(points, size, angle=0.0, zoom=1.0):
    """points (n, 2) on the plane of the arm -> columns and rows (n, 2) in the picture"""
    turn = np.radians(angle)
    x, y = points @ [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]] * zoom
    return size / 2 + np.array([x, -y]) * size / 2 / (0.74 * np.tan(np.radians(22.5))) - 0.5


def arm(picture):
    """Where the picture is warmer than its blue floor -> the middle of that (2,), column and row"""
    rows, columns = np.nonzero(picture[..., 0].astype(int) > picture[..., 2].astype(int) + 20)
    return np.array([columns.mean(), rows.mean()])


def middle(state):
    """Of what is seen of the arm, in m (2,): two links of 0.12 and 0.1 m"""
    shoulder, elbow = state[0], state[0] + state[1]
    links = np.array([[np.cos(shoulder), np.sin(shoulder)], [np.cos(elbow), np.sin(elbow)]])
    return (0.12 * 0.06 * links[0] + 0.12 * (0.12 * links[0] + 0.06 * links[1])) / 0.24


@pytest.mark.parametrize("size", [64, 224])
@pytest.mark.parametrize("options", [{}, {"camera_angle": 20.0}, {"camera_zoom": 0.7}])
def test_the_arm_is_drawn_where_it_is(size, options):
    states = WORLD.sample(20, np.random.default_rng(0))
    pictures = envs.load("reacher", options).render(states, size)
    angle, zoom = options.get("camera_angle", 0.0), options.get("camera_zoom", 1.0)
    for state, picture in zip(states, pictures, strict=True):
        assert np.abs(arm(picture) - pixel(middle(state), size, angle, zoom)).max() < 0.03 * size


def test_the_whole_arm_is_in_the_picture_at_any_zoom():
    near = envs.load("reacher", {"camera_zoom": 1.2})
    for state in (at(angle, 0) for angle in np.arange(0, 6.3, np.pi / 4)):
        picture = near.render(state, 224)[0]
        edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]]).astype(int)
        assert (edge[:, 0] < edge[:, 2]).all()


def test_the_picture_is_well_lit_and_the_target_is_not_in_it():
    picture = WORLD.render(at(0.5, 1.2), 224)[0]
    assert picture[..., 2].mean() > 100  # of the published picture: 115
    # The published target, red, has a radius of 0.05 m, and is at the shoulder unless it is moved.
    away = np.array([[np.cos(a), np.sin(a)] for a in np.arange(1.5, 6.0, 0.25)]) * 0.035
    for column, row in np.rint([pixel(point, 224) for point in away]).astype(int):
        assert picture[row, column, 2] > 1.5 * picture[row, column, 0]


def test_options_change_the_picture_and_nothing_else():
    states, actions = walk(4, 1)
    plain = WORLD.render(states[:, 0], 64)
    for options in (
        {"arm_color": "lime"},
        {"floor_color": "maroon"},
        {"camera_zoom": 0.8},
        {"camera_angle": 5.0},
        {"noise": 3.0},
    ):
        world = envs.load("reacher", options)
        assert not np.array_equal(world.render(states[:, 0], 64), plain)
        assert np.array_equal(world.step(states[:, 0], actions[:, 0]), states[:, 1])
    green = envs.load("reacher", {"arm_color": "lime"}).render(states[:1, 0], 224)[0].astype(int)
    assert (green[..., 1] > green[..., 2] + 50).sum() > 500
    with pytest.raises(ValueError, match="camera_zoom: 2"):
        envs.load("reacher", {"camera_zoom": 2.0})


def test_the_episodes_cover_the_configurations():
    states, actions = walk(200, WORLD.episode_steps)
    cells, shoulder, wrist, solved = WORLD.coverage(states).values()
    assert cells > 0.95
    assert 0.8 < shoulder < 1.3
    assert 0.7 < wrist < 1.2
    assert solved < 0.02
    # Half of them are steered, which shows in torques that are at their limit.
    limit = (np.abs(actions) == 1).mean((1, 2))
    assert 0.4 < np.mean(limit > np.median(limit)) <= 0.5
    assert list(WORLD.coverage(states[:, :20])) == ["share of 24 x 24 cells of joint angles visited"]


def test_half_of_the_policies_are_steered():
    assert [WORLD.policy(n, np.random.default_rng(n)).steered.sum() for n in (1, 2, 7, 32)] == [0, 1, 3, 16]


def test_one_episode_does_not_change_the_actions_of_another():
    a, b = (WORLD.policy(4, np.random.default_rng(0)) for _ in range(2))
    states = WORLD.sample(4, np.random.default_rng(1))
    moved = states.copy()
    for k in range(60):
        acted = a.act(states)[1:]
        assert np.array_equal(acted, b.act(moved)[1:])
        moved[0] = WORLD.sample(1, np.random.default_rng(k))[0]
