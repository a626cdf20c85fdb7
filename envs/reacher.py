"""Reacher: an arm of two links seen from above, its two joints turned by torques. The target is never drawn.

The model is dm_control's reacher (arXiv:1801.00690), its motors held for two physics steps of 0.02 s as in
stable-worldmodel's environment (arXiv:2602.08968), which LeWM (arXiv:2603.19312) and SMWM (arXiv:2606.20104) plan in.
A goal is a configuration of the joints. Ours differs in that the shoulder, which turns freely, is compared modulo a
full turn (there: as it is, so that a goal once round counts as missed).
"""

import importlib.util
import threading
from copy import copy
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

from envs._mujoco import Camera, mujoco, wrapped
from envs._options import Color, Options, rgb
from envs._world import World

try:
    from mujoco import rollout
except ImportError as error:
    raise ImportError("reacher needs mujoco>=3.17: pip install 'mujoco>=3.17,<4'") from error

_DM_CONTROL = importlib.util.find_spec("dm_control")
if _DM_CONTROL is None:
    raise ImportError("reacher needs the model of dm_control: pip install 'dm_control>=1.0.50'")

ACTION_REPEAT = 2  # physics steps of 0.02 s
REACHED = 0.05  # rad, for every joint
ARM, HAND = 0.12, 0.12  # m, from joint to joint and from there to the middle of the fingertip
WRIST_LIMIT = np.radians(160)
# Full torque for ever makes 7.4 rad/s, and pushes the wrist to 2.97 rad against its soft limit.
FASTEST, WRIST_STOP = 10.0, 3.1


class _Options(Options):
    """Looks alone."""

    arm_color: Color = "#b3804d"
    floor_color: Color = "#1a334d"  # as painted; lit it is about 1.7 times as bright
    camera_zoom: float = Field(default=1.0, ge=0.5, le=1.2)  # at 1.2 the stretched arm still fits
    camera_angle: float = Field(default=0.0, ge=-30, le=30)  # degrees, counter-clockwise round the shoulder


class Reacher(World):
    """Actions are torques of shoulder and wrist, +-1 being 0.05 Nm. Angles in rad, the shoulder's in [-pi, pi)."""

    version = 1
    state_names = ("shoulder", "wrist", "shoulder_velocity", "wrist_velocity", "finger_x", "finger_y")
    quantities: ClassVar = {
        "joint_angles": ("shoulder", "wrist"),
        "finger_position": ("finger_x", "finger_y"),
        "joint_velocities": ("shoulder_velocity", "wrist_velocity"),
    }
    angles = ("shoulder", "wrist")
    action_dim = 2
    frameskip = 5
    goal_offset = 25
    budget = 50
    episode_steps = 100
    render_fps = 25
    data_note = (
        "The papers have 10,000 episodes of 200 steps: of a SAC policy by their text, of a random one by the name of "
        "the published file. Here half of the episodes are driven by random torques that last, half by a controller "
        "towards random configurations."
    )
    source_columns = ("qpos", "qvel")
    Options: ClassVar = _Options

    def __init__(self, **options):
        super().__init__(**options)
        self._camera = Camera("reacher", "fixed", _model_to_draw, self._dress)

    def sample(self, n, rng):
        """At rest, every configuration alike."""
        joints = rng.uniform((-np.pi, -WRIST_LIMIT), (np.pi, WRIST_LIMIT), (n, 2))
        return _states(joints, np.zeros((n, 2)))

    def step(self, states, actions):
        torques = np.clip(actions, -1, 1, dtype=np.float64)
        starts = np.concatenate([np.zeros((len(states), 1)), states[:, :4]], axis=1)  # of time, positions, velocities
        controls = np.repeat(torques[:, None], ACTION_REPEAT, axis=1)
        # Without threads, and from no memory of the solver's: the accelerations it starts from are zero.
        ends = rollout.rollout(_model(), _data(), starts, controls)[0][:, -1]
        return _states(ends[:, 1:3], ends[:, 3:5])

    def contains(self, states):
        shoulder, wrist, *velocities = states[:, :4].T
        turned = (shoulder >= -np.pi) & (shoulder < np.pi) & (np.abs(wrist) < WRIST_STOP)
        slow = np.max(np.abs(velocities), axis=0) < FASTEST
        return turned & slow & np.all(np.abs(states[:, 4:] - _finger(states[:, :2])) < 1e-6, axis=1)

    def draw(self, states, out):
        self._camera.draw(states[:, :2], out)

    def distance(self, states, goals):
        """The larger of the two joints' differences, in rad."""
        apart = np.abs(states[:, :2] - goals[:, :2])
        apart[:, 0] = np.minimum(apart[:, 0], np.abs(2 * np.pi - apart[:, 0]))
        return apart.max(axis=1)

    def solved(self, states, goals):
        return self.distance(states, goals) < REACHED

    def policy(self, n, rng):
        return _Driver(n, rng)

    def coverage(self, states):
        """Cells of joint angles are of the wrist within its limits."""
        shoulder, wrist = states[..., 0], states[..., 1]
        limits = [[-np.pi, np.pi], [-WRIST_LIMIT, WRIST_LIMIT]]
        visits, *_ = np.histogram2d(shoulder.ravel(), wrist.ravel(), bins=24, range=limits)
        numbers = {"share of 24 x 24 cells of joint angles visited": np.mean(visits > 0)}
        if states.shape[1] > self.goal_offset:
            pairs = states[:, : -self.goal_offset], states[:, self.goal_offset :]
            starts, goals = (part.reshape(-1, states.shape[2]) for part in pairs)
            turned = np.abs(wrapped(goals[:, :2] - starts[:, :2])).mean(0)
            within = f"within {self.goal_offset} steps"
            numbers[f"mean change of the shoulder {within} (rad)"] = turned[0]
            numbers[f"mean change of the wrist {within} (rad)"] = turned[1]
            ahead = f"share of goals {self.goal_offset} steps ahead"
            numbers[f"{ahead} that are solved at the start"] = self.solved(starts, goals).mean()
        return numbers

    def from_source(self, columns):
        """qpos (N, 2), qvel (N, 2) -> (N, 6); positions of the fingertip follow."""
        return _states(np.asarray(columns["qpos"], np.float64), np.asarray(columns["qvel"], np.float64))

    def _dress(self, model):
        model.mat_rgba[model.mat("self").id, :3] = rgb(self.options.arm_color) / 255
        model.mat_rgba[model.mat("grid").id, :3] = rgb(self.options.floor_color) / 255
        view = model.camera("fixed")
        turn = np.radians(self.options.camera_angle) / 2
        view.quat[:] = np.cos(turn), 0, 0, np.sin(turn)
        sight = np.tan(np.radians(_model().camera("fixed").fovy[0]) / 2) / self.options.camera_zoom
        view.fovy[:] = np.degrees(2 * np.arctan(sight))
        return ()


