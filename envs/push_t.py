"""Push-T: a disc pushes a T-shaped block about. The state is in units of a 512-unit canvas, radians and seconds.

As stable-worldmodel's PushT (arXiv:2602.08968), which LeWM (arXiv:2603.19312) and SMWM (arXiv:2606.20104) plan in:
scene, control, success rule and colours; `_push_t_physics` says of the T's size and of what differs in what moves. The
picture differs in that it is anti-aliased, so that any size shows the same world.
"""

from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from pydantic import Field

from envs._options import Color, Options, rgb
from envs._push_t_physics import CANVAS, EXTENT, INNER_HIGH, INNER_LOW, MIDDLE, SCALE, TURN, Physics, rotation, wrap
from envs._push_t_policy import Pusher
from envs._world import World

REACHED, ALIGNED = 20.0, np.pi / 9  # of the four coordinates together, and of the angle
GOAL_OVERLAY = 256.0, 256.0, np.pi / 4  # where the outline to fill is painted; it never moves
FASTEST = 400.0  # units per second and axis; the agent comes to 377

# The published picture, pymunk's debug drawing: shapes are filled with a lighter shade of their colour and edged with
# the colour itself, the block up to 2 units beyond its outline. Walls are light grey lines.
BLOCK_EDGE, AGENT_EDGE, LIGHTER = 2.0, 4.0, 1.2
WALL_LINE, WALL_GREY = 4.0, 211
TOGETHER = 64  # pictures drawn at a time: more than that leave the processor's cache


class _Options(Options):
    """Colours are those of outlines, fillings are lighter. Sizes multiply what is drawn and what collides."""

    dynamics: ClassVar = frozenset({"agent_size", "block_size"})

    agent_color: Color = "royalblue"
    block_color: Color = "lightslategray"
    background: Color = "white"
    goal_color: Color = "lightgreen"
    goal_overlay: bool = True
    agent_size: float = Field(default=1.0, ge=0.5, le=1.5)
    block_size: float = Field(default=1.0, ge=0.5, le=1.5)


