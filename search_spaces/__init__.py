"""Sweeps: what is compared with what. One sweep is one file that begins with its question and ends with `SWEEP`."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from search_spaces._sweep import Sweep
from trainables import plugins
from trainables.settings import ConfigError

__all__ = ["Sweep", "load", "names"]


def names() -> list[str]:
    """The sweeps of this folder, sorted; files that start with an underscore are machinery."""
    return sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))


def load(name: str) -> Sweep:
    """The sweep of that name; ConfigError naming the nearest one if there is none."""
    try:
        plugins.require("sweep", name, names())
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return import_module(f"{__name__}.{name}").SWEEP
