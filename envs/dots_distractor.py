"""The dot world "Distractor" (SMWM, arXiv:2606.20104): a dot that the action moves and one that moves by chance."""

from envs._dots import Dots


class DotsDistractor(Dots):
    """Two dots, two actions: two true dimensions."""

    groups = "independent+random"


WORLD = DotsDistractor()
