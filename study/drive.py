"""A study from its plan to its report: what is missing is run, what there is becomes a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from study import plan as plans
from study import report
from study.search import Searching
from study.sources import Arms, Source
from trainables.store import Store

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where a study's things are: MLflow's tracking URI, a Ray cluster's address (None for one of our own)."""

    tracking_uri: str
    address: str | None = None
    at_most: int | None = None  # trials at a time; None for as many as the cluster has room for


class Work:
    """What a study has to do and has done, whether its arms are declared or searched for."""

    def __init__(self, study: plans.Study, store: Store | None, budget: int | None = None):
        self._study, self._store = study, store
        self.searching = Searching(study, store, budget) if study.sweep.search else None

    @property
    def plan(self) -> plans.Plan:
        """Every trial with its state."""
        return self.searching.plan() if self.searching else plans.plan(self._study, self._store)

    @property
    def study(self) -> plans.Study:
        """The study with the arms that are known by now."""
        return self.searching.confirmed if self.searching else self._study

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


def run(work: Work, study: plans.Study, store: Store, places: Places, say: Say) -> tuple[Path, bool]:
    """Run what is missing, then report; the report's folder, and whether every trial of the study has its result.

    Raises KeyboardInterrupt when it is stopped, ConfigError for what the cluster cannot do, StoreError when the store
    can no longer be written.
    """
    from study.tracking import Tracker

    console, plan = Console(stderr=True), work.plan
    say(f"{study.key}: {study.sweep.question}\n{plans.summary(plan)}")
    report.check_writable(study, store)
    tracker = Tracker(
        study, store, places.tracking_uri, lambda text: console.print(f"[yellow]warning:[/] {escape(text)}")
    )
    if plan.open:
        _execute(work, plan, study, store, tracker, places, console)
    folder, pairs = work.report(say)
    tracker.complete(pairs, folder)
    mine = [record for trial, record in pairs if trial.watch is None and trial.seed in study.seeds]
    return folder, not any(record["status"] in ("crashed", "missing") for record in mine)


def _execute(
    work: Work, plan: plans.Plan, study: plans.Study, store: Store, tracker: Any, places: Places, console: Console
) -> None:
    from study import cluster, progress

    cluster.quieten(places.address)
    if places.address:
        cluster.check_reached(places.address)
    from study.execute import execute

    try:
        with progress.Progress(plan, study.sweep.primary, console) as shown:
            execute(work.source(), store, [shown, tracker], address=places.address, at_most=places.at_most)
    except KeyboardInterrupt:
        tracker.stop()
        raise
