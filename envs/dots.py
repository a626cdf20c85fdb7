"""A dot world of any composition (see arXiv:2606.20104): the option `groups` says which dots there are."""

from typing import ClassVar

from envs._dots import DotOptions, Dots, Groups


class _Options(DotOptions):
    """Groups of dots, and their looks."""

    dynamics: ClassVar = frozenset({"groups"})
    groups: Groups = "independent+coupled+random+static"


class DotsOfChoice(Dots):
    """One group of every kind unless told otherwise."""

    Options: ClassVar = _Options

    def _groups(self):
        return self.options.groups


WORLD = DotsOfChoice()
