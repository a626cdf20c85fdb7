"""The runs of a study in MLflow: found again by their tags, each thing written once. `tracking` says when."""

from __future__ import annotations

import json
import logging
import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from search_spaces._sweep import Trial
from study.plan import KNOWN, NOT_RUN, Study, changes
from study.uris import database
from trainables import ids
from trainables.paths import flatten
from trainables.store import Store

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_CONFIGURE_LOGGING": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # A server that is away must not hold up a study.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
}
ENDS = {"crashed": "FAILED", "missing": "FAILED", NOT_RUN: "KILLED"}  # of a run, by the trial's status
BATCH = 1000  # metrics that MLflow takes at a time


class Runs:
    """The runs of one study; raises whatever MLflow does when the server cannot be reached.

    `artifacts` is a URI below which the files are kept: by default the server's own place, and the store's root where
    `uri` is a database. A sweep keeps the place that it began with; `artifacts_elsewhere` tells if it is another.
    """

    def __init__(self, study: Study, store: Store, uri: str, artifacts: str | None = None):
        self._client = client(uri)
        self._study, self._store = study, store
        self.artifacts_elsewhere: str | None = None
        self._experiment = self._find_experiment(uri, artifacts)
        self._parent = self._find_parent()
        self._children = {_place(run.data.tags): run for run in children(self._client, self._parent)}
        self._records = {run.info.run_id: run.data.tags.get("record") for run in self._children.values()}
        self._running: set[str] = set()
        self._last: dict[str, int] = {}  # step of the newest point of each run's curve
        self._client.update_run(self._parent, status="RUNNING")

    def open(self, trial: Trial) -> str:
        """The id of the trial's run, made now if there is none."""
        place = _place_of(trial)
        if place not in self._children:
            self._children[place] = self._create(trial)
        return self._children[place].info.run_id

    def start(self, trial: Trial) -> None:
        """Mark the trial's run as running."""
        known, run = _place_of(trial) in self._children, self.open(trial)
        self._running.add(run)
        if known:  # a new one is marked so by MLflow
            self._client.update_run(run, status="RUNNING")

    def log(self, trial: Trial, points: Iterable[dict[str, float]]) -> None:
        """Add points {"step": ..., name: value, ...} that the run does not have yet."""
        run = self.open(trial)
        self._write(run, self._lacking(run, points))

    def close(self, trial: Trial, record: dict[str, Any], points: Iterable[dict[str, float]]) -> None:
        """Log what the run lacks of a trial's record and end the run; nothing to do if it has that record already."""
        from mlflow.entities import Metric, RunTag

        run, content = self.open(trial), _content(trial, record)
        mark, now = ids.digest(content), int(time.time() * 1000)
        if self._records.get(run) == mark:
            return
        values = {f"measure/{name}": value for name, value in record["measures"].items()}
        values |= {f"seconds/{name}": value for name, value in record["seconds"].items()}
        metrics = [Metric(name, value, now, 0) for name, value in values.items()] + _search_metrics(record, now)
        self._write(run, [*self._lacking(run, points), *metrics])
        self._artifact(run, "record.json", content)
        about = {"status": record["status"], **_provenance(record), **_search_tags(record), "record": mark}
        self._client.log_batch(
            run, tags=[RunTag(name, str(value)) for name, value in about.items() if value is not None]
        )
        self._client.set_terminated(run, ENDS.get(record["status"], "FINISHED"))
        self._running.discard(run)
        self._records[run] = mark

    def finish(self, report: Path, status: str) -> None:
        """Keep the report's files with the parent run and end it."""
        for file in sorted(report.iterdir()):
            self._client.log_artifact(self._parent, str(file), "report")
        self._client.set_terminated(self._parent, status)

    def stop(self) -> None:
        """End the runs that are under way without a result."""
        for run in (*self._running, self._parent):
            self._client.set_terminated(run, "KILLED")

    def _find_experiment(self, uri: str, artifacts: str | None) -> str:
        found = self._client.get_experiment_by_name(self._study.name)
        served = urlparse(uri).scheme in ("http", "https")
        place = artifacts or (None if served else (self._store.root / "artifacts").as_uri())
        location = place and f"{place.rstrip('/')}/{self._study.name}"
        if found:
            if artifacts and found.artifact_location != location:
                self.artifacts_elsewhere = found.artifact_location
            return found.experiment_id
        return self._client.create_experiment(self._study.name, artifact_location=location)

    def _find_parent(self) -> str:
        found = self._client.search_runs([self._experiment], f"tags.study = '{self._study.key}'", max_results=1)
        if found:
            return found[0].info.run_id
        study, sweep = self._study, self._study.sweep
        tags = {"study": study.key, "sweep": study.name, "world": study.world, "scale": study.scale}
        tags |= {"question": sweep.question, "mlflow.note.content": sweep.question}
        return self._client.create_run(self._experiment, tags=tags, run_name=study.key).info.run_id

    def _create(self, trial: Trial) -> Any:
        from mlflow.entities import Param

        tags = dict(zip(("arm", "seed", "trial"), _place_of(trial), strict=True))
        tags |= {"mlflow.parentRunId": self._parent, "changes": changes(trial)}
        settings = flatten(trial.config)
        if trial.watch:
            settings |= {f"search/{path}": json.dumps(value) for path, value in trial.changes.items()}
            tags["phase"] = "search"
        elif trial.arm.startswith(KNOWN):
            tags |= {"phase": "search", "note": "warm start"}
        run = self._client.create_run(self._experiment, tags=tags, run_name=f"{trial.arm}, seed {trial.seed}")
        params = [
            Param(path, value if isinstance(value, str) else json.dumps(value)) for path, value in settings.items()
        ]
        self._client.log_batch(run.info.run_id, params=params)
        self._last[run.info.run_id] = 0
        return run

    def _lacking(self, run: str, points: Iterable[dict[str, float]]) -> list[Any]:
        """The metrics of those points of a curve that are beyond the run's newest, from now on counted as there."""
        from mlflow.entities import Metric

        last, now = self._last_step(run), int(time.time() * 1000)
        new = [point for point in points if point["step"] > last]
        self._last[run] = max([last, *(point["step"] for point in new)])
        return [
            Metric(f"train/{name}", value, now, point["step"])
            for point in new
            for name, value in point.items()
            if name != "step" and value is not None
        ]

    def _write(self, run: str, metrics: list[Any]) -> None:
        for start in range(0, len(metrics), BATCH):
            self._client.log_batch(run, metrics=metrics[start : start + BATCH])

    def _last_step(self, run: str) -> int:
        if run not in self._last:
            history = self._client.get_metric_history(run, "train/loss")
            self._last[run] = max((point.step for point in history), default=0)
        return self._last[run]

    def _artifact(self, run: str, name: str, content: Any) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / name
            file.write_text(json.dumps(content, sort_keys=True, indent=1))
            self._client.log_artifact(run, str(file))


