"""The dot world "Independent" (SMWM, arXiv:2606.20104): two dots, each with a displacement of its own."""

from envs._dots import Dots


class DotsIndependent(Dots):
    """Two dots, four actions: four true dimensions."""

    groups = "independent+independent"


WORLD = DotsIndependent()
