"""The policy that Push-T's episodes are recorded with: most episodes push the block about, some fidget near it."""

from __future__ import annotations

import numpy as np

from envs._push_t_physics import CORNERS, EXTENT, MIDDLE, REACH, TARGET_HIGH, TARGET_LOW, TURN, Physics, rotation

_EDGES = np.roll(CORNERS, -1, axis=0) - CORNERS
_LENGTHS = np.hypot(*_EDGES.T)
_ALONG = _EDGES / _LENGTHS[:, None]
_OUTWARD = np.stack([_ALONG[:, 1], -_ALONG[:, 0]], axis=1)


class Pusher:
    """Walks around the block to a point of its outline, pushes there, and chooses another point.

    A push is drawn anew until the agent has room to stand and the block to go; of three such the nearest is made. An
    episode in which the agent fidgets is, as stable-worldmodel's weak policy, uniform over where it could head for
    within 100 units of the block. All random numbers are drawn for everyone at each step, so that what one episode does
    shifts no other's.
    """

    FIDGETS = 0.2  # share of episodes
    NEAR = 100.0  # per axis
    DRAWN, COMPARED = 12, 3  # pushes drawn per step, and how many of those that can be made are compared
    TILT = 0.35  # standard deviation of a push's direction from the outline's normal, in radians
    LENGTH = 40.0, 160.0
    PACE = 0.15, 0.45  # of a push: the length of its actions
    WALK = 0.6  # the same on the way there, at most
    JITTER = 0.05  # standard deviation of the noise on every action
    STRIDE = 40.0  # how far the agent comes in a step at an action of 1
    GAP = 8.0  # between agent and outline before a push
    ROOM = 3.0  # kept between agent and outline on the way there
    LEAD = 0.5  # how far ahead on its way around the block the agent aims, in radians
    MARGIN = 0.8  # how near to the walls the middle of the block is to go, in units of the circle around it
    PATIENCE = 40  # steps on the way before another push is chosen

    def __init__(self, physics: Physics, n: int, rng: np.random.Generator):
        self.physics, self.rng = physics, rng
        self.fidgets = rng.random(n) < self.FIDGETS
        self.pushing = np.zeros(n, bool)
        self.left = np.zeros(n)  # steps until another push is chosen
        self.stand = np.zeros((n, 2))  # where to push from and in which direction, in the block's frame
        self.inward = np.zeros((n, 2))
        self.length, self.pace, self.turn = np.zeros(n), np.zeros(n), np.ones(n)
        self.heading = np.zeros((n, 2))  # of the push being made, on the canvas

    def act(self, states: np.ndarray) -> np.ndarray:
        fidgeting, jitter = self._fidget(states), self.JITTER * self.rng.standard_normal((len(states), 2))
        self._choose(states, *self._draw(len(states)))
        self._set_out(states)
        self.left -= 1
        walking = _shortened(self._waypoints(states) - states[:, :2], self.STRIDE * self.WALK) / self.STRIDE
        pushing = np.where(self.pushing[:, None], self.pace[:, None] * self.heading, walking) + jitter
        return np.clip(np.where(self.fidgets[:, None], fidgeting, pushing), -1, 1)

    def _fidget(self, states):
        aims = states[:, :2] + REACH * self.rng.uniform(-1, 1, (len(states), 2))
        return (np.clip(aims, states[:, 2:4] - self.NEAR, states[:, 2:4] + self.NEAR) - states[:, :2]) / REACH

    def _draw(self, n):
        """Pushes -> where to stand, which way (n, DRAWN, 2; in the block's frame), how far and at what pace."""
        at, share, length, pace = self.rng.random((4, n, self.DRAWN))
        tilt = self.TILT * self.rng.standard_normal((n, self.DRAWN))
        edge = np.searchsorted(np.cumsum(_LENGTHS), at * _LENGTHS.sum(), side="right")
        away = (self.physics.radius + self.GAP) / self.physics.scale
        stand = CORNERS[edge] + share[..., None] * _EDGES[edge] + away * _OUTWARD[edge]
        inward = _turned(-_OUTWARD[edge], np.cos(tilt)[..., None], np.sin(tilt)[..., None])
        return stand, inward, _between(self.LENGTH, length), _between(self.PACE, pace)

    def _choose(self, states, stand, inward, length, pace):
        """Whoever is done with a push takes the nearest of the first few drawn that can be made."""
        places = self.physics.out_of_block(states, stand)
        possible = self._possible(states, places, inward, length)
        compared = possible & (np.cumsum(possible, axis=1) <= self.COMPARED)
        distance = np.linalg.norm(places - states[:, None, :2], axis=2)
        best = np.arange(len(states)), np.argmin(np.where(compared, distance, 1e6 + distance), axis=1)
        done = self.left <= 0
        self.stand[done], self.inward[done] = stand[best][done], inward[best][done]
        self.length[done], self.pace[done] = length[best][done], pace[best][done]
        self.turn[done] = np.sign(_angle_between(*self._seen_from_block(states)))[done]
        self.left[done] = self.PATIENCE
        self.pushing &= ~done

    def _possible(self, states, places, inward, length):
        """Whether the agent can stand there, and the middle of the block go that far -> (n, DRAWN) bool."""
        free = self.physics.clearance(states, places) > self.physics.radius + self.GAP - 0.1
        within = ((places >= TARGET_LOW) & (places <= TARGET_HIGH)).all(axis=2)
        ends = self._middle(states)[:, None] + length[..., None] * self._on_canvas(states, inward)
        margin = self.MARGIN * EXTENT * self.physics.scale
        return free & within & ((ends >= TARGET_LOW + margin) & (ends <= TARGET_HIGH - margin)).all(axis=2)

    def _set_out(self, states):
        """Whoever has come to where it pushes from starts to push, in a direction that then stays."""
        place = self._place(states)
        arrives = ~self.pushing & (np.linalg.norm(place - states[:, :2], axis=1) < self.GAP)
        self.heading[arrives] = self._on_canvas(states, self.inward[:, None])[arrives, 0]
        steps = (self.GAP + self.length) / (self.STRIDE * np.maximum(self.pace, 1e-9))
        self.left = np.where(arrives, np.ceil(steps), self.left)
        self.pushing |= arrives

    def _waypoints(self, states):
        """Straight on if the block is not in the way, else around it on a circle -> (n, 2)."""
        place = self._place(states)
        line = states[:, None, :2] + np.linspace(0, 1, 13)[1:, None] * (place - states[:, :2])[:, None]
        clear = self.physics.clearance(states, line).min(axis=1) > self.physics.radius + self.ROOM
        agent, _ = self._seen_from_block(states)
        orbit = EXTENT * self.physics.scale + self.physics.radius + 2 * self.ROOM
        far = np.linalg.norm(agent, axis=1) > 0.9 * orbit  # nearer, it first backs off
        for _ in range(2):  # the second time for those who turned round at a wall
            lead = self.LEAD * self.turn * far
            ahead = _shortened(_turned(agent, np.cos(lead)[:, None], np.sin(lead)[:, None]), orbit, lengthen=True)
            around = self._middle(states) + ahead
            outside = ((around < TARGET_LOW) | (around > TARGET_HIGH)).any(axis=1)
            self.turn = np.where(outside & far & ~clear, -self.turn, self.turn)
        return np.where(clear[:, None], place, around)

    def _place(self, states):
        return self.physics.out_of_block(states, self.stand[:, None])[:, 0]

    def _middle(self, states):
        return self.physics.out_of_block(states, MIDDLE[None])[:, 0]

    def _seen_from_block(self, states):
        """Agent and place to push from, relative to the middle of the block -> two (n, 2)."""
        middle = self._middle(states)
        return states[:, :2] - middle, self._place(states) - middle

    def _on_canvas(self, states, directions):
        """directions (n, k, 2) in the block's frame -> the same on the canvas."""
        cosine, sine = rotation(states)
        return _turned(directions, cosine[:, None], sine[:, None])


def _between(bounds, shares):
    low, high = bounds
    return low + (high - low) * shares


def _turned(vectors, cosine, sine):
    """vectors (..., 2) turned by angles whose cosine and sine (..., 1) are given."""
    x, y = vectors[..., :1], vectors[..., 1:]
    return np.concatenate([cosine * x - sine * y, sine * x + cosine * y], axis=-1)


def _shortened(vectors, length, lengthen=False):
    """vectors (n, 2), none longer than length, or all as long."""
    norm = np.maximum(np.linalg.norm(vectors, axis=1), 1e-9)
    factor = length / norm if lengthen else np.minimum(length / norm, 1)
    return vectors * factor[:, None]


def _angle_between(a, b):
    """a, b (n, 2) -> how far to turn from a to b, in [-pi, pi)."""
    turn = np.arctan2(b[:, 1], b[:, 0]) - np.arctan2(a[:, 1], a[:, 0])
    return (turn + np.pi) % TURN - np.pi
