"""The picture of a study: a dot per seed, means with intervals, floors, published values, and a few other measures."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

from analysis import captions
from analysis.records import NOT_RUN, Record, Study, parse
from analysis.summary import is_rate, plan, success_measure, summary, value

STYLE = {
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.0,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.8,
    "text.parse_math": False,  # a dollar in a name is a dollar
    "svg.hashsalt": "wm-study",  # the same ids, hence bytes, every time
}
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f7f7f", "#5d3a9b")  # Okabe and Ito
FAILED = "#b2182b"
LEGEND = "dot: a seed (cross: collapsed or diverged) · bar: mean"
BASELINE = " · bold: baseline"
INTERVAL = " · line: 95 % interval"
BESIDE = ("probe_r2", "effective_rank")  # other measures worth a panel
DECADES = 30  # ratio of largest to smallest setting from which the axis is logarithmic
CLOSE = 10  # ratio of largest to smallest error of a rollout below which the axis is linear


def draw(study: Mapping[str, Any] | Study, records: Iterable[Mapping[str, Any] | Record]) -> Figure:
    """The primary measure beside smaller panels of other measures; drawable whatever failed."""
    study, records = Study.model_validate(study), parse(records)
    table, trials = summary(study, records), plan(study, records)
    beside = [name for name in BESIDE if name != study.primary and _has_values(table, name)]
    stepped = _stepped(table)
    with matplotlib.rc_context(STYLE):
        figure, main, small = _panels(study, len(beside), bool(stepped))
        heading = "\n".join([captions.title(study), *textwrap.wrap(study.question, int(11 * figure.get_figwidth()))])
        figure.suptitle(heading, x=0.01, ha="left", fontsize=10)
        interval = INTERVAL if table.filter(~pl.col("timed"), pl.col("role") != "floor")["low"].count() else ""
        legend = LEGEND + interval + (BASELINE if study.compares else "")
        figure.supxlabel(legend, x=0.01, ha="left", fontsize=7, color="#666666")
        for panel, name in zip([main, *small], [study.primary, *beside], strict=False):
            _measure(panel, study, table, trials, name)
        _floors(main, study, table)
        _references(main, study)
        if stepped:
            _steps(small[-1], study, table, trials, stepped)
    return figure


def _panels(study: Study, beside: int, stepped: bool) -> tuple[Figure, Axes, list[Axes]]:
    """A large panel, `beside` small ones in a row to its right, and below them one for the steps."""
    main, width = max(4.6, 0.6 * len(study.arms) + 1.2), 4.6 if beside or stepped else 0.0
    figure = Figure(figsize=(main + width, 4.8 if beside and stepped else 3.6), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    rows = [["main", *(f"beside {i}" for i in range(beside))]] if beside else []
    rows += [["main", *["steps"] * max(beside, 1)]] if stepped else []
    ratios = [main, *[width / max(beside, 1)] * max(beside, 1)] if width else [main]
    axes = figure.subplot_mosaic(rows or [["main"]], width_ratios=ratios)
    return figure, axes["main"], [panel for name, panel in axes.items() if name != "main"]


def save(figure: Figure, folder: Path | str, name: str = "figure") -> None:
    """<name>.png and <name>.svg, with the same bytes for the same figure: no dates, no version, no random ids."""
    with matplotlib.rc_context(STYLE):
        figure.savefig(Path(folder) / f"{name}.png", metadata={"Software": None})
        figure.savefig(Path(folder) / f"{name}.svg", metadata={"Date": None, "Creator": None})


def positions(study: Study, trials: Mapping[tuple[str, int], Record]) -> tuple[list[float], str | None]:
    """Where each arm stands on the x axis: its number if all arms set one and the same numeric path, else its rank.

    Also that path, or None. An arm that changes nothing stands at the value in its trials' configs.
    """
    paths = {path for arm in study.arms for path in arm.changes}
    ranks = [float(rank) for rank in range(len(study.arms))]
    if len(paths) != 1 or len(study.arms) < 2:
        return ranks, None
    path = paths.pop()
    values = []
    for arm in study.arms:
        configs = [trials[arm.name, seed].config for seed in study.seeds]
        values.append(arm.changes.get(path, next((config[path] for config in configs if path in config), None)))
    numeric = all(isinstance(x, int | float) and not isinstance(x, bool) for x in values)
    return ([float(x) for x in values], path) if numeric and len(set(values)) == len(values) else (ranks, None)


def _measure(
    axes: Axes, study: Study, table: pl.DataFrame, trials: dict[tuple[str, int], Record], measure: str
) -> None:
    """Dots per seed, mean and interval per arm; a line through the means where the axis is a number."""
    rows = {row["arm"]: row for row in table.filter(pl.col("role") != "floor", measure=measure).to_dicts()}
    scale = 100.0 if is_rate(measure) else 1.0
    ticks, labels, path = _places(study, trials)
    if path is not None:
        means = [rows[arm.name]["mean"] for arm in study.arms]
        line = sorted((x, mean * scale) for x, mean in zip(ticks, means, strict=True) if mean is not None)
        axes.plot([x for x, _ in line], [y for _, y in line], color="#bbbbbb", lw=1.2, zorder=1)
    for x, arm, colour in zip(ticks, study.arms, _colours(study, path), strict=True):
        mine = [trials[arm.name, seed] for seed in study.seeds]
        _arm(axes, x, rows[arm.name], mine, scale, colour)
    failures = [_failures(rows[arm.name]) if measure == study.primary else "" for arm in study.arms]
    _x_axis(axes, study, ticks, labels, failures)
    axes.set_xlabel(path or "")
    axes.set_title(_words(measure, "%" if is_rate(measure) else next(iter(rows.values()))["unit"]))
    if is_rate(measure):
        axes.set_ylim(-4, 104)


def _words(measure: str, unit: str) -> str:
    return f"{measure.replace('_', ' ')} ({unit})" if unit else measure.replace("_", " ")


def _arm(axes: Axes, x: float, row: dict[str, Any], trials: list[Record], scale: float, colour: Any) -> None:
    """One arm: a dot per seed (a cross where it collapsed or diverged), a bar at the mean and the interval."""
    seen = [(trial, value(trial, row["measure"])) for trial in trials]
    seen = [(trial, found) for trial, found in seen if found is not None]
    offsets = np.linspace(-0.16, 0.16, len(seen)) if len(seen) > 1 else np.zeros(len(seen))
    for (trial, found), offset in zip(seen, offsets, strict=True):
        mark = {"marker": "o", "linewidths": 0} if trial.status == "ok" else {"marker": "x", "linewidths": 1.4}
        axes.scatter(x + offset, found * scale, s=22, color=[colour], alpha=0.55, zorder=2, **mark)
    if seen:
        bar = {"color": colour, "zorder": 3, "solid_capstyle": "butt"}
        axes.plot([x - 0.24, x + 0.24], [row["mean"] * scale] * 2, lw=2.2, **bar)
    if row["low"] is not None:
        axes.vlines(x, row["low"] * scale, row["high"] * scale, color=colour, lw=1.6, zorder=3)


def _failures(row: dict[str, Any]) -> str:
    """Lines to stand under an arm's name: the trials that are no plain success."""
    counts = "".join(f"\n{row[status]} {status}" for status in (*captions.COUNTED, NOT_RUN) if row[status])
    return f"{counts}:\n{row['lacks']}" if row["lacks"] else counts


