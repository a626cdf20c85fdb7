"""The record in MLflow, written by the driver alone: a parent run per study, a child run per trial.

Runs are found again by their tags, and what they lack is filled in from the store, so that a server that was away, a
driver that was killed and trials that another study ran leave no gap. A server that cannot be reached costs a warning,
never the study.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from search_spaces._sweep import Trial
from study.mlflow_runs import Runs, import_mlflow
from study.plan import Study
from study.uris import hidden
from trainables import pipeline
from trainables.store import Store, TakenOverError

PATIENCE = 60.0  # s to wait at the end for what is still to be written


class Tracker:
    """Listener of `execute`. A thread does the writing: trials wait while the driver is busy, so it must not wait."""

    def __init__(
        self,
        study: Study,
        store: Store,
        uri: str,
        warn: Callable[[str], None],
        artifacts: str | None = None,
        check: Callable[[], None] = lambda: None,
    ):
        """`check` raises TakenOverError once the record is another process's to write."""
        self._study, self._store, self._uri, self._warn, self._artifacts = study, store, uri, warn, artifacts
        self._check = check
        self._jobs: queue.Queue[Callable[[Runs], None] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)

    def collecting(self, what: str, done: int, total: int) -> None:
        """See `execute.Listener`."""

    def started(self, trial: Trial) -> None:
        """The trial's run appears."""
        self._put(lambda runs: runs.start(trial))

    def reported(self, trial: Trial, report: dict[str, Any]) -> None:
        """Its loss curve grows."""
        if report["points"]:
            self._put(lambda runs: runs.log(trial, report["points"]))

    def again(self, trial: Trial, why: str) -> None:
        """Its run goes on."""

    def waits(self, what: str) -> None:
        """Nothing that is worth keeping."""

    def finished(self, trial: Trial, record: dict[str, Any]) -> None:
        """Its record is complete, or says why not."""
        self._put(lambda runs: runs.close(trial, record, _points(trial, self._store)))

    def complete(self, found: list[tuple[Trial, dict[str, Any]]], report: Path) -> None:
        """Fill in every trial with its record, and the report; returns when all is written or given up."""
        for trial, record in found:
            if record["status"] != "missing":
                self._put(lambda runs, t=trial, r=record: runs.close(t, r, _points(t, self._store)))
        crashed = any(record["status"] in ("crashed", "missing") for _, record in found if "search" not in record)
        self._put(lambda runs: runs.finish(report, "FAILED" if crashed else "FINISHED"))
        self._end()

    def stop(self) -> None:
        """End without a result: whatever still runs was stopped."""
        self._put(Runs.stop)
        self._end()

    def _put(self, job: Callable[[Runs], None] | None) -> None:
        """Nothing is written before there is something to write."""
        self._jobs.put(job)
        if self._thread.ident is None:
            with contextlib.suppress(ImportError):  # the thread meets it again, and says so
                import_mlflow()  # here, since two threads must not import at once
            self._thread.start()

    def _end(self) -> None:
        self._put(None)
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            self._warn(self._away("it is too slow"))

    def _work(self) -> None:
        try:
            with self._store.lease("mlflow"):  # what is not there yet is made by one driver alone
                runs = Runs(self._study, self._store, self._uri, self._artifacts)
            if runs.artifacts_elsewhere:
                self._warn(f"MLflow keeps this sweep's artifacts where it began to: {runs.artifacts_elsewhere}")
            while (job := self._jobs.get()) is not None:
                self._check()
                job(runs)
        except TakenOverError:
            return  # the main thread meets it, too, and says so
        except Exception as error:  # noqa: BLE001  MLflow lets through what its databases and servers raise
            line = next(iter(str(error).strip().splitlines()), "")
            self._warn(self._away(f"{type(error).__name__}: {line}"))

    def _away(self, why: str) -> str:
        return (
            f"the tracking server {hidden(self._uri)} cannot be written ({hidden(why)[:200]}); the study goes on, and "
            "the same command fills in the record when it can"
        )


def _points(trial: Trial, store: Store) -> list[dict[str, float]]:
    """The training history as points."""
    history = pipeline.history(trial.config, store)
    return [dict(zip(history, values, strict=True)) for values in zip(*history.values(), strict=True)]
