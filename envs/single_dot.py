"""The dot world with one dot (SMWM, arXiv:2606.20104): the action is its displacement in pixels."""

from envs._dots import Dots


class SingleDot(Dots):
    """One dot that the action moves: two true dimensions."""

    groups = "independent"


WORLD = SingleDot()
