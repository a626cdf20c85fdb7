"""What a trial leaves behind and what a study declared: the schema, one row per trial, and the Parquet file.

`Record` and `Study` are the only place that knows these formats, but for a study's search (`search_records`). In the
frame and the file a measure is a column `measure.<name>`, a part of the time spent `seconds.<name>` and a setting
`config.<path>`; a setting is JSON text (as in MLflow), so that null, absent, 1 and "1" stay apart and a column may mix
types.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict

from analysis.search_records import Measure, Search

NOT_RUN = "not run"  # for lack of something that the machine does not have, which `error` names
STATUSES = ("ok", "collapsed", "diverged", "crashed", "missing", NOT_RUN)
Status = Literal["ok", "collapsed", "diverged", "crashed", "missing", "not run"]


class Record(BaseModel):
    """One trial: a config with one seed, trained and measured, or what became of it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    trial: str  # id of its training
    arm: str
    seed: int
    status: Status
    error: str | None = None
    measures: dict[str, float | None] = {}
    tasks: list[dict[str, Any]] = []  # a row per planning task: task, success, success_last, distance, ...
    config: dict[str, Any] = {}  # flat: dotted path -> value
    seconds: dict[str, float | None] = {}  # by stage
    commit: str | None = None  # that it was trained at
    measure_commits: list[str | None] = []  # that its measures were evaluated at
    dirty: bool | None = None
    versions: dict[str, str | None] = {}
    device: str | None = None
    parameters: int | None = None  # of the model
    trace: str | None = None  # fingerprint of the training: equal only for the same losses and weights
    identical_to: str | None = None  # arm whose training this one repeats bit for bit

    def value(self, measure: str) -> float | None:
        """The measure, or None if there is none to count: no result, never measured, or not finite."""
        found = self.measures.get(measure)
        if self.status in ("crashed", "missing", NOT_RUN) or found is None or not math.isfinite(found):
            return None
        return found

    @property
    def lacks(self) -> str | None:
        """What the machine did not have, in short: what its reason says before the first colon; None if it was run."""
        return (self.error or "not told").split(":")[0].strip() if self.status == NOT_RUN else None


class Arm(BaseModel):
    """A config without its seed: what it changes, by dotted path."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str
    changes: dict[str, Any] = {}


class Study(BaseModel):
    """A sweep at one world and scale: what was planned and how it is to be judged. Rates are fractions."""

    model_config = ConfigDict(frozen=True, extra="allow")

    sweep: str
    question: str
    world: str
    scale: str
    sets: dict[str, Any] = {}
    arms: list[Arm]
    baseline: str
    seeds: list[int]
    primary: str
    margin: float  # a difference of the primary measure below this does not matter
    published: dict[str, float] = {}  # arm -> value
    source: str | None = None
    published_at: str | None = None  # "world, scale" of the published values
    truth: dict[str, dict[str, float]] = {}  # measure -> arm -> what it is expected to be, by how the world is made
    measures: list[Measure] = []
    alike: list[str] | None = None  # arms that are judged on the episodes and tasks of the baseline; None: all of them
    floors: dict[str, list[list[bool]]] = {}  # policy -> solved, per repeat and task
    floor_arms: list[str] | None = None  # arms that plan the tasks of the floors; None: all of them
    floor_distances: dict[str, list[list[float]]] = {}  # likewise: to the goal at the last step
    data: str = ""  # where the episodes come from, and how they differ from those of the papers
    notes: list[str] = []
    search: Search | None = None  # how the arms were found, if they were

    @property
    def compares(self) -> bool:
        """Whether some arm may be compared with the baseline: not where each is judged on episodes of its own."""
        others = [arm.name for arm in self.arms if arm.name != self.baseline]
        return self.alike is None or not others or any(arm in self.alike for arm in others)

    @property
    def measured_alike(self) -> bool:
        """Whether the published values are of this study's own world and scale, so that they may stand beside ours."""
        here = [self.world, self.scale]
        return bool(self.published) and [part.strip() for part in (self.published_at or "").split(",")] == here