def _axis_coordinates(values: list[float]) -> np.ndarray:
    """Settings as places one unit apart on average: linear, or logarithmic from DECADES on, with 0 a step below."""
    x = np.array(values)
    positive = x[x > 0]
    if (x < 0).any() or not positive.size or positive.max() / positive.min() < DECADES:
        place = x
    else:
        logs = np.log10(np.where(x > 0, x, positive.min()))
        step = (logs.max() - logs.min()) / max(len(positive) - 1, 1)
        place = np.where(x > 0, logs, logs.min() - step)
    return (place - place.min()) / np.ptp(place) * (len(x) - 1)


def _places(study: Study, trials: Mapping[tuple[str, int], Record]) -> tuple[np.ndarray, list[str], str | None]:
    """Ticks and labels of the arms, and the path whose numbers the axis shows, if it does."""
    spots, path = positions(study, trials)
    if path is None:
        return np.array(spots), [arm.name for arm in study.arms], None
    return _axis_coordinates(spots), [f"{x:g}" for x in spots], path


def _x_axis(axes: Axes, study: Study, ticks: np.ndarray, labels: list[str], failures: list[str]) -> None:
    """Names under their ticks, turned where there is no room; the baseline's bold, red where trials failed."""
    grid = axes.get_subplotspec()
    inches = sum(grid.get_gridspec().get_width_ratios()[i] for i in grid.colspan) - 0.8
    gap = np.diff(np.sort(ticks)).min() if len(ticks) > 1 else 1.0
    crowded = 0.07 * max(map(len, labels)) > gap * inches / (np.ptp(ticks) + 1.2)
    turn = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if crowded else {}
    axes.set_xticks(ticks, [label + failed for label, failed in zip(labels, failures, strict=True)], **turn)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(ticks.min() - 0.6, ticks.max() + 0.6)
    for label, arm, failed in zip(axes.get_xticklabels(), study.arms, failures, strict=True):
        label.set_fontweight("bold" if arm.name == study.baseline and study.compares else "normal")
        label.set_color(FAILED if failed else "black")


