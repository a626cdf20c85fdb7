"""TwoRoom: a dot, two rooms, one door. The state is the centre of the dot in units of a 224-unit canvas.

Geometry, speed and success rule as in stable-worldmodel's TwoRoom (arXiv:2602.08968), which LeWM (arXiv:2603.19312) and
SMWM (arXiv:2606.20104) plan in. Ours differs in that a blocked move slides along exactly what it touches first
(there: a push back of half a unit) and in that the picture is anti-aliased, so that any size shows the same world.
"""

from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from pydantic import Field

from envs._options import Color, Options, rgb
from envs._world import World

CANVAS = 224.0
BORDER, BORDER_LINE = 14.0, 4.0  # the line is drawn on [10, 14] and on [210, 214]
WALL, WALL_THICKNESS = 112.0, 10.0  # the wall is vertical, at x = 112
DOOR, DOOR_HALF = 49.0, 14.0  # along y
RADIUS = 7.0  # of the dot: what it keeps from walls, and the standard deviation of its picture
SPEED = 5.0  # per step and axis
REACHED = 16.0

# Where the centre of the dot may be: the box [LOW, HIGH]^2 without the slab LEFT < x < RIGHT, but for the door in it.
LOW, HIGH = BORDER + RADIUS, CANVAS - BORDER - RADIUS
LEFT, RIGHT = WALL - WALL_THICKNESS / 2 - RADIUS, WALL + WALL_THICKNESS / 2 + RADIUS
DOOR_LOW, DOOR_HIGH = DOOR - DOOR_HALF, DOOR + DOOR_HALF


class _Options(Options):
    """Looks alone."""

    agent_color: Color = "red"
    agent_size: float = Field(default=1.0, ge=0.5, le=2.0)  # of the dot's picture
    wall_color: Color = "black"
    background: Color = "white"


class TwoRoom(World):
    """Actions are velocities (x to the right, y down), +-1 being 5 units per step. The goal is never drawn."""

    version = 1
    state_names = ("agent_x", "agent_y")
    quantities: ClassVar = {"agent_position": ("agent_x", "agent_y")}
    action_dim = 2
    frameskip = 5
    goal_offset = 25
    budget = 50
    episode_steps = 100
    render_fps = 10
    data_note: ClassVar[str] = (
        "The papers record a heuristic policy whose noise has standard deviation 2 before it is clipped to 1, "
        "for 92 steps on average."
    )
    source_columns = ("proprio",)
    Options: ClassVar = _Options

    def sample(self, n, rng):
        """Uniform over both rooms, the door left out."""
        x, y = rng.uniform((LOW, LOW), (HIGH - (RIGHT - LEFT), HIGH), (n, 2)).T
        return np.stack([x + (x > LEFT) * (RIGHT - LEFT), y], axis=1)

    def step(self, states, actions):
        """A blocked move slides: the first thing it touches takes away the component into it."""
        goals = np.clip(states + SPEED * np.clip(actions, -1, 1, dtype=np.float64), LOW, HIGH)
        return _around_the_wall(states, goals)

    def contains(self, states):
        inside = np.all((states >= LOW) & (states <= HIGH), axis=1)
        return inside & (~_in_slab(states[:, 0]) | _in_door(states[:, 1]))

    def draw(self, states, out):
        """The dot is a Gaussian blended over the rooms, in a window beyond which it changes no pixel."""
        size, options = out.shape[1], self.options
        scale = size / CANVAS
        radius = RADIUS * options.agent_size * scale
        centres = states * scale - 0.5  # in pixels, whole numbers being the middle of a pixel
        reach = int(np.ceil(3.6 * radius))  # exp(-3.6^2 / 2) * 255 < 0.5
        width = min(size, 2 * reach + 1)
        corners = np.clip(np.rint(centres).astype(int) - reach, 0, size - width)
        offsets = (corners[:, :, None] + np.arange(width) - centres[:, :, None]) / radius
        blob = np.exp(-0.5 * offsets.astype(np.float32) ** 2)
        alpha = blob[:, 1, :, None] * blob[:, 0, None, :]
        out[:] = _rooms(size, options.wall_color, options.background)
        _blend(out, alpha, corners, rgb(options.agent_color))

    def distance(self, states, goals):
        return np.linalg.norm(states - goals, axis=1)

    def solved(self, states, goals):
        return self.distance(states, goals) < REACHED

    def policy(self, n, rng):
        return _Wanderer(self, n, rng)

    def coverage(self, states):
        rooms = states[..., 0] > WALL
        starts, goals = states[:, : -self.goal_offset], states[:, self.goal_offset :]
        found = {"share of episodes that cross the door": float(np.any(rooms != rooms[:, :1], axis=1).mean())}
        if starts.size:
            solved = self.solved(starts.reshape(-1, 2), goals.reshape(-1, 2))
            other = rooms[:, : -self.goal_offset] != rooms[:, self.goal_offset :]
            found["share of goals 25 steps ahead that lie in the other room"] = float(other.mean())
            found["share of goals 25 steps ahead that are solved already"] = float(solved.mean())
        return found

    def from_source(self, columns):
        """The file has the agent's position in units of the same canvas."""
        return columns["proprio"][:, :2].astype(np.float64)


