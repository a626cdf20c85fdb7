"""Kinds of space: functions that return arms, a name and what it changes, by dotted path."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Arm:
    """A config without its seed, as what it changes of the sweep's base."""

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)


def levels(path: str, values: Iterable[Any]) -> list[Arm]:
    """One arm per value of one setting, named by the value: levels("predictor.size", ("tiny", "small"))."""
    return [Arm(_text(value), {path: value}) for value in values]


def methods(*names: str) -> list[Arm]:
    """One arm per method."""
    return levels("method", names)


def grid(axes: Mapping[str, Sequence[Any]]) -> list[Arm]:
    """Every combination of the axes' values."""
    return [_named(dict(zip(axes, values, strict=True))) for values in itertools.product(*axes.values())]


def zipped(axes: Mapping[str, Sequence[Any]]) -> list[Arm]:
    """The axes side by side, first with first and so on; axes of different lengths are a ValueError."""
    return [_named(dict(zip(axes, values, strict=True))) for values in zip(*axes.values(), strict=True)]


def ablate(changes: Mapping[str, Any]) -> list[Arm]:
    """The base itself, an arm named "base", then each single change of it."""
    return [
        Arm("base"),
        *(Arm(f"{label}={_text(changes[path])}", {path: changes[path]}) for path, label in _labels(changes)),
    ]


def _named(changes: dict[str, Any]) -> Arm:
    return Arm(" ".join(f"{label}={_text(changes[path])}" for path, label in _labels(changes)), changes)


def _labels(paths: Iterable[str]) -> list[tuple[str, str]]:
    """(path, its last word), or the whole path where two end alike."""
    last = [path.rpartition(".")[2] for path in paths]
    return [(path, word if last.count(word) == 1 else path) for path, word in zip(paths, last, strict=True)]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, int | float) else str(value)
