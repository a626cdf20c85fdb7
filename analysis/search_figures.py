"""The picture of a search: the best value so far by what was spent, every trial by its settings, the Pareto front."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from analysis import captions, search
from analysis.cells import count, seeds_text, setting
from analysis.figures import COLOURS, FAILED, STYLE
from analysis.records import Study
from analysis.search_axes import STRIP, category_axis, number_axis, spread, ticks, value_axis, wrapped
from analysis.search_records import Dimension, Measure, Search, SearchTrial
from analysis.summary import is_rate

COLUMNS = 4  # panels of settings in a row
WIDTH = 9.6  # inches
PAIRS = 2  # fronts drawn: the first objective against so many others
KINDS: dict[str, dict[str, Any]] = {
    "complete": {"marker": "o", "s": 20, "color": COLOURS[0], "alpha": 0.6, "linewidths": 0},
    "known from another sweep": {"marker": "s", "s": 18, "color": COLOURS[4], "alpha": 0.8, "linewidths": 0},
    "breaks a constraint": {"marker": "v", "s": 24, "color": COLOURS[6], "linewidths": 0},
    "pruned": {"marker": "o", "s": 18, "facecolors": "none", "edgecolors": COLOURS[0], "linewidths": 0.9},
    "not ended": {"marker": "o", "s": 18, "facecolors": "none", "edgecolors": "#999999", "linewidths": 0.9},
    "collapsed, diverged or failed": {"marker": "x", "s": 22, "color": FAILED, "linewidths": 1.2},
    "chosen": {"marker": "*", "s": 130, "color": COLOURS[5], "edgecolors": "black", "linewidths": 0.6},
    "default": {"marker": "D", "s": 60, "facecolors": "none", "edgecolors": "black", "linewidths": 1.4},
}
LAST = ("chosen", "default")  # drawn over what they mark


def draw(study: Mapping[str, Any] | Study) -> Figure:
    """The figure of `study.search`: drawable whatever failed and before anything has ended."""
    study = Study.model_validate(study)
    found, paths = study.search, search.paths(study.search)
    with matplotlib.rc_context(STYLE):
        figure, above, slices = _panels(len(found.objectives), len(paths))
        figure.suptitle(_heading(study), x=0.01, ha="left", fontsize=10)
        _progress(above[0], found)
        for axes, objective in zip(above[1:], found.objectives[1:], strict=False):
            _pareto(axes, found, objective)
        names = search.short_names(paths)
        for axes, path in zip(slices, paths, strict=True):
            _slice(axes, found, path, names[path])
        for axes in slices:
            if axes.get_subplotspec().is_first_col():
                axes.set_ylabel(titled(found.objectives[0]).replace(" (", "\n("), fontsize=8)
        _legend(figure, [*above, *slices])
    return figure


def _heading(study: Study) -> str:
    found = study.search
    asked = count(sum(trial.state != "known" for trial in found.trials), "trial")
    of = "" if study.baseline == "default" else f" of {study.baseline}"
    what = f"Search{of} by {found.sampler}, {asked} on {found.split} tasks, {seeds_text(found.tuning_seeds)}"
    return "\n".join([captions.title(study), *textwrap.wrap(what, 110)])


def _panels(objectives: int, settings: int) -> tuple[Figure, list[Axes], list[Axes]]:
    """One row of the progress and up to PAIRS fronts, below it rows of COLUMNS settings."""
    rows, pairs = -(-settings // COLUMNS), min(objectives - 1, PAIRS)
    columns = -(-settings // max(rows, 1))
    heights = [3.0, 2.1 * rows] if rows else [3.0]
    figure = Figure(figsize=(WIDTH, sum(heights) + 1.0), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    above = parts[0].subplots(1, 1 + pairs, squeeze=False, width_ratios=[1.4, *[1] * pairs])[0]
    below = parts[1].subplots(rows, columns, squeeze=False, sharey=True).ravel() if rows else []
    for empty in below[settings:]:
        empty.remove()
    return figure, list(above), list(below[:settings])


def kind(found: Search, trial: SearchTrial) -> str:
    """How a trial is drawn: a key of KINDS."""
    if trial.state in ("complete", "known") and not search.feasible(found, trial):
        return "breaks a constraint"
    known = {"complete": "complete", "known": "known from another sweep", "pruned": "pruned", "open": "not ended"}
    return known.get(trial.state, "collapsed, diverged or failed")


def _marks(axes: Axes, found: Search, places: list[tuple[SearchTrial, float, float | None]]) -> None:
    """Trials at their places, without a value in the strip at the bottom; the default and what was chosen stand out."""
    chosen, base = {trial.number for trial in search.chosen(found)}, search.default(found)
    drawn = [(kind(found, trial), x, y) for trial, x, y in places]
    drawn += [("default", x, y) for trial, x, y in places if trial is base]
    drawn += [("chosen", x, y) for trial, x, y in places if trial.number in chosen]
    for name, look in KINDS.items():
        above = [(x, y) for mine, x, y in drawn if mine == name and y is not None]
        below = [x for mine, x, y in drawn if mine == name and y is None]
        order = {"zorder": 4 + LAST.index(name) if name in LAST else 3}
        if above:
            axes.scatter(*zip(*above, strict=True), label=name, **look, **order)
        if below:
            where = axes.get_xaxis_transform()
            axes.scatter(below, [STRIP / 2] * len(below), label=name, transform=where, clip_on=False, **look, **order)


def scaled(objective: Measure, trial: SearchTrial) -> float | None:
    """The trial's value of an objective as it is drawn: rates in percent."""
    value = trial.value(objective.name)
    return value * 100 if value is not None and is_rate(objective.name) else value


