"""The search as tables in Markdown: the winner beside the default, chosen and confirmed, the best, the failed."""

from __future__ import annotations

import polars as pl

from analysis import search as searches
from analysis import search_each, search_notes
from analysis.cells import NOTHING, amount, grid, seeds_text, setting
from analysis.records import Record, Study
from analysis.search_notes import account, entrants, values
from analysis.search_records import Dimension, Measure, Search, SearchTrial
from analysis.summary import is_rate

TOP = 5  # trials shown of one objective
FRONT = 20  # trials shown of a front
FAILED = 12  # failed trials shown; the others are in search.csv
OPTIONS = 6  # values of a category shown
LEAST_TRIALS = 10  # with fewer, shares of importance are noise
CAME_TO_NOTHING = ("collapsed", "diverged", "failed")


def blocks(study: Study, records: list[Record], table: pl.DataFrame) -> list[list[str]]:
    """Blocks of lines for table.md; none for a study whose arms were not searched for. `table` is the summary.

    Of several searches what all of them came to, then each as it would stand alone.
    """
    several = bool(study.search and study.search.each)
    found = search_each.blocks(study, records, table) if several else []
    for arm, part in search_each.parts(study).items():
        heading = f"### The search of {arm}" if several else "## The search"
        found += _alone(part, records, table, heading, search_each.picture(study, arm))
    return found


def _alone(study: Study, records: list[Record], table: pl.DataFrame, heading: str, picture: str) -> list[list[str]]:
    search, notes = study.search, search_notes.warnings(study, records)
    return [
        [heading],
        ["  \n".join([*account(study, records), *search_notes.time_spent(search)])],
        _settings(study, records),
        _values(study, records, table),
        search_notes.selection(study, records, table),
        ["**Take note**", "", *(f"- {line}" for line in notes)] if notes else [],
        _best(search) if len(search.objectives) == 1 else _front(search),
        _importance(search),
        _failed(search),
        [f"![the best value so far, and every trial by its settings]({picture}.png)"],
    ]


def notes(study: Study, records: list[Record], table: pl.DataFrame) -> list[str]:
    """What a published table says of the search in comments."""
    several = bool(study.search and study.search.each)
    shared = [search_each.account(study), *search_each.warnings(study)] if several else []
    own = [
        f"{f'{arm}: ' * several}{line}"
        for arm, part in search_each.parts(study).items()
        for line in (
            *account(part, records),
            *search_notes.selection(part, records, table),
            *search_notes.warnings(part, records),
        )
    ]
    return shared + own


def short(study: Study) -> list[str]:
    """A sentence for a caption: which arms were found by how many trials on which tasks."""
    sentences = []
    for part in search_each.parts(study).values():
        search, found = part.search, [arm for arm, _ in entrants(part)[1:]]
        trials = sum(trial.state != "known" for trial in search.trials)
        told = f"{', '.join(found)}: found by {search.sampler} in {trials} trials on {search.split} tasks."
        sentences += [told] if found else []
    return sentences


def _settings(study: Study, records: list[Record]) -> list[str]:
    """The default's settings beside those of every arm that was found, and where each was looked for."""
    search, baseline = study.search, _baseline(study, records)
    found = [(name, trial) for name, trial in entrants(study) if trial is not searches.default(search)]
    header = ["setting", _label(study.baseline, searches.default(search)), *(_label(*one) for one in found), "range"]
    rows = [
        [path, _cell(baseline, path), *(_cell(trial.params, path) for _, trial in found), _range(search, path)]
        for path in searches.paths(search)
    ]
    return grid(header, rows) if rows and (baseline or found) else []


def _baseline(study: Study, records: list[Record]) -> dict:
    """The default's settings: of its trial in the search, as declared, or of its confirmed trials' configs."""
    trial = searches.default(study.search)
    configs = [record.config for record in records if record.arm == study.baseline]
    return next(filter(None, [trial and trial.params, study.search.default, *configs]), {})


def _cell(params: dict, path: str) -> str:
    return setting(params[path]) if path in params else NOTHING


def _range(search: Search, path: str) -> str:
    dimension = search.space.get(path)
    return _where(dimension) if dimension else "not searched"


def _where(dimension: Dimension) -> str:
    if dimension.kind == "choice":
        more = [f"… ({len(dimension.values)})"] if len(dimension.values) > OPTIONS else []
        text = ", ".join([*map(setting, dimension.values[:OPTIONS]), *more])
    else:
        kind = {"log": ", log", "integers": ", whole"}.get(dimension.kind, "")
        text = f"{setting(dimension.low)} to {setting(dimension.high)}{kind}"
    return f"{text}; if {dimension.when[0]} = {setting(dimension.when[1])}" if dimension.when else text


def _values(study: Study, records: list[Record], table: pl.DataFrame) -> list[str]:
    """What each arm was worth when it was chosen and when it was confirmed, by objective."""
    search = study.search
    split, seeds = search_notes.confirmed_split(records), seeds_text(study.seeds)
    chosen = f"chosen: {search.split}, {seeds_text(search.tuning_seeds)}"
    header = ["objective", "arm", chosen, f"confirmed: {split}, {seeds}" if split else "confirmed", "change"]
    rows = [
        [
            f"{objective.name}{_unit(objective)}",
            _label(name, trial),
            *values(study, records, table, objective, name, trial),
        ]
        for objective in search.objectives
        for name, trial in entrants(study)
    ]
    return grid(header, rows) if any(row[2] != NOTHING or row[3] != NOTHING for row in rows) else []


