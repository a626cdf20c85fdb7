"""Cube: a picture that shows the cube and the gripper where they are, never the target, in any look."""

from copy import copy
from functools import partial

import numpy as np
import pytest

import envs
from envs import _cube_physics as physics
from envs._cube_picture import CELL
from envs._mujoco import Camera, mujoco

WORLD = envs.load("cube")
COLUMN = {name: column for column, name in enumerate(WORLD.state_names)}


def walk(n, steps, world=WORLD):
    """-> states (steps + 1, n, S) by the world's policy"""
    rng = np.random.default_rng(0)
    states = [world.sample(n, rng)]
    policy = world.policy(n, rng)
    for _ in range(steps):
        states.append(world.step(states[-1], policy.act(states[-1])))
    return np.stack(states)


@pytest.fixture(scope="module")
def states():
    """(6, S), the cube under the gripper, in it or on its way"""
    return walk(6, 40)[40]


def projected(points, size):
    """points (n, 3) -> columns and rows (n, 2) in the published camera's picture"""
    model = physics._simulator(physics.CUBE_SIZE).model
    camera = model.camera("front_pixels")
    seen = (points - camera.pos) @ camera.mat0.reshape(3, 3)
    slope = np.tan(np.radians(camera.fovy[0]) / 2)
    return size / 2 * (1 + seen[:, :2] * [1, -1] / -seen[:, 2:] / slope) - 0.5


def red(pictures):
    """(..., size, size, 3) -> which pixels are of the cube: (..., size, size) bool"""
    r, g, b = np.moveaxis(pictures.astype(int), -1, 0)
    return r > np.maximum(g, b) + 50


@pytest.mark.parametrize("size", [64, 224])
def test_the_cube_is_drawn_where_it_is(size):
    states = WORLD.sample(20, np.random.default_rng(2))
    pictures = WORLD.render(states, size)
    where = projected(states[:, physics.CUBE], size)
    near = np.abs(states[:, COLUMN["effector_y"]] - states[:, COLUMN["cube_y"]]) < 0.15  # the gripper may be before it
    for picture, place in zip(pictures[~near], where[~near], strict=True):
        rows, columns = np.nonzero(red(picture))
        assert np.abs([columns.mean(), rows.mean()] - place).max() < 0.02 * size
    assert (~near).sum() > 5


def test_the_gripper_is_drawn_where_it_is(states):
    """What differs from the table alone is nearer to the arm's joints and fingers than to anything else."""
    bright = envs.load("cube", {"arm_opacity": 1.0}).render(states, 64).astype(int)
    for picture, place in zip(bright, projected(states[:, physics.EFFECTOR], 64), strict=True):
        purple = (picture[..., 0] > picture[..., 1] + 30) & (picture[..., 2] > picture[..., 0])
        rows, columns = np.nonzero(purple)
        assert np.hypot(columns - place[0], rows - place[1]).min() < 4


def test_the_target_is_never_drawn(states):
    """One patch of red, no larger than a cube, and no pixel that depends on where the policy heads for."""
    assert (red(WORLD.render(states, 224)).sum((1, 2)) < 900).all()
    far = WORLD.sample(12, np.random.default_rng(5))
    far = far[np.abs(far[:, COLUMN["cube_y"]]) > 0.15]
    target = np.array([[0.45, 0.0, 0.02]])  # where the model has it unless it is moved
    column, row = np.rint(projected(target, 224)[0]).astype(int)
    for picture in WORLD.render(far, 224):
        assert not red(picture)[row - 8 : row + 8, column - 8 : column + 8].any()


def test_the_quicker_copy_looks_like_the_model():
    states = WORLD.sample(8, np.random.default_rng(0))
    quick, model = WORLD.render(states, 128), WORLD.physics.model()
    whole = Camera("cube, whole", "front_pixels", partial(copy, model), WORLD._camera.dress)
    slow = np.empty_like(quick)
    whole.draw(states[:, physics.POSITIONS], slow)
    assert np.abs(quick.astype(int) - slow).mean() < 2
    assert (red(quick) != red(slow)).sum() < 0.05 * red(slow).sum()
    assert CELL == 0.01