def _progress(axes: Axes, found: Search) -> None:
    """Every trial at what had been spent when it was over, the best value so far, the default's value."""
    objective, points = found.objectives[0], search.progress(found)
    spent = bool(points and points[-1].steps)
    x = [point.steps if spent else i + 1 for i, point in enumerate(points)]
    places = [(point.trial, at, scaled(objective, point.trial)) for point, at in zip(points, x, strict=True)]
    places += [(trial, 0, scaled(objective, trial)) for trial in found.trials if trial.state == "known"]
    values = [y for _, _, y in places if y is not None]
    right = max([*x, 1])
    axes.set_xlim(-0.03 * right, 1.03 * right)
    value_axis(axes, values, is_rate(objective.name), strip=len(values) < len(places))
    scale = 100 if is_rate(objective.name) else 1
    line = [(at, point.best * scale) for point, at in zip(points, x, strict=True) if point.best is not None]
    if line:
        axes.step(
            *zip(*line, (right, line[-1][1]), strict=True), where="post", color=COLOURS[1], lw=1.4, label="best so far"
        )
    _marks(axes, found, places)
    base = search.default(found)
    if base and (level := scaled(objective, base)) is not None:
        axes.axhline(level, color="black", lw=0.9, ls=(0, (4, 3)), zorder=2, label="default's value")
    axes.set_title(f"{titled(objective)}, {'lowest' if objective.higher_is_better is False else 'highest'} so far")
    axes.set_xlabel("training steps spent" if spent else "trials")
    ticks(axes, "x", 0, right, log=False, many=6, whole=True)
    if spent:
        _trial_axis(axes, x)
    if not values:
        _nothing(axes, "no trial has a value")


def _trial_axis(axes: Axes, steps: list[int]) -> None:
    """How many trials that were, along the top; counts that would touch are left out."""
    wanted = {1, len(steps), *MaxNLocator(8, integer=True).tick_values(1, len(steps)).astype(int)}
    shown, room = [], axes.get_xlim()[1] * 0.08
    for n in sorted((n for n in wanted if 1 <= n <= len(steps)), reverse=True):
        if not shown or steps[shown[-1] - 1] - steps[n - 1] >= room:
            shown.append(n)
    top = axes.secondary_xaxis("top")
    top.set_xticks([steps[n - 1] for n in shown], [str(n) for n in shown])
    top.tick_params(labelsize=7, length=2, colors="#666666")
    top.set_xlabel("trials", fontsize=7, color="#666666", labelpad=6)
    top.spines["top"].set_visible(False)


