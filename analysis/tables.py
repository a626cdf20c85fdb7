"""The summary as tables: Markdown to read, CSV to compute with, LaTeX (booktabs) to publish."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import polars as pl

from analysis import captions, floors, search_text, spectra
from analysis.cells import DIFFERENCE, grid, never_run, number, with_interval, with_truth
from analysis.records import NOT_RUN, Record, Study, parse
from analysis.summary import is_rate, plan, summary

__all__ = ["latex", "markdown", "summary"]

Row = dict[str, Any]


def markdown(study: Mapping[str, Any] | Study, records: Iterable[Mapping[str, Any] | Record]) -> str:
    """table.md: setting, primary measure, other measures, notes; measured times in a block of their own; a search.

    Parts of a measure, like `component_share/3`, are left to table.csv.
    """
    study, records = Study.model_validate(study), parse(records)
    table, trials = summary(study, records), list(plan(study, records).values())
    warnings = captions.warnings(study, trials, table) + captions.unplanned(study, records)
    timed = _wide(study, table.filter("timed"))
    blocks = [
        [f"# {captions.title(study)}"],
        ["  \n".join(captions.setting(study, records))],
        _primary(study, records, table),
        _wide(
            study,
            table.filter(~pl.col("timed"), pl.col("measure") != study.primary, ~pl.col("measure").str.contains("/")),
        ),
        ["![a dot per seed, a bar per mean](figure.png)"],
        ["![a bar per component of the latent](spectra.png)"] if spectra.wanted(study, records) else [],
        ["**Take note**", "", *(f"- {line}" for line in warnings)] if warnings else [],
        captions.intervals(study, table),
        floors.block(study, records),
        ["**Measured times** (these differ from run to run)", "", *timed] if timed else [],
        *search_text.blocks(study, records, table),
    ]
    return "\n\n".join("\n".join(lines) for lines in blocks if lines) + "\n"


def latex(study: Mapping[str, Any] | Study, records: Iterable[Mapping[str, Any] | Record]) -> str:
    """table.tex: the primary measure in a booktabs table, a short caption, and all else one must know in comments."""
    study, records = Study.model_validate(study), parse(records)
    table, trials = summary(study, records), list(plan(study, records).values())
    header, rows = _primary_cells(study, records, table)
    notes = captions.setting(study, records) + captions.warnings(study, trials, table)
    notes += captions.unplanned(study, records) + captions.intervals(study, table)
    notes += search_text.notes(study, records, table)
    body = [" & ".join(_escape(cell) for cell in row) + r" \\" for row in [header, *rows]]
    last = table.filter(role="floor", measure=study.primary).height
    rules = [r"\toprule", body[0], r"\midrule", *body[1 : len(body) - last]]
    rules += [r"\midrule", *body[len(body) - last :]] if last else []
    caption = " ".join([captions.short(study, records, table), *search_text.short(study)])
    lines = [
        "% needs \\usepackage{booktabs}",
        *(f"% {' '.join(note.split())}" for note in [captions.title(study), *notes]),
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_escape(caption)}}}",
        rf"\label{{tab:{study.sweep}-{study.world}-{study.scale}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
        *rules,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _primary(study: Study, records: list[Record], table: pl.DataFrame) -> list[str]:
    return grid(*_primary_cells(study, records, table))


def _primary_cells(study: Study, records: list[Record], table: pl.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the primary measure's table; columns that say nothing are left out."""
    rows = table.filter(measure=study.primary).to_dicts()  # floors among them where it is a success rate
    parameters = {record.arm: record.parameters for record in records if record.parameters}
    unit = "%" if is_rate(study.primary) else rows[0]["unit"]
    columns: dict[str, Callable[[Row], str]] = {
        "arm": _name,
        "parameters": lambda row: _count(parameters.get(row["arm"])),
        f"{study.primary} ({unit}){_bracket(rows, 'low')}": _value,
        f"difference from {study.baseline}{_bracket(rows, 'difference_low')}": lambda row: (
            "" if row["difference"] is None else with_interval(row, DIFFERENCE, "+")
        ),
        "verdict": lambda row: row["verdict"] or "",
        "p (Holm)": lambda row: "" if row["p_holm"] is None else f"{row['p_holm']:.2g}",
        f"published ({unit})": lambda row: number(row["published"], is_rate(study.primary)),
        "seeds": lambda row: "" if row["seeds"] is None else f"{row['seeds']}/{row['planned']}",
        "tasks": lambda row: str(row["tasks"] or ""),
        "trials": captions.status_counts,
    }
    cells = {header: [column(row) for row in rows] for header, column in columns.items()}
    kept = {header: column for header, column in cells.items() if any(column)}
    return list(kept), [list(row) for row in zip(*kept.values(), strict=True)]


def _value(row: Row) -> str:
    """The primary measure, or what was missing to have any."""
    return f"{NOT_RUN}: {row['lacks']}" if never_run(row) else with_truth(row)


def _bracket(rows: list[Row], low: str) -> str:
    """What brackets in a column mean, if it has any."""
    return " [95 %]" if any(row[low] is not None for row in rows) else ""


def _name(row: Row) -> str:
    return row["arm"] if row["role"] == "arm" else f"{row['arm']} ({row['role']})"


def _count(parameters: int | None) -> str:
    return "" if parameters is None else f"{parameters / 1e6:.3g} M"


def _wide(study: Study, table: pl.DataFrame) -> list[str]:
    """Arms as columns, declared order, a row per measure: mean and interval; rates in percent."""
    rows = table.filter(pl.col("role") != "floor").to_dicts()
    by_measure: dict[str, list[Row]] = {}
    for row in rows:
        by_measure.setdefault(row["measure"], []).append(row)
    header = ["measure", "unit", *(arm.name for arm in study.arms)]
    cells = [
        [
            name,
            "%" if is_rate(name) else found[0]["unit"],
            *(with_truth(row) for row in found),
        ]
        for name, found in by_measure.items()
    ]
    return grid(header, cells) if cells else []


TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "²": "$^2$"}


def _escape(text: str) -> str:
    return re.sub(r"[\\~^–²&%$#_{}]", lambda found: TEX.get(found[0], f"\\{found[0]}"), text)
