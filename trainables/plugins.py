"""Plug-in folders: one new thing is one new file, and its file name is its name everywhere."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parent


def names(folder: str) -> list[str]:
    """Every plug-in of `trainables/<folder>/`; files that start with an underscore are machinery."""
    return list(_names(folder))


def load(folder: str, name: str) -> ModuleType:
    """The module `trainables/<folder>/<name>.py`; an unknown name raises ValueError with the nearest valid one."""
    require(folder, name, names(folder))
    return import_module(f"trainables.{folder}.{name}")


@cache  # every id of a trial asks
def _names(folder: str) -> tuple[str, ...]:
    return tuple(sorted(file.stem for file in (ROOT / folder).glob("[!_]*.py")))


def require(what: str, name: object, valid: list[str]) -> None:
    """Raise ValueError unless `name` is one of `valid`; the message holds the nearest and all valid names."""
    if name not in valid:
        raise ValueError(f"{what}: {name!r} is unknown{nearest(name, valid)}; valid: {', '.join(valid)}")


def nearest(name: object, valid: list[str]) -> str:
    """Words that point a misspelt `name` to the closest of `valid`; empty if none is close."""
    close = get_close_matches(str(name), valid, n=1, cutoff=0.5)
    return f", did you mean {close[0]!r}?" if close else ""
