"""Structured dot worlds (SMWM, arXiv:2606.20104): dots that an action moves, alone or in pairs, among dots that it
does not move. A world file names its groups, joined by "+": independent, coupled (a pair that shares one displacement),
random (moves as much, but by chance) and static.

There, training pairs are independent; here they form episodes in which a displacement that would leave the field is cut
short, as is one that would bring dots to lie on each other, and the policy's actions are the displacements that happen.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import AfterValidator, Field

from envs import _chance
from envs._options import Color, Options, plain, rgb
from envs._world import World

CANVAS = 64
RADIUS = 2
REACH = 16  # the largest displacement per axis
APART = 2 * RADIUS + 1  # the least distance of two middles
LOW, HIGH = RADIUS + REACH, CANVAS - 1 - RADIUS - REACH  # 18 to 45
REACHED = 3.0
MEMBERS = {"independent": 1, "coupled": 2, "random": 1, "static": 1}  # dots of a group
CONTROLLED = ("independent", "coupled")
# Of dots in their order, as there.
COLORS = ("#ff0000", "#00dc00", "#0064ff", "#ffdc00", "#ff00ff", "#00dcdc", "#ff8000", "#a000ff")


def _known(groups: str) -> str:
    kinds = groups.split("+")
    if unknown := [kind for kind in kinds if kind not in MEMBERS]:
        raise ValueError(f"{unknown[0]!r} is no group of dots; join any of {', '.join(MEMBERS)} by '+'")
    if not set(kinds) & set(CONTROLLED):
        raise ValueError(f"{groups!r} has nothing to control; it needs 'independent' or 'coupled'")
    if (dots := sum(map(MEMBERS.get, kinds))) > len(COLORS):
        raise ValueError(f"{groups!r} has {dots} dots; {len(COLORS)} are the most that have room")
    return groups


Groups = Annotated[str, AfterValidator(_known)]


class DotOptions(Options):
    """Looks of a dot world."""

    colors: tuple[Color, ...] = Field(default=COLORS, min_length=len(COLORS), max_length=len(COLORS), strict=False)
    background: Color = "white"
    radius: float = Field(default=RADIUS, ge=1, le=4)  # of the picture alone, px


class Dots(World):
    """Discs on white at whole-numbered positions (x to the right, y down); +-1 is a displacement of 16 pixels."""

    groups: ClassVar[str]
    Options: ClassVar = DotOptions
    version = 1
    frameskip = 1
    goal_offset = 5
    budget = 10
    episode_steps = 16
    render_fps = 4
    data_note: ClassVar[str] = "The paper trains on independent pairs of frames; these are episodes of random moves."

    def __init__(self, **options: object):
        super().__init__(**options)
        self.kinds = self._groups().split("+")
        ends = np.cumsum([MEMBERS[kind] for kind in self.kinds])
        self.members = [list(range(end - MEMBERS[kind], end)) for kind, end in zip(self.kinds, ends, strict=True)]
        self.dots = int(ends[-1])
        self.action_dim = 2 * sum(kind in CONTROLLED for kind in self.kinds)
        self.controlled = [
            dot for kind, own in zip(self.kinds, self.members, strict=True) for dot in own * (kind in CONTROLLED)
        ]
        names = _names(self.kinds)
        chance = ("chance",) if "random" in self.kinds else ()
        self.state_names = (*(f"{name}_{axis}" for name in names for axis in "xy"), *chance)
        self.quantities = {f"{name}_position": (f"{name}_x", f"{name}_y") for name in names}

    def _groups(self) -> str:
        return self.groups

    def sample(self, n, rng):
        """Uniform, all dots of a state again where two of them would lie on each other."""
        places = rng.integers(LOW, HIGH + 1, (n, 2 * self.dots)).astype(np.float64)
        while (bad := np.flatnonzero(_overlap(self._places(places)))).size:
            places[bad] = rng.integers(LOW, HIGH + 1, (bad.size, 2 * self.dots))
        if "random" not in self.kinds:
            return places
        return np.column_stack([places, rng.integers(0, _chance.SIZE, n)])

    def step(self, states, actions):
        """Groups move in their order; one that would come to lie on a dot stays where it is."""
        places = self._places(states).copy()
        moves, chance = self._moves(states, actions)
        for move, own in zip(moves, self.members, strict=True):
            moved = places[:, own] + _cut(places[:, own], move)[:, None]
            others = np.delete(places, own, axis=1)
            free = ~np.any(_close(moved, others), axis=(1, 2))
            places[:, own] = np.where(free[:, None, None], moved, places[:, own])
        return np.column_stack([places.reshape(-1, 2 * self.dots), *chance])

    def contains(self, states):
        places = states[:, : 2 * self.dots]
        good = np.all((places >= LOW) & (places <= HIGH) & (places == np.rint(places)), axis=1)
        good &= ~_overlap(self._places(places))
        return good & _chance.valid(states[:, -1]) if "random" in self.kinds else good

    def draw(self, states, out):
        """A pixel belongs to a dot if its middle lies within the radius of the dot's middle; at 64 pixels these are 13.

        Under 32 pixels the radius stays at one pixel, or the dot could fall between the pixels. Later dots hide
        earlier ones.
        """
        scale = out.shape[1] / CANVAS
        out[:] = plain(self.options.background, out.shape[1])
        for places, color in zip(self._places(states).swapaxes(0, 1), self.options.colors, strict=False):
            _disc(out, (places + 0.5) * scale - 0.5, max(self.options.radius * scale, 1.0), rgb(color))

    def distance(self, states, goals):
        """Pixels that the farthest of the controlled dots is from its goal."""
        apart = (self._places(states) - self._places(goals))[:, self.controlled]
        return np.linalg.norm(apart, axis=2).max(axis=1)

    def solved(self, states, goals):
        return self.distance(states, goals) <= REACHED

    def policy(self, n, rng):
        return _UniformDisplacements(self, rng)

    def coverage(self, states):
        moved = np.any(np.diff(states[..., : 2 * self.dots], axis=1) != 0, axis=2)
        return {"share of steps in which a dot moves": float(moved.mean())}

    def _places(self, states):
        """(n, dots, 2) of states (n, S)."""
        return states[:, : 2 * self.dots].reshape(len(states), self.dots, 2)

    def _moves(self, states, actions):
        """The displacement (n, 2) that each group is to make, and the next chance, in a list, if there is any."""
        wanted = np.rint(REACH * np.clip(actions, -1, 1, dtype=np.float64)).reshape(-1, self.action_dim // 2, 2)
        sources, chance = {"independent": iter(wanted.swapaxes(0, 1))}, []
        sources["coupled"] = sources["independent"]
        if free := self.kinds.count("random"):
            numbers, following = _chance.draw(states[:, -1], 2 * free)
            drawn = np.floor((2 * REACH + 1) * numbers).reshape(-1, free, 2) - REACH
            sources["random"], chance = iter(drawn.swapaxes(0, 1)), [following]
        still = np.zeros((len(states), 2))
        return [next(sources[kind]) if kind in sources else still for kind in self.kinds], chance

    def happened(self, states, following):
        """The displacement of every controlled group between two states -> (n, A / 2, 2)."""
        first = [own[0] for kind, own in zip(self.kinds, self.members, strict=True) if kind in CONTROLLED]
        return (self._places(following) - self._places(states))[:, first]


def _names(kinds):
    """A name for each dot: what it does, and a number; a lone one is "dot"."""
    dots = [kind for kind in kinds for _ in range(MEMBERS[kind])]
    return ["dot"] if len(dots) == 1 else [f"{kind}_{dots[:i].count(kind) + 1}" for i, kind in enumerate(dots)]


def _cut(places, move):
    """The part of a displacement (n, 2) that keeps all of a group's dots (n, k, 2) in the field."""
    return np.clip(move, LOW - places.min(axis=1), HIGH - places.max(axis=1))


