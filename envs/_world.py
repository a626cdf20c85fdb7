"""What every world offers: batched, stateless dynamics and rendering in numpy.

n states are stepped, drawn and compared at once; nothing is remembered between calls, so that setting a world to a
state is passing that state. Letters: n states, S numbers in a state, A numbers in an action.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from difflib import get_close_matches
from typing import ClassVar, Protocol

import numpy as np
from pydantic import ValidationError

from envs._options import Options

# Frames drawn at a time: their intermediate arrays stay in the processor's cache.
_BLOCK = 256


class Policy(Protocol):
    """A scripted, noisy policy for n parallel episodes; it may remember things from one call to the next."""

    def act(self, states: np.ndarray) -> np.ndarray:
        """states (n, S) -> actions (n, A) in [-1, 1], as they are to be recorded."""


class World(ABC):
    """A world. The unit of its state is its own and does not depend on the size of the picture.

    `name` is the name of the file a world is defined in. Keyword arguments are `Options`; a wrong one is a
    ValueError that names it.
    """

    name: ClassVar[str]
    version: ClassVar[int]  # raised with every change of dynamics, rendering or policy
    state_names: ClassVar[tuple[str, ...]]  # S names
    quantities: ClassVar[dict[str, tuple[str, ...]]]  # what probes read: quantity -> names from state_names
    angles: ClassVar[tuple[str, ...]] = ()  # those of state_names that are radians; probes read their cosine and sine
    action_dim: ClassVar[int]  # A
    frameskip: ClassVar[int]  # environment steps per model step
    goal_offset: ClassVar[int]  # environment steps from the start of a planning task to its goal
    budget: ClassVar[int]  # environment steps allowed for a planning task
    episode_steps: ClassVar[int]  # environment steps of a recorded episode unless told otherwise
    render_fps: ClassVar[int]
    together: ClassVar[int] = 32  # episodes that are simulated from one stream of random numbers when recording
    data_note: ClassVar[str] = ""  # how the episodes recorded here differ from those of the papers
    source_columns: ClassVar[tuple[str, ...]] = ()  # of the public LeWM file, which `from_source` reads; none: no file
    Options: ClassVar[type[Options]] = Options

    def __init__(self, **options: object):
        self.options = self.chosen(options)

    @classmethod
    def chosen(cls, options: Mapping[str, object]) -> Options:
        """`options` checked and completed; a ValueError names what is wrong, and the nearest option there is."""
        try:
            return cls.Options(**options)
        except ValidationError as error:
            raise ValueError("; ".join(_sentence(cls, problem) for problem in error.errors())) from None

    @classmethod
    def unlike_defaults(cls, options: Mapping[str, object]) -> dict[str, object]:
        """`options` checked, in plain JSON, without those that have their default values: one world, one text."""
        chosen, plain = (found.model_dump(mode="json") for found in (cls.chosen(options), cls.chosen({})))
        return {name: value for name, value in sorted(chosen.items()) if value != plain[name]}

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

    def coverage(self, states: np.ndarray) -> dict[str, float]:
        """states (E, T, S) of E recorded episodes -> what a reader of the data card wants to know of them, by name."""
        return {}

    def from_source(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """`source_columns` (N, ...) of the public LeWM file (arXiv:2603.19312) -> states (N, S)."""
        raise ValueError(f"{self.name}: there is no public file to import for this world")

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
        if self.options.noise:
            _add_noise(states, self.options.noise, out)
        return out


def _sentence(world: type[World], problem: Mapping) -> str:
    """What is wrong with an option, in words."""
    name, valid = ".".join(map(str, problem["loc"])), sorted(world.Options.model_fields)
    if problem["type"] == "extra_forbidden":
        near = get_close_matches(name, valid, n=1)
        hint = f", did you mean {near[0]!r}?" if near else ";"
        return f"{name}: no such option of {world.name}{hint} There are: {', '.join(valid)}"
    return f"{name}: {problem['input']!r}: {problem['msg'].removeprefix('Value error, ')}"


def _add_noise(states: np.ndarray, deviation: float, out: np.ndarray) -> None:
    """Gaussian noise that follows from the state, so that a state has one picture, alone or among others."""
    for state, picture in zip(states, out, strict=True):
        seed = int.from_bytes(hashlib.blake2b(np.ascontiguousarray(state).tobytes(), digest_size=8).digest())
        noise = np.random.default_rng(seed).standard_normal(picture.shape, np.float32)
        picture[:] = np.clip(np.rint(picture + deviation * noise), 0, 255)
