"""The schema of a search inside a study's declaration: where it looked, what became of every trial, what it cost."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

STATES = ("complete", "pruned", "collapsed", "diverged", "failed", "open", "known")
State = Literal["complete", "pruned", "collapsed", "diverged", "failed", "open", "known"]


class Measure(BaseModel):
    """How to read one number that trials report."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    unit: str = ""
    higher_is_better: bool | None = None
    timed: bool = False  # measured time: differs between reruns
    least: float | None = None  # that a value can be
    most: float | None = None


class Part(BaseModel):
    """A part of a search's summary: what it does not name is kept, and null means the same as absent."""

    model_config = ConfigDict(frozen=True, extra="allow")

    @model_validator(mode="before")
    @classmethod
    def _absent(cls, data: Any) -> Any:
        return {name: x for name, x in data.items() if x is not None} if isinstance(data, Mapping) else data


class Constraint(Part):
    """A limit that a value must keep, in the unit of that value; None where a side has no limit."""

    name: str
    least: float | None = None
    most: float | None = None

    def keeps(self, value: float) -> bool:
        """Whether the value lies within the limits, which belong to it."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


class Dimension(Part):
    """Where a setting is looked for: between `low` and `high`, both included, or among `values`."""

    kind: Literal["uniform", "log", "integers", "choice"]
    low: float | None = None
    high: float | None = None
    values: list[Any] = []
    when: tuple[str, Any] | None = None  # (path, value) of another setting without which this one has no meaning


class SearchTrial(Part):
    """One point that was tried on the tuning seeds, and what became of it.

    State `known`: values taken from another sweep's record, trained nowhere; `open`: not ended yet.
    """

    number: int = Field(ge=0)
    state: State
    trial: str | None = None  # id of its training
    params: dict[str, Any] = {}  # dotted path -> value; settings whose condition does not hold are absent
    values: dict[str, float | None] = {}  # by objective; rates are fractions
    feasible: bool | None = None  # None: not judged
    constraints: dict[str, float | None] = {}  # measured values of what is constrained
    step: int | None = None  # training steps taken
    steps: int | None = None  # of a full training
    seconds: float | None = None  # of training and judging it
    note: str | None = None  # "default", "warm start"
    error: str | None = None

    def value(self, objective: str) -> float | None:
        """The objective's value, or None if there is none to compare: never judged, or not finite."""
        return _finite(self.values.get(objective))

    def limited(self, constraint: str) -> float | None:
        """The measured value of a constraint, or None."""
        return _finite(self.constraints.get(constraint))


class Spent(Part):
    """What a search cost, warm starts aside."""

    trials: int | None = None
    steps: int | None = None  # training steps
    full_steps: int | None = None  # that the same trials would have taken if none had been stopped
    hours: float | None = None  # of training and judging, added up over trials


class Search(Part):
    """How the arms of a study were found: on which tasks and seeds, among what, and every trial by its number."""

    sampler: str = "unknown sampler"
    seed: int | None = None
    budget: int | None = None  # trials to try, warm starts aside
    searched: bool | None = None  # whether there is nothing more to try, as bisection may find within its budget
    split: str = "validation"  # of the tasks that trials were judged on
    tuning_seeds: list[int] = []
    prune: dict[str, Any] = {}  # kind, monitor and the rule's own settings; empty: every trial was trained in full
    objectives: list[Measure] = Field(min_length=1)
    constraints: list[Constraint] = []
    space: dict[str, Dimension] = {}
    default: dict[str, Any] = {}  # the settings of the arm that nothing was searched for
    trials: list[SearchTrial] = []
    known: int | None = None  # warm starts, if they are not among the trials
    known_confirming: int | None = None  # of these, trained with seeds that confirm, too
    importance: dict[str, dict[str, float | None]] = {}  # objective -> path -> share
    front: list[int] = []  # numbers of trials that no other one beats in every objective
    best: int | None = None
    confirmed: dict[str, int] = {}  # arm of the study -> the trial whose settings it has
    spent: Spent = Spent()
    # By arm where several were tuned: trials and space are theirs, and so much of the budget is each one's.
    each: dict[str, Search] = Field(default={}, exclude_if=operator.not_)

    @field_validator("trials")
    @classmethod
    def _by_number(cls, trials: list[SearchTrial]) -> list[SearchTrial]:
        """The same search whatever the order that its trials ended in."""
        found = sorted(trials, key=lambda trial: trial.number)
        for first, second in itertools.pairwise(found):
            if first.number == second.number:
                raise ValueError(f"two trials of a search have number {first.number}")
        return found


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
