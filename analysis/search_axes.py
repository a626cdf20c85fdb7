"""Axes of a search's picture: values with a strip for those that have none, ranges, categories, plain ticks."""

from __future__ import annotations

import re
import textwrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from analysis.cells import setting
from analysis.figures import DECADES
from analysis.search_records import Dimension

STRIP = 0.12  # lowest part of a panel, for trials without a value
JITTER = 0.618034  # spreads the trials of a category by their numbers, alike every time
LONG = 16  # characters of a category's name that are shown
LEAST = 1e-200  # the smallest number that a logarithmic axis has room around
ROOM = 28  # characters of a setting's name in a line


def value_axis(axes: Axes, values: list[float], percent: bool, strip: bool) -> None:
    """The y axis of an objective, logarithmic where positive values span DECADES; a strip below for what has none."""
    log = not percent and spread(values)
    if not values:
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_locator(NullLocator())
        axes.grid(visible=False)
    else:
        low, high = np.log10([min(values), max(values)]) if log else (min(values), max(values))
        low, high = (0.0, max(100.0, high)) if percent else (low, high)
        room = (high - low) * 0.06 or abs(high) * 0.05 or 1.0
        bottom = low - room - (high - low + 2 * room) * (STRIP / (1 - STRIP) if strip else 0)
        axes.set_ylim(*(10.0 ** np.array([bottom, high + room]) if log else (bottom, high + room)))
        ticks(axes, "y", min(values), max(values), log)
    if percent and values:
        axes.yaxis.set_major_locator(FixedLocator(range(0, 101, 25)))
    if strip:
        _strip(axes, log)


def _strip(axes: Axes, log: bool) -> None:
    """A grey strip at the bottom, named like a tick so that other labels stay clear of it."""
    axes.add_patch(Rectangle((0, 0), 1, STRIP, transform=axes.transAxes, color="#f0f0f0", zorder=0.6, lw=0))
    bottom, top = np.log10(axes.get_ylim()) if log else axes.get_ylim()
    middle = bottom + (top - bottom) * STRIP / 2
    axes.set_yticks([10.0**middle if log else middle], ["no value"], minor=True, fontsize=6, color="#666666")
    axes.tick_params(axis="y", which="minor", length=0)


def number_axis(axes: Axes, values: list[float], log: bool, whole: bool = False) -> None:
    """An x axis over the values and a little room; logarithmic only if all are positive enough."""
    if not values:
        axes.xaxis.set_major_locator(NullLocator())
        return
    log = log and min(values) > LEAST
    low, high = np.log10([min(values), max(values)]) if log else (min(values), max(values))
    room = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    if log:
        axes.set_xscale("log")
    axes.set_xlim(*(10.0 ** np.array([low - room, high + room]) if log else (low - room, high + room)))
    ticks(axes, "x", min(values), max(values), log, whole=whole)


def category_axis(axes: Axes, dimension: Dimension | None, values: list[Any], numbers: list[int]) -> list[float]:
    """A column per category, declared ones first; places of `values`, spread by the trials' numbers."""
    declared = list(dict.fromkeys(map(setting, dimension.values))) if dimension else []
    names = [*declared, *sorted(set(map(setting, values)) - set(declared))]
    labels = [name if len(name) <= LONG else f"{name[: LONG - 1]}…" for name in names]
    turn = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if sum(map(len, labels)) > 18 else {}
    axes.set_xticks(range(len(names)), labels, fontsize=7, **turn)
    axes.set_xlim(-0.6, max(len(names), 1) - 0.4)
    return [names.index(setting(v)) + 0.5 * (n * JITTER % 1 - 0.5) for v, n in zip(values, numbers, strict=True)]


def spread(values: list[float]) -> bool:
    """Whether they are positive and span so much that a logarithmic axis shows them better."""
    return bool(values) and min(values) > LEAST and max(values) / min(values) > DECADES


def ticks(axes: Axes, which: str, low: float, high: float, log: bool, many: int = 4, whole: bool = False) -> None:
    """At most some `many` plain numbers; on a logarithmic axis powers of ten, or 1, 2 and 5 where those are too few."""
    if log and which == "y":
        axes.set_yscale("log")
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(FixedLocator(_log_ticks(low, high)) if log else MaxNLocator(many, integer=whole))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_locator(NullLocator())


def _log_ticks(low: float, high: float) -> list[float]:
    first, last = int(np.floor(np.log10(low))), int(np.ceil(np.log10(high)))
    tens = [10.0**power for power in range(first, last + 1) if low * 0.999 <= 10.0**power <= high * 1.001]
    if len(tens) >= 3:
        return tens[:: -(-len(tens) // 4)]
    fine = [step * 10.0**power for power in range(first - 1, last + 1) for step in (1, 2, 5)]
    fine = [value for value in fine if low * 0.999 <= value <= high * 1.001]
    return fine[:: -(-len(fine) // 4)] if len(fine) >= 2 else sorted({low, high})


def wrapped(text: str) -> list[str]:
    """Lines that a panel has room for, broken behind spaces, dots and underscores where there are any."""
    lines = [""]
    for part in re.split(r"(?<=[ ._])", text):
        fits = len(lines[-1] + part.rstrip()) <= ROOM
        lines = [*lines[:-1], lines[-1] + part] if fits else [*lines, *textwrap.wrap(part, ROOM)]
    return [line.strip() for line in lines if line.strip()]
