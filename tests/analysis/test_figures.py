"""The picture shows every seed, draws whatever failed, and is the same bytes every time."""

import numpy as np
import pytest
from matplotlib.collections import PathCollection

from analysis import figures
from analysis.records import Study, parse
from analysis.summary import plan

WEIGHTS = (0, 0.01, 0.1, 1.0, 10)


def sweep_of_numbers(make_study, weights=WEIGHTS):
    arms = [{"name": f"weight={x}", "changes": {"terms.inverse.weight": x}} for x in weights]
    return make_study(tuple(arm["name"] for arm in arms)) | {"arms": arms}


def places(study, records=()):
    study = Study.model_validate(study)
    return figures.positions(study, plan(study, parse(records)))


def texts(figure):
    return "\n".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))


def main_panel(figure):
    return next(axes for axes in figure.axes if axes.get_title(loc="left").startswith("success rate"))


def test_the_same_records_give_the_same_bytes_in_any_order(make_study, mixed, tmp_path):
    shuffled = [mixed[i] for i in np.random.default_rng(0).permutation(len(mixed))]
    for name, records in (("a", mixed), ("b", shuffled)):
        (tmp_path / name).mkdir()
        figures.save(figures.draw(make_study(), records), tmp_path / name)
    for file in ("figure.png", "figure.svg"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert "<dc:date>" not in (tmp_path / "a" / "figure.svg").read_text()


def test_there_is_a_dot_per_seed_that_has_a_value_and_failures_are_named(make_study, mixed):
    figure = figures.draw(make_study(), mixed)
    assert sum(isinstance(found, PathCollection) for found in main_panel(figure).collections) == 7
    for said in ("tiny\n1 crashed", "base\n2 collapsed\n1 diverged", "random 4", "world two_room, scale local"):
        assert said in texts(figure)


def levels_of_rollout(figure):
    return next(axes for axes in figure.axes if axes.get_title(loc="left").startswith("rollout error"))


@pytest.mark.parametrize(
    ("first", "second", "scale"),
    [(1800, 3200, "linear"), (1800, 32000, "log"), (1800, 170000, "log"), (1800, 3.2e9, "log"), (0, 0, "linear")],
)
def test_errors_that_are_close_stand_on_a_linear_axis(make_study, make_record, first, second, scale):
    records = [make_record(arm, seed) for arm in ("tiny", "small", "base") for seed in range(3)]
    for record in records:
        record["measures"] |= {"rollout_error_1": first, "rollout_error_2": second}
    figure = figures.draw(make_study(), records)
    axes = levels_of_rollout(figure)
    figure.canvas.draw()
    assert axes.get_yscale() == scale
    assert not any(label.get_text() for label in axes.get_yticklabels(minor=True))
    assert 2 <= sum(axes.get_ylim()[0] <= tick <= axes.get_ylim()[1] for tick in axes.get_yticks()) <= 12


def test_the_name_of_a_floor_at_0_stands_clear_of_the_x_axis_and_of_its_neighbour(make_study, mixed):
    floors = {"no-op": [[False] * 100], "random": [[True] + [False] * 99]}
    figure = figures.draw(make_study(floors=floors), mixed)
    figure.canvas.draw()
    names = {text.get_text(): text.get_window_extent() for text in main_panel(figure).texts}
    one_point = figure.dpi / 72
    assert names["no-op 0"].y0 > main_panel(figure).get_window_extent().y0 + 4 * one_point
    assert names["random 1"].y0 > names["no-op 0"].y1


def test_the_legend_explains_intervals_only_where_there_are_any(make_study, make_record):
    records = [make_record(arm, seed) for arm in ("tiny", "small", "base") for seed in range(3)]
    assert "95 % interval" in texts(figures.draw(make_study(), records))
    assert "interval" not in texts(figures.draw(make_study(seeds=[0, 1]), records))


def test_axes_carry_their_units(make_study, mixed):
    titles = [axes.get_title(loc="left") for axes in figures.draw(make_study(), mixed).axes]
    assert titles == ["success rate (%)", "probe r2 (R²)", "rollout error (of variance)"]


@pytest.mark.parametrize("status", ["crashed", "collapsed", "missing"])
def test_a_study_in_which_everything_failed_can_be_drawn(make_study, make_record, status, tmp_path):
    records = [make_record(arm, seed, 3, status) for arm in ("tiny", "small", "base") for seed in range(3)]
    figures.save(figures.draw(make_study(), records), tmp_path)
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_published_values_are_drawn_only_at_their_own_world_and_scale(make_study, mixed):
    assert "published" not in texts(figures.draw(make_study(), mixed))
    assert "published: arXiv:2603.19312, Table 6" in texts(
        figures.draw(make_study(published_at="two_room, local"), mixed)
    )


def test_arms_that_set_one_number_stand_at_that_number(make_study):
    assert places(sweep_of_numbers(make_study)) == ([0.0, 0.01, 0.1, 1.0, 10.0], "terms.inverse.weight")
    assert places(make_study()) == ([0.0, 1.0, 2.0], None)


def test_an_arm_that_changes_nothing_stands_where_its_config_does(make_study, make_record):
    study = sweep_of_numbers(make_study, (0.1, 1.0, 10.0))
    study["arms"][1] = {"name": "weight=1.0", "changes": {}}
    records = [make_record("weight=1.0", 0, config={"terms.inverse.weight": 1.0})]
    assert places(study, records) == ([0.1, 1.0, 10.0], "terms.inverse.weight")
    assert places(study) == ([0.0, 1.0, 2.0], None)


def test_an_axis_over_decades_is_logarithmic_with_zero_a_step_below(make_study, make_record):
    study = sweep_of_numbers(make_study)
    records = [make_record(arm["name"], seed) for arm in study["arms"] for seed in range(3)]
    panel = main_panel(figures.draw(study, records))
    assert np.allclose(np.diff(panel.get_xticks()), 1)
    assert [label.get_text() for label in panel.get_xticklabels()] == ["0", "0.01", "0.1", "1", "10"]
    assert panel.get_xlabel() == "terms.inverse.weight"
    few = sweep_of_numbers(make_study, (1, 2, 4))
    records = [make_record(arm["name"], seed) for arm in few["arms"] for seed in range(3)]
    ticks = main_panel(figures.draw(few, records)).get_xticks()
    assert (ticks[2] - ticks[1]) / (ticks[1] - ticks[0]) == pytest.approx(2)