def test_looks_change_the_picture_and_nothing_else(states):
    actions = np.full((2, 5), 0.3)
    plain, after = WORLD.render(states[:2], 64).astype(int), WORLD.step(states[:2], actions)
    changes = {
        "cube_color": "lime",
        "floor_color": "tan",
        "arm_opacity": 0.8,
        "light": 1.5,
        "camera_azimuth": 5.0,
        "camera_elevation": -5.0,
        "noise": 2.0,
    }
    for name, value in changes.items():
        world = envs.load("cube", {name: value})
        assert np.abs(world.render(states[:2], 64) - plain).max() > 5, name
        assert np.array_equal(world.step(states[:2], actions), after)
    assert set(changes) | {"cube_size"} == set(type(WORLD.options).model_fields)
    assert WORLD.options.dynamics == {"cube_size"}
    dark, plain, light = (envs.load("cube", {"light": light}).render(states[:2], 64) for light in (0.5, 1.0, 2.0))
    assert dark.mean() < plain.mean() < light.mean()
    assert (dark[:, -1, -1] < 0.8 * plain[:, -1, -1]).all()  # of the floor, which the lamps light and not the camera
    with pytest.raises(ValueError, match=r"cube_size: 0\.1"):
        envs.load("cube", {"cube_size": 0.1})


def test_the_camera_goes_round_the_middle_of_the_table():
    state = WORLD.sample(1, np.random.default_rng(0))
    state[0, physics.CUBE] = 0.425, 0, 0.02
    state[0, physics.QUATERNION] = 1, 0, 0, 0
    places = []
    for options in ({}, {"camera_azimuth": 10.0}, {"camera_azimuth": -10.0}, {"camera_elevation": 10.0}):
        rows, columns = np.nonzero(red(envs.load("cube", options).render(state, 224)[0]))
        places.append([columns.mean(), rows.mean()])
    assert np.abs(np.array(places) - places[0]).max() < 4
    # From further to the right, what is behind the middle goes to the right.
    state[0, physics.CUBE] = 0.32, 0, 0.02
    right, left = (
        np.nonzero(red(envs.load("cube", {"camera_azimuth": angle}).render(state, 224)[0]))[1].mean()
        for angle in (10.0, -10.0)
    )
    assert right > left + 5


def test_the_size_of_the_cube_is_seen_and_felt():
    small, large = (envs.load("cube", {"cube_size": size}) for size in (0.01, 0.03))
    state = large.sample(1, np.random.default_rng(3))
    areas = [red(world.render(state, 224)[0]).sum() for world in (small, WORLD, large)]
    assert areas[0] * 2 < areas[1] < areas[2] / 1.5
    fallen = state
    for _ in range(10):
        fallen = small.step(fallen, np.zeros((1, 5)))
    assert fallen[0, COLUMN["cube_z"]] == pytest.approx(0.01, abs=1e-3)
    cubes = walk(2, 60, large)[..., physics.CUBE]
    assert np.abs(cubes[-1] - cubes[0]).max() > 0.04


def test_the_simulated_model_is_not_touched_by_drawing(states):
    model = physics._simulator(physics.CUBE_SIZE).model
    fresh = physics._Simulator(physics.CUBE_SIZE).model
    envs.load("cube", {"light": 2.0, "floor_color": "red", "cube_color": "blue"}).render(states[:1], 16)
    for field in ("mesh_face", "mesh_vert", "geom_size", "geom_rgba", "geom_type", "light_diffuse", "tex_data"):
        assert np.array_equal(getattr(model, field), getattr(fresh, field)), field
    assert mujoco.mj_sizeModel(model) == mujoco.mj_sizeModel(fresh)
