"""How much of a GPU a trial asks for: what the nearest past training took of one, all of it while nothing is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from trainables import ids, pipeline
from trainables.config import TrialConfig
from trainables.paths import flatten
from trainables.store import Store

# Settings by path, memory: {"peak": bytes, "total": bytes of the card}, the card's name.
Past = tuple[dict[str, Any], dict[str, int], str]

MARGIN = 1.25  # over the measured peak: planning is not measured, and allocators differ a little from run to run
CONTEXT = 1 << 29  # bytes that CUDA itself takes per process, which torch does not count
PARTS = 16  # a share is a whole number of sixteenths, so that many trials fill a GPU without a rest
TOO_MUCH = "out of memory"  # of CUDA's error when there was not enough after all


class Sharing:
    """The share of a GPU that each worker of a trial asks for, by what the store holds and trials have told since.

    `has_gpus` says whether there are any, `cards` of which kinds; what was measured on a card of another kind says
    nothing of a share of these.
    """

    def __init__(self, store: Store, has_gpus: Callable[[], bool], cards: Callable[[], frozenset[str]] = frozenset):
        self._store, self._has_gpus, self._cards = store, has_gpus, cards
        self._past: list[Past] | None = None
        self._shares: dict[tuple[str, frozenset[str]], float] = {}

    def share(self, config: TrialConfig) -> float:
        """In sixteenths, from 1/16 to 1; 0 where there are no GPUs.

        A whole one for several workers, for NCCL refuses two of a trial on one GPU, and for a trial that has crashed
        for want of memory; what the config says, where it does.
        """
        if not self._has_gpus():
            return 0.0
        if config.gpu_share is not None:
            return config.gpu_share
        key = ids.train_key(config), self._cards()
        if key not in self._shares:
            self._shares[key] = self._fresh(config)
        return self._shares[key]

    def learn(self, config: TrialConfig) -> None:
        """The trial is over: what it took is known, or that it was not enough."""
        if self._has_gpus() and self._past is not None:
            self._past += _measured(self._store, [ids.train_key(config)])
            self._shares.clear()

    def _fresh(self, config: TrialConfig) -> float:
        why = pipeline.why_failed(config, self._store)
        if config.workers > 1 or (why and TOO_MUCH in why.lower()):
            return 1.0
        if self._past is None:
            keys = [key for key in self._store.keys("train/") if key.count("/") == 1]
            self._past = _measured(self._store, keys)
        return share(config, [past for past in self._past if all(card in past[2] for card in self._cards())])


def share(config: TrialConfig, past: list[Past]) -> float:
    """The share for `config` after that of the past which is nearest.

    Nearest is what has the most settings in common but the seed; of those the one that took the most.
    """
    mine = flatten(config).items()
    near: list[tuple[int, float]] = []
    for theirs, memory, _ in past:
        common = sum(theirs.get(path) == value for path, value in mine if path != "seed")
        near.append((common, (memory["peak"] * MARGIN + CONTEXT) / memory["total"]))
    return min(1.0, math.ceil(max(near)[1] * PARTS) / PARTS) if near else 1.0


def _measured(store: Store, keys: list[str]) -> list[Past]:
    """What is known of those of the trainings that ran on a GPU and that this version can read."""
    results = store.documents([(key, "result.json") for key in keys])
    took = {key: found for key, found in zip(keys, results, strict=True) if found and found.get("memory")}
    configs = store.documents([(key, "config.json") for key in took])
    pairs = [(_settings(config), found) for config, found in zip(configs, took.values(), strict=True)]
    device = lambda found: (found.get("provenance") or {}).get("device") or ""  # noqa: E731
    return [(settings, found["memory"], device(found)) for settings, found in pairs if settings]


def _settings(config: Any) -> dict[str, Any] | None:
    try:
        return flatten(TrialConfig.model_validate(config))
    except ValueError:
        return None
