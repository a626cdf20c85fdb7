"""From the store to the report: a record per trial, the declaration they are judged by, and the folder of results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from study.plan import Study
from trainables import pipeline
from trainables.store import Store


def folder(study: Study, store: Store) -> Path:
    """Where the study's report lies."""
    return store.root / "reports" / study.key


def records(study: Study, store: Store) -> list[dict[str, Any]]:
    """A record per trial, in the plan's order; a training that repeats another arm's bit for bit says so."""
    found = [
        {"arm": trial.arm, "seed": trial.seed, **pipeline.record_part(trial.config, store)} for trial in study.trials
    ]
    first: dict[tuple, dict] = {}
    for record in found:
        twin = first.setdefault((record["trace"], record["seed"]), record) if record.get("trace") else record
        if twin["trial"] != record["trial"]:
            record["identical_to"] = twin["arm"]
    return found


def notes(records: list[dict[str, Any]]) -> list[str]:
    """What a reader of the table must know: arms whose change had no effect at all."""
    pairs = sorted({(record["arm"], record["identical_to"]) for record in records if "identical_to" in record})
    return [
        f"Arms {twin} and {arm} trained to the same losses and weights: what tells them apart had no effect."
        for arm, twin in pairs
    ]


def declaration(study: Study, store: Store, records: list[dict[str, Any]]) -> dict[str, Any]:
    """What was asked and how it is judged, for `analysis`; published values are of this world and scale, if any are."""
    sweep, at = study.sweep, _published_at(study)
    measured = {name for record in records for name in record["measures"]} | {sweep.primary}
    some = any(record["measures"] for record in records)
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
        "floors": pipeline.ensure_floors(study.trials[0].config, store) if some else {},
    }


def write(study: Study, store: Store, records: list[dict[str, Any]]) -> Path:
    """Write the report of `records` and return its folder."""
    from analysis.report import write_report

    where = folder(study, store)
    write_report(where, declaration(study, store, records), records)
    return where


def _published_at(study: Study) -> tuple[str, str] | None:
    """The (world, scale) of the published values to show: this study's own, else any."""
    here = (study.world, study.scale)
    return here if here in study.sweep.published else next(iter(study.sweep.published), None)
