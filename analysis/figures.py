"""The picture of a study: a dot per seed, means with intervals, floors, published values, and a few other measures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from analysis import captions
from analysis.records import Record, Study, parse
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
    "svg.hashsalt": "wm-study",  # the same ids, hence bytes, every time
}
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f7f7f", "#5d3a9b")  # Okabe and Ito
FAILED = "#b2182b"
BESIDE = ("probe_r2", "effective_rank")  # other measures worth a panel
DECADES = 30  # ratio of largest to smallest setting from which the axis is logarithmic


def draw(study: Mapping[str, Any] | Study, records: Iterable[Mapping[str, Any] | Record]) -> Figure:
    """The primary measure beside panels of other measures; drawable whatever failed."""
    study, records = Study.model_validate(study), parse(records)
    table, trials = summary(study, records), plan(study, records)
    beside = [name for name in BESIDE if name != study.primary and _has_values(table, name)]
    stepped = _stepped(table)
    panels = 1 + len(beside) + bool(stepped)
    with matplotlib.rc_context(STYLE):
        main = max(4.2, 0.62 * len(study.arms) + 1.2)
        figure = Figure(figsize=(main + 2.9 * (panels - 1), 3.9), dpi=160, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(1, panels, width_ratios=[main] + [2.9] * (panels - 1), squeeze=False)[0]
        figure.suptitle(f"{captions.title(study)}\n{study.question}", x=0.01, ha="left", fontsize=10)
        for panel, name in zip(axes, (study.primary, *beside), strict=False):
            _measure(panel, study, table, trials, name)
        _floors(axes[0], study, table)
        _published(axes[0], study)
        if stepped:
            _steps(axes[-1], study, table, stepped)
    return figure


def save(figure: Figure, folder: Path | str) -> None:
    """figure.png and figure.svg, with the same bytes for the same figure: no dates, no version, no random ids."""
    with matplotlib.rc_context(STYLE):
        figure.savefig(Path(folder) / "figure.png", metadata={"Software": None})
        figure.savefig(Path(folder) / "figure.svg", metadata={"Date": None, "Creator": None})


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
    spots, path = positions(study, trials)
    ticks = np.arange(len(spots)) if path is None else _axis_coordinates(spots)
    have = [
        (x, rows[arm.name]["mean"] * scale) for x, arm in zip(ticks, study.arms, strict=True) if rows[arm.name]["seeds"]
    ]
    if path is not None:
        axes.plot(*zip(*sorted(have), strict=True) if have else ((), ()), color="#bbbbbb", lw=1.2, zorder=1)
    for x, arm, colour in zip(ticks, study.arms, colours(len(study.arms)), strict=True):
        mine = [trials[arm.name, seed] for seed in study.seeds]
        _arm(axes, x, rows[arm.name], mine, scale, colour)
    _x_axis(axes, study, ticks, spots, path)
    unit = "%" if is_rate(measure) else next(iter(rows.values()))["unit"]
    axes.set_ylabel(f"{measure.replace('_', ' ')}{f' ({unit})' if unit else ''}")
    if is_rate(measure):
        axes.set_ylim(-4, 104)


def _arm(axes: Axes, x: float, row: dict[str, Any], trials: list[Record], scale: float, colour: Any) -> None:
    """One arm: a dot per seed (a cross where it collapsed or diverged), mean with interval, what is missing in words."""
    seen = [(trial, value(trial, row["measure"])) for trial in trials]
    seen = [(trial, found) for trial, found in seen if found is not None]
    offsets = np.linspace(-0.16, 0.16, len(seen)) if len(seen) > 1 else np.zeros(len(seen))
    for (trial, found), offset in zip(seen, offsets, strict=True):
        mark = {"marker": "o", "linewidths": 0} if trial.status == "ok" else {"marker": "x", "linewidths": 1.4}
        axes.scatter(x + offset, found * scale, s=22, color=colour, alpha=0.55, zorder=2, **mark)
    if seen:
        axes.plot(
            [x - 0.24, x + 0.24], [row["mean"] * scale] * 2, color=colour, lw=2.2, zorder=3, solid_capstyle="butt"
        )
    if row["low"] is not None:
        axes.vlines(x, row["low"] * scale, row["high"] * scale, color=colour, lw=1.6, zorder=3)
    failures = [f"{row[status]} {status}" for status in captions.COUNTED if row[status]]
    if failures:
        place = axes.get_xaxis_transform()
        axes.text(x, 0.03, "\n".join(failures), ha="center", va="bottom", fontsize=7, color=FAILED, transform=place)


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


def _x_axis(axes: Axes, study: Study, ticks: np.ndarray, spots: list[float], path: str | None) -> None:
    labels = [arm.name for arm in study.arms] if path is None else [f"{x:g}" for x in spots]
    crowded = (
        sum(map(len, labels))
        > 9 * axes.get_subplotspec().get_gridspec().get_width_ratios()[axes.get_subplotspec().colspan.start]
    )
    turn = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if crowded else {}
    axes.set_xticks(ticks, labels, **turn)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(ticks.min() - 0.6, ticks.max() + 0.6)
    axes.set_xlabel(path or "")
    for label, arm in zip(axes.get_xticklabels(), study.arms, strict=True):
        label.set_fontweight("bold" if arm.name == study.baseline else "normal")


def _floors(axes: Axes, study: Study, table: pl.DataFrame) -> None:
    """Dashed lines of the policies without a model, each with its name at the right end."""
    if success_measure(study) != study.primary:
        return
    rows = table.filter(role="floor").sort("mean").to_dicts()
    last = -10.0
    for row in rows:
        level = row["mean"] * 100
        axes.axhline(level, color="#888888", lw=1, ls=(0, (4, 3)), zorder=0)
        last = max(level, last + 5)
        axes.annotate(
            f"{row['arm']} {level:.0f}",
            (1.0, last),
            xycoords=("axes fraction", "data"),
            xytext=(2, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
            color="#666666",
        )


def _published(axes: Axes, study: Study) -> None:
    """Open diamonds beside ours, only where world and scale are the same."""
    places = dict(zip((arm.name for arm in study.arms), axes.get_xticks(), strict=True))
    known = {arm: level for arm, level in study.published.items() if arm in places}
    if study.measured_alike and known:
        x = [places[arm] + 0.32 for arm in known]
        y = [level * (100 if is_rate(study.primary) else 1) for level in known.values()]
        label = f"published: {study.source or 'no source given'}"
        axes.scatter(x, y, marker="D", s=26, facecolors="none", edgecolors="#333333", label=label, zorder=4)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), frameon=False, fontsize=7, borderpad=0)


def _has_values(table: pl.DataFrame, measure: str) -> bool:
    return bool(table.filter(measure=measure)["mean"].count())


def _stepped(table: pl.DataFrame) -> dict[str, int]:
    """Measures `<name>_<step>` of the first such family: how an error grows with the steps of a rollout."""
    names = table.filter(~pl.col("timed"), pl.col("mean").is_not_null())["measure"].unique(maintain_order=True)
    found = [(name, re.fullmatch(r"(.+)_(\d+)", name)) for name in names]
    families = [match[1] for _, match in found if match]
    return {name: int(match[2]) for name, match in found if match and match[1] == families[0]}


def _steps(axes: Axes, study: Study, table: pl.DataFrame, stepped: dict[str, int]) -> None:
    """A line per arm over the steps, on a logarithmic axis."""
    unit = table.filter(measure=next(iter(stepped)))["unit"][0]
    for arm, colour in zip(study.arms, colours(len(study.arms)), strict=True):
        rows = table.filter(pl.col("measure").is_in(list(stepped)), pl.col("mean") > 0, arm=arm.name).to_dicts()
        points = sorted((stepped[row["measure"]], row["mean"]) for row in rows)
        axes.plot(*zip(*points, strict=True) if points else ((), ()), "o-", ms=3, lw=1.3, color=colour, label=arm.name)
    axes.set_yscale("log")
    axes.set_xticks(sorted(stepped.values()))
    axes.set_xlabel("step")
    axes.set_ylabel(f"{next(iter(stepped)).rsplit('_', 1)[0].replace('_', ' ')} ({unit})")
    axes.legend(fontsize=7, frameon=False, handlelength=1.2, ncols=1 + (len(study.arms) > 5))


def colours(count: int) -> list[Any]:
    """As many colours that can be told apart, also by colour-blind readers."""
    return (
        list(COLOURS[:count])
        if count <= len(COLOURS)
        else list(matplotlib.colormaps["viridis"](np.linspace(0, 0.9, count)))
    )
