"""Sentences about a search: its account, what selection does to a winner's value, what to know before believing it."""

from __future__ import annotations

from typing import Any

import polars as pl

from analysis import search as searches
from analysis.cells import MEAN, NOTHING, amount, count, listed, seeds_text, setting, with_interval
from analysis.records import Record, Study
from analysis.search_records import Constraint, Measure, Search, SearchTrial
from analysis.summary import is_rate

BEST = "best so far"
Entrant = tuple[str, SearchTrial | None]


def account(study: Study, records: list[Record]) -> list[str]:
    """How it looked, what was spent, what the choice rests on and what confirms it."""
    search = study.search
    return [
        _looked(search),
        _spent(search),
        *_warm(search),
        _judged(study, records),
        *(_constraint(search, limit) for limit in search.constraints),
        *_infeasible(search),
    ]


def aims(search: Search) -> str:
    """What was looked for: `highest success_rate and lowest parameters`."""
    ways = {one.name: "lowest" if one.higher_is_better is False else "highest" for one in search.objectives}
    return " and ".join(f"{way} {name}" for name, way in ways.items())


def _looked(search: Search) -> str:
    seed = "" if search.seed is None else f", seed {search.seed}"
    text = f"Looked for: {aims(search)} over {count(len(search.space), 'setting')}, by {search.sampler}{seed}."
    rule = dict(search.prune)
    if not rule:
        return f"{text} No pruning."
    on = f" on {rule.pop('monitor')}" if rule.get("monitor") else ""
    kind = rule.pop("kind", "by a rule without a name")
    rest = ", ".join(_part(name, value) for name, value in sorted(rule.items()) if value is not None)
    return f"{text} Pruning: {setting(kind)}{on}{f' ({rest})' if rest else ''}."


def _part(name: str, value: Any) -> str:
    """A setting of a rule that prunes; `first` is the share of a training before its first look."""
    share = name == "first" and isinstance(value, float) and 0 < value < 1
    return f"first look after {value * 100:.3g} % of a training" if share else f"{name} {setting(value)}"


def _spent(search: Search) -> str:
    """Trials by state, and the steps of those that were stopped early beside those of full trainings."""
    states = ", ".join(f"{n} {state}" for state, n in searches.counts(search).items() if state not in ("known", "open"))
    ended, budget = ended_trials(search), search.budget
    text = f"Spent: {ended} of {budget} trials" if budget is not None else f"Spent: {count(ended, 'trial')}"
    text += f" ({states})" if states else ""
    taken, full = searches.steps_spent(search)
    if not taken and not full:
        return f"{text}."
    of = f" of the {full:,} that full trainings would have cost ({taken / full * 100:.0f} %)" if full else ""
    return f"{text}; {taken:,} training steps{of}."


def _warm(search: Search) -> list[str]:
    known = search.known if search.known is not None else searches.counts(search).get("known", 0)
    shared = search.known_confirming
    text = f"Warm start: {count(known, 'trial')} known from other sweeps, not counted as spent"
    text += f"; {shared} of them have seeds that confirm here, so what was tried is not independent" if shared else ""
    return [f"{text}."] if known else []


def _judged(study: Study, records: list[Record]) -> str:
    search, split = study.search, confirmed_split(records)
    chosen = f"Chosen on: {search.split} tasks, tuning {seeds_text(search.tuning_seeds)}."
    if not any(record.measures for record in records):
        return f"{chosen} Not confirmed yet."
    return f"{chosen} Confirmed on: {f'{split} tasks, ' if split else ''}{seeds_text(study.seeds)} (the first table)."


def confirmed_split(records: list[Record]) -> str:
    """Of the tasks that the confirmed trials were judged on; empty if none says."""
    key = "protocol.split"
    return " and ".join(sorted({str(record.config[key]) for record in records if key in record.config}))


def _constraint(search: Search, limit: Constraint) -> str:
    """The limit, and which of the trials measured broke it."""
    sides = (("at least", limit.least), ("at most", limit.most))
    text = " and ".join(f"{side} {amount(limit.name, value)}" for side, value in sides if value is not None)
    measured = [(trial, trial.limited(limit.name)) for trial in search.trials]
    measured = [(trial, value) for trial, value in measured if value is not None]
    broken = [f"{trial.number} ({amount(limit.name, value)})" for trial, value in measured if not limit.keeps(value)]
    text = f"Constraint: {limit.name} {text or 'without a limit'}{' %' * is_rate(limit.name)}"
    if not broken:
        return f"{text}: {f'kept by all {len(measured)} trials measured' if measured else 'measured in no trial'}."
    return f"{text}: broken by {len(broken)} of {count(len(measured), 'trial')} measured: {listed(broken)}."


