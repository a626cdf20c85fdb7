"""Running trials: Tune starts them, is told when to stop one, and tells the driver how they fare.

Nothing of Tune's is kept.

Imports Ray, whose environment `study.cluster.quieten` sets beforehand.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from ray import PlacementGroupID, cloudpickle, tune
from ray.exceptions import (
    LocalRayletDiedError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    RaySystemError,
    WorkerCrashedError,
)
from ray.train import ControllerError
from ray.tune.error import TuneError
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.util.placement_group import PlacementGroup, remove_placement_group

from search_spaces._sweep import Trial
from study.cluster import LOOK_SECONDS, QUIET_SECONDS, Joined, cluster
from study.collect import collect
from study.failures import causes, check_written, passing
from study.sharing import Sharing
from study.sources import Source
from trainables.config import TrialConfig
from trainables.store import Store
from trainables.trial import cell, resources, trial

# A process or node is gone. What the code of a trial raises in Ray Train is none of its ControllerErrors.
DIED = (
    *(RayActorError, WorkerCrashedError, RaySystemError, ControllerError),
    *(LocalRayletDiedError, NodeDiedError, ObjectLostError, OutOfMemoryError),
)


class Listener(Protocol):
    """Whoever wants to know how the trials fare; called in the driver's main thread."""

    def collecting(self, what: str, done: int, total: int) -> None:
        """So many of all episodes of a data set are recorded."""

    def started(self, trial: Trial) -> None:
        """The trial has its resources."""

    def reported(self, trial: Trial, report: dict[str, Any]) -> None:
        """About once a second: {"event": newest event, "points": loss curve since the last one, "warnings": [...]}."""

    def again(self, trial: Trial, why: str) -> None:
        """The trial crashed and will be started again."""

    def waits(self, what: str) -> None:
        """No trial has said anything for a while, and something is asked of the cluster that it does not have now."""

    def finished(self, trial: Trial, record: dict[str, Any]) -> None:
        """The trial is over."""


