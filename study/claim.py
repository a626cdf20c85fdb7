"""One driver per study, and a note of what the study is: what it needs in the store, and whether it is complete."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from search_spaces._sweep import Trial
from study.plan import KNOWN, Study
from trainables import ids
from trainables.settings import ConfigError
from trainables.store import Store, TakenOverError, flat

FOLDER = "studies"  # of the notes and of the leases
UNFINISHED, COMPLETE = "unfinished", "complete"


@contextmanager
def claimed(study: Study, store: Store) -> Iterator[Callable[[], None]]:
    """Hold the study while the block runs; ConfigError that names the living process which has it.

    Yields the function to call now and then: TakenOverError if another process took the study over meanwhile, as one
    does from a driver that stood still for longer than leases last.
    """
    name = f"{FOLDER}/{study.key}"

    def check() -> None:
        if not store.holds(name):
            owner = owner_of(study.key, store.holders())
            if owner is None:
                raise TakenOverError(f"the lease of {study.key} was taken over or removed while this process ran it")
            raise TakenOverError(f"{study.key} was taken over by {described(owner)}, while this one stood still")

    with store.attempt(name) as owner:
        if owner is not None:
            raise ConfigError(
                f"sweep: {study.key} is run by {described(owner)}; stop that one first, or look how it fares: the same "
                "command with --status"
            )
        yield check


def described(owner: Mapping[str, Any]) -> str:
    """The owner of a lease in words."""
    since = datetime.fromtimestamp(owner["started"]).strftime("%Y-%m-%d %H:%M:%S")
    return f"process {owner['pid']} on {owner['host']} since {since}"


def owner_of(key: str, holders: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Who holds or held the study, of all `Store.holders`."""
    return holders.get(flat(f"{FOLDER}/{key}"))


class Note:
    """The note of a study that runs, and the listener of `execute` that keeps it up to date as trials are found."""

    def __init__(self, study: Study, store: Store, *, budget: int | None, journal: str | dict[str, str] | None):
        self._name, self._store = f"{FOLDER}/{study.key}", store
        self._trials: dict[str, None] = {}  # ids of trainings, in order
        self._content = {
            "sweep": study.name,
            "world": study.world,
            "scale": study.scale,
            "sets": dict(study.sets),
            "seeds": list(study.seeds),
            "budget": budget,
            "journal": journal,
        }

    def begin(self, trials: Iterable[Trial], found: Mapping[str, Mapping[str, Any]]) -> None:
        """The study goes on, and needs these trials; not while another one removes what nobody needs.

        `found`: the arms of a search as far as they are known, as what they change.
        """
        self._content["found"] = {name: dict(changes) for name, changes in found.items()}
        self._trials |= dict.fromkeys(each for trial in trials for each in trainings(trial))
        with self._store.lease(FOLDER):
            self._write(UNFINISHED)

    def complete(self, trials: Iterable[Trial], found: Mapping[str, Mapping[str, Any]]) -> None:
        """Nothing is left to do for these trials; `found` as of `begin`."""
        self._trials = dict.fromkeys(each for trial in trials for each in trainings(trial))
        self._content["found"] = {name: dict(changes) for name, changes in found.items()}
        self._write(COMPLETE)

    def collecting(self, what: str, done: int, total: int) -> None:
        """See `execute.Listener`."""

    def started(self, trial: Trial) -> None:
        """See `execute.Listener`; an arm that a search found is known from now on."""
        if self._content["journal"] and trial.watch is None and not trial.arm.startswith(KNOWN):
            self._content["found"][trial.arm] = dict(trial.changes)
        new = [each for each in trainings(trial) if each not in self._trials]
        if new:
            self._trials |= dict.fromkeys(new)
            self._write(UNFINISHED)

    def reported(self, trial: Trial, report: dict[str, Any]) -> None:
        """See `execute.Listener`."""

    def again(self, trial: Trial, why: str) -> None:
        """See `execute.Listener`."""

    def waits(self, what: str) -> None:
        """See `execute.Listener`."""

    def finished(self, trial: Trial, record: dict[str, Any]) -> None:
        """See `execute.Listener`."""

    def _write(self, state: str) -> None:
        self._store.write(self._name, {**self._content, "state": state, "trials": list(self._trials)})


def trainings(trial: Trial) -> list[str]:
    """The ids of a trial's trainings, one for each of its seeds."""
    seeds = (trial.config.seed, *trial.more_seeds)
    return [ids.train_key(trial.config.model_copy(update={"seed": seed})).removeprefix("train/") for seed in seeds]


def notes(store: Store) -> dict[str, dict[str, Any] | None]:
    """The notes of all studies by key; None for one that cannot be read."""
    return {name.removeprefix(f"{FOLDER}/"): read(name.removeprefix(f"{FOLDER}/"), store) for name in _names(store)}


def read(key: str, store: Store) -> dict[str, Any] | None:
    """The note of a study; None if there is none that can be read."""
    try:
        found = store.read(f"{FOLDER}/{key}")
        sound = found["state"] in (UNFINISHED, COMPLETE) and all(isinstance(trial, str) for trial in found["trials"])
        return found if sound else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _names(store: Store) -> list[str]:
    return store.notes(f"{FOLDER}/")
