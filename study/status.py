"""How studies fare, told from what lies in the store while they run or after: nothing is started, nothing written."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from search_spaces._search import DEFAULT, direction
from search_spaces._sweep import Sweep, Trial
from study import claim
from study.keep import size
from study.plan import NOT_RUN, Study, refusal
from study.progress import duration
from trainables import ids, pipeline
from trainables.settings import ConfigError
from trainables.store import Store, flat

KINDS = {
    "data": "data",
    "floors": "data",
    "features": "features of frozen encoders",
    "train": "checkpoints",
    "work": "unfinished work",
    "quarantine": "quarantine",
    "mlflow.db": "MLflow",
    "artifacts": "MLflow",
    "reports": "reports",
}
CHECKPOINT = "checkpoint.json"  # of unfinished training


class Seen:
    """One look at all files and leases of a store."""

    def __init__(self, store: Store):
        self.store, self.holders, self._now = store, store.holders(), time.time()
        self._files = list(store.files())

    def disk(self) -> str:
        """What lies in the store, by kind."""
        found: Counter[str] = Counter()
        for name, count, _ in self._files:
            parts = name.split("/")
            measure = parts[0] == "train" and parts[2:3] == ["measures"]
            found["measures" if measure else KINDS.get(parts[0].removesuffix("-journal"), "notes")] += count
        kinds = ", ".join(f"{kind} {size(count)}" for kind, count in found.most_common())
        return f"disk use: {size(sum(found.values()))}{f' ({kinds})' if kinds else ''}"

    def last(self, key: str, trainings: Iterable[str]) -> str:
        """When something last changed of a study."""
        own = {f"notes/{claim.FOLDER}/{key}.json", f"leases/{flat(f'{claim.FOLDER}/{key}')}"}
        of = {*trainings}
        changes = [when for name, _, when in self._files if name in own or _about(name, key, of)]
        if not changes:
            return "nothing has happened yet"
        when = datetime.fromtimestamp(max(changes)).strftime("%Y-%m-%d %H:%M:%S")
        return f"last change: {self._ago(max(changes))} ago ({when})"

    def running(self, training: str) -> str | None:
        """What is done with a training now, in words; None if it is nothing."""
        key = flat(f"train/{training}")
        living = [name for name, owner in self.holders.items() if owner["alive"] and f"{name}~".startswith(f"{key}~")]
        if measures := [name.split("~")[3].rpartition("-")[0] for name in living if name.count("~") == 3]:
            return f"measuring {measures[0]}"
        return self._trains(training) if living else None

    def _trains(self, training: str) -> str:
        saved = self.store.saved(f"train/{training}", CHECKPOINT)
        place = f"work/train/{training}/"
        changes = [when for name, _, when in self._files if name.startswith(place) and name.endswith(CHECKPOINT)]
        step = saved.get("step") if isinstance(saved, dict) else None
        return f"checkpoint at step {step}, {self._ago(max(changes))} old" if step and changes else "no checkpoint yet"

    def _ago(self, when: float) -> str:
        return duration(max(0.0, self._now - when))


@dataclass
class Tally:
    """How many trials are done, running, failed or to run, and those to look at, each a line."""

    count: Counter[str] = field(default_factory=Counter)
    lines: list[str] = field(default_factory=list)
    trainings: list[str] = field(default_factory=list)
    waiting: dict[tuple[str, str], list[int]] = field(default_factory=lambda: defaultdict(list))  # (arm, why) -> seeds

    def add(self, trial: Trial, state: str, about: str = "") -> None:
        """A trial is in a state."""
        self.count[state] += 1
        self.trainings += claim.trainings(trial)
        if state == NOT_RUN:
            self.waiting[trial.arm, about].append(trial.seed)
        elif about:
            self.lines.append(f"  {state:8} {trial.arm}, seed {trial.seed}: {about}")

    def __str__(self) -> str:
        shown = [f"{self.count[state]} {state}" for state in ("done", "running", "failed", "to run")]
        shown += [f"{self.count[NOT_RUN]} {NOT_RUN}"] if self.count[NOT_RUN] else []
        waiting = [
            f"  {NOT_RUN:8} {arm}, seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}: {why}"
            for (arm, why), seeds in self.waiting.items()
        ]
        return "\n".join([f"trials: {', '.join(shown)}", *self.lines, *waiting])


def every(store: Store | None) -> str:
    """Every study that the store knows of, one line each, and what the store takes."""
    if store is None:
        return "nothing was kept here yet"
    seen, notes = Seen(store), claim.notes(store)
    rows = [(key, _state(key, note, seen), _trained(note, store), seen.last(key, (note or {}).get("trials", [])))
            for key, note in notes.items()]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([*(lines or ["no study was begun here"]), seen.disk()])


def one(study: Study, store: Store | None) -> str:
    """The study: who runs it, its trials, what a search has found, when something last happened, what to do next."""
    head = f"{study.key}: {study.sweep.question}"
    if store is None:
        return f"{head}\nnever run here; {refusal(study, store) or 'the same command without --status begins it'}"
    seen, note, tally = Seen(store), claim.read(study.key, store), Tally()
    state = _state(study.key, note, seen)
    found = [_search(replace(study, sweep=sweep), note or {}, seen, tally) for sweep in study.sweep.strata]
    for trial in _arms(study, note or {}, tally):
        tally.add(trial, *_fares(study, trial, seen))
    state += " but for what is not run" if state == claim.COMPLETE and tally.count[NOT_RUN] else ""
    return "\n".join([head, state, str(tally), *found, seen.last(study.key, tally.trainings), seen.disk(),
                      f"next: {_next(study, store, state, tally)}"])  # fmt: skip


def _next(study: Study, store: Store, state: str, tally: Tally) -> str:
    """What is to happen for the study to be complete, and by whom."""
    waiting = tally.count[NOT_RUN]
    if tally.count["done"] == tally.count.total():
        return "nothing is left to do"
    if "running" in state:
        return "it goes on by itself"
    if why := refusal(study, store):
        return why
    if tally.count["done"] + waiting < tally.count.total():
        return "the same command without --status goes on from here"
    wait = "1 trial waits" if waiting == 1 else f"{waiting} trials wait"
    return f"{wait} for what is lacking here, see above; once it is there, the same command without --status runs them"


def _state(key: str, note: Mapping[str, Any] | None, seen: Seen) -> str:
    """Who runs the study, or how it was left."""
    owner = claim.owner_of(key, seen.holders)
    if owner is not None:
        return f"running: {claim.described(owner)}" if owner["alive"] else f"dead: {claim.described(owner)} is gone"
    if note is None:
        damaged = f"{claim.FOLDER}/{key}" in seen.store.notes(f"{claim.FOLDER}/{key}")
        return "its note cannot be read" if damaged else "not run"
    return "complete" if note["state"] == claim.COMPLETE else "stopped"


def _trained(note: Mapping[str, Any] | None, store: Store) -> str:
    if note is None:
        return ""
    if note["state"] == claim.COMPLETE:
        return f"{len(note['trials'])} trainings"
    results = store.documents([(f"train/{each}", "result.json") for each in note["trials"]])
    return f"{sum(result is not None for result in results)}/{len(results)} trained"


def _arms(study: Study, note: Mapping[str, Any], tally: Tally) -> list[Trial]:
    """The trials of all arms; those that a search has still to find are to run."""
    if not study.sweep.search:
        return study.trials
    found = {name: changes for sweep in study.sweep.strata for name, changes in _found(sweep, note).items()}
    if note.get("state") != claim.COMPLETE:
        still = [sweep for sweep in study.sweep.strata if not _found(sweep, note) and sweep.baseline not in study.lacks]
        tally.count["to run"] += len(still) * study.sweep.search.confirm * len(study.seeds)
    return study.sweep.confirming(found).trials(study.world, study.scale, study.sets, study.seeds)


def _found(sweep: Sweep, note: Mapping[str, Any]) -> dict[str, Any]:
    """The arms that the sweep's search has found by now, as what they change."""
    return {name: changes for name, changes in (note.get("found") or {}).items() if sweep.search.owns(name)}


