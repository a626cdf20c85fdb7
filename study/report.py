"""From the store to the report: a record per trial, the declaration they are judged by, and the folder of results."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from search_spaces._sweep import Trial
from study import departures
from study.plan import NOT_RUN, Study
from trainables import ids, pipeline
from trainables.config import TrialConfig
from trainables.files import read_json
from trainables.store import Store, StoreError

logger = logging.getLogger(__name__)


def folder(study: Study, store: Store) -> Path:
    """Where the study's report lies."""
    return store.report(study.key)


def check_writable(study: Study, store: Store) -> None:
    """StoreError, before hours are spent, if the report could not be written."""
    with _written(folder(study, store)) as where:
        where.mkdir(parents=True, exist_ok=True)


def covering(study: Study, store: Store) -> Study:
    """The study with the seeds that its report has covered before and that the store still knows of, too."""
    earlier = set(_earlier_seeds(folder(study, store) / "study.json")) - set(study.seeds)
    if not earlier:
        return study
    grown = replace(study, seeds=tuple(sorted(earlier)))
    known = {trial.seed for trial in grown.trials if pipeline.state(trial.config, store) != "to run"}
    return replace(study, seeds=tuple(sorted({*study.seeds, *known}))) if known else study


def records(study: Study, store: Store) -> list[dict[str, Any]]:
    """A record per trial, in the plan's order; a training that repeats another arm's bit for bit says so."""
    found = [_record(study, trial, store) for trial in study.trials]
    first: dict[tuple, dict] = {}
    for record in found:
        twin = first.setdefault((record["trace"], record["seed"]), record) if record.get("trace") else record
        if twin["trial"] != record["trial"]:
            record["identical_to"] = twin["arm"]
    return found


def _record(study: Study, trial: Trial, store: Store) -> dict[str, Any]:
    """One trial's record; without a result it says so if this machine lacks something to run it."""
    record = {"arm": trial.arm, "seed": trial.seed, **pipeline.record_part(trial.config, store)}
    if record["status"] in ("crashed", "missing") and trial.arm in study.lacks:
        record |= {"status": NOT_RUN, "error": study.lacks[trial.arm]}
    return record


def declaration(
    study: Study, store: Store, records: list[dict[str, Any]], search: dict[str, Any] | None = None
) -> dict[str, Any]:
    """What was asked and how it is judged, for `analysis`; published values are of this world and scale, if any are."""
    sweep, at = study.sweep, _published_at(study)
    judged = {trial.arm: trial.config for trial in study.trials}
    base = judged[sweep.baseline]
    floored = judged[_floored(sweep.baseline, records)]
    floors = pipeline.ensure_floors(floored, store) if any(record["measures"] for record in records) else {}
    measured = {name for record in records for name in record["measures"]} | {sweep.primary}
    return {
        "sweep": study.name,
        "question": sweep.question,
        "world": study.world,
        "scale": study.scale,
        "sets": dict(study.sets),
        "arms": [{"name": arm.name, "changes": dict(arm.changes)} for arm in sweep.arms],
        "baseline": sweep.baseline,
        "seeds": list(study.seeds),
        "primary": sweep.primary,
        "margin": sweep.margin,
        "published": dict(sweep.published[at]) if at else {},
        "source": sweep.source,
        "published_at": ", ".join(at) if at else None,
        "measures": [value for value in pipeline.measure_values() if value["name"] in measured],
        "truth": {measure: dict(values) for measure, values in sweep.truth.items()},
        "alike": [arm for arm, config in judged.items() if _judged_on(config) == _judged_on(base)],
        "search": search,
        "floors": {policy: found["success"] for policy, found in floors.items()},
        "floor_arms": [arm for arm, config in judged.items() if ids.floors_key(config) == ids.floors_key(floored)],
        "floor_distances": {policy: found["distance"] for policy, found in floors.items()},
        "data": pipeline.data_note(floored, store),
        "notes": departures.notes(study),
    }


def _floored(baseline: str, records: list[dict[str, Any]]) -> str:
    """The arm whose tasks the floors are of: the baseline, or the first measured one where that has no result."""
    measured = [record["arm"] for record in records if record["measures"]]
    return baseline if baseline in measured else next(iter(measured), baseline)


def _judged_on(config: TrialConfig) -> tuple[Any, ...]:
    """What tells the episodes and tasks of two arms apart; fewer of the same tasks are among the same."""
    named = ("split", "offset", "early", "earlier_rows", "solved_starts", "task_seed")
    return ids.judged_data(config)["test"], *(getattr(config.protocol, name) for name in named)


def write(study: Study, store: Store, records: list[dict[str, Any]], search: dict[str, Any] | None = None) -> Path:
    """Write the report of `records`, and of the `search` that found the arms, and return its folder."""
    from analysis.report import write_report

    declared = declaration(study, store, records, search)
    with _written(folder(study, store)) as where:
        written = write_report(where, declared, records)
    store.publish(study.key)
    return written


@contextmanager
def _written(where: Path) -> Iterator[Path]:
    try:
        yield where
    except OSError as error:
        raise StoreError(f"the report {where} cannot be written: {error}") from error


def _earlier_seeds(file: Path) -> list[int]:
    """The seeds of the report that is there; none, with a warning, if it cannot be read."""
    try:
        return [int(seed) for seed in read_json(file)["seeds"]] if file.exists() else []
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("%s cannot be read, the report covers no seeds but those asked for: %s", file, error)
        return []


def _published_at(study: Study) -> tuple[str, str] | None:
    """The (world, scale) of the published values to show: this study's own, else of its world, else any."""
    near = lambda at: (at != (study.world, study.scale), at[0] != study.world)  # noqa: E731
    return min(study.sweep.published, key=near, default=None)
