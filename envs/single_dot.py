"""The dot world with one dot (SMWM, arXiv:2606.20104): the action is the displacement, in pixels of a 64-pixel canvas.

There, training pairs are independent; here they form episodes in which a displacement that would leave the field is cut
short, and the policy's actions are the displacements that happen.
"""

from typing import ClassVar

import numpy as np

from envs._world import World

CANVAS = 64
RADIUS = 2
REACH = 16  # the largest displacement per axis
LOW, HIGH = RADIUS + REACH, CANVAS - 1 - RADIUS - REACH  # 18 to 45
REACHED = 3.0


class SingleDot(World):
    """A red disc on white at whole-numbered positions (x to the right, y down); +-1 is a displacement of 16 pixels."""

    version = 1
    state_names = ("dot_x", "dot_y")
    quantities: ClassVar = {"dot_position": ("dot_x", "dot_y")}
    action_dim = 2
    frameskip = 1
    goal_offset = 5
    budget = 10
    episode_steps = 16
    render_fps = 4

    def sample(self, n, rng):
        return rng.integers(LOW, HIGH + 1, (n, 2)).astype(np.float64)

    def step(self, states, actions):
        return np.clip(states + np.rint(REACH * np.clip(actions, -1, 1, dtype=np.float64)), LOW, HIGH)

    def contains(self, states):
        return np.all((states >= LOW) & (states <= HIGH) & (states == np.rint(states)), axis=1)

    def draw(self, states, out):
        """A pixel is red if its middle lies within the radius of the dot's middle; at 64 pixels these are 13.

        Under 32 pixels the radius stays at one pixel, or the dot could fall between the pixels.
        """
        size = out.shape[1]
        scale = size / CANVAS
        centres = (states + 0.5) * scale - 0.5
        radius = max(RADIUS * scale, 1.0)
        corners = np.ceil(centres - radius).astype(int)
        pixels = corners[:, :, None] + np.arange(int(2 * radius) + 1)
        squares = (pixels - centres[:, :, None]) ** 2
        red = squares[:, 1, :, None] + squares[:, 0, None, :] <= radius**2 + 1e-9
        n, row, column = np.nonzero(red)
        out[:] = 255
        out[n, pixels[n, 1, row], pixels[n, 0, column], 1:] = 0

    def distance(self, states, goals):
        return np.linalg.norm(states - goals, axis=1)

    def solved(self, states, goals):
        return self.distance(states, goals) <= REACHED

    def policy(self, n, rng):
        return _UniformDisplacements(rng)


class _UniformDisplacements:
    """Uniform whole-numbered displacements, cut short at the edge of the field."""

    def __init__(self, rng):
        self.rng = rng

    def act(self, states):
        wanted = self.rng.integers(-REACH, REACH + 1, states.shape)
        return (np.clip(states + wanted, LOW, HIGH) - states) / REACH


WORLD = SingleDot()
