"""What becomes of the weights of a study that is complete; its records stay whatever becomes of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

from search_spaces._sweep import Trial
from study import claim
from study.plan import Study
from trainables import pipeline, plugins
from trainables.settings import ConfigError
from trainables.store import Store, flat

POLICIES = ("all", "best", "none")
STOPPED = ("pruned", "collapsed", "diverged", "failed")  # ends of a search's trial that leave work behind

Pairs = Sequence[tuple[Trial, dict[str, Any]]]


def check(policy: str) -> None:
    """ConfigError for a policy that is none."""
    try:
        plugins.require("keep", policy, list(POLICIES))
    except ValueError as error:
        raise ConfigError(str(error)) from None


def apply(policy: str, study: Study, store: Store, pairs: Pairs) -> str:
    """Remove the weights that the policy does not keep and no unfinished study in the store needs; what was done.

    `pairs`: every trial of the study, which is complete, with its record.
    """
    with store.lease(claim.FOLDER):  # no study begins meanwhile
        needed = _needed(store)
        if isinstance(needed, str):
            return f"keep: nothing is removed, for the note of {needed} cannot be read and it may need it"
        kept = set(_best(study, pairs)) if policy == "best" else set()
        mine = {each: None for trial, _ in pairs for each in claim.trainings(trial)}
        going = [each for each in mine if each not in kept | needed]
        freed = [store.prune(f"train/{each}", [pipeline.WEIGHTS]) for each in going]
        left = _drop(store, [each for each in _stopped(pairs) if each not in needed])
    spared = len(set(mine) & needed)
    parts = [f"the weights of {sum(map(bool, freed))} trainings ({size(sum(freed))})"]
    parts += [f"unfinished work of {len(left)} stopped ones ({size(sum(left))})"] if left else []
    why = f"; {spared} are needed by unfinished studies and stay" if spared else ""
    return f"keep {policy}: removed {' and '.join(parts)}{why}"


def size(count: float) -> str:
    """Bytes in words: "3.1 MB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def _needed(store: Store) -> set[str] | str:
    """The trainings of all unfinished studies, or the study of which that cannot be told."""
    notes = claim.notes(store)
    if unclear := [key for key, note in notes.items() if note is None]:
        return unclear[0]
    return {each for note in notes.values() if note["state"] == claim.UNFINISHED for each in note["trials"]}


def _best(study: Study, pairs: Pairs) -> Iterable[str]:
    """The trainings of the best arm by the mean over its seeds; of a search those of all arms that confirm it."""
    primary = study.sweep.primary
    judged = [(trial, record) for trial, record in pairs if trial.watch is None]
    values = defaultdict(list)
    for trial, record in judged:
        if primary in record["measures"]:
            values[trial.arm].append(record["measures"][primary])
    (better,) = (value["higher_is_better"] for value in pipeline.measure_values() if value["name"] == primary)
    best = (max if better else min)(values, key=lambda arm: fmean(values[arm]), default=None)
    return [
        each
        for trial, _ in judged
        if study.sweep.search or best in (None, trial.arm)
        for each in claim.trainings(trial)
    ]


def _stopped(pairs: Pairs) -> list[str]:
    return [
        each
        for trial, record in pairs
        if record.get("search", {}).get("state") in STOPPED
        for each in claim.trainings(trial)
    ]


def _drop(store: Store, stopped: list[str]) -> list[int]:
    """Delete unfinished work that nobody goes on with; the bytes of each."""
    found: dict[str, int] = defaultdict(int)
    for name, count, _ in store.files():
        if name.startswith("work/train/"):
            found[name.split("/")[2]] += count
    holders = store.holders()
    idle = [each for each in stopped if not holders.get(flat(f"train/{each}"), {}).get("alive")]
    dropped = [each for each in dict.fromkeys(idle) if each in found]
    for each in dropped:
        store.drop_work(f"train/{each}")
    return [found[each] for each in dropped]