def _close(some, others):
    """(n, j, 2) and (n, k, 2) -> (n, j, k): whether they would lie on each other."""
    return np.sum((some[:, :, None] - others[:, None]) ** 2, axis=-1) < APART**2


def _overlap(places):
    """(n, dots, 2) -> (n,): whether any two do."""
    first, second = np.triu_indices(places.shape[1], 1)
    return np.any(np.sum((places[:, first] - places[:, second]) ** 2, axis=-1) < APART**2, axis=1)


def _disc(out, centres, radius, color):
    """Paint a disc of each picture, centres (n, 2) and radius in pixels of it."""
    corners = np.ceil(centres - radius).astype(int)
    pixels = corners[:, :, None] + np.arange(int(2 * radius) + 1)
    squares = (pixels - centres[:, :, None]) ** 2
    inside = squares[:, 1, :, None] + squares[:, 0, None, :] <= radius**2 + 1e-9
    n, row, column = np.nonzero(inside)
    out[n, pixels[n, 1, row], pixels[n, 0, column]] = color


class _UniformDisplacements:
    """Uniform whole-numbered displacements, drawn again if a dot is in the way, and recorded as they happen."""

    TRIES = 6

    def __init__(self, world, rng):
        self.world, self.rng = world, rng

    def act(self, states):
        shape = (self.TRIES if self.world.dots > 1 else 1, len(states), self.world.action_dim)
        # All of them are drawn each time, so that one episode's obstacles do not shift the others' random numbers.
        wanted = self.rng.integers(-REACH, REACH + 1, shape) / REACH
        chosen = self._happens(states, wanted[0])
        for again in wanted[1:]:
            stuck = np.all(chosen.reshape(len(states), -1, 2) == 0, axis=2).any(axis=1)
            chosen[stuck] = self._happens(states[stuck], again[stuck])
        return chosen

    def _happens(self, states, wanted):
        following = self.world.step(states, wanted)
        return self.world.happened(states, following).reshape(-1, self.world.action_dim) / REACH
