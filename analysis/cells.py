"""Numbers as people read them, and Markdown tables that line up in a terminal, too."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from analysis.records import NOT_RUN
from analysis.summary import is_rate

MEAN = ("mean", "low", "high")
DIFFERENCE = ("difference", "difference_low", "difference_high")
NOTHING = "–"
NAMED = 8  # names in a sentence


def number(value: float | None, rate: bool, sign: str = "") -> str:
    """A measure for people: rates in percent with one digit, others with four significant ones."""
    if value is None:
        return ""
    return f"{value * 100 + 0.0:{sign}.1f}" if rate else f"{value:{sign}.4g}"


def with_interval(row: dict[str, Any], names: tuple[str, str, str], sign: str = "") -> str:
    """`93.0 [84.1, 97.1]`; with trials missing from the mean `80.0 (2/3)`; a dash where there is nothing."""
    mean, low, high = (row[name] for name in names)
    rate = is_rate(row["measure"])
    text = number(mean, rate, sign) or NOTHING
    if names[0] == "mean" and row["failed"] and not never_run(row):
        text += f" ({row['seeds']}/{row['planned']})"
    return text if low is None else f"{text} [{number(low, rate, sign)}, {number(high, rate, sign)}]"


def with_truth(row: dict[str, Any]) -> str:
    """A mean as `with_interval`, and beside it what is expected: `4 (expected 4)`."""
    expected = "" if row["truth"] is None else f" (expected {number(row['truth'], is_rate(row['measure']))})"
    return with_interval(row, MEAN) + expected


def never_run(row: dict[str, Any]) -> bool:
    """Whether no trial of an arm was run, for lack of something."""
    return bool(row.get(NOT_RUN)) and row[NOT_RUN] == row["planned"]


def grid(header: list[str], rows: list[list[str]]) -> list[str]:
    """A Markdown table with columns padded to one width."""
    cells = [[cell.replace("|", r"\|") for cell in row] for row in [header, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = ["| " + " | ".join(f"{cell:<{n}}" for cell, n in zip(row, widths, strict=True)) + " |" for row in cells]
    return [lines[0], "|" + "|".join("-" * (n + 2) for n in widths) + "|", *lines[1:]]


def count(n: int, what: str) -> str:
    """`1 trial`, `2 trials`."""
    return f"{n:,} {what}{'s' * (n != 1)}"


def listed(names: Iterable[str]) -> str:
    """The first NAMED of them and how many more there are."""
    names = list(names)
    more = [f"and {len(names) - NAMED} more"] if len(names) > NAMED else []
    return ", ".join([*names[:NAMED], *more])


def seeds_text(seeds: list[int]) -> str:
    """`seed 1000`, `seeds 0, 1, 2`."""
    return f"seed{'s' * (len(seeds) != 1)} {listed(map(str, seeds))}" if seeds else "no seeds"


def setting(value: Any) -> str:
    """A setting's value in one line: numbers with four significant digits, text as it is, anything else as JSON."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return " ".join(
        (value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)).split()
    )


def amount(name: str, value: float | None, sign: str = "") -> str:
    """A value of a measure: rates in percent, thousands with separators, a dash where there is none."""
    if value is None:
        return NOTHING
    large = not is_rate(name) and 1e4 <= abs(value) < 1e12
    return f"{value:{sign},.0f}" if large else number(value, is_rate(name), sign)
