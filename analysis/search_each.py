"""Several searches side by side, one for every arm that was tuned: how far each was when, and what tuning gained."""

from __future__ import annotations

from typing import Any

import polars as pl

from analysis import search as searches
from analysis.cells import DIFFERENCE, MEAN, NOTHING, amount, count, grid, seeds_text, with_interval
from analysis.records import Record, Study
from analysis.search_notes import aims, ended_trials
from analysis.search_records import Search
from analysis.statistics import Difference, holm, verdict
from analysis.summary import difference, is_rate, measures, plan

PICTURE = "search"  # of all searches; each has one of its own besides


def parts(study: Study) -> dict[str, Study]:
    """The study of each arm that was tuned, by its name, as if it had been tuned alone; none without a search."""
    if study.search is None:
        return {}
    each = study.search.each or {study.baseline: study.search}
    return {arm: study.model_copy(update={"search": found, "baseline": arm}) for arm, found in each.items()}


def picture(study: Study, arm: str) -> str:
    """Name of the picture of an arm's search, without its ending."""
    several = study.search.each
    return f"{PICTURE}-{list(several).index(arm) + 1}" if several else PICTURE


def blocks(study: Study, records: list[Record], table: pl.DataFrame) -> list[list[str]]:
    """Blocks of lines for table.md: what all searches share, how far each was when, what each gained, their picture."""
    notes = warnings(study)
    return [
        ["## The searches"],
        [account(study)],
        _progress(study),
        gains(study, records, table),
        ["**Take note**", "", *(f"- {line}" for line in notes)] if notes else [],
        [f"![the best value so far of every arm by the number of trials]({PICTURE}.png)"],
    ]


def account(study: Study) -> str:
    """What was tuned, how, and with how much each."""
    search = study.search
    budget = "" if search.budget is None else f" with {count(search.budget, 'trial')} each"
    return (
        f"Tuned: {', '.join(search.each)}, by searches of their own{budget} ({search.sampler}), for the {aims(search)}"
        f" on {search.split} tasks, tuning {seeds_text(search.tuning_seeds)}."
    )


def warnings(study: Study) -> list[str]:
    """Why the searches cannot be compared, if they have not spent alike."""
    each = study.search.each
    ended = {arm: ended_trials(one) for arm, one in each.items()}
    if len(set(ended.values())) > 1:
        told = ", ".join(f"{arm} {n}" for arm, n in ended.items())
        return [f"The searches have not spent alike, trials ended: {told}. What had more was luckier, too."]
    return []


def best_of(search: Search, trials: int) -> float | None:
    """The best value of the first objective among the first `trials` trials; None where so many have not ended."""
    points = searches.progress(search)[:trials]
    ended = len(points) == trials and all(point.trial.state != "open" for point in points)
    return points[-1].best if ended else None


def milestones(search: Search) -> list[int]:
    """Numbers of trials worth a column: 1, 2, 4 and so on, and the most that a search was given."""
    most = max([search.budget or 0, *(len(searches.progress(one)) for one in search.each.values())])
    return [n for n in (2**power for power in range(most.bit_length())) if n < most] + [most] * bool(most)


def _progress(study: Study) -> list[str]:
    """The best value so far by the number of trials, beside what was searched and spent."""
    search, objective = study.search, study.search.objectives[0]
    after = milestones(search)
    header = ["arm", "settings", "ended", "without a value", "training steps", *(f"best of {n}" for n in after)]
    rows = [
        [
            arm,
            str(len(one.space)),
            str(ended_trials(one)),
            str(sum(trial.value(objective.name) is None for trial in one.trials if trial.state != "open")),
            f"{searches.steps_spent(one)[0]:,}",
            *(amount(objective.name, best_of(one, n)) for n in after),
        ]
        for arm, one in search.each.items()
    ]
    unit = "%" if is_rate(objective.name) else objective.unit
    return [
        f"**{objective.name} ({unit}) on {search.split} tasks, the best of so many trials**",
        "",
        *grid(header, rows),
    ]


def tuned(part: Study) -> str | None:
    """The arm that stands for an arm once it is tuned: what won, or itself where nothing beat it; None before that."""
    search = part.search
    won = searches.winner(search)
    if not search.searched:
        return None
    arms = [arm for arm, number in search.confirmed.items() if won is not None and number == won.number]
    return arms[0] if arms else part.baseline


def gains(study: Study, records: list[Record], table: pl.DataFrame) -> list[str]:
    """Each arm as declared and tuned, on the tasks that confirm: what tuning gained, and the tuned ones compared."""
    found = {arm: tuned(part) for arm, part in parts(study).items()}
    trials = plan(study, records)
    pairs = {(arm, "gain"): (best, arm) for arm, best in found.items() if best not in (None, arm)}
    reference = found.get(study.baseline)
    pairs |= {
        (arm, "lead"): (best, reference) for arm, best in found.items() if best and reference and best != reference
    }
    judged = _judged(study, trials, pairs)
    shown = {row["arm"]: with_interval(row, MEAN) for row in table.filter(measure=study.primary).to_dicts()}
    lead = f"tuned minus {reference}" if reference else "tuned minus the tuned baseline"
    header = ["arm", "as declared", "tuned", "gain [95 %]", "verdict", f"{lead} [95 %]", "verdict"]
    rows = [
        [arm, shown.get(arm, NOTHING), _tuned(arm, best, shown), *judged[arm, "gain"], *judged[arm, "lead"]]
        for arm, best in found.items()
    ]
    unit = "%" if is_rate(study.primary) else measures(study, list(trials.values()))[0].unit
    head = f"**What tuning gained**: {study.primary} ({unit}), {seeds_text(study.seeds)}; Holm over this table"
    return [head, "", *grid(header, rows)]


def _tuned(arm: str, best: str | None, shown: dict[str, str]) -> str:
    if best is None:
        return "not searched through"
    return "nothing was better" if best == arm else shown.get(best, NOTHING)


def _judged(
    study: Study, trials: dict[tuple[str, int], Record], pairs: dict[tuple[str, str], tuple[str, str]]
) -> dict[tuple[str, str], tuple[str, str]]:
    """(difference with its interval, verdict) as cells, of every arm's gain and lead; p-values adjusted over all."""
    of = {arm: [trials[arm, seed] for seed in study.seeds] for arm in {arm for arm, _ in trials}}
    found = {
        key: difference(study.primary, of[one], of[other], study.margin)
        for key, (one, other) in pairs.items()
        if {one, other} <= of.keys()
    }
    found = {key: each for key, each in found.items() if each is not None}
    p, p_equivalent = (holm([getattr(each, name) for each in found.values()]) for name in ("p", "p_equivalent"))
    better = measures(study, list(trials.values()))[0].higher_is_better is not False
    cells = {
        key: _cells(study.primary, each, verdict(each.mean, one, equal, better))
        for (key, each), one, equal in zip(found.items(), p, p_equivalent, strict=True)
    }
    keys = [(arm, kind) for arm in study.search.each for kind in ("gain", "lead")]
    return {key: cells.get(key, (NOTHING, NOTHING)) for key in keys}


def _cells(measure: str, found: Difference, said: str | None) -> tuple[str, str]:
    row: dict[str, Any] = {
        "measure": measure,
        "difference": found.mean,
        "difference_low": found.low,
        "difference_high": found.high,
    }
    return with_interval(row, DIFFERENCE, "+"), said or NOTHING
