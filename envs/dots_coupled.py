"""The dot world "Coupled" (SMWM, arXiv:2606.20104): a pair of dots that share one displacement."""

from envs._dots import Dots


class DotsCoupled(Dots):
    """Two dots, two actions: two true dimensions."""

    groups = "coupled"


WORLD = DotsCoupled()
