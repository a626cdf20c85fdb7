"""What a table or figure must say in words: what was asked, how it was judged, what went wrong."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from analysis.cells import count
from analysis.records import NOT_RUN, STATUSES, Record, Study
from analysis.statistics import EXACT_SEEDS, LEAST_SEEDS
from analysis.summary import is_rate

COUNTED = ("collapsed", "diverged", "crashed", "missing")
FLOOR = pl.col("role") == "floor"
RATE = pl.col("measure").str.starts_with("success_rate")


def title(study: Study) -> str:
    """Sweep, world and scale."""
    return f"{study.sweep}: world {study.world}, scale {study.scale}"


def setting(study: Study, records: list[Record]) -> list[str]:
    """Question, primary measure, baseline and margin of a comparison, protocol, seeds and what was set by hand."""
    judged = f" Baseline: {study.baseline}. Margin: {quantity(study, study.margin)}." if study.compares else ""
    lines = [
        f"Question: {study.question}",
        f"Primary measure: {study.primary}.{judged}",
        f"World: {study.world}. Scale: {study.scale}. Protocol: {protocol(records)}.",
        f"Seeds: {', '.join(map(str, study.seeds))}.",
        *([f"Data: {study.data}"] if study.data else []),
    ]
    if study.measured_alike:
        lines.append(f"Published values: {study.source or 'no source given'} ({study.published_at}).")
    lines += [_truth(measure, values, records) for measure, values in study.truth.items()]
    return lines + ([f"Set: {', '.join(f'{k}={v}' for k, v in sorted(study.sets.items()))}."] if study.sets else [])


def protocol(records: list[Record]) -> str:
    """The protocol that the trials' configs name; several values of one setting stand side by side."""
    if not any("protocol.name" in record.config for record in records):
        return "not recorded"
    words = [_named(records, lambda get: get("name"))]
    words.append(_named(records, lambda get: get("split"), "{} split"))
    words.append(_named(records, lambda get: get("tasks"), "{} tasks"))
    ahead = lambda get: get("offset") and get("offset") - (get("early") or 0)  # noqa: E731
    words.append(_named(records, ahead, "goal {} env steps ahead"))
    words.append(_named(records, lambda get: get("budget"), "at most {} steps"))
    words.append(_named(records, lambda get: get("solved_starts") and "solved starts kept"))
    words.append(_named(records, lambda get: get("clip") is False and "plans not clipped to the action bounds"))
    words.append(_named(records, lambda get: get("context"), "planning sees {} of the trained history's frames"))
    looks = {name for record in records for name in record.config if name.startswith("protocol.look.")}
    for name in sorted(looks):
        words.append(_named(records, lambda get, name=name: get(name[9:]), f"seen with {name[14:]} {{}}"))
    return ", ".join(word for word in words if word)


def _named(records: list[Record], value: Callable[[Callable[[str], Any]], Any], text: str = "{}") -> str:
    """What the records have, in words; empty where none has it."""
    found = [value(lambda key, record=record: record.config.get(f"protocol.{key}")) for record in records]
    shown = sorted({str(one) for one in found if one not in (None, False)})
    return text.format(" | ".join(shown)) if shown else ""


def quantity(study: Study, value: float) -> str:
    """A difference of the primary measure in words."""
    return f"{value * 100:g} points" if is_rate(study.primary) else f"{value:g}"


def short(study: Study, records: list[Record], table: pl.DataFrame) -> str:
    """The caption of a published table: question, world, scale, protocol, n, and what the brackets are."""
    seeds = len(study.seeds)
    what = f"World {study.world}, scale {study.scale}; protocol {protocol(records)}; n = {seeds} training seed"
    ours = "Wilson's, counting seeds and tasks" if is_rate(study.primary) else "Student's t over seeds"
    primary = pl.col("measure") == study.primary
    kinds = {ours: ~FLOOR & primary, "floors: Wilson's over tasks": FLOOR & primary}
    kinds = "; ".join(_with_interval(table, kinds))
    brackets = [f"Brackets: 95 % intervals ({kinds})."] if kinds else []
    return " ".join([study.question, f"{what}{'s' * (seeds != 1)}.", *brackets])


