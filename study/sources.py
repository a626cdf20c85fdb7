"""Where trials come from and who decides how they go on: here the fixed list of an ablation; a search is another."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import Any, Protocol

from search_spaces._sweep import Trial
from trainables import pipeline
from trainables.config import TrialConfig
from trainables.store import Store

TRIES = 3  # starts of a trial whose process keeps dying, or which keeps failing in a search


class Source(Protocol):
    """Called in the driver's main thread alone."""

    configs: Sequence[TrialConfig]  # every kind of trial that may come, to check that the cluster has room for it

    def next(self) -> Trial | None:
        """The trial to start next; None while there is none."""

    @property
    def finished(self) -> bool:
        """Whether nothing more will come, neither a new trial nor one to be tried again."""

    def judge(self, trial: Trial, report: dict[str, Any]) -> bool:
        """Take note of a report of the trial; whether the trial is to be stopped here."""

    def ended(self, trial: Trial) -> dict[str, Any]:
        """The trial came to its end, or was stopped; its record."""

    def crashed(self, trial: Trial, error: str, died: bool) -> dict[str, Any] | None:
        """The trial raised, or its process `died`; its record, or None if it is to be tried again."""


class Arms:
    """A fixed list of trials. One that raises is left for the next command, one whose process dies is tried again."""

    def __init__(self, trials: Sequence[Trial], store: Store):
        self.configs = [trial.config for trial in trials]
        self._store, self._waiting, self._running = store, deque(trials), 0
        self._starts: Counter[tuple[str, int]] = Counter()

    def next(self) -> Trial | None:
        """See `Source`."""
        if not self._waiting:
            return None
        trial = self._waiting.popleft()
        self._starts[trial.place] += 1
        self._running += 1
        return trial

    @property
    def finished(self) -> bool:
        """See `Source`."""
        return not self._waiting and not self._running

    def judge(self, trial: Trial, report: dict[str, Any]) -> bool:
        """Never: what becomes of an arm is a result, however bad."""
        return False

    def ended(self, trial: Trial) -> dict[str, Any]:
        """See `Source`."""
        self._running -= 1
        return pipeline.record_part(trial.config, self._store)

    def crashed(self, trial: Trial, error: str, died: bool) -> dict[str, Any] | None:
        """See `Source`."""
        if died and self._starts[trial.place] < TRIES:
            self._running -= 1
            self._waiting.appendleft(trial)
            return None
        pipeline.fail(trial.config, self._store, error)
        return self.ended(trial)