def _infeasible(search: Search) -> list[str]:
    """Trials that the search calls infeasible although no measured value says why."""
    found = [trial for trial in search.trials if trial.feasible is False and not searches.violated(search, trial)]
    return [f"Infeasible, without a measured reason: trial {listed(str(t.number) for t in found)}."] if found else []


def time_spent(search: Search) -> list[str]:
    """Measured time in a line of its own, so that the others are the same in every run."""
    hours = search.spent.hours
    return (
        [] if hours is None else [f"Measured time (differs from run to run): {hours:.3g} hours, added up over trials."]
    )


def ended_trials(search: Search) -> int:
    """Trials that were asked for and have ended, warm starts aside."""
    return sum(trial.state not in ("known", "open") for trial in search.trials)


def entrants(study: Study) -> list[Entrant]:
    """The default, then every arm with settings that were found, then the best trial if no arm has its settings."""
    search, order = study.search, [arm.name for arm in study.arms]
    ranked = sorted(search.confirmed, key=lambda arm: (order.index(arm) if arm in order else len(order), arm))
    found = [(arm, searches.by_number(search, search.confirmed[arm])) for arm in ranked if arm != study.baseline]
    found = [(arm, trial) for arm, trial in found if trial is not None]
    base, best = searches.default(search), searches.winner(search)
    if best is not None and all(best is not trial for trial in (base, *(trial for _, trial in found))):
        found.append((BEST, best))
    return [(study.baseline, base), *found]


def confirmed(
    study: Study, records: list[Record], table: pl.DataFrame, objective: str, arm: str
) -> tuple[float | None, str]:
    """Mean of the arm's confirmed trials and how it is shown; what training cost is no measure."""
    measure = {"train_seconds": "seconds/train"}.get(objective, objective)
    rows = table.filter(pl.col("role") != "floor", arm=arm, measure=measure).to_dicts()
    if rows and rows[0]["mean"] is not None:
        return rows[0]["mean"], with_interval(rows[0], MEAN)
    sizes = [record.parameters for record in records if record.arm == arm and record.parameters]
    if objective == "parameters" and sizes:
        mean = sum(sizes) / len(sizes)
        return mean, amount(objective, mean)
    return None, NOTHING


def values(
    study: Study, records: list[Record], table: pl.DataFrame, objective: Measure, arm: str, trial: SearchTrial | None
) -> tuple[str, str, str]:
    """Cells: the value it was chosen by, the confirmed one, and confirmed minus chosen."""
    mean, shown = confirmed(study, records, table, objective.name, arm)
    chosen = trial.value(objective.name) if trial else None
    change = None if mean is None or chosen is None else mean - chosen
    return amount(objective.name, chosen), shown, amount(objective.name, change, "+")


def selection(study: Study, records: list[Record], table: pl.DataFrame) -> list[str]:
    """That a value that won is too good to be true, and by how much it was; nothing where nothing was selected."""
    search, objective = study.search, study.search.objectives[0]
    many, base, best = len(searches.candidates(search)), searches.default(search), searches.winner(search)
    lines = []
    for arm, trial in entrants(study)[1:]:
        if many < 2 or trial is base or trial.value(objective.name) is None:
            continue
        how = f"was the best of {many}" if trial is best and len(search.objectives) == 1 else f"was chosen among {many}"
        who = f"trial {trial.number}" if arm == BEST else arm
        text = f"The {search.split} value of {who} {how}: optimistic by selection (winner's curse)"
        drop = _drop(study, records, table, objective, arm, trial)
        if drop is None:
            lines.append(f"{text}, and not confirmed yet.")
            continue
        other = _drop(study, records, table, objective, study.baseline, base)
        beside = f" ({study.baseline}, not chosen by its value: {other})" if other else ""
        lines.append(f"{text}. Confirmed, {objective.name} is {drop}{beside}. Believe the confirmed column.")
    return lines


