"""The dot world "Combined" (SMWM, arXiv:2606.20104): a coupled pair, two dots on their own, and one moved by chance."""

from envs._dots import Dots


class DotsCombined(Dots):
    """Five dots, six actions: six true dimensions."""

    groups = "coupled+independent+independent+random"


WORLD = DotsCombined()
