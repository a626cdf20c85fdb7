"""The dot world "Static" (SMWM, arXiv:2606.20104): a dot that the action moves and one that never moves."""

from envs._dots import Dots


class DotsStatic(Dots):
    """Two dots, two actions: two true dimensions."""

    groups = "independent+static"


WORLD = DotsStatic()
