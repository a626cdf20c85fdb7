"""Dimensions of a search: ranges and choices by dotted path, some of them there only with a certain choice."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trainables.settings import ConfigError


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; `log`: evenly on a logarithmic scale; `whole`: integers."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __contains__(self, value: object) -> bool:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.low <= value <= self.high and (not self.whole or isinstance(value, int))

    @property
    def examples(self) -> tuple[Any, ...]:
        """Its ends."""
        return self.low, self.high


@dataclass(frozen=True)
class Choice:
    """One of `values`; `then` has the dimensions that are there only with a certain value."""

    values: tuple[Any, ...]
    then: Mapping[Any, Space] = field(default_factory=dict)

    def __contains__(self, value: object) -> bool:
        return any(type(value) is type(known) and value == known for known in self.values)

    @property
    def examples(self) -> tuple[Any, ...]:
        """All of them."""
        return self.values


# What trials are judged by, and what they run with: where these differ, tasks are not the same, or the trial is.
DATA = ("data.world", "data.options", "data.source", "data.fingerprint", "data.seed", "data.held_out", "data.steps")
JUDGED = ("seed", *DATA, "protocol", "measures")
RUN = ("scale", "executor", "workers", "threads")
LARGEST = 1e15  # of a range's ends: beyond it, steps between numbers show
Dimension = Range | Choice
Space = Mapping[str, Dimension]


def uniform(low: float, high: float) -> Range:
    """Any number from `low` to `high`."""
    return _range(low, high)


def log_uniform(low: float, high: float) -> Range:
    """Any number from `low` > 0 to `high`, each factor as likely as another."""
    return _range(low, high, log=True)


def integers(low: int, high: int, *, log: bool = False) -> Range:
    """A whole number from `low` to `high`."""
    if not all(isinstance(end, int) and not isinstance(end, bool) for end in (low, high)):
        raise ConfigError(f"space: integers({low!r}, {high!r}) needs whole numbers")
    return _range(low, high, log=log, whole=True)


def choice(*values: Any, then: Mapping[Any, Space] | None = None) -> Choice:
    """One of `values`, with dimensions of their own by value: choice("conv", "vit", then={"vit": {...}})."""
    if len(values) < 2 or any(values.count(value) > 1 for value in values):
        raise ConfigError(f"space: choice{values} needs at least two values, each once")
    if not all(value is None or isinstance(value, str | int | float | bool) for value in values):
        raise ConfigError(f"space: choice{values} can hold text, numbers, truth values and None")
    if not isinstance(then, Mapping | None):
        raise ConfigError(f"space: then is {then!r}; give dimensions by value: then={{value: {{path: dimension}}}}")
    for value in then or {}:
        if value not in values:
            raise ConfigError(f"space: then has {value!r}, which is none of {', '.join(map(str, values))}")
    return Choice(values, dict(then or {}))


def dimensions(space: Space, when: tuple[str, Any] | None = None) -> Iterator[tuple[str, Dimension, Any]]:
    """(path, dimension, (path, value) that it is there with or None) of every dimension, conditional ones included."""
    for path, dimension in space.items():
        yield path, dimension, when
        if isinstance(dimension, Choice):
            for value, below in dimension.then.items():
                yield from dimensions(below, (path, value))


def present(space: Space, chosen: Mapping[str, Any]) -> dict[str, Dimension]:
    """The dimensions that are there for these choices, those above before those below."""
    found: dict[str, Dimension] = {}
    for path, dimension in space.items():
        found[path] = dimension
        if isinstance(dimension, Choice) and chosen.get(path) in dimension.then:
            found |= present(dimension.then[chosen[path]], chosen)
    return found


def corners(space: Space) -> dict[str, list[dict[str, Any]]]:
    """By dimension, choices that show its ends or every value, each with all that it brings along."""
    return {
        path: [_completed(space, {path: value} | _leading_to(space, path)) for value in dimension.examples]
        for path, dimension, _ in dimensions(space)
    }


def _leading_to(space: Space, path: str) -> dict[str, Any]:
    """The choices without which the dimension at `path` is not there."""
    hangs_on = next(when for name, _, when in dimensions(space) if name == path)
    return {hangs_on[0]: hangs_on[1], **_leading_to(space, hangs_on[0])} if hangs_on else {}


def _completed(space: Space, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """`chosen` and the first value of every other dimension that is there."""
    found = dict(chosen)
    while missing := [path for path in present(space, found) if path not in found]:
        found[missing[0]] = present(space, found)[missing[0]].examples[0]
    return {path: found[path] for path in present(space, found)}


def check(space: Space) -> None:
    """ConfigError for a space without dimensions, for what is none, and for a path with two meanings."""
    if not isinstance(space, Mapping) or not space:
        raise ConfigError(f"space: {space!r} has nothing in it to search; give dimensions by path")
    _check_below(space, {})


def _check_below(space: Space, seen: dict[str, Dimension]) -> None:
    for path, dimension in space.items():
        if not isinstance(path, str) or not isinstance(dimension, Range | Choice):
            raise ConfigError(
                f"space: {path} is {dimension!r}; give uniform(low, high), log_uniform(low, high), "
                "integers(low, high) or choice(value, value, ...)"
            )
        if fixed := next((each for each in (*JUDGED, *RUN) if f"{path}.".startswith(f"{each}.")), None):
            why = "judged" if fixed in JUDGED else "run"
            raise ConfigError(f"space: {path} cannot be searched, all trials of a search are {why} alike")
        if seen.setdefault(path, dimension) != dimension:
            raise ConfigError(f"space: {path} is there twice with different values")
        for value, below in dimension.then.items() if isinstance(dimension, Choice) else ():
            if not isinstance(below, Mapping):
                raise ConfigError(f"space: then of {path}={value} is {below!r}; give dimensions by path")
            _check_below(below, seen)


def _range(low: float, high: float, *, log: bool = False, whole: bool = False) -> Range:
    for end in (low, high):
        if not isinstance(end, int | float) or isinstance(end, bool) or not abs(end) < LARGEST:
            raise ConfigError(f"space: a range cannot end at {end!r}, it takes a number between +-{LARGEST:g}")
    if not low < high:
        raise ConfigError(f"space: the range {low!r} to {high!r} is empty")
    if log and low <= 0:
        raise ConfigError(f"space: a logarithmic range must begin above 0, {low!r} does not")
    return Range(low, high, log, whole) if whole else Range(float(low), float(high), log)


def describe(space: Space) -> dict[str, dict[str, Any]]:
    """The space as JSON knows it: kind, ends or values, and the choice that a dimension hangs on."""
    return {path: {**_described(dimension), "when": when and list(when)} for path, dimension, when in dimensions(space)}


def _described(dimension: Dimension) -> dict[str, Any]:
    if isinstance(dimension, Choice):
        return {"kind": "choice", "values": list(dimension.values), "low": None, "high": None, "log": False}
    kind = "integers" if dimension.whole else "log" if dimension.log else "uniform"
    return {"kind": kind, "values": None, "low": dimension.low, "high": dimension.high, "log": dimension.log}


def grid_points(dimension: Range, count: int) -> Sequence[float]:
    """`count` numbers over a range, evenly on its scale, both ends included."""
    low, high = (math.log(end) if dimension.log else end for end in (dimension.low, dimension.high))
    points = [low + (high - low) * i / (count - 1) for i in range(count)]
    found = [math.exp(point) if dimension.log else point for point in points]
    return [min(max(point, dimension.low), dimension.high) for point in found]  # whatever rounding does
