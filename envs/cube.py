"""Cube: a robot arm with a gripper, a table and a cube to be picked up. The target is never drawn.

OGBench's cube-single (arXiv:2410.20092) in its look for pictures, with a transparent arm, as LeWM (arXiv:2603.19312)
and SMWM (arXiv:2606.20104) plan in through stable-worldmodel (arXiv:2602.08968). `_cube_physics` says what differs in
what moves; the picture has no shadows, coarser meshes, and is anti-aliased by drawing it larger.
"""

from functools import cached_property
from typing import ClassVar

import numpy as np
from pydantic import Field

from envs import _cube_physics as physics
from envs._cube_physics import CUBE, POSITIONS, QUATERNION, VELOCITIES
from envs._cube_picture import FLOOR, camera
from envs._cube_policy import Scripted
from envs._options import Color, Options
from envs._world import World

REACHED = 0.04  # m, between centres
# Where the cube may be. Walls that are not drawn keep it within 0.63 m of the arm and 0.38 m of its middle line, unless
# it is thrown over them.
NEAREST, FARTHEST = np.array([-0.5, -1.0, -0.05]), np.array([1.5, 1.0, 1.0])
TURNED = 6.5  # rad; joints give way at their limits, which are one full turn or less
FASTEST = 200.0  # rad/s and m/s; the fingers' links come to 32, the cube to 45


class _Options(Options):
    """Looks, but for the size of the cube."""

    dynamics: ClassVar = frozenset({"cube_size"})

    cube_color: Color = "#f54254"
    cube_size: float = Field(default=physics.CUBE_SIZE, ge=0.01, le=0.03)  # m, half an edge
    floor_color: Color = FLOOR  # of the lighter squares; the darker ones and the lines differ from it as published
    arm_opacity: float = Field(default=0.1, ge=0.1, le=1)  # at least; the fingertips' is 0.5
    light: float = Field(default=1.0, ge=0.5, le=2)  # times the published
    camera_azimuth: float = Field(default=0.0, ge=-10, le=10)  # degrees to the right, round the middle of the table
    camera_elevation: float = Field(default=0.0, ge=-10, le=10)  # degrees up


class Cube(World):
    """Actions move the gripper by up to 0.05 m along x, y and z, 0.3 rad about the vertical, and close it (+1) or not.

    Positions in m: x away from the arm, y to its left, z up. Yaws in [-pi, pi], openings from 0, open, to 1, closed.
    """

    version = 1
    state_names = physics.STATE_NAMES
    quantities: ClassVar = {
        "cube_position": ("cube_x", "cube_y", "cube_z"),
        "cube_yaw": ("cube_yaw",),
        "effector_position": ("effector_x", "effector_y", "effector_z"),
        "effector_yaw": ("effector_yaw",),
        "gripper_opening": ("gripper_opening",),
        "joint_positions": physics.JOINT_NAMES,
    }
    angles = ("cube_yaw", "effector_yaw")
    action_dim = 5
    frameskip = 5
    goal_offset = 25
    budget = 50
    episode_steps = 100
    render_fps = 20
    together = 4
    data_note = (
        "The papers have 10,000 episodes of 200 steps of the same scripted oracle with the same noise, shown with "
        "shadows; these are drawn without."
    )
    source_columns = ("qpos", "qvel", "proprio_effector_pos", "proprio_effector_yaw", "proprio_gripper_contact")
    Options: ClassVar = _Options

    def __init__(self, **options):
        super().__init__(**options)
        self.physics = physics.Physics(self.options.cube_size)

    def sample(self, n, rng):
        return self.physics.sample(n, rng)

    def step(self, states, actions):
        return self.physics.step(states, np.clip(actions, -1, 1, dtype=np.float64))

    def contains(self, states):
        cube, turn = states[:, CUBE], np.linalg.norm(states[:, QUATERNION], axis=1)
        joints = states[:, POSITIONS.start : CUBE.start]
        return (
            np.all((cube > NEAREST) & (cube < FARTHEST), axis=1)
            & np.all(np.abs(joints) < TURNED, axis=1)
            & np.all(np.abs(states[:, VELOCITIES]) < FASTEST, axis=1)
            & (np.abs(turn - 1) < 1e-3)
        )

    def draw(self, states, out):
        self._camera.draw(states[:, POSITIONS], out)

    @cached_property
    def _camera(self):
        return camera(self.physics.model(), self.options)

    def distance(self, states, goals):
        """Between the centres of the cubes, in m."""
        return np.linalg.norm(states[:, CUBE] - goals[:, CUBE], axis=1)

    def solved(self, states, goals):
        return self.distance(states, goals) <= REACHED

    def policy(self, n, rng):
        return Scripted(self.physics, n, rng)

    def coverage(self, states):
        cubes = states[:, :, CUBE]
        moved = np.linalg.norm(cubes - cubes[:, :1], axis=2).max(axis=1)
        per_step = np.linalg.norm(np.diff(cubes, axis=1), axis=2)
        numbers = {
            "share of episodes in which the cube moves more than 4 cm": np.mean(moved > REACHED),
            "share of steps in which the cube moves more than 1 mm": np.mean(per_step > 0.001),
        }
        if states.shape[1] > self.goal_offset:
            pairs = states[:, : -self.goal_offset], states[:, self.goal_offset :]
            starts, goals = (part.reshape(-1, states.shape[2]) for part in pairs)
            ahead = f"share of goals {self.goal_offset} steps ahead"
            numbers[f"{ahead} that are solved at the start"] = self.solved(starts, goals).mean()
        return numbers

    def from_source(self, columns):
        """qpos (N, 21), qvel (N, 20), the gripper's position (N, 3), yaw (N, 1) and contact (N, 1) -> (N, S)"""
        qpos, qvel, *reported = (np.asarray(columns[name], np.float64) for name in self.source_columns)
        return physics.completed(qpos, qvel, np.column_stack(reported))


WORLD = Cube()
