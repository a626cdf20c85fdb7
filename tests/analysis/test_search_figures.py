"""The picture of a search shows every trial, draws whatever failed, is the same bytes every time; nothing collides."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import PathCollection
from matplotlib.text import Text

from analysis import figures, search_figures
from analysis.search_records import STATES

LONG = {
    "terms.sigreg.weight": {"kind": "log", "low": 0.001, "high": 1.0},
    "encoder": {"kind": "choice", "values": ["conv", "vit"]},
    "encoder.depth": {"kind": "integers", "low": 1, "high": 8, "when": ["encoder", "vit"]},
    "predictor.dropout": {"kind": "uniform", "low": 0.0, "high": 0.3},
    "optim.learning_rate": {"kind": "log", "low": 1e-5, "high": 3e-3},
    "model.head.projection_dimension_of_the_second_module": {"kind": "integers", "low": 32, "high": 100_000},
    "augmentation_of_the_images_in_batches": {
        "kind": "choice",
        "values": ["none", "random_crop_and_shift", "colour_jitter_of_every_channel", True, 3, None],
    },
    "narrow": {"kind": "log", "low": 0.011, "high": 0.012},
}


def drawn(rng, dimension):
    """A value of the dimension."""
    if dimension["kind"] == "choice":
        return dimension["values"][int(rng.integers(len(dimension["values"])))]
    low, high = dimension["low"], dimension["high"]
    if dimension["kind"] == "integers":
        return int(rng.integers(low, high + 1))
    return float(np.exp(rng.uniform(np.log(low), np.log(high))) if low else rng.uniform(low, high))


@pytest.fixture
def crowd(make_search, point):
    """A search of `count` trials in every state over the first `width` settings of LONG."""

    def make(count, width, objectives=("success_rate",), states=STATES, **changes):
        rng, space = np.random.default_rng(count), dict(itertools.islice(LONG.items(), width))
        trials = []
        for i in range(count):
            state = states[i % len(states)]
            trial = point(i, float(rng.random()) if state in ("complete", "known") else None, state)
            trial["params"] = {path: drawn(rng, dimension) for path, dimension in space.items()}
            if trial["params"].get("encoder") == "conv":
                trial["params"].pop("encoder.depth", None)
            if trial["values"]:
                trial["values"] |= {"parameters": float(rng.uniform(1e5, 9e5)), "planning_seconds": float(rng.random())}
            trials.append(trial)
        return make_search(trials, objectives, space=space, **changes)

    return make


def panel(figure, title):
    return next(axes for axes in figure.axes if axes.get_title(loc="left").startswith(title))


def marks(axes, name):
    """Places of the marks of a kind."""
    found = [one for one in axes.collections if isinstance(one, PathCollection) and one.get_label() == name]
    return [tuple(place) for one in found for place in one.get_offsets()]


def collisions(figure):
    """Pairs of texts that overlap by more than a pixel, and texts that are cut."""
    figure.canvas.draw()
    legends = [text for legend in figure.legends for text in legend.get_texts()]
    texts = [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible() and t not in legends]
    ticks = {id(t) for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for t in hidden(axis)}
    boxes = [(t.get_text(), t) for t in [*texts, *legends] if id(t) not in ticks]
    level = [(name, t.get_window_extent()) for name, t in boxes if t.get_rotation() in (0, 90)]
    frame = figure.bbox
    cut = [name for name, box in level if box.x0 < 0 or box.y0 < 0 or box.x1 > frame.x1 + 1 or box.y1 > frame.y1 + 1]
    pairs = itertools.combinations(level, 2)
    return cut + [(a, b) for (a, one), (b, other) in pairs if overlap(one, other)]


def hidden(axis):
    """Labels of ticks outside of the axis's limits, which matplotlib keeps but does not draw."""
    low, high = sorted(axis.get_view_interval())
    shown = axis.get_tick_params().get("labelleft", axis.get_tick_params().get("labelbottom", True))
    ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
    out = [tick for tick in ticks if not shown or not low <= tick.get_loc() <= high]
    return [label for tick in out for label in (tick.label1, tick.label2)]


def overlap(one, other):
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return width > 1 and height > 1