def client(uri: str) -> Any:
    """A quiet MLflow client that gives up soon; a database is opened at once, and created whole or not at all."""
    make, file = import_mlflow(), database(uri)
    if file and file.parent.is_dir() and not file.exists():
        # MLflow takes seconds to fill a new one, and opens none that a killed process left half full.
        with tempfile.TemporaryDirectory(prefix=".record-", dir=file.parent) as folder:
            make(tracking_uri=f"sqlite:///{folder}/new.db")
            if not file.exists():
                os.replace(f"{folder}/new.db", file)
    return make(tracking_uri=uri)


def import_mlflow() -> Any:
    """MLflow's client, quiet."""
    os.environ.update(ENVIRONMENT)
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what fails is raised, too, and said in one line
    from mlflow import MlflowClient

    return MlflowClient


def children(client: Any, parent: str) -> list[Any]:
    """The child runs of a parent run."""
    experiment = client.get_run(parent).info.experiment_id
    found, token = [], None
    while token != "":
        page = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent}'", page_token=token)
        found, token = [*found, *page], page.token or ""
    return found


def _content(trial: Trial, record: dict[str, Any]) -> dict[str, Any]:
    return {"arm": trial.arm, "seed": trial.seed, **record}


def _search_metrics(record: dict[str, Any], now: int) -> list[Any]:
    """What a search's trial has besides: objectives, limited numbers, looks at their steps, its cost."""
    from mlflow.entities import Metric

    found = record.get("search")
    if not found:
        return []
    values = {f"objective/{name}": value for name, value in found["values"].items()}
    values |= {f"constraint/{name}": value for name, value in found["constraints"].items()}
    values |= {"search/step": found["step"], "search/steps": found["steps"], "seconds/search": found["seconds"]}
    looks = [(name, value, look["step"]) for look in found["looks"] for name, value in look.items() if name != "step"]
    metrics = [Metric(name, value, now, 0) for name, value in values.items() if value is not None]
    return metrics + [Metric(f"monitor/{name}", value, now, step) for name, value, step in looks]


def _search_tags(record: dict[str, Any]) -> dict[str, Any]:
    found = record.get("search", {})
    return {name: found[name] for name in ("number", "state", "note") if found.get(name) is not None}


def _provenance(record: dict[str, Any]) -> dict[str, Any]:
    versions = {f"version.{name}": version for name, version in record["versions"].items()}
    return {"commit": record["commit"], "dirty": record["dirty"], "device": record["device"], **versions}


def _place(tags: dict[str, str]) -> tuple[str, str, str]:
    return tags["arm"], tags["seed"], tags["trial"]


def _place_of(trial: Trial) -> tuple[str, str, str]:
    return trial.arm, str(trial.seed), ids.train_key(trial.config).removeprefix("train/")
