"""Several searches as one source of trials: every arm is tuned by its own with the same budget, and they take turns.

Each keeps its journal, its sampler and its budget, so it resumes and ends as it would alone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from search_spaces._sweep import Trial
from study import plan as plans
from study import search_summary
from study.plan import Plan, Study
from study.search import Searching
from trainables.store import Store


class Searches:
    """Source of a study every arm of which is tuned: `budget` candidates for each, then what confirms them.

    Nothing is spent on an arm that this machine lacks something to run.
    """

    def __init__(self, study: Study, store: Store | None, budget: int | None = None):
        self._study, self._store = study, store
        self._strata = {sweep.baseline: replace(study, sweep=sweep) for sweep in study.sweep.strata}
        self._parts = {
            arm: Searching(stratum, store, budget) for arm, stratum in self._strata.items() if arm not in study.lacks
        }
        self.budget = budget or study.sweep.search.budget
        self.configs = [config for part in self._parts.values() for config in part.configs]
        self._owners: dict[tuple[str, int], Searching] = {}
        self._others: Counter[str] = Counter()  # trials besides candidates that an arm's search was given

    @property
    def journal(self) -> dict[str, str]:
        """The journal of each arm's search."""
        return {arm: part.journal for arm, part in self._parts.items()}

    def next(self) -> Trial | None:
        """The next trial of the search that has had the fewest, so that they have spent alike at any time."""
        for arm in sorted(self._parts, key=self._given):
            if trial := self._parts[arm].next():
                self._owners[trial.place] = self._parts[arm]
                self._others[arm] += trial.watch is None
                return trial
        return None

    @property
    def finished(self) -> bool:
        """See `sources.Source`."""
        return all(part.finished for part in self._parts.values())

    def judge(self, trial: Trial, report: dict[str, Any]) -> bool:
        """See `sources.Source`."""
        return self._owners[trial.place].judge(trial, report)

    def ended(self, trial: Trial) -> dict[str, Any]:
        """See `sources.Source`."""
        return self._owners[trial.place].ended(trial)

    def crashed(self, trial: Trial, error: str, died: bool) -> dict[str, Any] | None:
        """See `sources.Source`."""
        return self._owners[trial.place].crashed(trial, error, died)

    @property
    def confirmed(self) -> Study:
        """The study whose arms are those declared, each followed by what its search chose once it is over."""
        studies = [self._parts[arm].confirmed if arm in self._parts else own for arm, own in self._strata.items()]
        arms = [arm for study in studies for arm in study.sweep.arms]
        return replace(self._study, sweep=replace(self._study.sweep, arms=arms))

    def plan(self) -> Plan:
        """All trials of one arm after those of another, although they take turns."""
        found = [
            self._parts[arm].plan() if arm in self._parts else plans.plan(stratum, self._store)
            for arm, stratum in self._strata.items()
        ]
        lacks = {arm: why for plan in found for arm, why in plan.lacks.items()}
        return Plan([planned for plan in found for planned in plan.planned], max(p.evidence for p in found), lacks)

    def records(self) -> list[tuple[Trial, dict[str, Any]]]:
        """Every candidate that has its outcome, with its record."""
        return [pair for part in self._parts.values() for pair in part.records()]

    def summary(self) -> dict[str, Any]:
        """What `analysis` shows of the searches: what they share, what they spent together, and each by its arm."""
        each = {arm: part.summary() for arm, part in self._parts.items()}
        costs = [one["spent"] for one in each.values()]
        spent = {key: sum(cost[key] for cost in costs) for cost in costs for key in cost}
        searched = all(one["searched"] for one in each.values())
        shared = search_summary.declared(self._study.sweep.search, self.budget)
        return {**shared, "searched": searched, "spent": spent, "each": each}

    def _given(self, arm: str) -> int:
        """How many trials an arm's search was given, this process's own where they are no candidates."""
        return len(self._parts[arm].exploration.points) + self._others[arm]
