"""Arms judged on tasks of their own are not compared as if they shared them; what is expected stands beside ours."""

import polars as pl
import pytest

from analysis import figures
from analysis.records import Study
from analysis.tables import latex, markdown, summary


@pytest.fixture
def found(make_record):
    solved = (("tiny", 50), ("small", 95), ("base", 95))
    records = [make_record(arm, seed, n) for arm, n in solved for seed in range(3)]
    for record in records:
        record["measures"]["knee"] = {"tiny": 2.0, "small": 4.0, "base": 3.0}[record["arm"]]
    return records


def rows(study, found):
    return {(row["arm"], row["measure"]): row for row in summary(study, found).to_dicts()}


def line(text, start):
    return next(one for one in text.splitlines() if one.startswith(start))


def test_an_arm_of_other_tasks_has_no_difference_in_any_measure_and_is_named(make_study, found):
    study = make_study(alike=["small", "base"])
    table = rows(study, found)
    mine = [row for (arm, _), row in table.items() if arm == "tiny"]
    assert len(mine) > 5
    assert {(row["difference"], row["p"], row["p_exact"], row["verdict"]) for row in mine} == {(None,) * 4}
    assert table["base", "success_rate"]["p_holm"] == table["base", "success_rate"]["p"]
    assert table["tiny", "success_rate"]["mean"] == pytest.approx(0.5)
    text = markdown(study, found)
    assert "Judged on other episodes or tasks than small, so not compared with it: tiny." in text
    assert "Holm over 1 comparison;" in text


@pytest.mark.parametrize("alike", [None, ["tiny", "small", "base"]])
def test_arms_of_the_same_tasks_are_compared(make_study, found, alike):
    study = make_study(alike=alike)
    assert rows(study, found)["tiny", "success_rate"]["verdict"] == "worse"
    assert "Judged on other" not in markdown(study, found)


def test_where_every_arm_has_its_own_tasks_there_are_neither_verdicts_nor_talk_of_them(make_study, found):
    text = markdown(make_study(alike=["small"]), found)
    for word in ("verdict", "Holm", "difference from", "aseline", "argin"):
        assert word not in text
    assert "Primary measure: success_rate.  \n" in text
    assert "Every arm is judged on episodes or tasks of its own, so none is compared with another." in text
    assert {row["role"] for row in rows(make_study(alike=["small"]), found).values()} == {"arm", "floor"}


@pytest.mark.parametrize(("alike", "bold"), [(["small"], False), (["small", "base"], True)])
def test_the_figure_marks_a_baseline_only_where_one_is_compared_with_it(make_study, found, alike, bold):
    figure = figures.draw(make_study(alike=alike), found)
    assert ("bold: baseline" in figure.get_supxlabel()) == bold
    weights = [label.get_fontweight() for label in figure.axes[0].get_xticklabels()]
    assert weights == ["normal", "bold" if bold else "normal", "normal"]


@pytest.mark.parametrize("alike", [None, ["small"]])
def test_an_arm_that_is_alone_as_yet_keeps_its_baseline_and_margin(make_study, found, alike):
    alone = make_study(alike=alike) | {"arms": [{"name": "small"}]}
    text = markdown(alone, [record for record in found if record["arm"] == "small"])
    assert "Baseline: small. Margin: 5 points." in text
    assert "Every arm is judged" not in text


def test_what_is_known_stands_beside_what_was_measured_and_right_trials_are_counted(make_study, found):
    found[0]["measures"]["knee"] = 3.0
    study = make_study(primary="knee", truth={"knee": {"tiny": 2, "small": 4}}, published={}, margin=0.5)
    text = markdown(study, found)
    assert "4 (expected 4)" in line(text, "| small")
    assert "(expected 2)" in line(text, "| tiny")
    assert "expected" not in line(text, "| base")
    assert "Expected knee: tiny 2, small 4; measured so in 5 of 6 trials." in text
    assert "4 (expected 4)" in latex(study, found)
    assert rows(study, found)["tiny", "knee"]["truth"] == 2
    assert rows(study, found)["tiny", "probe_r2"]["truth"] is None


def test_what_is_known_of_another_measure_stands_beside_that_one(make_study, found):
    text = markdown(make_study(truth={"knee": {"tiny": 2}}), found)
    assert "2 (expected 2)" in line(text, "| knee")
    assert "expected" not in line(text, "| tiny")


def test_the_figure_marks_what_is_known(make_study, found):
    study = make_study(primary="knee", truth={"knee": {"tiny": 2, "base": 5}}, published={})
    main = next(axes for axes in figures.draw(study, found).axes if axes.get_title(loc="left").startswith("knee"))
    (marks,) = (points for points in main.collections if points.get_label() == "expected value")
    assert [(round(x, 2), y) for x, y in marks.get_offsets().data] == [(0.32, 2.0), (2.32, 5.0)]


def test_floors_are_no_rows_of_a_table_of_something_else(make_study, found):
    study = make_study(primary="knee", published={}, margin=0.5)
    assert "(floor)" not in markdown(study, found)
    assert "random" not in latex(study, found).split(r"\begin{tabular}")[1]
    assert "Floors: Wilson's" not in markdown(study, found)
    assert "(floor)" in markdown(make_study(), found)
    floors = summary(study, found).filter(pl.col("role") == "floor")
    assert set(floors["measure"]) == {"success_rate"}


def test_a_declaration_of_before_says_nothing_of_either(make_study):
    study = Study.model_validate(make_study())
    assert (study.alike, study.truth) == (None, {})
