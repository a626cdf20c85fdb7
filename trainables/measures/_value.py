"""How to read a number that a measure reports."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Value:
    """Unit, direction, the range it cannot leave, and whether it is a measured time, which differs from run to run."""

    unit: str
    higher_is_better: bool
    least: float | None = None
    most: float | None = None
    timed: bool = False