def _fares(study: Study, trial: Trial, seen: Seen) -> tuple[str, str]:
    """The state of a trial, as its files stand, and more in words where it is worth a line."""
    key = ids.train_key(trial.config)
    if running := seen.running(key.removeprefix("train/")):
        return "running", running.replace(", ", f" of {trial.config.optim.steps}, ", 1)
    measures = [(ids.measure_key(trial.config, name), "values.json") for name in trial.config.measures]
    result, *values = seen.store.documents([(key, "result.json"), *measures])
    status = result.get("status") if isinstance(result, dict) else None
    if status and (status != "ok" or None not in values):
        return "done", ""
    if trial.arm in study.lacks:
        return NOT_RUN, study.lacks[trial.arm]
    why = pipeline.why_failed(trial.config, seen.store)
    return ("failed", why.strip().splitlines()[-1]) if why else ("to run", "")


def _search(study: Study, note: Mapping[str, Any], seen: Seen, tally: Tally) -> str:
    """What the search has asked for and was told; its trials go into the tally."""
    search, name = study.sweep.search, _journal(study, note, seen)
    to_run = NOT_RUN if study.sweep.baseline in study.lacks else "to run"
    head = "search" if search.arm == DEFAULT else f"search of {search.arm}"
    try:
        asked, told = _events(seen.store.lines(name) if name else [])
        tally.count["done"] += len(told)
        open_ = [_candidate(study, line) for number, line in asked.items() if number not in told]
        for trial in filter(None, open_):
            running = seen.running(claim.trainings(trial)[0])
            tally.add(trial, "running" if running else to_run, running or study.lacks.get(study.sweep.baseline, ""))
        if to_run != NOT_RUN and not _searched(study.sweep, note):
            tally.count["to run"] += max(0, (note.get("budget") or search.budget) - len(asked))
        states = Counter(line["state"] for line in told.values())
        ends = ", ".join(f"{count} {state}" for state, count in states.most_common())
        tally.trainings += [line["about"]["trial"] for line in told.values() if "trial" in line["about"]]
        return f"{head}: {len(asked)} asked, {len(told)} told{f' ({ends})' if ends else ''}{_best(study, asked, told)}"
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{head}: its journal cannot be read ({type(error).__name__}: {error})"