def intervals(study: Study, table: pl.DataFrame) -> list[str]:
    """How the intervals and verdicts that the table has came about, measured times aside; nothing where it has none."""
    kinds = {
        "Success: Wilson's, on an effective number of tries that counts what seeds and tasks vary, Student's t for so"
        " few seeds.": RATE & ~FLOOR,
        "Floors: Wilson's over the tasks.": FLOOR & (pl.col("measure") == study.primary),
        "Other measures: Student's t over the seeds, cut off at what is possible.": ~RATE & ~pl.col("timed"),
    }
    kinds = _with_interval(table, kinds)
    return ([f"Intervals (95 %). {' '.join(kinds)}"] if kinds else []) + _tests(study, table)


def _with_interval(table: pl.DataFrame, kinds: dict[str, pl.Expr]) -> list[str]:
    """The names of those kinds of rows of which any has an interval."""
    return [name for name, rows in kinds.items() if table.filter(rows)["low"].count()]


def _tests(study: Study, table: pl.DataFrame) -> list[str]:
    """What the verdicts mean, if there are any."""
    family, seeds = table.filter(measure=study.primary)["p"].count(), len(study.seeds)
    if not family:
        return []
    lines = [
        "Differences are paired by seed and task. better, worse: 5 % level after Holm over"
        f" {family} comparison{'s' * (family != 1)}; equivalent: within the margin by two one-sided tests, Holm"
        " likewise; undecided: neither.",
    ]
    if seeds <= EXACT_SEEDS:
        lines.append(f"With {seeds} seeds an exact sign-flip test cannot give a p below {2.0 ** (1 - seeds):.3g}.")
    return lines


def warnings(study: Study, trials: list[Record], table: pl.DataFrame) -> list[str]:
    """What a reader must know before believing the table; empty if nothing is amiss."""
    return [
        *_few_seeds(study, table),
        *(line for status in COUNTED for line in _status(study, trials, status)),
        *_not_run(study, trials),
        *_unlike(study),
        *_worst(study, table),
        *_identical(trials),
        *_provenance(trials),
        *_published_elsewhere(study),
        *study.notes,
    ]


def unplanned(study: Study, records: list[Record]) -> list[str]:
    """Records of arms or seeds that the declaration does not name."""
    planned = {(arm.name, seed) for arm in study.arms for seed in study.seeds}
    extra = sorted({(record.arm, record.seed) for record in records} - planned)
    names = ", ".join(f"{arm} seed {seed}" for arm, seed in extra)
    return [f"Not planned and left out: {names}."] if extra else []


def _few_seeds(study: Study, table: pl.DataFrame) -> list[str]:
    rows = table.filter(
        pl.col("seeds") < LEAST_SEEDS, ~FLOOR, pl.col(NOT_RUN) < pl.col("planned"), measure=study.primary
    )
    if rows.is_empty():
        return []
    counts = ", ".join(f"{arm} {seeds}" for arm, seeds in rows.select("arm", "seeds").iter_rows())
    return [f"Fewer than {LEAST_SEEDS} seeds with a value, so no interval and no verdict: {counts}."]


def _status(study: Study, trials: list[Record], status: str) -> list[str]:
    """One line naming the trials of a status by arm, with how each crash ended."""
    mine = [trial for trial in trials if trial.status == status]
    by_arm: dict[str, list[str]] = {}
    for trial in mine:
        by_arm.setdefault(trial.arm, []).append(f"{trial.seed}{_reason(trial)}")
    names = "; ".join(f"{arm} seed{'s' * (len(seeds) > 1)} {', '.join(seeds)}" for arm, seeds in by_arm.items())
    kept = _kept(study, mine) if status in ("collapsed", "diverged") else ""
    return [f"{status.capitalize()}{kept}: {names}."] if names else []


def _kept(study: Study, trials: list[Record]) -> str:
    """Whether the trials have a value that the mean counts."""
    have = sum(trial.value(study.primary) is not None for trial in trials)
    if have in (0, len(trials)):
        return " (kept in the mean)" if have else " (not measured, not in the mean)"
    return f" ({have} of {len(trials)} measured and in the mean)"


def _reason(trial: Record) -> str:
    lines = (trial.error or "").strip().splitlines()
    return f" [{lines[-1][:120]}]" if lines else ""


