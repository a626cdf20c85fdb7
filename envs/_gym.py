"""Any world as a gymnasium environment: pixels in, a goal to reach."""

from collections.abc import Mapping

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from envs import load


class WorldEnv(gymnasium.Env):
    """Observations are pictures (size, size, 3) uint8; reaching the goal gives a reward of 1 and ends the episode.

    Actions are (A,) float32 in [-1, 1]; the world's file says what they mean, and in which unit states are.
    `options` are those of the world, e.g. gymnasium.make("wm/TwoRoom-v0", options={"background": "blue"}).
    `info` has the "state", the "goal" (S,) and the "distance" between them in the unit of the world. An episode is
    truncated after the budget of the world. `reset(options={"state": ..., "goal_state": ...})` sets either or both.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 (the name and type are gymnasium's)

    def __init__(
        self,
        world: str,
        size: int = 64,
        render_mode: str | None = None,
        options: Mapping[str, object] | None = None,
    ):
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode must be None or one of {self.metadata['render_modes']}, got {render_mode!r}")
        self.world = load(world, options)
        self.size = size
        self.render_mode = render_mode
        self.metadata = {**self.metadata, "render_fps": self.world.render_fps}
        self.observation_space = Box(0, 255, (size, size, 3), np.uint8)
        self.action_space = Box(-1, 1, (self.world.action_dim,), np.float32)

    def reset(self, *, seed=None, options=None):
        """-> picture, info. A state or goal that the world cannot be in, or an unknown option, is a ValueError."""
        super().reset(seed=seed)
        options = options or {}
        if unknown := set(options) - {"state", "goal_state"}:
            raise ValueError(f"unknown options {sorted(unknown)}; there are 'state' and 'goal_state'")
        # Always drawn, so that giving one of the two does not change the other.
        states = self._sample_pair()
        self._state = self._given(options.get("state"), states[:1])
        self._goal = self._given(options.get("goal_state"), states[1:])
        self._steps = 0
        return self.render_pixels(), self._info()

    def step(self, action):
        """action (A,), clipped to [-1, 1] -> picture, reward, terminated, truncated, info."""
        self._state = self.world.step(self._state, np.asarray(action, np.float64)[None])
        self._steps += 1
        solved = bool(self.world.solved(self._state, self._goal)[0])
        return self.render_pixels(), float(solved), solved, self._steps >= self.world.budget, self._info()

    def render(self):
        """The picture (size, size, 3) uint8, or None without a render_mode."""
        return self.render_pixels() if self.render_mode == "rgb_array" else None

    def render_pixels(self) -> np.ndarray:
        """The picture (size, size, 3) uint8, whatever the render_mode."""
        return self.world.render(self._state, self.size)[0]

    def _sample_pair(self):
        states = self.world.sample(2, self.np_random)
        while self.world.solved(states[:1], states[1:])[0]:
            states = self.world.sample(2, self.np_random)
        return states

    def _given(self, state, otherwise):
        if state is None:
            return otherwise
        state = np.array(state, np.float64)[None]
        if state.shape != otherwise.shape or not self.world.contains(state)[0]:
            raise ValueError(f"{self.world.name} cannot be in the state {state[0]} ({self.world.state_names})")
        return state

    def _info(self):
        distance = float(self.world.distance(self._state, self._goal)[0])
        return {"state": self._state[0].copy(), "goal": self._goal[0].copy(), "distance": distance}
