"""Running trials: Tune starts them and tells the driver how they fare. Nothing of Tune's is kept.

Imports Ray, whose environment `study.cluster.quieten` sets beforehand.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from ray import PlacementGroupID, tune
from ray.util.placement_group import PlacementGroup, remove_placement_group

from search_spaces._sweep import Trial
from study.cluster import check_fits, cluster, concurrent
from trainables import pipeline
from trainables.store import Store
from trainables.trial import cell, resources, trial


class Listener(Protocol):
    """Whoever wants to know how the trials fare; called in the driver's main thread."""

    def started(self, trial: Trial) -> None:
        """The trial has its resources."""

    def reported(self, trial: Trial, report: dict[str, Any]) -> None:
        """About once a second: {"event": newest event, "points": loss curve since the last one, "warnings": [...]}."""

    def finished(self, trial: Trial) -> None:
        """The trial is over; the store knows how it went."""


def execute(
    trials: Sequence[Trial], store: Store, listeners: Sequence[Listener], *, address: str | None = None
) -> None:
    """Run the trials to their ends on a cluster of our own, or on the one at `address`.

    A trial that crashes, or whose process is killed, leaves its error in the store and the others go on.
    ConfigError if a trial asks for more than the cluster has.
    """
    configs = [each.config for each in trials]
    with cluster(address) as scratch:
        check_fits(configs)
        # The nodes of a cluster share nothing but the store.
        scratch = store.work(f"tune/{os.getpid()}") if address else scratch / "tune"
        tuner = tune.Tuner(
            tune.with_resources(trial, _Resources(configs)),
            param_space={"cell": tune.grid_search([cell(each, store, i) for i, each in enumerate(configs)])},
            tune_config=tune.TuneConfig(
                # A process that trained inside the trial can be kept for the next one.
                reuse_actors=all(config.executor == "trial" for config in configs),
                max_concurrent_trials=concurrent(configs),
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=str(scratch),
                verbose=0,
                callbacks=[Callback(trials, store, listeners)],
                failure_config=tune.FailureConfig(max_failures=0),
            ),
        )
        try:
            tuner.fit()
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


class _Resources:
    """What a trial holds, from its cell."""

    def __init__(self, configs: Sequence[Any]):
        self._resources = [resources(config) for config in configs]

    def __call__(self, setting: dict[str, str]) -> dict[str, float]:
        return self._resources[_number(setting)]


class Callback(tune.Callback):
    """Passes on what Tune says, and writes down what crashed."""

    def __init__(self, trials: Sequence[Trial], store: Store, listeners: Sequence[Listener]):
        self._trials, self._store, self._listeners = trials, store, listeners
        self._groups: dict[int, str] = {}  # placement groups of Ray Train workers by trial

    def __reduce__(self) -> tuple:
        """Tune pickles its callbacks in order to restore what is never restored here."""
        return tune.Callback, ()

    def on_trial_start(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """Tune's: the trial has its resources."""
        for listener in self._listeners:
            listener.started(self._ours(trial))

    def on_trial_result(self, iteration: int, trials: list, trial: Any, result: dict, **info: Any) -> None:
        """Tune's: a report. The last one comes twice."""
        if result.get("done") or "event" not in result:
            return
        if "placement_group" in result:
            self._groups[_number(trial.config)] = result["placement_group"]
        for listener in self._listeners:
            listener.reported(self._ours(trial), result)

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """Tune's: the trial came to its end."""
        for listener in self._listeners:
            listener.finished(self._ours(trial))

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """Tune's: the trial raised, or its process is gone."""
        pipeline.fail(self._ours(trial).config, self._store, _error(trial))
        if group := self._groups.get(_number(trial.config)):
            # Where no dashboard runs, Ray leaves a killed trial's group and its resources taken.
            remove_placement_group(PlacementGroup(PlacementGroupID.from_hex(group)))
        for listener in self._listeners:
            listener.finished(self._ours(trial))

    def _ours(self, trial: Any) -> Trial:
        return self._trials[_number(trial.config)]


def _number(setting: dict[str, str]) -> int:
    return json.loads(setting["cell"])["number"]


def _error(trial: Any) -> str:
    """What went wrong: the traceback, or what Ray knows of a process that is gone."""
    file = trial.error_file
    if file and Path(file).exists():
        return Path(file).read_text()
    return str(trial.get_error() or "the trial's process died")