def _drop(
    study: Study, records: list[Record], table: pl.DataFrame, objective: Measure, arm: str, trial: SearchTrial | None
) -> str | None:
    """`4.9 points worse`: the confirmed value against the one it was chosen by."""
    mean, _ = confirmed(study, records, table, objective.name, arm)
    chosen = trial.value(objective.name) if trial else None
    if mean is None or chosen is None:
        return None
    change = (mean - chosen) * (-1 if objective.higher_is_better is False else 1)
    size = amount(objective.name, abs(change)) + " points" * is_rate(objective.name)
    return f"{size} {'worse' if change < 0 else 'better'}" if change else "the same"


def warnings(study: Study, records: list[Record]) -> list[str]:
    """What a reader must know before believing the search; empty if nothing is amiss."""
    search = study.search
    return [
        *_unfinished(search),
        *_no_winner(study),
        *_unconfirmed(study),
        *_misnamed(search),
        *(_edge(search, edge) for edge in searches.edges(search)),
        *_timed(study),
        *_not_apart(study, records),
    ]


def _unfinished(search: Search) -> list[str]:
    still = [str(trial.number) for trial in search.trials if trial.state == "open"]
    ended, budget = ended_trials(search), search.budget
    if budget is not None and ended > budget:
        return [f"Over budget: {ended} trials ended, {budget} were planned."]
    short = budget is not None and ended < budget
    if not still and (not short or search.searched):
        return []
    of = f"{ended} of {budget} trials ended, the budget is not used up" if short else f"{ended} trials ended"
    running = f", {len(still)} still open: {listed(still)}" if still else ""
    return [f"The search is not finished: {of}{running}. What it found may change."]


def _no_winner(study: Study) -> list[str]:
    search = study.search
    if not searches.candidates(search):
        limits = " and within the constraints" if search.constraints else ""
        return [f"No trial is complete{limits}: there is nothing to choose from."]
    if len(search.objectives) == 1 and searches.default(search) in searches.front(search):
        return [f"No trial did better than {study.baseline} on {search.split} tasks."]
    return []


def _unconfirmed(study: Study) -> list[str]:
    """Arms with settings that the search does not stand for, and a winner that no arm has the settings of."""
    search, best = study.search, searches.winner(study.search)
    arms = {arm: number for arm, number in sorted(search.confirmed.items()) if arm != study.baseline}
    able = searches.candidates(search) if len(search.objectives) == 1 else searches.front(search)
    among = "among those that may be chosen" if len(search.objectives) == 1 else "on the front"
    numbers = {trial.number for trial in able}
    lines = [
        f"{arm} has the settings of trial {n}, which is not {among}." for arm, n in arms.items() if n not in numbers
    ]
    if arms and best is not None and best.number not in arms.values() and best is not searches.default(search):
        lines.append(f"Trial {best.number} is the best by now, and no arm has its settings: it is not confirmed.")
    return lines


def _misnamed(search: Search) -> list[str]:
    """Trials that the search calls best although its own trials say otherwise."""
    on_front = {trial.number for trial in searches.front(search)}
    wrong = sorted({search.best, *search.front} - on_front - {None})
    if not wrong:
        return []
    return [f"Left out of the best, beaten, not complete or outside a constraint: trial {listed(map(str, wrong))}."]


def _edge(search: Search, edge: searches.Edge) -> str:
    dimension = search.space[edge.path]
    ends = dimension.values if dimension.kind == "choice" else [dimension.low, dimension.high]
    span = f"{setting(min(ends))} to {setting(max(ends))}"
    return (
        f"The chosen {edge.path}, {setting(edge.value)}, is at the {edge.side} end of its range ({span}): better ones"
        " may lie beyond, widen it if the setting allows."
    )


def _timed(study: Study) -> list[str]:
    """Measured times that decided something."""
    timed = {one.name for one in (*study.search.objectives, *study.measures) if one.timed}
    used = [one.name for one in (*study.search.objectives, *study.search.constraints) if one.name in timed]
    names = ", ".join(dict.fromkeys(used))
    return (
        [f"Decided by measured time ({names}), which differs from run to run: not repeatable bit for bit."]
        if names
        else []
    )


def _not_apart(study: Study, records: list[Record]) -> list[str]:
    """Where choosing and confirming share seeds or tasks, the confirmed values are optimistic, too."""
    search = study.search
    seeds = sorted(set(search.tuning_seeds) & set(study.seeds))
    lines = (
        [f"Chosen and confirmed on the same {seeds_text(seeds)}: the confirmed values are optimistic, too."]
        if seeds
        else []
    )
    if search.split == confirmed_split(records):
        lines.append(
            f"Chosen and confirmed on the same {search.split} tasks: the confirmed values are optimistic, too."
        )
    return lines