class PushT(World):
    """Actions are where the agent heads for, relative to where it is (x to the right, y down), +-1 being 100 units.

    The block's position is that of the middle of its bar's outer edge, its angle is in [0, 2 pi). The goal is the whole
    state, agent included, and has nothing to do with the painted overlay.
    """

    version = 1
    state_names = ("agent_x", "agent_y", "block_x", "block_y", "block_angle", "agent_velocity_x", "agent_velocity_y")
    quantities: ClassVar = {
        "agent_position": ("agent_x", "agent_y"),
        "block_position": ("block_x", "block_y"),
        "block_orientation": ("block_angle",),
        "agent_velocity": ("agent_velocity_x", "agent_velocity_y"),
    }
    angles = ("block_angle",)
    action_dim = 2
    frameskip = 5
    goal_offset = 25
    budget = 50
    episode_steps = 100
    render_fps = 10
    data_note = (
        "The papers use the demonstrations that come with DINO-WM (pusht_noise); these episodes are of a scripted "
        "pusher, mixed with random actions near the block."
    )
    source_columns = ("state",)
    Options: ClassVar = _Options

    def __init__(self, **options):
        super().__init__(**options)
        self.physics = Physics(self.options.agent_size, self.options.block_size)

    def sample(self, n, rng):
        """Uniform over the published ranges, as far as nothing touches; at rest."""
        states = np.zeros((n, len(self.state_names)))
        left = np.arange(n)
        while len(left):
            states[left, :2] = rng.uniform(50, 450, (len(left), 2))
            states[left, 2:4] = rng.uniform(100, 400, (len(left), 2))
            states[left, 4] = rng.uniform(0, TURN, len(left))
            drawn = states[left]
            touches = self.physics.clearance(drawn, drawn[:, None, :2])[:, 0] < self.physics.radius + 1
            left = left[touches | self.physics.way_inside(drawn).any(axis=1)]
        return states

    def step(self, states, actions):
        return self.physics.step(states, np.clip(actions, -1, 1, dtype=np.float64))

    def contains(self, states):
        """Whether the agent's centre and all of the block are inside the walls. Agent and block may overlap: pushed
        into a wall, the block has nowhere to go, and the agent does not stop.
        """
        agent = np.all((states[:, :2] >= INNER_LOW) & (states[:, :2] <= INNER_HIGH), axis=1)
        slow = np.all(np.abs(states[:, 5:7]) <= FASTEST, axis=1)
        angle = (states[:, 4] >= 0) & (states[:, 4] < TURN)
        return agent & slow & angle & np.all(np.abs(self.physics.way_inside(states)) < 1e-6, axis=1)

    def draw(self, states, out):
        """The block over walls and overlay, the agent over both."""
        out[:] = _background(out.shape[1], self.options)
        for start in range(0, len(states), TOGETHER):
            some = slice(start, start + TOGETHER)
            self._draw_block(states[some], out[some])
            self._draw_agent(states[some], out[some])

    def _draw_block(self, states, out):
        pixel, unit = out.shape[1] / CANVAS, self.physics.scale * out.shape[1] / CANVAS
        edge = BLOCK_EDGE * pixel
        middle = self.physics.out_of_block(states, MIDDLE[None])[:, 0]
        corners, x, y = _window(middle * pixel, EXTENT * unit + edge, out.shape[1])
        across, along = _in_frame(states, x, y)
        along += np.float32(MIDDLE[1] * unit)
        outer, inner = _tee(across, along, unit, edge), _tee(across, along, unit, -edge)
        _blend(out, corners, (outer, rgb(self.options.block_color)), (inner, _lighter(self.options.block_color)))

    def _draw_agent(self, states, out):
        pixel = out.shape[1] / CANVAS
        radius = self.physics.radius * pixel
        corners, x, y = _window(states[:, :2] * pixel, radius, out.shape[1])
        away = np.sqrt(x[:, None, :] ** 2 + y[:, :, None] ** 2)
        outer, inner = _within(away, radius), _within(away, radius - AGENT_EDGE * pixel)
        _blend(out, corners, (outer, rgb(self.options.agent_color)), (inner, _lighter(self.options.agent_color)))

    def distance(self, states, goals):
        """Euclidean, over the coordinates of agent and block together; the angle is left to `solved`."""
        return np.linalg.norm(states[:, :4] - goals[:, :4], axis=1)

    def solved(self, states, goals):
        return (self.distance(states, goals) < REACHED) & (_angle_between(states, goals) < ALIGNED)

    def policy(self, n, rng):
        return Pusher(self.physics, n, rng)

    def coverage(self, states):
        """A step moves the block if by more than half a unit or a hundredth of a radian."""
        sectors = np.histogram(states[..., 4], bins=12, range=(0, TURN))[0]
        numbers = {
            "share of steps in which the block moves": _moved(states[:, :-1], states[:, 1:]).mean(),
            "the rarest of 12 orientations, relative to an even share": sectors.min() / sectors.mean(),
        }
        if states.shape[1] > self.goal_offset:
            pairs = (states[:, : -self.goal_offset], states[:, self.goal_offset :])
            starts, goals = (part.reshape(-1, states.shape[2]) for part in pairs)
            ahead = f"share of goals {self.goal_offset} steps ahead"
            numbers[f"{ahead} to which the block has to move"] = _moved(starts, goals).mean()
            numbers[f"{ahead} that are solved already"] = self.solved(starts, goals).mean()
        return {name: float(number) for name, number in numbers.items()}

    def from_source(self, columns):
        """The same seven numbers, those of the block from a substep earlier."""
        states = np.array(columns["state"], np.float64)
        states[:, 4] = wrap(states[:, 4])
        return states


def _angle_between(a, b):
    """a, b (..., S) -> how far apart the block's angles are, in [0, pi]."""
    turn = np.abs(a[..., 4] - b[..., 4]) % TURN
    return np.minimum(turn, TURN - turn)