def _floors(axes: Axes, study: Study, table: pl.DataFrame) -> None:
    """Dashed lines of the policies without a model, each with its name above the right end, clear of the x axis."""
    if success_measure(study) != study.primary:
        return
    rows = table.filter(role="floor").sort("mean").to_dicts()
    last = -10.0
    for row in rows:
        level = row["mean"] * 100
        axes.axhline(level, color="#888888", lw=1, ls=(0, (4, 3)), zorder=1)
        last = max(level, last + 5)
        axes.annotate(
            f"{row['arm']} {level:.0f}",
            (1.0, last),
            xycoords=("axes fraction", "data"),
            xytext=(2, 0),
            textcoords="offset points",
            va="bottom",
            fontsize=7,
            color="#666666",
        )


def _references(axes: Axes, study: Study) -> None:
    """Beside ours, open diamonds: published values, only of the same world and scale; triangles: expected ones."""
    places = dict(zip((arm.name for arm in study.arms), axes.get_xticks(), strict=True))
    published = study.published if study.measured_alike else {}
    label = f"published: {study.source or 'no source given'}"
    for marker, name, values in (("D", label, published), ("<", "expected value", study.truth.get(study.primary, {}))):
        known = {places[arm] + 0.32: level for arm, level in values.items() if arm in places}
        if known:
            y = [level * (100 if is_rate(study.primary) else 1) for level in known.values()]
            axes.scatter(
                list(known), y, marker=marker, s=26, facecolors="none", edgecolors="#333333", label=name, zorder=4
            )
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), frameon=False, fontsize=7, borderpad=0)


def _has_values(table: pl.DataFrame, measure: str) -> bool:
    return bool(table.filter(measure=measure)["mean"].count())


def _stepped(table: pl.DataFrame) -> dict[str, int]:
    """Measures `<name>_<step>` of the first such family: how an error grows with the steps of a rollout."""
    names = table.filter(~pl.col("timed"), pl.col("mean").is_not_null())["measure"].unique(maintain_order=True)
    found = [(name, re.fullmatch(r"(.+)_(\d+)", name)) for name in names]
    families = [match[1] for _, match in found if match]
    return {name: int(match[2]) for name, match in found if match and match[1] == families[0]}


def _steps(
    axes: Axes, study: Study, table: pl.DataFrame, trials: dict[tuple[str, int], Record], stepped: dict[str, int]
) -> None:
    """A line per arm over the steps, on a logarithmic axis unless the errors are close."""
    _, labels, path = _places(study, trials)
    first = table.filter(measure=next(iter(stepped)))
    for arm, label, colour in zip(study.arms, labels, _colours(study, path), strict=True):
        rows = table.filter(pl.col("measure").is_in(list(stepped)), pl.col("mean") > 0, arm=arm.name).to_dicts()
        points = sorted((stepped[row["measure"]], row["mean"]) for row in rows)
        if points:
            axes.plot([x for x, _ in points], [y for _, y in points], "o-", ms=3, lw=1.3, color=colour, label=label)
    _error_axis(axes)
    axes.set_xticks(sorted(stepped.values()))
    axes.set_xlabel("step")
    axes.set_title(_words(first["measure"][0].rsplit("_", 1)[0], first["unit"][0]))
    if axes.lines:
        axes.legend(title=path, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=7, title_fontsize=7, frameon=False)


def _error_axis(axes: Axes) -> None:
    """Linear where the lines' largest and smallest values are CLOSE, else logarithmic with plain numbers."""
    levels = np.concatenate([[], *(line.get_ydata() for line in axes.lines)])
    if not levels.size or levels.max() / levels.min() < CLOSE:
        return
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(
        LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,))
    )  # more than fit would be none
    axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.yaxis.set_minor_locator(NullLocator())


def _colours(study: Study, path: str | None) -> list[Any]:
    """A colour per arm that colour-blind readers can tell apart, too; a scale where the arms are numbers."""
    count = len(study.arms)
    if path is None and count <= len(COLOURS):
        return list(COLOURS[:count])
    return list(matplotlib.colormaps["viridis"](np.linspace(0, 0.85, count)))
