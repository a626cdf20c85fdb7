"""Worlds as an agent sees them. One world is one file here; its file name is its name everywhere.

A world file ends with `WORLD = <its class>()`. Files that start with an underscore are machinery, and `collect` is
the command that records episodes.
Importing this package registers one gymnasium id per world file (two_room -> wm/TwoRoom-v0) and imports none of them.
"""

import json
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache, lru_cache
from importlib import import_module
from pkgutil import iter_modules

import gymnasium

from envs._episodes import SPLITS, Clips, Episodes
from envs._options import Options
from envs._recording import Recording, record
from envs._world import Policy, World

__all__ = [
    "SPLITS",
    "Clips",
    "Episodes",
    "Options",
    "Policy",
    "Recording",
    "World",
    "gymnasium_id",
    "load",
    "names",
    "record",
]


def names() -> list[str]:
    """The worlds of this folder, sorted."""
    return list(_names())


def load(name: str, options: Mapping[str, object] | None = None) -> World:
    """The world of that name, with `options` unlike its defaults.

    An unknown name or option is a ValueError; a missing simulator is that world's ImportError.
    """
    if name not in names():
        nearest = get_close_matches(name, names(), n=1, cutoff=0.0)[0]
        raise ValueError(f"unknown world {name!r}, did you mean {nearest!r}? There are: {', '.join(names())}")
    world = import_module(f"{__name__}.{name}").WORLD
    return _load(name, json.dumps(world.unlike_defaults(options), sort_keys=True)) if options else world


@lru_cache(maxsize=64)  # a world may hold a simulator
def _load(name: str, options: str) -> World:
    world = import_module(f"{__name__}.{name}").WORLD
    return type(world)(**json.loads(options)) if options != "{}" else world


def gymnasium_id(name: str) -> str:
    """two_room -> wm/TwoRoom-v0"""
    return f"wm/{name.title().replace('_', '')}-v0"


@cache  # every id of a trial asks
def _names() -> tuple[str, ...]:
    return tuple(
        sorted(
            module.name
            for module in iter_modules(__path__)
            if not module.name.startswith("_") and module.name != "collect"
        )
    )


for _name in names():
    gymnasium.register(gymnasium_id(_name), entry_point="envs._gym:WorldEnv", kwargs={"world": _name})
