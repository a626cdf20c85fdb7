"""The policy of Cube's episodes: OGBench's scripted oracle, again and again, with noise as in the papers' data."""

import numpy as np
from ogbench.manipspace.oracles.markov.cube_markov import CubeMarkovOracle

from envs import _cube_physics as physics

MIN_NORM = 0.4
MOST_NOISE = 0.1  # each episode draws its own, up to this
NOISE_SHAPE = np.array([1.0, 1.0, 1.0, 3.0, 10.0])  # of position, yaw and gripper


class Scripted:
    """Every episode has its own random numbers, so that one does not shift another's."""

    def __init__(self, world, n, rng):
        bounds = world.bounds()
        seeds = rng.integers(2**63, size=n)
        self.episodes = [_Episode(np.random.default_rng(seed), *bounds, world.cube_size) for seed in seeds]

    def act(self, states):
        return np.stack([episode.act(state) for episode, state in zip(self.episodes, states, strict=True)])


class _Episode:
    def __init__(self, rng, arm, table, cube_size):
        self.rng, self.arm, self.table, self.cube_size = rng, arm, table, cube_size
        self.oracle = _Oracle(env=None, min_norm=MIN_NORM)
        self.noise = rng.uniform(0, MOST_NOISE) * NOISE_SHAPE
        self._renew()

    def act(self, state):
        """state (S,) -> action (5,)"""
        action = self.oracle.select_action(None, {**_seen(state), **self.target})
        action = np.clip(action + self.noise * self.rng.standard_normal(5), -1, 1)
        if self.oracle.done:
            self._renew()
        return action

    def _renew(self):
        """A place and a turn for the cube, and a pose for the gripper to leave it for."""
        self.target = {
            "privileged/target_block_pos": np.append(self.rng.uniform(*self.table), self.cube_size),
            "privileged/target_block_yaw": self.rng.uniform(-np.pi, np.pi, 1),
        }
        self.oracle.start(self.rng.uniform(*self.arm), self.rng.uniform(-np.pi, np.pi))


class _Oracle(CubeMarkovOracle):
    """The package draws where to end from numpy's global generator, which is everybody's; here it is given."""

    def start(self, position, yaw):
        self._final_pos, self._final_yaw = position, yaw
        self._done, self._step = False, 0


def _seen(state):
    """state (S,) -> what the oracle reads of it"""
    return {
        "proprio/effector_pos": state[physics.EFFECTOR],
        "proprio/effector_yaw": state[[physics.EFFECTOR_YAW]],
        "proprio/gripper_opening": state[[physics.OPENING]],
        "proprio/gripper_contact": state[[physics.CONTACT]],
        "privileged/target_block": 0,
        "privileged/block_0_pos": state[physics.CUBE],
        "privileged/block_0_yaw": state[[physics.CUBE_YAW]],
    }
