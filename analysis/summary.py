"""From records to statistics: one row per arm and measure, floors included, measured times last."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import polars as pl

from analysis import statistics
from analysis.records import NOT_RUN, STATUSES, Measure, Record, Study, parse

SCHEMA = {
    "arm": pl.String,
    "measure": pl.String,
    "mean": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "seeds": pl.Int64,  # that have a value and are in the mean
    "tasks": pl.Int64,  # planned by each of them
    "failed": pl.Int64,  # planned seeds without a value
    "difference": pl.Float64,  # arm minus baseline on the seeds that both have
    "difference_low": pl.Float64,
    "difference_high": pl.Float64,
    "published": pl.Float64,
    "truth": pl.Float64,  # known from how the world is made
    "p": pl.Float64,
    "p_holm": pl.Float64,
    "p_exact": pl.Float64,
    "p_least": pl.Float64,
    "p_equivalent": pl.Float64,  # Holm-adjusted like p_holm
    "verdict": pl.String,
    "planned": pl.Int64,
    "ok": pl.Int64,
    "collapsed": pl.Int64,
    "diverged": pl.Int64,
    "crashed": pl.Int64,
    "missing": pl.Int64,
    "not run": pl.Int64,
    "lacks": pl.String,  # what was missing to run it, in short
    "worst": pl.Float64,  # success with every failed seed counted as 0, but for those that were not run
    "unit": pl.String,
    "timed": pl.Boolean,  # measured time: differs from run to run
    "role": pl.String,  # arm, baseline or floor
}


def summary(study: Mapping[str, Any] | Study, records: Iterable[Mapping[str, Any] | Record]) -> pl.DataFrame:
    """SCHEMA, one row per arm and measure: the primary one first, then floors, other measures, and times last.

    Rates are fractions. A collapsed trial is in the mean, so that no mean is one over survivors; a trial without a
    value (diverged, crashed, not run) is counted in `failed`. A trial that was planned and left no record is missing.
    Arms that are judged on other episodes or tasks than the baseline are not compared with it: nothing of theirs pairs.
    """
    study, records = Study.model_validate(study), parse(records)
    trials = plan(study, records)
    rows = []
    for measure in measures(study, list(trials.values())):
        rows += _compared(study, trials, measure)
        rows += _floors(study) if measure.name == success_measure(study) else []
    return pl.DataFrame(rows, SCHEMA, orient="row")


def plan(study: Study, records: list[Record]) -> dict[tuple[str, int], Record]:
    """Every planned (arm, seed) in declared order with its record, status "missing" where there is none."""
    found = {(record.arm, record.seed): record for record in records}
    planned = ((arm.name, seed) for arm in study.arms for seed in study.seeds)
    return {key: found.get(key) or Record(trial="", arm=key[0], seed=key[1], status="missing") for key in planned}


def measures(study: Study, records: list[Record]) -> list[Measure]:
    """What there is to show: the primary measure, then declared, then other ones; times and seconds by stage last.

    A measure like `probe_r2/agent_position` that is not declared is read like `probe_r2`. Part 2 precedes part 10.
    """
    declared = {measure.name: measure for measure in study.measures}
    seen = {name for record in records for name in record.measures}
    names = [study.primary, *(name for name in declared if name in seen), *sorted(seen - declared.keys(), key=_natural)]
    family = {name: declared.get(name) or declared.get(name.split("/")[0], Measure(name=name)) for name in names}
    shown = [kind.model_copy(update={"name": name}) for name, kind in family.items()]
    stages = sorted({stage for record in records for stage in record.seconds})
    time = Measure(name="seconds", unit="s", higher_is_better=False, timed=True, least=0)
    shown += [time.model_copy(update={"name": f"seconds/{stage}"}) for stage in stages]
    return sorted(shown, key=lambda measure: measure.timed)


def _natural(name: str) -> list[str | int]:
    """Text and numbers in turn, so that names sort by their numbers."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def success_measure(study: Study) -> str:
    """The measure that floors belong to: the primary one if it is a success rate."""
    return study.primary if is_rate(study.primary) else "success_rate"


def is_rate(measure: str) -> bool:
    """Whether a measure is a share of planning tasks: shown in percent, its interval counts tasks."""
    return measure.startswith("success_rate")


def value(record: Record, measure: str) -> float | None:
    """A measure, or the seconds of a stage, of one trial."""
    stage = measure.removeprefix("seconds/")
    return record.value(measure) if stage == measure else record.seconds.get(stage)


def _compared(study: Study, trials: dict[tuple[str, int], Record], measure: Measure) -> list[dict[str, Any]]:
    """A row per arm of one measure; p-values adjusted over its arms, verdicts for the primary measure alone."""
    by_arm = {arm.name: [trials[arm.name, seed] for seed in study.seeds] for arm in study.arms}
    primary = measure.name == study.primary
    differences = {
        arm: difference(measure.name, records, by_arm[study.baseline], study.margin if primary else None)
        for arm, records in by_arm.items()
        if arm != study.baseline and (study.alike is None or arm in study.alike)
    }
    compared = _adjusted(differences, measure, primary)
    return [_arm(study, measure, arm, records) | compared.get(arm, {}) for arm, records in by_arm.items()]


