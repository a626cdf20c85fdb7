"""How much of a GPU a trial asks for: what the nearest past training took of one, all of it while nothing is known."""

from __future__ import annotations

import math
from typing import Any

from trainables import ids
from trainables.config import TrialConfig
from trainables.paths import flatten
from trainables.store import Store

MARGIN = 1.25  # over the measured peak: planning is not measured, and allocators differ a little from run to run
CONTEXT = 1 << 29  # bytes that CUDA itself takes per process, which torch does not count
PARTS = 16  # a share is a whole number of sixteenths, so that many trials fill a GPU without a rest
TOO_MUCH = "out of memory"  # of CUDA's error when there was not enough after all


class Sharing:
    """The share of a GPU that each worker of a trial asks for, by what the store holds when it is first asked."""

    def __init__(self, store: Store):
        self._store = store
        self._past: list[tuple[dict[str, Any], dict[str, int]]] | None = None

    def share(self, config: TrialConfig) -> float:
        """In sixteenths, from 1/16 to 1.

        A whole one for several workers, for NCCL refuses two of a trial on one GPU, and for a trial that has crashed
        for want of memory.
        """
        if config.workers > 1 or TOO_MUCH in self._error(config):
            return 1.0
        if self._past is None:
            self._past = _past(self._store)
        return share(config, self._past)

    def _error(self, config: TrialConfig) -> str:
        note = self._store.read(ids.train_key(config).replace("train/", "failures/", 1))
        return note["error"].lower() if note else ""


def share(config: TrialConfig, past: list[tuple[dict[str, Any], dict[str, int]]]) -> float:
    """The share for `config` after the past (settings, {"peak": bytes, "total": bytes of the card}) that is nearest.

    Nearest is what has the most settings in common but the seed; of those the one that took the most.
    """
    mine = flatten(config).items()
    near: list[tuple[int, float]] = []
    for theirs, memory in past:
        common = sum(theirs.get(path) == value for path, value in mine if path != "seed")
        near.append((common, (memory["peak"] * MARGIN + CONTEXT) / memory["total"]))
    return min(1.0, math.ceil(max(near)[1] * PARTS) / PARTS) if near else 1.0


def _past(store: Store) -> list[tuple[dict[str, Any], dict[str, int]]]:
    """(settings, memory) of every training that ran on a GPU."""
    keys = [key for key in store.keys("train/") if key.count("/") == 1]
    results = store.documents([(key, "result.json") for key in keys])
    measured = {
        key: result["memory"] for key, result in zip(keys, results, strict=True) if (result or {}).get("memory")
    }
    configs = store.documents([(key, "config.json") for key in measured])
    pairs = zip(configs, measured.values(), strict=True)
    return [(flatten(TrialConfig.model_validate(config)), memory) for config, memory in pairs if config]