def _in_slab(x):
    return (x > LEFT) & (x < RIGHT)


def _in_door(y):
    return (y >= DOOR_LOW) & (y <= DOOR_HIGH)


def _around_the_wall(starts, ends):
    """The slab is wider than a step is long, so one step crosses at most one of its faces: where, decides."""
    x, y = starts.T
    to_x, to_y = ends.T
    was_in, is_in = _in_slab(x), _in_slab(to_x)
    face = np.where((to_x > x) == was_in, RIGHT, LEFT)
    crosses = was_in != is_in
    share = np.divide(face - x, to_x - x, out=np.zeros_like(x), where=crosses)
    through = crosses & _in_door(y + share * (to_y - y))
    stopped = is_in & crosses & ~through
    in_door = (is_in & ~stopped) | (was_in & crosses & ~through)
    return np.stack(
        [np.where(stopped, face, to_x), np.where(in_door, np.clip(to_y, DOOR_LOW, DOOR_HIGH), to_y)], axis=1
    )


def _covered(low, high, size):
    """The share of each of `size` pixels that lies between two coordinates of the canvas -> (size,)."""
    edges = np.clip(np.linspace(0, CANVAS, size + 1), low, high)
    return np.diff(edges) * (size / CANVAS)


@lru_cache(maxsize=8)
def _rooms(size, wall_color, background):
    """The picture without the dot -> (size, size, 3) uint8."""
    outer = _covered(BORDER - BORDER_LINE, CANVAS - BORDER + BORDER_LINE, size)
    inner = _covered(BORDER, CANVAS - BORDER, size)
    wall_y = inner - _covered(DOOR_LOW, DOOR_HIGH, size)
    wall_x = _covered(WALL - WALL_THICKNESS / 2, WALL + WALL_THICKNESS / 2, size)
    dark = (np.outer(outer, outer) - np.outer(inner, inner) + np.outer(wall_y, wall_x))[:, :, None]
    return np.rint(rgb(background) * (1 - dark) + rgb(wall_color) * dark).astype(np.uint8)


def _blend(out, alpha, corners, color):
    """out (n, size, size, 3) gets the colour where alpha (n, width, width), placed at corners (n, 2), says."""
    width = alpha.shape[1]
    x, y = corners.T
    windows = sliding_window_view(out, (width, width), axis=(1, 2), writeable=True)
    for channel, value in enumerate(color):
        here = np.arange(len(out)), y, x, channel
        faded = windows[here] * (1 - alpha) + np.float32(0.5)
        windows[here] = (faded + np.float32(value) * alpha if value else faded).astype(np.uint8)


class _Wanderer:
    """Heads for a random goal, through the door if need be, with noise that lasts; takes a new goal at each arrival."""

    OTHER_ROOM = 0.6  # probability that a goal lies in the other room
    NOISE, MEMORY = 0.35, 0.85  # Ornstein-Uhlenbeck: standard deviation per axis, share kept from step to step
    PACE = 0.5  # of the full speed: about one crossing in 100 steps
    ARRIVED = 8.0

    def __init__(self, world, n, rng):
        self.world, self.rng = world, rng
        self.goals = None
        self.noise = self.NOISE * rng.standard_normal((n, 2))

    def act(self, states):
        self._renew_goals(states)
        heading = _waypoints(states, self.goals) - states
        heading *= self.PACE / np.maximum(np.linalg.norm(heading, axis=1, keepdims=True), SPEED)
        fresh = self.NOISE * np.sqrt(1 - self.MEMORY**2) * self.rng.standard_normal(states.shape)
        self.noise = self.MEMORY * self.noise + fresh
        return np.clip(heading + self.noise, -1, 1)

    def _renew_goals(self, states):
        """Draws for everyone each time, so that one episode's arrival does not shift the others' random numbers."""
        goals = self.world.sample(len(states), self.rng)
        cross = self.rng.random(len(states)) < self.OTHER_ROOM
        mirror = cross == ((goals[:, 0] > WALL) == (states[:, 0] > WALL))
        goals[:, 0] = np.where(mirror, CANVAS - goals[:, 0], goals[:, 0])
        if self.goals is None:
            self.goals = goals
        arrived = self.world.distance(states, self.goals) < self.ARRIVED
        self.goals = np.where(arrived[:, None], goals, self.goals)


def _waypoints(states, goals):
    """Where to head for: the goal, or the door's near side until level with the door, then its far side -> (n, 2)."""
    side = np.sign(goals[:, 0] - WALL)
    beyond = side * (states[:, 0] - WALL) >= RIGHT - WALL
    level = np.abs(states[:, 1] - DOOR) < DOOR_HALF / 2
    inside = _in_slab(states[:, 0])
    x = WALL + side * np.where(level | inside, 1, -1) * (RIGHT - WALL + SPEED)
    return np.where(beyond[:, None], goals, np.stack([x, np.full_like(x, DOOR)], axis=1))


WORLD = TwoRoom()