@pytest.mark.parametrize("objectives", [["success_rate"], ["success_rate", "parameters"]])
def test_the_same_search_gives_the_same_bytes_in_any_order(searched, make_search, tmp_path, objectives):
    first = make_search(objectives=objectives)
    again = first | {"trials": [first["trials"][i] for i in np.random.default_rng(0).permutation(9)]}
    for name, search in (("a", first), ("b", again)):
        (tmp_path / name).mkdir()
        figures.save(search_figures.draw(searched(search)), tmp_path / name, "search")
    for file in ("search.png", "search.svg"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_progress_shows_the_best_so_far_the_default_and_what_has_no_value(searched):
    axes = panel(search_figures.draw(searched()), "success rate (%), highest so far")
    lines = {line.get_label(): line for line in axes.lines}
    assert list(lines["best so far"].get_xdata()) == [1000, 2000, 3000, 4000, 4300, 4600, 4900, 5200, 5200]
    assert list(lines["best so far"].get_ydata()) == pytest.approx([85, 85, 90, *[95] * 6])
    assert lines["default's value"].get_ydata()[0] == 85
    assert marks(axes, "chosen") == [(4000, 95)] and marks(axes, "default") == [(1000, 85)]
    assert marks(axes, "known from another sweep") == [(0, 70)]
    assert [x for x, _ in marks(axes, "pruned")] == [4300]
    assert [x for x, _ in marks(axes, "collapsed, diverged or failed")] == [4600, 4900, 5200]
    assert axes.get_xlabel() == "training steps spent"


def test_a_slice_shows_the_trials_that_have_the_setting_on_the_axis_of_its_range(searched, make_search, point):
    trials = [point(0, 0.5), point(1, 0.9, params={"encoder": "vit", "encoder.depth": 4}), point(2, state="pruned")]
    figure = search_figures.draw(searched(make_search(trials)))
    weight, depth = panel(figure, "sigreg.weight"), panel(figure, "encoder.depth\nif encoder = vit")
    assert weight.get_xscale() == "log" and depth.get_xscale() == "linear"
    assert [x for x, _ in marks(weight, "complete")] == pytest.approx([0.02, 0.03])
    assert [x for x, _ in marks(weight, "pruned")] == pytest.approx([0.04])
    assert marks(depth, "complete") == [(4, 90)] and not marks(depth, "pruned")
    (kinds,) = [axes for axes in figure.axes if axes.get_title(loc="left") == "encoder"]
    assert [label.get_text() for label in kinds.get_xticklabels()] == ["conv", "vit"]
    assert [round(x) for x, _ in marks(kinds, "complete")] == [0, 1]
    hollow = next(one for one in weight.collections if one.get_label() == "pruned")
    assert hollow.get_facecolors().size == 0


def test_the_front_is_a_line_of_two_objectives_and_rings_of_three(searched, make_search, point):
    names = ("success_rate", "parameters", "planning_seconds")
    rows = ((0.9, 10, 1.0), (0.8, 5, 2.0), (0.7, 7, 3.0), (0.2, 1, 4.0))
    trials = [point(i, values=dict(zip(names, row, strict=True))) for i, row in enumerate(rows)]
    two = search_figures.draw(searched(make_search(trials, names[:2])))
    (axes,) = [axes for axes in two.axes if axes.get_xlabel() == "parameters"]
    (line,) = [line for line in axes.lines if line.get_label() == "front"]
    assert list(line.get_xdata()) == [1, 5, 10] and list(line.get_ydata()) == pytest.approx([20, 80, 90])
    three = search_figures.draw(searched(make_search(trials, names)))
    (axes,) = [axes for axes in three.axes if axes.get_xlabel() == "planning seconds (s per plan)"]
    assert sorted(x for x, _ in marks(axes, "front")) == [1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("count", "width", "objectives"),
    [(1, 4, 1), (5, 2, 1), (5, 8, 3), (40, 0, 1), (40, 1, 2), (40, 5, 3), (200, 2, 2), (200, 4, 1), (200, 8, 2)],
)
def test_no_text_is_cut_or_lies_on_another(searched, crowd, count, width, objectives):
    names = ["success_rate", "parameters", "planning_seconds"][:objectives]
    assert collisions(search_figures.draw(searched(crowd(count, width, names)))) == []


@pytest.mark.parametrize("first", ["parameters", "planning_seconds"])
def test_objectives_with_other_units_collide_with_nothing(searched, crowd, first):
    figure = search_figures.draw(searched(crowd(40, 3, [first, "success_rate"])))
    assert collisions(figure) == []
    assert "lowest so far" in panel(figure, first.replace("_", " ")).get_title(loc="left")


@pytest.mark.parametrize("state", STATES[1:])
def test_a_search_of_which_nothing_came_can_be_drawn(searched, crowd, state, tmp_path):
    search = crowd(6, 4, ["success_rate", "parameters"], [state])
    for trial in search["trials"]:
        trial["values"] = {}
    figure = search_figures.draw(searched(search))
    figures.save(figure, tmp_path, "search")
    said = [text.get_text() for text in figure.findobj(Text)]
    assert "no trial has a value" in said and "no trial has both values" in said
    assert collisions(figure) == []


def test_a_search_without_trials_or_settings_can_be_drawn(searched, make_search, tmp_path):
    for search in (make_search([]), make_search([], space={})):
        figures.save(search_figures.draw(searched(search)), tmp_path, "search")
    assert (tmp_path / "search.png").stat().st_size > 5_000


def test_trials_that_took_no_step_stand_by_their_count(searched, make_search, point):
    trials = [point(0, 0.5, step=None), point(1, 0.9, step=0)]
    axes = panel(search_figures.draw(searched(make_search(trials))), "success rate")
    assert axes.get_xlabel() == "trials"
    assert [x for x, _ in marks(axes, "complete")] == [1, 2]


def test_values_over_decades_stand_on_a_logarithmic_axis_unless_they_are_rates(searched, make_search, point):
    rows = ((0.001, 10.0), (0.9, 1e4), (0.5, -1.0))
    trials = [point(i, values={"success_rate": a, "parameters": b}) for i, (a, b) in enumerate(rows)]
    for names, count, scale in (
        (["parameters"], 2, "log"),
        (["parameters"], 3, "linear"),
        (["success_rate"], 2, "linear"),
    ):
        figure = search_figures.draw(searched(make_search(trials[:count], names)))
        assert panel(figure, names[0].replace("_", " ")).get_yscale() == scale


def test_a_dollar_in_a_name_is_a_dollar(searched, make_search, point):
    space = {"cost_in_$_of_$": {"kind": "choice", "values": ["$\\bad", "$"]}}
    trials = [point(0, 0.5) | {"params": {"cost_in_$_of_$": "$\\bad"}}]
    figure = search_figures.draw(searched(make_search(trials, space=space)))
    figure.canvas.draw()
    assert "cost_in_$_of_$" in [text.get_text() for text in figure.findobj(Text)]


NUMBER = st.floats(-1e9, 1e9) | st.none()
SETTING = st.one_of(st.floats(-1e6, 1e6), st.integers(-9, 10**6), st.sampled_from(["vit", "conv", True, None]))


@given(
    st.lists(st.tuples(st.sampled_from(STATES), NUMBER, NUMBER, SETTING), min_size=1, max_size=8),
    st.sampled_from([None, "uniform", "log", "integers", "choice"]),
    st.floats(-10, 10),
    st.floats(1e-6, 1e6),
)
@settings(max_examples=12, deadline=None)
def test_any_values_and_settings_can_be_drawn(rows, kind, low, high):
    trials = [
        {"number": i, "state": state, "values": {"a": a, "b": b}, "params": {"x": x}, "step": i, "note": "default"}
        for i, (state, a, b, x) in enumerate(rows)
    ]
    space = {"x": {"kind": kind, "low": low, "high": high, "values": ["vit", 1]}} if kind else {}
    search = {"objectives": [{"name": "a"}, {"name": "b", "higher_is_better": False}], "trials": trials, "space": space}
    study = {"sweep": "s", "question": "q", "world": "w", "scale": "l", "arms": [], "baseline": "default", "seeds": [0]}
    figure = search_figures.draw(study | {"primary": "a", "margin": 0, "search": search})
    figure.canvas.draw()