def _not_run(study: Study, trials: list[Record]) -> list[str]:
    """One line per reason: which arms were not run for it, in how many trials, and how they will be."""
    counts: dict[tuple[str | None, str], Counter[str]] = defaultdict(Counter)
    for trial in trials:
        if trial.status == NOT_RUN:
            _, _, details = (trial.error or "").partition(":")
            counts[trial.lacks, details.strip(" .")][trial.arm] += 1
    lines = []
    for (lacks, details), trials_of in counts.items():
        arms = ", ".join(f"{arm} ({count(n, 'trial')})" for arm, n in trials_of.items())
        how = f"{details}. Once that is there" if details else "Once that is there"
        nothing = " Without the baseline nothing is compared." * (study.compares and study.baseline in trials_of)
        lines.append(f"Not run ({lacks}), and in no mean or test: {arms}. {how}, the same command runs them.{nothing}")
    return lines


def _truth(measure: str, truth: Mapping[str, float], records: list[Record]) -> str:
    """What a measure is expected to be in each arm, and in how many trials it came out so."""
    found = [(record.arm, record.value(measure)) for record in records if record.arm in truth]
    right = sum(value == truth[arm] for arm, value in found)
    known = ", ".join(f"{arm} {value:g}" for arm, value in truth.items())
    tried = sum(value is not None for _, value in found)
    return f"Expected {measure}: {known}; measured so in {right} of {tried} trials."


def _unlike(study: Study) -> list[str]:
    """Arms between which a difference would be one of tasks, not of models."""
    other = [arm.name for arm in study.arms if study.alike is not None and arm.name not in study.alike]
    if not other:
        return []
    if not study.compares:
        return ["Every arm is judged on episodes or tasks of its own, so none is compared with another."]
    return [f"Judged on other episodes or tasks than {study.baseline}, so not compared with it: {', '.join(other)}."]


def _worst(study: Study, table: pl.DataFrame) -> list[str]:
    """Success if every trial without a value had solved nothing."""
    if not is_rate(study.primary):
        return []
    rows = table.filter(pl.col("failed") > pl.col(NOT_RUN), measure=study.primary)
    values = ", ".join(f"{arm} {worst * 100:.1f} %" for arm, worst in rows.select("arm", "worst").iter_rows())
    return [f"Counting trials without a value as 0: {values}."] if values else []


def _identical(trials: list[Record]) -> list[str]:
    """Arms whose training repeats another arm's bit for bit although it is another training: nothing was changed."""
    pairs = sorted({tuple(sorted((trial.arm, trial.identical_to))) for trial in trials if trial.identical_to})
    return [
        f"Same training, bit for bit: {arm} and {other}. What tells them apart had no effect." for arm, other in pairs
    ]


def _provenance(trials: list[Record]) -> list[str]:
    commits = Counter(one for trial in trials for one in {trial.commit, *trial.measure_commits} if one)
    devices = Counter(trial.device for trial in trials if trial.device)
    lines = [
        f"{who} come from {len(counts)} {what}: {', '.join(f'{name} ({n})' for name, n in sorted(counts.items()))}."
        for who, what, counts in (
            ("Trials and their measures", "commits", commits),
            ("Trials", "kinds of device", devices),
        )
        if len(counts) > 1
    ]
    dirty = sum(trial.dirty or False for trial in trials)
    return lines + ([f"Run with uncommitted changes: {dirty} of {len(trials)} trials."] if dirty else [])


def _published_elsewhere(study: Study) -> list[str]:
    """Published values of another world or scale: to know, not to compare."""
    if not study.published or study.measured_alike:
        return []
    values = ", ".join(f"{arm} {_plain(study, value)}" for arm, value in study.published.items())
    where = study.published_at or "another world or scale"
    return [f"Published elsewhere ({where}; {study.source or 'no source given'}): {values}. Not comparable."]


def _plain(study: Study, value: float) -> str:
    return f"{value * 100:.1f} %" if is_rate(study.primary) else f"{value:g}"


def status_counts(row: dict) -> str:
    """`2 ok, 1 collapsed` of a row of the summary; empty for floors."""
    return ", ".join(f"{row[status]} {status}" for status in STATUSES if row[status])
