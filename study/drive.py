"""A study from its plan to its report: what is missing is run, what there is becomes a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from study import claim, interrupts, keep, report
from study import plan as plans
from study.sources import Arms, Source
from trainables.store import Store

if TYPE_CHECKING:
    from study.search import Searching
    from study.searches import Searches

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where a study runs and is kept: MLflow's tracking URI, a Ray cluster's address (None for one of our own)."""

    tracking_uri: str
    artifacts: str | None = None  # a URI below which MLflow keeps files; its own place otherwise
    address: str | None = None
    at_most: int | None = None  # trials at a time; None for as many as the cluster has room for
    keep: str = "all"  # what stays of the weights when the study is complete, see `keep`


class Work:
    """What a study has to do and has done, whether its arms are declared or searched for."""

    def __init__(self, study: plans.Study, store: Store | None, budget: int | None = None):
        self._study, self._store = study, store
        self.searching = _searching(study, store, budget) if study.sweep.search else None

    @property
    def plan(self) -> plans.Plan:
        """Every trial with its state."""
        return self.searching.plan() if self.searching else plans.plan(self._study, self._store)

    @property
    def study(self) -> plans.Study:
        """The study with the arms that are known by now."""
        return self.searching.confirmed if self.searching else self._study

    @property
    def about(self) -> dict[str, Any]:
        """The search's budget and journal, of several each one's by its arm, for the study's note."""
        found = self.searching
        return {"budget": found and found.budget, "journal": found and found.journal}

    @property
    def found(self) -> dict[str, Any]:
        """What the arms that a search found change, by name."""
        return {arm.name: arm.changes for arm in self.study.sweep.arms} if self.searching else {}

    def source(self) -> Source:
        """The trials that are to run."""
        return self.searching or Arms([planned.trial for planned in self.plan.open], self._store)

    def report(self, say: Say) -> tuple[Path, list[tuple[Any, dict]]]:
        """Write the report from what there is; its folder, and every trial with its record.

        It covers the seeds that an earlier report had besides, too, and says so.
        """
        whole = report.covering(self.study, self._store)
        if more := [str(seed) for seed in whole.seeds if seed not in self.study.seeds]:
            say(f"the report goes on to cover what this study has besides: seeds {', '.join(more)}")
        records = report.records(whole, self._store)
        folder = report.write(whole, self._store, records, self.searching and self.searching.summary())
        pairs = list(zip(whole.trials, records, strict=True))
        return folder, [*(self.searching.records() if self.searching else []), *pairs]


def _searching(study: plans.Study, store: Store | None, budget: int | None) -> Searching | Searches:
    from study.search import Searching  # which brings Optuna along
    from study.searches import Searches

    return (Searches if study.sweep.search.each else Searching)(study, store, budget)


def run(study: plans.Study, store: Store, budget: int | None, places: Places, say: Say) -> tuple[Path, bool]:
    """Run what is missing, then report; the report's folder, and whether every trial of the study has its result.

    Raises KeyboardInterrupt when it is stopped, ConfigError for what the cluster cannot do or if another process runs
    the study, StoreError when the store can no longer be written.
    """
    with claim.claimed(study, store) as check, interrupts.stoppable():
        work = Work(study, store, budget)  # read now that nobody else adds to it
        return _run(work, study, store, places, say, check)


def _run(
    work: Work, study: plans.Study, store: Store, places: Places, say: Say, check: Callable[[], None]
) -> tuple[Path, bool]:
    from study.tracking import Tracker

    console, plan = Console(stderr=True), work.plan
    say(f"{study.key}: {study.sweep.question}\n{plans.summary(plan)}")
    note = claim.Note(study, store, **work.about)
    tracker = Tracker(
        study,
        store,
        places.tracking_uri,
        lambda text: console.print(f"[yellow]warning:[/] {escape(text)}", soft_wrap=True),
        places.artifacts,
        check,
    )
    if plan.open:
        mine = (planned.trial for planned in plan.planned if planned.known and planned.state != plans.NOT_RUN)
        note.begin(mine, work.found)
        _execute(work, plan, study, store, [tracker, note], places, console, check)
    check()
    folder, pairs = work.report(say)
    tracker.complete(pairs, folder)
    mine = [record for trial, record in pairs if trial.watch is None and trial.seed in study.seeds]
    complete = not any(record["status"] in ("crashed", "missing") for record in mine)
    if complete:
        note.complete([trial for trial, record in pairs if record["status"] != plans.NOT_RUN], work.found)
    if complete and places.keep != "all":
        say(keep.apply(places.keep, study, store, pairs))
    return folder, complete


def _execute(
    work: Work,
    plan: plans.Plan,
    study: plans.Study,
    store: Store,
    listeners: list[Any],
    places: Places,
    console: Console,
    check: Callable[[], None],
) -> None:
    from study import cluster, progress

    cluster.quieten(places.address)
    if places.address:
        cluster.check_reached(places.address)
    from study.execute import execute

    try:
        with progress.Progress(plan, study.sweep.primary, console) as shown:
            execute(
                work.source(), store, [shown, *listeners], address=places.address, at_most=places.at_most, check=check
            )
    except KeyboardInterrupt:
        with interrupts.shielded():
            listeners[0].stop()
        raise