def _adjusted(
    differences: dict[str, statistics.Difference | None], measure: Measure, primary: bool
) -> dict[str, dict[str, Any]]:
    known = {arm: found for arm, found in differences.items() if found is not None}
    p_holm = statistics.holm([found.p for found in known.values()])
    p_equivalent = statistics.holm([found.p_equivalent for found in known.values()])
    better = measure.higher_is_better is not False
    return {
        arm: {
            "difference": found.mean,
            "difference_low": found.low,
            "difference_high": found.high,
            "p": found.p,
            "p_holm": p,
            "p_exact": found.p_exact,
            "p_least": found.p_least,
            "p_equivalent": p_equal,
            "verdict": statistics.verdict(found.mean, p, p_equal, better) if primary else None,
        }
        for (arm, found), p, p_equal in zip(known.items(), p_holm, p_equivalent, strict=True)
    }


def _arm(study: Study, measure: Measure, arm: str, records: list[Record]) -> dict[str, Any]:
    """Mean, interval, counts and published value of one arm."""
    have = [record for record in records if value(record, measure.name) is not None]
    found = _estimate(measure, have)
    statuses = [record.status for record in records]
    row = {name: statuses.count(name) for name in STATUSES}
    row |= {"arm": arm, "measure": measure.name, "unit": measure.unit, "timed": measure.timed}
    row |= {"seeds": len(have), "planned": len(records), "failed": len(records) - len(have)}
    row["tasks"] = len(_common_tasks(have)) if is_rate(measure.name) else None
    row["role"] = "baseline" if arm == study.baseline and study.compares else "arm"
    row["lacks"] = next((record.lacks for record in records if record.lacks), None)
    row["truth"] = study.truth.get(measure.name, {}).get(arm)
    if found is not None:
        row |= {"mean": found.mean, "low": found.low, "high": found.high}
    if is_rate(measure.name):
        run = len(records) - row[NOT_RUN]
        row["worst"] = sum(value(record, measure.name) for record in have) / run if run else None
    if measure.name == study.primary and study.measured_alike:
        row["published"] = study.published.get(arm)
    return row


def _estimate(measure: Measure, records: list[Record]) -> statistics.Estimate | None:
    """Over trials that all have a value; the interval of a rate whose tasks were not kept is over seeds, too."""
    if not records:
        return None
    solved = _solved(measure.name, records, _common_tasks(records))
    if solved is not None:
        return statistics.success_rate(solved)
    limits = (0.0, 1.0) if is_rate(measure.name) else (measure.least, measure.most)
    return statistics.mean_over_seeds(np.array([value(record, measure.name) for record in records]), *limits)


def difference(
    measure: str, arm: list[Record], baseline: list[Record], margin: float | None = None
) -> statistics.Difference | None:
    """Arm minus baseline on the seeds that both have a value for, and on the tasks that all of those planned."""
    pairs = [
        pair for pair in zip(arm, baseline, strict=True) if all(value(record, measure) is not None for record in pair)
    ]
    if not pairs:
        return None
    ours, theirs = (list(side) for side in zip(*pairs, strict=True))
    tasks, rng = _common_tasks(ours + theirs), np.random.default_rng(0)
    solved, solved_theirs = _solved(measure, ours, tasks), _solved(measure, theirs, tasks)
    if solved is not None and solved_theirs is not None:
        return statistics.success_difference(solved, solved_theirs, margin, rng)
    values = [np.array([value(record, measure) for record in side]) for side in (ours, theirs)]
    return statistics.mean_difference(*values, margin, rng)


def _common_tasks(records: list[Record]) -> list[int]:
    """Tasks that every one of the trials planned."""
    planned = [{row["task"] for row in record.tasks if "task" in row} for record in records]
    return sorted(set.intersection(*planned)) if planned else []


def _solved(measure: str, records: list[Record], tasks: list[int]) -> np.ndarray | None:
    """Whether each trial solved each task (S, M); None if the measure is no rate or its tasks were not kept.

    `success_rate` is the mean of the rows' `success`, `success_rate_last` of `success_last`.
    """
    key = measure.replace("success_rate", "success", 1)
    rows = [{row["task"]: row.get(key) for row in record.tasks if "task" in row} for record in records]
    solved = [[row[task] for task in tasks] for row in rows]
    if not is_rate(measure) or not tasks or any(one is None for row in solved for one in row):
        return None
    return np.array(solved, bool)


def _floors(study: Study) -> list[dict[str, Any]]:
    """Rows of policies without a model: Wilson's interval over the tasks, with repeats of a task averaged."""
    rows = []
    for policy, repeats in sorted(study.floors.items()):
        found = statistics.checkpoint_rate(np.array(repeats, bool))
        row = {"arm": policy, "measure": success_measure(study), "role": "floor", "timed": False, "failed": 0}
        rows.append(row | found._asdict() | {"tasks": len(repeats[0]), "worst": found.mean})
    return rows
