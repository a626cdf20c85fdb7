"""Push-T's geometry and physics: a kinematic disc pushes a T in a box, quasi-statically, by pymunk (Chipmunk).

Numbers are those of stable-worldmodel's PushT (arXiv:2602.08968), which go back to Diffusion Policy (arXiv:2303.04137);
the T has the latter's size, as in DINO-WM (arXiv:2411.04983): that asks for a scale of 40, but gets 30, as its add_tee
and for long stable-worldmodel's set that themselves. Two things are done differently:

A kinematic agent passes through walls and can squeeze the block through them, never to be seen again. Here its target
is kept inside, walls have no far side, and what a step leaves of the block in a wall is moved out of it.

Chipmunk moves bodies by their velocities first and lets contacts set new ones last. Here a step goes on to move the
block once more. With damping 0 no velocity of the block outlasts that, so the published seven numbers are the whole
state. Only contact impulses cached from step to step are lost: where the solver starts from, not what it aims at.
"""

from __future__ import annotations

import numpy as np

try:
    import pymunk
except ImportError as error:
    raise ImportError("push_t needs its simulator: pip install 'pymunk>=7.3'") from error

CANVAS = 512.0
INNER_LOW, INNER_HIGH = 7.0, 504.0  # what the walls enclose: lines from 5 to 506, 2 thick on either side
RADIUS = 15.0  # of the agent
SCALE = 30.0  # of the T: its bar is 4 x 1, its stem 1 x 3 of these
REACH = 100.0  # from the agent to its target at an action of 1
TARGET_LOW, TARGET_HIGH = 20.0, 492.0
K_P, K_V = 100.0, 20.0
SUBSTEPS, DT = 10, 0.01  # seconds
THICKNESS = 500.0  # of the walls, outwards
TURN = 2 * np.pi

# The T in its own frame, in units of its scale: the origin is the middle of the bar's outer edge, the stem points to
# +y. Each box is (centre x, centre y, half width, half height); they touch at y = 1.
BAR, STEM = (0.0, 0.5, 2.0, 0.5), (0.0, 2.5, 0.5, 1.5)
CORNERS = np.array([[-2, 0], [2, 0], [2, 1], [0.5, 1], [0.5, 4], [-0.5, 4], [-0.5, 1], [-2, 1]])
# The smallest circle around the T: as far from (2, 0) as from (0.5, 4).
MIDDLE = np.array([0.0, 12.25 / 8])
EXTENT = float(np.hypot(2.0, 12.25 / 8))


def wrap(angles):
    """Angles in radians -> the same in [0, 2 pi)."""
    wrapped = np.mod(angles, TURN)
    return np.where(wrapped < TURN, wrapped, 0.0)  # the remainder of -1e-20 is rounded up to a full turn


def rotation(states):
    """states (n, S) -> cosine and sine (n, 1) of the block's angle. Contiguous, as strides may change last bits."""
    angles = np.ascontiguousarray(states[:, 4:5])
    return np.cos(angles), np.sin(angles)