def _best(search: Search) -> list[str]:
    found = searches.top(search, TOP)
    many = len(searches.candidates(search))
    if many < 2:
        return []
    head = f"**The {len(found)} best of {many} trials** that {_able(search)}, on {search.split} tasks"
    return [head, "", *_trials(search, [(_mark(search, trial), trial) for trial in found])]


def _front(search: Search) -> list[str]:
    """The front and, where it is beaten, the default."""
    found, base = searches.front(search), searches.default(search)
    if not found:
        return []
    rows = [(_mark(search, trial), trial) for trial in found[:FRONT]]
    if base and base not in found:
        by = next((one.number for one in found if searches.dominates(search, one, base)), None)
        rows.append((f"{_mark(search, base)}, beaten by {by}" if by is not None else _mark(search, base), base))
    more = [f"{len(found) - FRONT} more trials of the front are in search.csv."] if len(found) > FRONT else []
    head = (
        f"**Pareto front**: of {len(searches.candidates(search))} trials that {_able(search)} on {search.split} tasks,"
    )
    head += f" {len(found)} {'is' if len(found) == 1 else 'are'} beaten by no other one"
    return [head, "", *_trials(search, rows), *(["", *more] if more else [])]


def _able(search: Search) -> str:
    return "are complete and keep the constraints" if search.constraints else "are complete"


def _mark(search: Search, trial: SearchTrial) -> str:
    """A trial's number and what stands out about it."""
    best = searches.winner(search)
    arms = [arm for arm, number in sorted(search.confirmed.items()) if number == trial.number]
    arms = ["confirmed" if arm == f"trial {trial.number}" else arm for arm in arms]
    names = [*arms, *([] if arms or best is not trial else ["best"]), *([trial.note] if trial.note else [])]
    return f"{trial.number} ({', '.join(dict.fromkeys(names))})" if names else str(trial.number)


def _trials(search: Search, rows: list[tuple[str, SearchTrial]]) -> list[str]:
    """A table of trials: objectives, then settings under names as short as tells them apart."""
    paths = searches.paths(search)
    names = searches.short_names(paths)
    header = ["trial", *(f"{one.name}{_unit(one)}" for one in search.objectives), *names.values()]
    cells = [
        [
            mark,
            *(amount(one.name, trial.value(one.name)) for one in search.objectives),
            *(_cell(trial.params, path) for path in paths),
        ]
        for mark, trial in rows
    ]
    return grid(header, cells)


def _importance(search: Search) -> list[str]:
    """Shares by setting and objective, largest first; a reason where there are none."""
    judged = sum(trial.state == "complete" and searches.valued(search, trial) for trial in search.trials)
    if judged < LEAST_TRIALS:
        return [f"Importance of settings: not computed, {judged} complete trials are fewer than {LEAST_TRIALS}."]
    objectives = [one.name for one in search.objectives if any(_shares(search, one.name).values())]
    if not objectives:
        return ["Importance of settings: not computed."]
    shares = {name: _shares(search, name) for name in objectives}
    paths = sorted(
        {path for found in shares.values() for path in found},
        key=lambda path: (-shares[objectives[0]].get(path, 0), path),
    )
    rows = [[path, *(_percent(shares[name].get(path)) for name in objectives)] for path in paths]
    head = f"**Importance** (PED-ANOVA, {judged} complete trials): how much each setting tells the best from the rest"
    return [head, "", *grid(["setting", *objectives], rows)]


def _shares(search: Search, objective: str) -> dict[str, float]:
    shares = search.importance.get(objective, {})
    return {path: x for path, x in shares.items() if path in search.space and x is not None and 0 <= x <= 1}


def _percent(share: float | None) -> str:
    return NOTHING if share is None else f"{share * 100:.0f} %"


def _failed(search: Search) -> list[str]:
    """Trials that collapsed, diverged or failed, each with its settings and last words."""
    found = [trial for trial in search.trials if trial.state in CAME_TO_NOTHING]
    if not found:
        return []
    paths = searches.paths(search)
    names = searches.short_names(paths)
    judged = [one for one in search.objectives if any(trial.value(one.name) is not None for trial in found)]
    rows = [
        [
            str(trial.number),
            trial.state,
            NOTHING if trial.step is None else f"{trial.step:,}",
            *(amount(one.name, trial.value(one.name)) for one in judged),
            *(_cell(trial.params, path) for path in paths),
            _error(trial),
        ]
        for trial in found[:FAILED]
    ]
    more = ["", f"{len(found) - FAILED} more are in search.csv."] if len(found) > FAILED else []
    head = f"**Trials that came to nothing** ({len(found)}); they cannot win"
    objectives = [f"{one.name}{_unit(one)}" for one in judged]
    return [head, "", *grid(["trial", "state", "steps", *objectives, *names.values(), "error"], rows), *more]


def _unit(measure: Measure) -> str:
    """` (%)` to stand behind a measure's name; empty where it has no unit."""
    text = "%" if is_rate(measure.name) else measure.unit
    return f" ({text})" if text else ""


def _label(name: str, trial: SearchTrial | None) -> str:
    """An arm and the trial that has its settings, unless it is called so."""
    return name if trial is None or name == f"trial {trial.number}" else f"{name} (trial {trial.number})"


def _error(trial: SearchTrial) -> str:
    """The last line of what a trial failed with."""
    lines = (trial.error or "").strip().splitlines()
    return lines[-1][:120] if lines else ""