def execute(
    source: Source,
    store: Store,
    listeners: Sequence[Listener],
    *,
    address: str | None = None,
    at_most: int | None = None,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Run the source's trials to their ends on a cluster of our own, or on the one at `address`, `at_most` at a time.

    `check` is called many times a second and before anybody is told of a trial; a StoreError of its own ends the study.
    ConfigError if a trial asks for more than the cluster has, StoreError when the store can no longer be written.
    """
    with cluster(address) as joined:
        sharing = Sharing(store, joined.has_gpus, joined.cards)
        joined.check_fits(source.configs, sharing.share)
        collect(source.configs, store, lambda *now: [one.collecting(*now) for one in listeners], check)
        asked = Asked(source, store, joined, sharing)
        tuner = tune.Tuner(
            tune.with_resources(trial, _resources),
            tune_config=tune.TuneConfig(
                search_alg=Suggester(asked),
                scheduler=Judge(asked),
                num_samples=sys.maxsize,  # the source says when it is finished
                # A process that trained inside the trial can be kept for the next one.
                reuse_actors=all(config.executor == "trial" for config in source.configs),
                max_concurrent_trials=at_most,
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=str(joined.scratch / "tune"),
                verbose=0,
                callbacks=[Callback(asked, listeners, check)],
                failure_config=tune.FailureConfig(max_failures=0),
            ),
        )
        try:
            tuner.fit()
        except (TuneError, OSError) as error:  # Tune wraps what the source and the listeners raise
            check_written(error)
            raise


class Asked:
    """The trials that Tune was given, by number: Tune's own trials carry a text with that number."""

    def __init__(self, source: Source, store: Store, joined: Joined, sharing: Sharing):
        self.source, self.joined, self.sharing = source, joined, sharing
        self._store = store
        self._trials: dict[int, Trial] = {}

    def next(self) -> dict[str, str] | None:
        """The next trial as Tune's config of it."""
        found = self.source.next()
        if found is None:
            return None
        number = len(self._trials)
        self._trials[number] = found
        gpu = self.sharing.share(found.config)
        return {"cell": cell(found.config, self._store, number, found.more_seeds, found.watch, gpu)}

    def room(self) -> int | None:
        """How many trials at a time the cluster has room for by now; None if Tune knows."""
        return self.joined.concurrent(self.source.configs, self.sharing.share)

    def of(self, theirs: Any) -> Trial:
        """Our trial of one of Tune's."""
        return self._trials[_number(theirs)]

    def __reduce__(self) -> tuple:
        """Tune pickles what it is given in order to restore what is never restored here."""
        return _nothing, ()


class Suggester(Searcher):
    """Hands Tune the source's trials one by one, as the cluster, which may grow and shrink, has room for them."""

    def __init__(self, asked: Asked):
        super().__init__()
        self._asked = asked
        self._open: set[str] = set()
        self._limit: int | None = None
        self._looked = float("-inf")

    def suggest(self, trial_id: str) -> dict[str, str] | str | None:
        """Tune's: the next config, None for none at present, FINISHED for none any more."""
        if self._full():
            return None
        found = self._asked.next()
        if found is not None:
            self._open.add(trial_id)
        return Searcher.FINISHED if found is None and self._asked.source.finished else found

    def on_trial_complete(self, trial_id: str, result: dict | None = None, error: bool = False) -> None:
        """Tune's: `Callback` takes care of the rest."""
        self._open.discard(trial_id)

    def _full(self) -> bool:
        if time.monotonic() - self._looked > LOOK_SECONDS:
            self._limit, self._looked = self._asked.room(), time.monotonic()
        return self._limit is not None and len(self._open) >= self._limit

    def save(self, checkpoint_path: str) -> None:
        """Tune's: nothing to save, the source is durable."""

    def restore(self, checkpoint_path: str) -> None:
        """Tune's: never called."""


class Judge(FIFOScheduler):
    """Stops a trial when the source says so."""

    def __init__(self, asked: Asked):
        super().__init__()
        self._asked = asked

    def on_trial_result(self, controller: Any, trial: Any, result: dict) -> str:
        """Tune's: a report."""
        # Tune gives a scheduler results with nested dicts taken apart: "event" is not there, the list of looks is.
        stop = "looks" in result and self._asked.source.judge(self._asked.of(trial), result)
        return TrialScheduler.STOP if stop else TrialScheduler.CONTINUE


class Callback(tune.Callback):
    """Passes on what Tune says."""

    def __init__(self, asked: Asked, listeners: Sequence[Listener], check: Callable[[], None] = lambda: None):
        self._asked, self._listeners, self._check = asked, listeners, check
        self._heard = time.monotonic()
        self._groups: dict[int, str] = {}  # placement groups of Ray Train workers by trial

    def __reduce__(self) -> tuple:
        """Tune pickles its callbacks in order to restore what is never restored here."""
        return tune.Callback, ()

    def on_step_begin(self, iteration: int, trials: list, **info: Any) -> None:
        """Tune's: called many times a second, whatever happens."""
        self._check()

    def on_step_end(self, iteration: int, trials: list, **info: Any) -> None:
        """Tune's: called many times a second, whatever happens."""
        if time.monotonic() - self._heard < QUIET_SECONDS:
            return
        self._heard = time.monotonic()
        if what := self._asked.joined.waiting():
            for listener in self._listeners:
                listener.waits(what)

    def on_trial_start(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """Tune's: the trial has its resources."""
        self._check()
        for listener in self._listeners:
            listener.started(self._asked.of(trial))

    def on_trial_result(self, iteration: int, trials: list, trial: Any, result: dict, **info: Any) -> None:
        """Tune's: a report. The last one comes twice."""
        self._check()
        self._heard = time.monotonic()
        if result.get("done") or "event" not in result:
            return
        if "placement_group" in result:
            self._groups[_number(trial)] = result["placement_group"]
        for listener in self._listeners:
            listener.reported(self._asked.of(trial), result)

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """Tune's: the trial came to its end, or was stopped."""
        self._check()
        self._free(trial)
        self._asked.sharing.learn(self._asked.of(trial).config)
        self._tell(self._asked.of(trial), self._asked.source.ended(self._asked.of(trial)))

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """Tune's: the trial raised, or its process is gone."""
        self._check()
        self._free(trial)
        ours, text, error = self._asked.of(trial), _text(trial), _error(trial)
        again = passing(error)  # in the trial's process or on its node, which need not be so elsewhere
        if not again:
            check_written(error)
        died = again or any(isinstance(cause, DIED) for cause in causes(error))
        record = self._asked.source.crashed(ours, text, died)
        self._asked.sharing.learn(ours.config)
        if record is not None:
            self._tell(ours, record)
            return
        for listener in self._listeners:
            listener.again(ours, text.strip().splitlines()[-1])

    def _tell(self, trial: Trial, record: dict[str, Any]) -> None:
        for listener in self._listeners:
            listener.finished(trial, record)

    def _free(self, trial: Any) -> None:
        """Free what Ray Train workers of a trial that did not end by itself hold: Ray does so only with a dashboard."""
        if group := self._groups.pop(_number(trial), None):
            remove_placement_group(PlacementGroup(PlacementGroupID.from_hex(group)))


def _nothing() -> None:
    """What is unpickled in place of things that belong to the driver."""


def _resources(setting: dict[str, str]) -> dict[str, float]:
    """What a trial holds, from its cell; Ray takes a copy of this function along."""
    return resources(TrialConfig.model_validate(json.loads(setting["cell"])["config"]))


def _number(theirs: Any) -> int:
    return json.loads(theirs.config["cell"])["number"]


def _text(trial: Any) -> str:
    """What went wrong: the traceback, or what Ray knows of a process that is gone."""
    file = trial.error_file
    if file and Path(file).exists():
        return Path(file).read_text()
    return str(trial.get_error() or "the trial's process died")


def _error(trial: Any) -> BaseException | None:
    """What the trial raised, as Tune wrote it to a folder of this process's own moments ago."""
    file = trial.pickled_error_file
    return cloudpickle.loads(Path(file).read_bytes()) if file and Path(file).exists() else None