def _journal(study: Study, note: Mapping[str, Any], seen: Seen) -> str | None:
    """The search's journal; where the note does not say, the last one of the study, unless it has several searches."""
    noted, names = note.get("journal"), seen.store.notes(f"searches/{study.key}/")
    if isinstance(noted, Mapping):
        return noted.get(study.sweep.search.arm)
    alone = study.sweep.search.arm == DEFAULT
    return noted or (names[-1] if names and alone else None)


def _searched(sweep: Sweep, note: Mapping[str, Any]) -> bool:
    """Whether the search itself is over: what confirms is under way or done. Bisection may leave some of its budget."""
    return note.get("state") == claim.COMPLETE or bool(_found(sweep, note))


def _events(lines: Iterable[Mapping[str, Any]]) -> tuple[dict[int, Any], dict[int, Any]]:
    """What was asked, and what was told, by the number of the search's trial."""
    found: dict[str, dict[int, Any]] = defaultdict(dict)
    for line in lines:
        if line["event"] in ("ask", "tell"):
            found[line["event"]].setdefault(line["number"], line)
    return found["ask"], found["tell"]


def _candidate(study: Study, line: Mapping[str, Any]) -> Trial | None:
    """A trial that was asked for; None for settings that do not go together."""
    try:
        config = study.sweep.candidate(study.world, study.scale, study.sets, line["params"])
    except ConfigError:
        return None
    seed, *more = study.sweep.search.tuning_seeds
    return Trial(study.sweep.search.name(f"trial {line['number']}"), seed, config, line["params"], tuple(more))


def _best(study: Study, asked: Mapping[int, Any], told: Mapping[int, Any]) -> str:
    """The best trial so far that keeps all limits, where there is one objective."""
    search = study.sweep.search
    complete = {number: line for number, line in told.items() if line["state"] == "complete" and _kept(search, line)}
    if len(search.objectives) > 1 or not complete:
        return ""
    (name,) = search.objectives
    sign = 1 if direction(name) else -1
    best = max(complete, key=lambda number: sign * complete[number]["values"][name])
    settings = ", ".join(f"{path}={_short(value)}" for path, value in asked[best]["params"].items())
    return f"; best {name} so far {_short(complete[best]['values'][name])} by trial {best}: {settings}"


def _kept(search: Any, line: Mapping[str, Any]) -> bool:
    """Whether a trial keeps the limits of its search; a number that is not there keeps none."""
    return all(
        (limit.most is None or line["limits"].get(limit.name, math.inf) <= limit.most)
        and (limit.least is None or line["limits"].get(limit.name, -math.inf) >= limit.least)
        for limit in search.limits
    )


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _about(name: str, key: str, trainings: set[str]) -> bool:
    """Whether a file belongs to a study or one of its trainings."""
    parts = name.split("/")
    training = parts[1:2] if parts[0] == "train" else parts[2:3] if parts[:2] == ["work", "train"] else []
    place = "/".join(parts[:3]) if parts[0] == "notes" else "/".join(parts[:2])
    return bool(trainings.intersection(training)) or place in (f"notes/searches/{key}", f"reports/{key}")