def _finger(joints):
    """joints (n, 2) -> the middle of the fingertip (n, 2), in m from the shoulder."""
    shoulder, elbow = joints[:, 0], joints[:, 0] + joints[:, 1]
    return ARM * np.stack([np.cos(shoulder), np.sin(shoulder)], 1) + HAND * np.stack([np.cos(elbow), np.sin(elbow)], 1)


def _states(joints, velocities):
    joints = np.stack([wrapped(joints[:, 0]), joints[:, 1]], axis=1)
    return np.concatenate([joints, velocities, _finger(joints)], axis=1)


@cache
def _model():
    """The published model, read as files: importing dm_control's suite takes longer than all else here."""
    suite = Path(_DM_CONTROL.origin).parent / "suite"
    parts = {f"./common/{name}.xml": suite / "common" / f"{name}.xml" for name in ("materials", "skybox", "visual")}
    return mujoco.MjModel.from_xml_string(
        (suite / "reacher.xml").read_text(), {name: path.read_bytes() for name, path in parts.items()}
    )


_simulators = threading.local()


def _data():
    """What a thread simulates in."""
    if not hasattr(_simulators, "data"):
        _simulators.data = mujoco.MjData(_model())
    return _simulators.data


def _model_to_draw():
    model = copy(_model())
    model.mat_rgba[model.mat("target").id, 3] = 0
    # One tone of the floor's texture is seen. As paint it takes more light, and without the published shadows and
    # reflections the floor is as bright as with them.
    model.mat_texid[model.mat("grid").id] = -1
    model.mat_specular[model.mat("grid").id] = 0
    return model


class _Driver:
    """Half of the episodes are pushed by torques that last, half steered to configurations, new ones on arrival."""

    REVERSION, DEVIATION = 0.15, 0.3  # Ornstein-Uhlenbeck, per step
    STIFFNESS, DAMPING, NOISE = 2.0, 0.5, 0.3
    ARRIVED, PATIENCE = 0.1, 50  # rad, steps

    def __init__(self, n, rng):
        self.rng = rng
        self.steered = rng.permutation(n) % 2 == 1
        self.torques = np.zeros((n, 2))
        self.targets = np.zeros((n, 2))
        self.patience = np.zeros(n, int)

    def act(self, states):
        self.torques += self.DEVIATION * self.rng.standard_normal(states[:, :2].shape) - self.REVERSION * self.torques
        self._renew_targets(states[:, :2])
        apart = self.targets - states[:, :2]
        apart[:, 0] = wrapped(apart[:, 0])
        steered = self.STIFFNESS * apart - self.DAMPING * states[:, 2:4]
        steered += self.NOISE * self.rng.standard_normal(apart.shape)
        return np.clip(np.where(self.steered[:, None], steered, self.torques), -1, 1)

    def _renew_targets(self, joints):
        """Draws for everyone each time, so that one episode's arrival does not shift the others' random numbers."""
        fresh = self.rng.uniform((-np.pi, -WRIST_LIMIT), (np.pi, WRIST_LIMIT), joints.shape)
        apart = np.abs(self.targets - joints)
        arrived = np.all(np.minimum(apart, np.abs(2 * np.pi - apart)) < self.ARRIVED, axis=1)
        renewed = arrived | (self.patience == 0)
        self.targets = np.where(renewed[:, None], fresh, self.targets)
        self.patience = np.where(renewed, self.PATIENCE, self.patience) - 1


WORLD = Reacher()
