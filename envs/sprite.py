"""The sprite world (SMWM, arXiv:2606.20104): an arrow that moves and turns, of which an action controls a part.

The option `control` names the controlled ones of x, y and t (the angle); all three always move, the others by chance.
There, training pairs are independent; here they form episodes, in which a position stays within the range that those
pairs can reach. Without any control the action is one number that does nothing and is recorded as 0.
"""

from typing import ClassVar, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from pydantic import Field

from envs import _chance
from envs._options import Color, Options, plain, rgb
from envs._world import World

CANVAS = 64
UNIT = 7.5  # px per unit of the shape
SHAPE = UNIT * np.array([[1.6, 0], [-0.9, 1], [-0.9, -1]])  # the apex is the heading; x to the right, y up
BOUND = 12.0  # px around the middle that the arrow stays within
LOW, HIGH = 13.0, 50.0  # of a position; the pairs there start in [21, 42] and move by at most 8
START_LOW, START_HIGH = 21.0, 42.0
REACH = 8.0  # px per step and axis
TURN, FULL_TURN = 8 / 7.5, np.pi  # rad per step: as fast as the rim, and where x, y and t are all controlled
REACHED, REACHED_ANGLE = 3.0, 0.3  # px, rad


class _Options(Options):
    """What the action controls, and looks."""

    dynamics: ClassVar = frozenset({"control"})
    control: Literal["none", "x", "y", "t", "xy", "xt", "yt", "xyt"] = "xy"
    color: Color = "red"
    background: Color = "white"
    size: float = Field(default=1.0, ge=0.5, le=1.1)  # of the picture alone


class Sprite(World):
    """A red arrow on white: its middle in pixels (x to the right, y down), its heading counterclockwise from x."""

    version = 1
    state_names = ("x", "y", "angle", "chance")
    quantities: ClassVar = {"x": ("x",), "y": ("y",), "angle": ("angle",)}
    angles = ("angle",)
    frameskip = 1
    goal_offset = 5
    budget = 10
    episode_steps = 16
    render_fps = 4
    data_note: ClassVar[str] = "The paper trains on independent pairs of frames; these are episodes of random moves."
    Options: ClassVar = _Options

    def __init__(self, **options: object):
        super().__init__(**options)
        control = self.options.control
        self.controlled = np.array([axis in control and control != "none" for axis in "xyt"])
        self.action_dim = max(1, int(self.controlled.sum()))
        self.reach = np.array([REACH, REACH, FULL_TURN if control == "xyt" else TURN])

    def sample(self, n, rng):
        places = rng.uniform(START_LOW, START_HIGH, (n, 2))
        return np.column_stack([places, rng.uniform(-np.pi, np.pi, n), rng.integers(0, _chance.SIZE, n)])

    def step(self, states, actions):
        numbers, chance = _chance.draw(states[:, 3], 3)
        moves = 2 * numbers - 1
        moves[:, self.controlled] = np.clip(actions, -1, 1, dtype=np.float64)[:, : self.controlled.sum()]
        moved = states[:, :3] + self.reach * moves
        places = np.clip(moved[:, :2], LOW, HIGH)
        return np.column_stack([places, _wrapped(moved[:, 2]), chance])

    def contains(self, states):
        inside = np.all((states[:, :2] >= LOW) & (states[:, :2] <= HIGH), axis=1)
        return inside & (states[:, 2] >= -np.pi) & (states[:, 2] < np.pi) & _chance.valid(states[:, 3])

    def draw(self, states, out):
        """The share of a pixel that the arrow covers is its distance to the nearest edge, a pixel wide ramp."""
        size = out.shape[1]
        scale = size / CANVAS
        out[:] = plain(self.options.background, out.shape[1])
        width = min(size, int(np.ceil(2 * BOUND * self.options.size * scale)) + 3)
        centres = (states[:, :2] + 0.5) * scale - 0.5
        corners = np.clip(np.rint(centres - width / 2).astype(int), 0, size - width)
        x, y = (corners[:, axis, None] + np.arange(width) - centres[:, axis, None] for axis in (0, 1))
        covered = _covered(x, -y, states[:, 2], self.options.size * scale)
        windows = sliding_window_view(out, (width, width), axis=(1, 2), writeable=True)
        here = np.arange(len(out)), corners[:, 1], corners[:, 0]
        old = windows[here].astype(np.float32)
        color = rgb(self.options.color).astype(np.float32)[:, None, None]
        windows[here] = np.rint(old + covered[:, None] * (color - old)).astype(np.uint8)

    def distance(self, states, goals):
        """The larger of the controlled position's and angle's error, in pixels; 0.3 rad count as 3 pixels."""
        apart = (states[:, :2] - goals[:, :2]) * self.controlled[:2]
        turned = np.abs(_wrapped(states[:, 2] - goals[:, 2])) * self.controlled[2]
        return np.maximum(np.linalg.norm(apart, axis=1), turned * (REACHED / REACHED_ANGLE))

    def solved(self, states, goals):
        return self.distance(states, goals) <= REACHED

    def policy(self, n, rng):
        return _UniformMoves(self, rng)


def _wrapped(angle):
    """In [-pi, pi)."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


def _covered(x, y, angle, scale):
    """Shares (n, h, w) float32 of the pixels at x (n, w), y (n, h) from the middle, for headings (n,)."""
    cos, sin = (scale * f(angle)[:, None] for f in (np.cos, np.sin))
    corners_x, corners_y = SHAPE[:, 0] * cos - SHAPE[:, 1] * sin, SHAPE[:, 0] * sin + SHAPE[:, 1] * cos
    shares = np.ones((len(x), y.shape[1], x.shape[1]), np.float32)
    for here, there in ((0, 1), (1, 2), (2, 0)):  # counterclockwise: the inside is to the left of each edge
        edge_x, edge_y = corners_x[:, there] - corners_x[:, here], corners_y[:, there] - corners_y[:, here]
        length = np.hypot(edge_x, edge_y)
        across = (edge_x / length)[:, None] * (y - corners_y[:, here, None])
        along = (edge_y / length)[:, None] * (x - corners_x[:, here, None])
        inside = across[:, :, None].astype(np.float32) - along[:, None, :].astype(np.float32)
        np.minimum(shares, np.clip(inside + np.float32(0.5), 0, 1), out=shares)
    return shares


class _UniformMoves:
    """Uniform moves; a position's is recorded as it happens, cut short at the edge."""

    def __init__(self, world, rng):
        self.world, self.rng = world, rng

    def act(self, states):
        controlled = self.world.controlled
        if not controlled.any():
            return np.zeros((len(states), 1))
        wanted = self.rng.uniform(-1, 1, (len(states), self.world.action_dim))
        axes = np.flatnonzero(controlled)
        for column, axis in enumerate(axes[axes < 2]):
            here = states[:, axis]
            wanted[:, column] = (np.clip(here + REACH * wanted[:, column], LOW, HIGH) - here) / REACH
        return np.clip(wanted, -1, 1)


WORLD = Sprite()