class Physics:
    """The dynamics for one size of agent and block. It keeps no state, so that threads may share it."""

    def __init__(self, agent_size: float = 1.0, block_size: float = 1.0):
        self.radius = RADIUS * agent_size
        self.scale = SCALE * block_size
        self._polygons = [_box_corners(box, self.scale) for box in (BAR, STEM)]
        # As published: the moment of two bars about the origin, for a mass of 1.
        self._moment = 2 * pymunk.moment_for_poly(1, self._polygons[0])
        self._gravity_centre = (0.0, (BAR[1] + STEM[1]) / 2 * self.scale)

    def step(self, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """states (n, 7), actions (n, 2) in [-1, 1] -> the next states (n, 7)."""
        positions, velocities = agent_path(states, actions)
        following = np.concatenate([positions[:, -1], states[:, 2:5], velocities[:, -1]], axis=1)
        touched = self.clearance(states, positions).min(axis=1) < self.radius + 0.01
        for row in np.flatnonzero(touched):
            following[row, 2:5] = self._push(states[row].tolist(), velocities[row].tolist())
        following[:, 4] = wrap(following[:, 4])
        following[:, 2:4] += self.way_inside(following)
        return following

    def clearance(self, states: np.ndarray, points: np.ndarray) -> np.ndarray:
        """states (n, 7), points (n, k, 2) -> (n, k) distances to the outline of the block, negative inside."""
        x, y = self.into_block(states, points)
        return np.minimum(_to_box(x, y, BAR), _to_box(x, y, STEM)) * self.scale

    def into_block(self, states: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """states (n, 7), points (n, k, 2) on the canvas -> x, y (n, k) in the block's frame, in units of its scale."""
        cosine, sine = rotation(states)
        x, y = points[..., 0] - states[:, 2:3], points[..., 1] - states[:, 3:4]
        return (cosine * x + sine * y) / self.scale, (cosine * y - sine * x) / self.scale

    def out_of_block(self, states: np.ndarray, points: np.ndarray) -> np.ndarray:
        """The inverse: states (n, 7), points (k, 2) or (n, k, 2) in the block's frame -> (n, k, 2) on the canvas."""
        cosine, sine = rotation(states)
        x, y = self.scale * points[..., 0], self.scale * points[..., 1]
        turned = np.stack([cosine * x - sine * y, sine * x + cosine * y], axis=-1)
        return states[:, None, 2:4] + turned

    def way_inside(self, states: np.ndarray) -> np.ndarray:
        """states (n, 7) -> (n, 2) the shortest shift along x and y that takes the block out of the walls."""
        corners = self.out_of_block(states, CORNERS)
        return np.maximum(INNER_LOW - corners.min(axis=1), 0) + np.minimum(INNER_HIGH - corners.max(axis=1), 0)

    def _push(self, state, velocities):
        """One state (7,) and the agent's velocities (SUBSTEPS, 2) -> the block's next x, y and angle.

        In a space of its own: Chipmunk remembers contacts, and even the order in which shapes were ever added matters
        to the last bit.
        """
        space, agent, block = self._space()
        agent.position = state[0], state[1]
        block.angle = state[4]
        block.position = state[2], state[3]  # after the angle, which turns the block about its centre of gravity
        for velocity in velocities:
            agent.velocity = velocity
            space.step(DT)
        pymunk.Body.update_position(block, DT)
        return *block.position, block.angle

    def _space(self):
        space = pymunk.Space()
        space.damping = 0
        block = pymunk.Body(1, self._moment)
        shapes = [pymunk.Poly(block, polygon) for polygon in self._polygons]
        block.center_of_gravity = self._gravity_centre
        agent = pymunk.Body(body_type=pymunk.Body.KINEMATIC)
        walls = [pymunk.Segment(space.static_body, *ends, THICKNESS) for ends in _WALLS]
        space.add(*walls, agent, pymunk.Circle(agent, self.radius), block, *shapes)
        return space, agent, block


def agent_path(states, actions):
    """Where the agent is and how fast after each substep -> positions, velocities (n, SUBSTEPS, 2).

    Its target is relative to where it starts; nothing holds it up.
    """
    position, velocity = states[:, 0:2], states[:, 5:7]
    target = np.clip(position + REACH * actions, TARGET_LOW, TARGET_HIGH)
    positions, velocities = np.empty((2, len(states), SUBSTEPS, 2))
    for substep in range(SUBSTEPS):
        velocity = velocity + (K_P * (target - position) - K_V * velocity) * DT
        position = position + velocity * DT
        positions[:, substep], velocities[:, substep] = position, velocity
    return positions, velocities


def _to_box(x, y, box):
    centre_x, centre_y, half_width, half_height = box
    beyond_x, beyond_y = np.abs(x - centre_x) - half_width, np.abs(y - centre_y) - half_height
    outside = np.sqrt(np.maximum(beyond_x, 0) ** 2 + np.maximum(beyond_y, 0) ** 2)
    return outside + np.minimum(np.maximum(beyond_x, beyond_y), 0)


def _box_corners(box, scale):
    centre_x, centre_y, half_width, half_height = box
    signs = (-1, -1), (1, -1), (1, 1), (-1, 1)
    return [(scale * (centre_x + i * half_width), scale * (centre_y + j * half_height)) for i, j in signs]


def _wall_ends():
    """The middle lines of the four walls, long enough to leave no gap at the corners."""
    low, high = INNER_LOW - THICKNESS, INNER_HIGH + THICKNESS
    corners = [(low, low), (high, low), (high, high), (low, high)]
    return list(zip(corners, corners[1:] + corners[:1], strict=True))


_WALLS = _wall_ends()
