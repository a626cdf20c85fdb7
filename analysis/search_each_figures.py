"""The pictures of searches: of several the best value of every arm by the number of trials, then each one's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from analysis import captions, search_each, search_figures
from analysis import search as searches
from analysis.cells import count, seeds_text
from analysis.figures import COLOURS, STYLE
from analysis.records import Study
from analysis.search_axes import STRIP, ticks, value_axis
from analysis.search_records import Search
from analysis.summary import is_rate

SIZE = (7.2, 4.2)  # inches
MARKERS = "osv^DP<>"  # tell the arms apart where colours do not


def pictures(study: Mapping[str, Any] | Study) -> Iterator[tuple[str, Figure]]:
    """(file name without its ending, figure) of every picture that a study's search has."""
    study = Study.model_validate(study)
    if study.search and study.search.each:
        yield search_each.PICTURE, draw(study)
    for arm, part in search_each.parts(study).items():
        yield search_each.picture(study, arm), search_figures.draw(part)


def draw(study: Mapping[str, Any] | Study) -> Figure:
    """The best value so far of every arm that was tuned, one colour each, and every trial; whatever failed."""
    study = Study.model_validate(study)
    found = study.search
    objective, most = found.objectives[0], search_each.milestones(found)[-1:]
    percent = is_rate(objective.name)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=SIZE, dpi=160, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        figure.suptitle(_heading(study), x=0.01, ha="left", fontsize=10)
        points = [point for one in found.each.values() for point in searches.progress(one)]
        shown = [search_figures.scaled(objective, point.trial) for point in points]
        value_axis(axes, [value for value in shown if value is not None], percent, strip=None in shown)
        right = max([*most, 1])
        axes.set_xlim(0.4, right + 0.6)
        for number, (arm, one) in enumerate(found.each.items()):
            _arm(axes, arm, one, number, len(found.each))
        if any(map(searches.default, found.each.values())):
            axes.scatter([], [], s=20, facecolors="none", edgecolors="black", label="as declared")
        ticks(axes, "x", 1, right, log=False, many=12, whole=True)
        axes.set_xlabel("trials")
        axes.set_ylabel(search_figures.titled(objective))
        figure.legend(loc="outside lower left", ncols=4, fontsize=7, frameon=False)
    return figure


def _heading(study: Study) -> str:
    found = study.search
    each = "" if found.budget is None else f", {count(found.budget, 'trial')} for each arm"
    what = f"Best so far by {found.sampler}{each}, on {found.split} tasks, {seeds_text(found.tuning_seeds)}"
    return f"{captions.title(study)}\n{what}"


def _arm(axes: Axes, arm: str, found: Search, number: int, of: int) -> None:
    """An arm in a colour and a marker of its own."""
    look = {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}
    axes.plot([], [], lw=1.8, ms=4.5, label=arm, **look)  # for the legend
    # Lines are drawn thinner and thinner, so that one which lies on another hides nothing of it.
    _line(axes, found, look["color"], 1.4 + 1.6 * (of - 1 - number) / max(of - 1, 1))
    _trials(axes, found, look, (number + 0.5) / of)


def _line(axes: Axes, found: Search, colour: str, width: float) -> None:
    """Steps of the best value so far, to the right edge of the last trial."""
    points, scale = searches.progress(found), 100 if is_rate(found.objectives[0].name) else 1
    line = [(n, point.best * scale) for n, point in enumerate(points, start=1) if point.best is not None]
    if line:
        line.append((len(points) + 0.6, line[-1][1]))
        axes.step(*zip(*line, strict=True), where="post", color=colour, lw=width, zorder=3)


def _trials(axes: Axes, found: Search, look: dict[str, Any], share: float) -> None:
    """Every trial, the default with a black edge; without a value in the strip at the bottom.

    `share`: of the room, 0 to 1, where the arm's trials stand beside those of others with the same number.
    """
    base, objective = searches.default(found), found.objectives[0]
    trials = [point.trial for point in searches.progress(found)]
    aside = 0.02 * axes.get_xlim()[1] * (share - 0.5)
    places = [(n + aside, search_figures.scaled(objective, trial)) for n, trial in enumerate(trials, start=1)]
    above = [(x, y) for x, y in places if y is not None]
    marked = [place for place, trial in zip(places, trials, strict=True) if trial is base and place[1] is not None]
    below = [(x, STRIP * share) for x, y in places if y is None]
    sized = look | {"s": 20, "linewidths": 0}
    for spots, drawn in (
        (above, {"alpha": 0.55, "zorder": 2}),
        (marked, {"zorder": 4, "edgecolors": "black", "linewidths": 1.0}),
        (below, {"marker": "x", "linewidths": 1.2, "transform": axes.get_xaxis_transform()}),
    ):
        if spots:
            axes.scatter(*zip(*spots, strict=True), **sized | drawn)