def parse(records: Iterable[Mapping[str, Any] | Record]) -> list[Record]:
    """Validated records by arm, seed and trial; ValueError where two stand for one arm and seed."""
    found = sorted((Record.model_validate(record) for record in records), key=lambda r: (r.arm, r.seed, r.trial))
    for first, second in itertools.pairwise(found):
        if (first.arm, first.seed) == (second.arm, second.seed):
            raise ValueError(f"two records of arm {first.arm!r} with seed {first.seed}: {first.trial}, {second.trial}")
    return found


FIXED = {
    "arm": pl.String,
    "seed": pl.Int64,
    "trial": pl.String,
    "status": pl.String,
    "error": pl.String,
    "commit": pl.String,
    "measure_commits": pl.List(pl.String),
    "dirty": pl.Boolean,
    "device": pl.String,
    "parameters": pl.Int64,
    "trace": pl.String,
    "identical_to": pl.String,
}
TASK = {"task": pl.Int64, "success": pl.Boolean, "success_last": pl.Boolean, "distance": pl.Float64}


def frame(records: Iterable[Mapping[str, Any] | Record]) -> pl.DataFrame:
    """One row per trial, whatever the order of `records`; tasks are a column of lists of structs."""
    found = parse(records)
    columns = [pl.Series(name, [getattr(r, name) for r in found], dtype) for name, dtype in FIXED.items()]
    columns += [_number(found, "measures", name).alias(f"measure.{name}") for name in _names(found, "measures")]
    columns += [_number(found, "seconds", name).alias(f"seconds.{name}") for name in _names(found, "seconds")]
    columns += [_setting(found, path) for path in _names(found, "config")]
    columns += [pl.Series("versions", [json_text(r.versions) for r in found], pl.String), _tasks(found)]
    return pl.DataFrame(columns)


def write(records: Iterable[Mapping[str, Any] | Record], path: Path | str) -> None:
    """records.parquet: the frame, with the same bytes for the same records."""
    frame(records).write_parquet(path, compression="zstd", statistics=False)


def read(path: Path | str) -> list[dict[str, Any]]:
    """The records of a records.parquet, ready for `frame` or a report."""
    return [_record(row) for row in pl.read_parquet(path).iter_rows(named=True)]


def json_text(value: Any) -> str:
    """Canonical JSON: keys sorted, NaN and infinities as Python writes them."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _names(records: list[Record], part: str) -> list[str]:
    return sorted({name for record in records for name in getattr(record, part)})


def _number(records: list[Record], part: str, name: str) -> pl.Series:
    return pl.Series([getattr(record, part).get(name) for record in records], dtype=pl.Float64)


def _setting(records: list[Record], path: str) -> pl.Series:
    texts = [json_text(record.config[path]) if path in record.config else None for record in records]
    return pl.Series(f"config.{path}", texts, pl.String)


def _tasks(records: list[Record]) -> pl.Series:
    rows = [row for record in records for row in record.tasks]
    extra = sorted({key for row in rows for key in row} - TASK.keys())
    fields = TASK | {key: _dtype([row.get(key) for row in rows]) for key in extra}
    tasks = [[{key: row.get(key) for key in fields} for row in record.tasks] for record in records]
    return pl.Series("tasks", tasks, pl.List(pl.Struct(fields)))


def _dtype(values: list[Any]) -> Any:
    """The narrowest of boolean, whole number, number and text that holds them all."""
    kinds = {type(value) for value in values if value is not None}
    narrow = {frozenset({bool}): pl.Boolean, frozenset({int}): pl.Int64, frozenset({str}): pl.String}
    return narrow.get(frozenset(kinds), pl.Float64)


def _record(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the frame as a record again; what is null throughout was absent."""
    record = {name: row[name] for name in FIXED if name in row}  # an older file lacks newer columns
    for part, prefix in (("measures", "measure."), ("seconds", "seconds."), ("config", "config.")):
        named = {key.removeprefix(prefix): value for key, value in row.items() if key.startswith(prefix)}
        record[part] = {name: value for name, value in named.items() if value is not None}
    record["config"] = {path: json.loads(text) for path, text in record["config"].items()}
    record["versions"] = json.loads(row["versions"])
    record["tasks"] = [{key: value for key, value in task.items() if value is not None} for task in row["tasks"]]
    return record