def _moved(before, after):
    shift = np.linalg.norm(after[..., 2:4] - before[..., 2:4], axis=-1)
    return (shift > 0.5) | (_angle_between(before, after) > 0.01)


def _lighter(color):
    return np.minimum(LIGHTER * rgb(color), 255)


def _window(centres, reach, size):
    """Windows onto all that lies within `reach` of centres (n, 2), in pixels, or as much as the picture has of it.

    -> their first columns and rows (n, 2), and how far the middles of their pixels are from the centre, along x and
    along y (n, width) float32.
    """
    reach = int(np.ceil(reach + 1.25))  # half a pixel's diagonal, and what rounding the centre costs
    width = min(size, 2 * reach + 1)
    corners = np.clip(np.floor(centres).astype(int) - reach, 0, size - width)
    offsets = (corners[:, :, None] + (np.arange(width) + 0.5) - centres[:, :, None]).astype(np.float32)
    return corners, offsets[:, 0], offsets[:, 1]


def _in_frame(states, x, y):
    """x, y (n, width) from a point on the canvas -> across and along the block's stem (n, width, width), rows first."""
    cosine, sine = (part.astype(np.float32) for part in rotation(states))
    across = (cosine * x)[:, None, :] + (sine * y)[:, :, None]
    along = (cosine * y)[:, :, None] - (sine * x)[:, None, :]
    return across, along


def _within(away, half):
    """The share of a pixel, `away` from the middle of a band `half` to either side, that the band covers."""
    return np.clip(np.float32(half + 0.5) - np.abs(away), 0, np.float32(min(1, 2 * half)))


def _tee(across, along, unit, grown):
    """The share of pixels that the T covers, its outline `grown`. Stem and bar overlap, or a seam would show."""
    bar = _within(across, 2 * unit + grown) * _within(along - np.float32(0.5 * unit), 0.5 * unit + grown)
    stem = _within(across, 0.5 * unit + grown) * _within(along - np.float32(2 * unit), 2 * unit + grown)
    return np.maximum(bar, stem)


def _blend(out, corners, *layers):
    """Paint layers, each of a share of pixels (n, width, width) and a colour (3,), into windows at corners (n, 2)."""
    width = layers[0][0].shape[1]
    windows = sliding_window_view(out, (width, width), axis=(1, 2), writeable=True)
    here = np.arange(len(out)), corners[:, 1], corners[:, 0]
    patch = windows[here].astype(np.float32)
    for share, color in layers:
        patch += share[:, None] * (color.astype(np.float32)[:, None, None] - patch)
    windows[here] = (patch + np.float32(0.5)).astype(np.uint8)


@lru_cache(maxsize=8)
def _background(size, options):
    """What never moves: walls and overlay -> (size, size, 3) uint8."""
    picture = np.empty((1, size, size, 3), np.uint8)
    picture[:] = rgb(options.background)
    everywhere, pixel = np.zeros((1, 2), int), size / CANVAS
    middles = np.arange(size, dtype=np.float32)[None] + np.float32(0.5)
    if options.goal_overlay:
        x, y, angle = GOAL_OVERLAY
        pose = np.array([[0, 0, x, y, angle, 0, 0]])
        frame = _in_frame(pose, middles - np.float32(x * pixel), middles - np.float32(y * pixel))
        share = _tee(*frame, SCALE * options.block_size * pixel, 0)
        _blend(picture, everywhere, (share, rgb(options.goal_color)))
    _blend(picture, everywhere, (_wall_lines(size)[None], np.full(3, WALL_GREY)))
    return picture[0]


def _wall_lines(size):
    """The share of pixels that is wall: a square frame of lines that end at the inner faces -> (size, size) float32."""
    middle, half = (INNER_LOW + INNER_HIGH) / 2, (INNER_HIGH - INNER_LOW) / 2
    away = ((np.arange(size) + 0.5) * CANVAS / size - middle) * size / CANVAS
    outer, inner = (_within(away, reach * size / CANVAS) for reach in (half + WALL_LINE, half))
    return (np.outer(outer, outer) - np.outer(inner, inner)).astype(np.float32)


WORLD = PushT()
