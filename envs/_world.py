"""What every world offers: batched, stateless dynamics and rendering in numpy.

n states are stepped, drawn and compared at once; nothing is remembered between calls, so that setting a world to a
state is passing that state. Letters: n states, S numbers in a state, A numbers in an action.
"""

from abc import ABC, abstractmethod
from typing import ClassVar, Protocol

import numpy as np

# Frames drawn at a time: their intermediate arrays stay in the processor's cache.
_BLOCK = 256


class Policy(Protocol):
    """A scripted, noisy policy for n parallel episodes; it may remember things from one call to the next."""

    def act(self, states: np.ndarray) -> np.ndarray:
        """states (n, S) -> actions (n, A) in [-1, 1], as they are to be recorded."""


class World(ABC):
    """A world. The unit of its state is its own and does not depend on the size of the picture.

    `name` is the name of the file a world is defined in.
    """

    name: ClassVar[str]
    version: ClassVar[int]  # raised with every change of dynamics, rendering or policy
    state_names: ClassVar[tuple[str, ...]]  # S names
    quantities: ClassVar[dict[str, tuple[str, ...]]]  # what probes read: quantity -> names from state_names
    action_dim: ClassVar[int]  # A
    frameskip: ClassVar[int]  # environment steps per model step
    goal_offset: ClassVar[int]  # environment steps from the start of a planning task to its goal
    budget: ClassVar[int]  # environment steps allowed for a planning task
    episode_steps: ClassVar[int]  # environment steps of a recorded episode unless told otherwise
    render_fps: ClassVar[int]

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        cls.name = cls.__module__.rpartition(".")[2]

    @abstractmethod
    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """n states to start from -> (n, S) float64."""

    @abstractmethod
    def step(self, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """states (n, S), actions (n, A), clipped to [-1, 1] -> the next states (n, S) float64. Deterministic."""

    @abstractmethod
    def contains(self, states: np.ndarray) -> np.ndarray:
        """states (n, S) -> (n,) bool: whether the world can be in that state."""

    @abstractmethod
    def draw(self, states: np.ndarray, out: np.ndarray) -> None:
        """Draw states (n, S) into every pixel of out (n, size, size, 3) uint8."""

    @abstractmethod
    def distance(self, states: np.ndarray, goals: np.ndarray) -> np.ndarray:
        """states (n, S), goals (n, S) -> (n,) how far from the goal, in the unit of the world."""

    @abstractmethod
    def solved(self, states: np.ndarray, goals: np.ndarray) -> np.ndarray:
        """states (n, S), goals (n, S) -> (n,) bool: whether the goal counts as reached."""

    @abstractmethod
    def policy(self, n: int, rng: np.random.Generator) -> Policy:
        """The policy that episodes are recorded with, for n parallel episodes."""

    def render(self, states: np.ndarray, size: int, out: np.ndarray | None = None) -> np.ndarray:
        """states (n, S) -> pictures (n, size, size, 3) uint8, RGB.

        `out` saves the allocation, which costs more than the drawing. A size under 8 is a ValueError.
        """
        if size < 8:
            raise ValueError(f"a picture of {self.name} needs a size of at least 8 pixels, got {size}")
        shape = (len(states), size, size, 3)
        out = np.empty(shape, np.uint8) if out is None else out
        if out.shape != shape or out.dtype != np.uint8:
            raise ValueError(f"out must be uint8 {shape}, got {out.dtype} {out.shape}")
        for start in range(0, len(states), _BLOCK):
            self.draw(states[start : start + _BLOCK], out[start : start + _BLOCK])
        return out