def _pareto(axes: Axes, found: Search, other: Measure) -> None:
    """The first objective against another; with two objectives the front is a line of steps."""
    first = found.objectives[0]
    points = [(trial, scaled(other, trial), scaled(first, trial)) for trial in found.trials]
    points = [(trial, x, y) for trial, x, y in points if x is not None and y is not None]
    axes.set_title(titled(first))
    axes.set_xlabel(titled(other))
    value_axis(axes, [y for _, _, y in points], is_rate(first.name), strip=False)
    if not points:
        axes.xaxis.set_major_locator(NullLocator())
        _nothing(axes, "no trial has both values")
        return
    number_axis(axes, [x for _, x, _ in points], spread([x for _, x, _ in points]))
    best = sorted((scaled(other, trial), scaled(first, trial)) for trial in search.front(found))
    if best and len(found.objectives) == 2:
        where = "pre" if other.higher_is_better is not False else "post"
        axes.step(*zip(*best, strict=True), where=where, color=COLOURS[2], lw=1.3, zorder=2, label="front")
    elif best:  # in more directions than two it is no line
        axes.scatter(*zip(*best, strict=True), s=52, facecolors="none", edgecolors=COLOURS[2], label="front")
    _marks(axes, found, points)


def _slice(axes: Axes, found: Search, path: str, name: str) -> None:
    """The first objective against one setting, of the trials that have it."""
    objective, dimension = found.objectives[0], found.space.get(path)
    having = [trial for trial in found.trials if path in trial.params]
    values = [trial.params[path] for trial in having]
    numeric = all(map(search.is_number, values)) and (dimension is None or dimension.kind != "choice")
    if numeric:
        x = [float(value) for value in values]
        ends = [end for end in (dimension.low, dimension.high) if search.is_number(end)] if dimension else []
        number_axis(axes, [*x, *ends], bool(dimension and dimension.kind == "log"), _whole(dimension))
    else:
        x = category_axis(axes, dimension, values, [trial.number for trial in having])
    everything = [y for trial in found.trials if (y := scaled(objective, trial)) is not None]
    value_axis(axes, everything, is_rate(objective.name), strip=len(everything) < len(found.trials))
    _marks(axes, found, [(trial, at, scaled(objective, trial)) for trial, at in zip(having, x, strict=True)])
    axes.set_title("\n".join([*wrapped(name), *wrapped(_condition(dimension))]), fontsize=8)
    if not having:
        _nothing(axes, "in no trial")
    elif not everything:
        _nothing(axes, "no trial has a value")


def _condition(dimension: Dimension | None) -> str:
    if dimension is None or dimension.when is None:
        return ""
    path, value = dimension.when
    return f"if {'.'.join(path.split('.')[-2:])} = {setting(value)}"


def _whole(dimension: Dimension | None) -> bool:
    return bool(dimension and dimension.kind == "integers")


def titled(objective: Measure) -> str:
    """An objective's name and unit: `success rate (%)`."""
    unit = "%" if is_rate(objective.name) else objective.unit
    name = objective.name.replace("_", " ")
    return f"{name} ({unit})" if unit else name


def _nothing(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.55, text, transform=axes.transAxes, ha="center", va="center", fontsize=8, color="#666666")


def _legend(figure: Figure, panels: list[Axes]) -> None:
    """Every mark that is drawn, once."""
    found = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    order = [*(name for name in KINDS if name in found), *(name for name in found if name not in KINDS)]
    if order:
        figure.legend(
            [found[name] for name in order], order, loc="outside lower left", ncols=5, fontsize=7, frameon=False
        )
