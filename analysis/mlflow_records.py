"""Records of a study rebuilt from MLflow: numbers from metrics, what was asked from params, who and how from tags.

A parent run is tagged `study`; its children carry tags of the record's fields, params of the config by dotted path,
metrics `measure/<name>` and `seconds/<name>`, and an artifact `record.json` for what MLflow cannot hold: rows per task,
versions, the exact config, long texts. A child without a status is of a trial that has not ended.

Trials of a search are children tagged `phase = search`, with params `search/<path>` and, once ended, tags `number`,
`state`, `note` and metrics `objective/<name>`, `constraint/<name>`, `monitor/<name>`, `search/step`, `search/steps`,
`seconds/search`.
"""

from __future__ import annotations

import json
import math
import re
import tempfile
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run

ARTIFACT = "record.json"
LARGEST = 1.7976931348623157e308  # what MLflow's database keeps for infinity


def read_mlflow(tracking_uri: str, study_key: str) -> list[dict[str, Any]]:
    """The records of the study, ready for `analysis.records.frame`; the newest run of each arm and seed.

    ValueError if no run is tagged `study = study_key`. An unreachable server raises MLflow's own error.
    """
    client = MlflowClient(tracking_uri)
    confirming = [run for run in _children(client, tracking_uri, study_key) if not _searching(run)]
    newest = {(run.data.tags["arm"], run.data.tags["seed"]): run for run in confirming}
    return [_record(client, run) for run in newest.values()]


def read_mlflow_search(tracking_uri: str, study_key: str, arm: str | None = None) -> list[dict[str, Any]]:
    """The trials of the study's search by number, as in `Search.trials`; the newest run of each number, [] if none.

    Where several arms were tuned, those of one `arm`.
    Beside what a summary has, `monitors` holds the last value of each measure that decided about pruning. A trial
    without a state is open. ValueError if no run is tagged `study = study_key`.
    """
    children = _children(MlflowClient(tracking_uri), tracking_uri, study_key)
    numbered = [(_number(run, arm), run) for run in children if _searching(run)]
    newest = {number: run for number, run in numbered if number is not None}
    return [_search_trial(number, run) for number, run in sorted(newest.items())]


def _children(client: MlflowClient, tracking_uri: str, study_key: str) -> list[Run]:
    """Every trial's run of a study, oldest first."""
    experiments = [found.experiment_id for found in client.search_experiments()]
    parents = _runs(client, experiments, f'tags.study = "{study_key}"')
    if not parents:
        raise ValueError(f"{tracking_uri} has no run tagged study = {study_key!r}")
    children = [
        child
        for parent in parents
        for child in _runs(client, experiments, f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    ]
    return sorted(children, key=lambda run: (run.info.start_time, run.info.run_id))


def _searching(run: Run) -> bool:
    return run.data.tags.get("phase") == "search"


def _runs(client: MlflowClient, experiments: list[str], condition: str) -> list[Run]:
    """All pages of a search."""
    found, token = [], None
    while True:
        page = client.search_runs(experiments, condition, max_results=1000, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def _record(client: MlflowClient, run: Run) -> dict[str, Any]:
    tags, kept = run.data.tags, _artifact(client, run)
    record = {
        "trial": tags["trial"],
        "arm": tags["arm"],
        "seed": int(tags["seed"]),
        "status": tags.get("status", "missing"),
    }
    record |= {name: tags.get(name) for name in ("commit", "device", "error")}
    record["dirty"] = _boolean(tags.get("dirty"))
    record["config"] = kept.get("config") or {path: _setting(text) for path, text in run.data.params.items()}
    record["measures"] = _metrics(run, "measure/")
    record["seconds"] = _metrics(run, "seconds/")
    beyond = ("tasks", "versions", "parameters", "trace", "identical_to", "error", "measure_commits")
    return record | {name: kept[name] for name in beyond if kept.get(name) is not None}


def _search_trial(number: int, run: Run) -> dict[str, Any]:
    tags, metrics = run.data.tags, run.data.metrics
    params = {path: text for path, text in run.data.params.items() if path.startswith("search/")}
    steps = {name: metrics.get(f"search/{name}") for name in ("step", "steps")}
    return {
        "number": number,
        "trial": tags.get("trial"),
        "params": {path.removeprefix("search/"): _setting(text) for path, text in params.items()},
        "state": tags.get("state", "open"),
        "values": _metrics(run, "objective/"),
        "feasible": _boolean(tags.get("feasible")),
        "constraints": _metrics(run, "constraint/"),
        "monitors": _metrics(run, "monitor/"),
        **{name: None if value is None else int(value) for name, value in steps.items()},
        "seconds": metrics.get("seconds/search"),
        "note": tags.get("note"),
        "error": tags.get("error"),
    }


def _number(run: Run, arm: str | None) -> int | None:
    """The trial's number, as the run is called; None for a warm start, which has none, and for another arm's search."""
    found = re.fullmatch(rf"{re.escape(f'{arm} ' if arm else '')}trial (\d+)", run.data.tags.get("arm", ""))
    return int(found[1]) if found else None


def _boolean(text: str | None) -> bool | None:
    return {"true": True, "false": False}.get((text or "").lower())


def _artifact(client: MlflowClient, run: Run) -> dict[str, Any]:
    """record.json, or nothing: a trial that never finished may have none."""
    if not any(found.path == ARTIFACT for found in client.list_artifacts(run.info.run_id)):
        return {}
    with tempfile.TemporaryDirectory() as folder:
        return json.loads(Path(client.download_artifacts(run.info.run_id, ARTIFACT, folder)).read_text("utf-8"))


def _setting(text: str) -> Any:
    """A param's value: JSON, or else the text itself."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _metrics(run: Run, prefix: str) -> dict[str, float]:
    metrics = {name.removeprefix(prefix): x for name, x in run.data.metrics.items() if name.startswith(prefix)}
    return {name: math.copysign(math.inf, x) if abs(x) >= LARGEST else x for name, x in metrics.items()}
