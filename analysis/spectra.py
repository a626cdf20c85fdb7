"""The spectra of the latents side by side: a panel per arm, a bar per component as high as its share of the variance.

A spectrum with a knee says how many directions the latent uses: the bars before it are high, those after it near zero.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from analysis import captions
from analysis.figures import COLOURS, FAILED, STYLE
from analysis.records import Record, Study, parse
from analysis.summary import plan

ABOUT = ("knee", "effective_rank")  # primary measures of a question that the spectra answer
SHARE = "component_share/"
ACROSS = 4  # panels in a row
BEYOND = "#c8c8c8"  # components beyond the expected ones
LEGEND = "bar: mean share of the latent's variance · dot: a seed (cross: collapsed) · dashed: after the measured knee"
EXPECTED = " · coloured: as many components as expected"


def wanted(study: Study, records: list[Record]) -> bool:
    """Whether the question is about the spectrum, and some trial has one."""
    return study.primary in ABOUT and any(_shares(record) for record in records)


def draw(study: Mapping[str, Any] | Study, records: Iterable[Mapping[str, Any] | Record]) -> Figure:
    """Panels in the declared order of the arms, on one scale; an arm without a spectrum has an empty one."""
    study, records = Study.model_validate(study), parse(records)
    trials, arms = plan(study, records), [arm.name for arm in study.arms]
    across, rows = min(ACROSS, len(arms)), -(-len(arms) // ACROSS)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(max(4.6, 2.3 * across), 2.1 * rows + 1.1), dpi=160, layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(rows, across, sharey=True, squeeze=False).flatten()
        heading = "\n".join([captions.title(study), *textwrap.wrap(study.question, int(11 * figure.get_figwidth()))])
        figure.suptitle(heading, x=0.01, ha="left", fontsize=10)
        legend = LEGEND + (EXPECTED if study.truth.get("knee") else "")
        figure.supxlabel(
            "\n".join(textwrap.wrap(legend, int(20 * figure.get_figwidth()))),
            x=0.01,
            ha="left",
            fontsize=7,
            color="#666666",
        )
        for arm, panel in zip(arms, panels, strict=False):
            _panel(panel, arm, [trials[arm, seed] for seed in study.seeds], study.truth.get("knee", {}).get(arm))
        for panel in panels[len(arms) :]:
            panel.set_axis_off()
        for row in range(rows):
            panels[row * across].set_ylabel("share (%)")
    return figure


def _shares(record: Record) -> list[float]:
    """The leading shares of variance, largest first; none where the latent was not measured."""
    found = []
    while (value := record.value(f"{SHARE}{len(found) + 1}")) is not None:
        found.append(value)
    return found


def _panel(axes: Axes, arm: str, trials: list[Record], truth: float | None) -> None:
    """One arm: bars, dots, the knee of every seed, and in its title the knees beside the expected dimension."""
    spectra = [(trial, shares) for trial in trials if (shares := _shares(trial))]
    knees = [knee for trial in trials if (knee := trial.value("knee")) is not None]
    axes.set_title(_title(arm, knees, truth), fontsize=8)
    if not spectra:
        axes.text(0.5, 0.5, _why(trials), transform=axes.transAxes, ha="center", va="center", color=FAILED, fontsize=8)
        axes.set_xticks([])
        return
    count = min(len(shares) for _, shares in spectra)
    component, shares = np.arange(1, count + 1), 100 * np.array([shares[:count] for _, shares in spectra])
    colours = [COLOURS[0] if truth is None or number <= truth else BEYOND for number in component]
    axes.bar(component, shares.mean(0), width=0.72, color=colours, zorder=2)
    for offset, (trial, _), spectrum in zip(_offsets(len(shares)), spectra, shares, strict=True):
        mark = {"marker": "o", "linewidths": 0} if trial.status == "ok" else {"marker": "x", "linewidths": 0.9}
        axes.scatter(component + offset, spectrum, s=8, color="#333333", alpha=0.7, zorder=3, **mark)
    for knee in sorted(set(knees)):
        axes.axvline(knee + 0.5, color=FAILED, lw=1.2, ls=(0, (3, 2)), zorder=4, alpha=knees.count(knee) / len(knees))
    axes.set_xticks(component)
    axes.set_xlabel("component")


def _title(arm: str, knees: list[float], truth: float | None) -> str:
    """`coupled: knee 2 (expected 2)`; several knees where the seeds differ."""
    seen = " | ".join(f"{knee:g}" for knee in sorted(set(knees)))
    return f"{arm}{f': knee {seen}' if seen else ''}{'' if truth is None else f' (expected {truth:g})'}"


def _why(trials: list[Record]) -> str:
    """What became of an arm without a spectrum."""
    states = sorted({f"{trial.status}: {trial.lacks}" if trial.lacks else trial.status for trial in trials})
    return "\n".join(states)


def _offsets(count: int) -> np.ndarray:
    return np.linspace(-0.2, 0.2, count) if count > 1 else np.zeros(1)
