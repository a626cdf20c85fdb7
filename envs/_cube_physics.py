"""What moves in Cube: OGBench's cube-single (arXiv:2410.20092), stepped as a function of the state.

Model, controller and constants are the package's. Its environment goes on from where it is; here every step begins
from a state alone, with nothing left over in the solver of contacts. Held by the gripper for 25 steps, the cube ends
some tenths of a millimetre from where it would there.
"""

import os
import threading
from functools import lru_cache

import numpy as np

from envs._mujoco import mujoco, without_display

try:
    with without_display():
        from ogbench.manipspace.envs.cube_env import CubeEnv
except ImportError as error:
    raise ImportError(f"cube needs ogbench: pip install 'ogbench>=1.2.2' ({error})") from error

CUBE_SIZE = 0.02  # m, half an edge

_ARM = ("shoulder_pan", "shoulder_lift", "elbow", "wrist_1", "wrist_2", "wrist_3")
_FINGER = ("driver", "coupler", "spring_link", "follower")
_JOINTS = (*_ARM, *(f"{side}_{joint}" for side in ("right", "left") for joint in _FINGER))
_POSE = ("cube_x", "cube_y", "cube_z", "cube_qw", "cube_qx", "cube_qy", "cube_qz")
_MOTION = ("cube_x", "cube_y", "cube_z", "cube_turn_x", "cube_turn_y", "cube_turn_z")
_EFFECTOR = ("effector_x", "effector_y", "effector_z")
JOINT_NAMES = _ARM
STATE_NAMES = (
    *(*_JOINTS, *_POSE),  # MuJoCo's positions: rad, m, a unit quaternion
    *(f"{name}_velocity" for name in (*_JOINTS, *_MOTION)),
    *(*_EFFECTOR, "effector_yaw"),  # as the controller knows them: one physics step ago
    "gripper_contact",  # the force on a finger in the last physics step, 0 to 1
    *("gripper_opening", "cube_yaw"),  # follow from the positions
)
POSITIONS, VELOCITIES = slice(0, 21), slice(21, 41)
CUBE, QUATERNION = slice(14, 17), slice(17, 21)
EFFECTOR, EFFECTOR_YAW, CONTACT, OPENING, CUBE_YAW = slice(41, 44), 44, 45, 46, 47
REPORTED = slice(41, 46)  # what the positions do not tell: of the gripper
_CLOSED = 0.8  # rad, of the joint that drives the gripper
_FULL_CONTACT = 50.0  # N


class _Simulator(CubeEnv):
    """The package's environment, of the looks it has for pictures, with a cube of any size and without pictures."""

    def __init__(self, cube_size):
        self.cube_size = cube_size
        super().__init__("single", ob_type="pixels", mode="data_collection", visualize_info=False)
        self.reset(seed=0)
        mujoco.mj_clearCache(mujoco.mj_getCache())  # 80 MB of meshes

    def add_objects(self, arena_mjcf):
        super().add_objects(arena_mjcf)
        arena_mjcf.find("geom", "object_0").size = [self.cube_size] * 3

    def compute_observation(self):
        """It would draw one."""

    def start(self, rng):
        """Begin an episode."""
        self.np_random = rng
        mujoco.mj_resetData(self.model, self.data)
        self.initialize_episode()
        self.data.joint("object_joint_0").qpos[2] = self.cube_size
        self.data.cfrc_ext[:] = 0

    def advance(self, state, action):
        """state (S,), action (5,) -> a step further."""
        model, data = self.model, self.data
        mujoco.mj_resetData(model, data)
        data.qpos[:], data.qvel[:] = state[POSITIONS], state[VELOCITIES]
        data.site_xpos[self._pinch_site_id] = state[EFFECTOR]
        cos, sin = np.cos(state[EFFECTOR_YAW]), np.sin(state[EFFECTOR_YAW])
        data.site_xmat[self._pinch_site_id] = cos, -sin, 0, sin, cos, 0, 0, 0, 1  # only its yaw is read
        self.set_control(action)
        mujoco.mj_step(model, data, self._n_steps)
        mujoco.mj_rnePostConstraint(model, data)

    def report(self):
        """-> what is `REPORTED` (5,)"""
        matrix = self.data.site_xmat[self._pinch_site_id]
        force = np.linalg.norm(self.data.body("ur5e/robotiq/right_pad").cfrc_ext)
        contact = np.clip(force / _FULL_CONTACT, 0, 1)
        return [*self.data.site_xpos[self._pinch_site_id], np.arctan2(matrix[3], matrix[0]), contact]


def completed(positions: np.ndarray, velocities: np.ndarray, reported: np.ndarray) -> np.ndarray:
    """positions (n, 21), velocities (n, 20), what is `REPORTED` (n, 5) -> the states (n, S) they are part of."""
    opening = np.clip(positions[:, 6] / _CLOSED, 0, 1)
    w, x, y, z = positions[:, QUATERNION].T
    yaw = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    return np.column_stack([positions, velocities, reported, opening, yaw])


# One simulator a process, which takes 200 MB, and one thread at a time. Nobody forks in the middle of a step.
_lock = threading.Lock()
os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


@lru_cache(maxsize=2)
def _simulator(cube_size: float) -> _Simulator:
    return _Simulator(cube_size)


class Physics:
    """Cubes of `cube_size`, half an edge in m. Any thread may call."""

    def __init__(self, cube_size: float = CUBE_SIZE):
        self.cube_size = cube_size

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Begins of episodes -> (n, S): the arm anywhere above the table, the cube anywhere on it, at rest."""

        def begin(simulator, i):
            simulator.start(rng)

        return self._each(n, begin)

    def step(self, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """states (n, S), actions (n, 5) in [-1, 1] -> (n, S) after 0.05 s."""
        return self._each(len(states), lambda simulator, i: simulator.advance(states[i], actions[i]))

    def _each(self, n, move):
        """move(simulator, i) for each of n -> the states (n, S) it ends in"""
        positions, velocities, reported = np.empty((n, 21)), np.empty((n, 20)), np.empty((n, 5))
        with _lock:
            simulator = _simulator(self.cube_size)
            for i in range(n):
                move(simulator, i)
                positions[i], velocities[i] = simulator.data.qpos, simulator.data.qvel
                reported[i] = simulator.report()
        return completed(positions, velocities, reported)

    def model(self) -> mujoco.MjModel:
        """Not to be changed."""
        with _lock:
            return _simulator(self.cube_size).model

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Where episodes end: of the gripper's position (2, 3), lowest and highest, and of the cube's (2, 2)."""
        with _lock:
            simulator = _simulator(self.cube_size)
            return simulator._arm_sampling_bounds, simulator._target_sampling_bounds
