"""Several searches side by side: the best of so many trials by hand, what tuning gained, and one picture of all."""

from __future__ import annotations

import json
import re

import polars as pl
import pytest
from matplotlib.colors import to_hex

from analysis import records as trial_records
from analysis import search, search_each, search_each_figures
from analysis.figures import COLOURS
from analysis.records import Study, parse
from analysis.report import write_report
from analysis.search_records import Search
from analysis.summary import difference
from analysis.tables import latex, markdown
from tests.analysis.test_search_figures import collisions, marks
from tests.analysis.test_search_text import cells

VALUES = {"smwm": (0.6, 0.5, None, 0.8, 0.7), "lewm": (0.4, None, 0.3, 0.2, 0.9), "pldm": (0.7, 0.1, 0.6, None, None)}
SOLVED = {"smwm": 60, "smwm tuned": 75, "lewm": 40, "lewm tuned": 85, "pldm": 70}


@pytest.fixture
def several(make_study, make_search, point):
    """A study of three methods, each tuned with five trials; nothing beats the third as it was declared."""

    def make(values=VALUES, **changes):
        each = {}
        for arm, row in values.items():
            trials = [point(i, x, "complete" if x is not None else "collapsed") for i, x in enumerate(row)]
            best = max((x, -i) for i, x in enumerate(row) if x is not None)
            confirmed = {f"{arm} tuned": -best[1]} if best[1] else {}
            each[arm] = make_search(
                trials, best=-best[1], confirmed=confirmed, budget=5, searched=True, prune={}, spent=None
            )
        shared = {
            key: each["smwm"][key] for key in ("sampler", "seed", "budget", "split", "tuning_seeds", "objectives")
        }
        arms = [name for arm, one in each.items() for name in (arm, *one["confirmed"])]
        found = shared | {"searched": True, "each": each} | changes
        return make_study(tuple(arms), search=found, published={}, baseline="smwm", sweep="equal_budget")

    return make


@pytest.fixture
def confirmed(make_record):
    """Three seeds of every arm that was confirmed."""
    return [make_record(arm, seed, n + seed) for arm, n in SOLVED.items() for seed in range(3)]


def block(text, start):
    """The part of table.md from a line that begins so to the next picture."""
    return text[text.index(start) :].split("![")[0]


def test_the_best_of_so_many_trials_is_what_a_hand_finds(several):
    each = Study.model_validate(several()).search.each
    found = {arm: [search_each.best_of(one, n) for n in range(1, 7)] for arm, one in each.items()}
    assert found == {
        "smwm": [0.6, 0.6, 0.6, 0.8, 0.8, None],
        "lewm": [0.4, 0.4, 0.4, 0.4, 0.9, None],
        "pldm": [0.7, 0.7, 0.7, 0.7, 0.7, None],
    }


def test_lower_is_better_where_the_objective_says_so(make_search, point):
    trials = [point(i, values={"parameters": x}) for i, x in enumerate((5.0, 7.0, 3.0))]
    found = Search.model_validate(make_search(trials, ["parameters"]))
    assert [search_each.best_of(found, n) for n in (1, 2, 3)] == [5.0, 5.0, 3.0]


def test_a_trial_that_has_not_ended_leaves_the_best_of_as_many_open(make_search, point):
    trials = [point(0, 0.5), point(1, state="open"), point(2, 0.9), point(3, 1.0, "known")]
    found = Search.model_validate(make_search(trials))
    assert [search_each.best_of(found, n) for n in (1, 2, 3)] == [0.5, None, None]


def test_the_table_of_searches_has_a_column_for_each_doubling_and_the_whole_budget(several, confirmed):
    text = block(markdown(several(), confirmed), "## The searches")
    assert (
        "Tuned: smwm, lewm, pldm, by searches of their own with 5 trials each (tpe), for the highest success_rate on"
        in (text)
    )
    assert cells(text, "arm")[-4:] == ["best of 1", "best of 2", "best of 4", "best of 5"]
    assert cells(text, "lewm") == ["lewm", "4", "5", "1", "4,300", "40.0", "40.0", "40.0", "90.0"]
    assert cells(text, "pldm")[3:] == ["2", "3,600", "70.0", "70.0", "70.0", "70.0"]
    assert "Take note" not in text


def test_gains_are_paired_differences_adjusted_over_the_table(several, confirmed):
    text = block(markdown(several(), confirmed), "**What tuning gained**")
    records = {(r.arm, r.seed): r for r in parse(confirmed)}
    of = {arm: [records[arm, seed] for seed in range(3)] for arm in SOLVED}
    gain = difference("success_rate", of["lewm tuned"], of["lewm"], 0.05)
    lead = difference("success_rate", of["pldm"], of["smwm tuned"], 0.05)
    row = cells(text, "lewm")
    assert row[3] == f"{gain.mean * 100:+.1f} [{gain.low * 100:+.1f}, {gain.high * 100:+.1f}]" and row[4] == "better"
    assert row[3].startswith("+45.0 [") and row[5].startswith("+10.0 [")
    row = cells(text, "pldm")
    assert row[2:5] == ["nothing was better", "–", "–"]
    assert row[5] == f"{lead.mean * 100:+.1f} [{lead.low * 100:+.1f}, {lead.high * 100:+.1f}]"
    assert cells(text, "smwm")[5:] == ["–", "–"]
    assert cells(text, "arm")[5] == "tuned minus smwm tuned [95 %]"


def test_holm_counts_every_comparison_of_the_table(several, make_record):
    """A p of 0.02 alone is a verdict; among four that are no difference it is none."""
    solved = {"smwm": (50, 50, 50), "smwm tuned": (54, 56, 58)}
    study = several({"smwm": VALUES["smwm"]})
    records = [make_record(arm, seed, row[seed]) for arm, row in solved.items() for seed in range(3)]
    alone = difference("success_rate", *(parse(records)[i : i + 3] for i in (3, 0)), 0.05)
    assert 0.05 / 5 < alone.p < 0.05
    assert cells(block(markdown(study, records), "**What tuning gained**"), "smwm")[4] == "better"
    records += [make_record(arm, seed, 50 + (seed + shift) % 3) for shift, arm in enumerate(("lewm", "lewm tuned"))
                for seed in range(3)]  # fmt: skip
    records += [make_record("pldm", seed, 55 + seed) for seed in range(3)]
    text = block(markdown(several(), records), "**What tuning gained**")
    assert cells(text, "smwm")[4] == "undecided"


def test_before_anything_is_confirmed_nothing_is_compared(several):
    study = several(searched=False)
    for one in study["search"]["each"].values():
        one |= {"searched": False, "confirmed": {}}
    text = block(markdown(study | {"arms": [{"name": arm} for arm in VALUES], "floors": {}}, []), "**What tuning")
    assert cells(text, "lewm")[2:] == ["not searched through", "–", "–", "–", "–"]


def test_searches_that_have_not_spent_alike_are_told(several, confirmed):
    text = block(markdown(several({**VALUES, "lewm": (0.4, 0.3)}), confirmed), "## The searches")
    assert "- The searches have not spent alike, trials ended: smwm 5, lewm 2, pldm 5." in text
    assert cells(text, "lewm")[-2:] == ["–", "–"]


def test_each_search_has_the_section_that_it_would_have_alone(several, confirmed):
    study = several()
    text = markdown(study, confirmed)
    for number, (arm, one) in enumerate(study["search"]["each"].items(), start=1):
        alone = markdown(study | {"search": one, "baseline": arm}, confirmed).split("## The search\n")[1]
        mine = text.split(f"### The search of {arm}\n")[1].split("### ")[0]
        assert mine.strip() == alone.strip().replace("search.png", f"search-{number}.png")
    assert "found by tpe in 5 trials" in latex(study, confirmed)
    assert "% lewm: Spent: 5 of 5 trials" in latex(study, confirmed)


def test_the_csv_has_the_arm_in_front_and_settings_of_all(several):
    study = several()
    study["search"]["each"]["pldm"]["trials"][0]["params"]["terms.variance.weight"] = "many"
    table = search.table(Study.model_validate(study).search)
    assert table.columns[:3] == ["arm", "number", "state"]
    assert table["arm"].to_list() == [arm for arm in VALUES for _ in range(5)]
    assert table.filter(arm="lewm")["value.success_rate"].to_list() == list(VALUES["lewm"])
    assert table["param.terms.variance.weight"].drop_nulls().to_list() == ["many"]


def test_the_report_has_a_picture_of_all_and_one_of_each_and_can_be_built_again(several, confirmed, tmp_path):
    first = write_report(tmp_path / "a", several(), confirmed)
    names = {file.name for file in first.iterdir() if file.name.startswith("search")}
    assert names == {"search.csv"} | {f"search{n}.{kind}" for n in ("", "-1", "-2", "-3") for kind in ("png", "svg")}
    assert pl.read_csv(first / "search.csv").height == 15
    for link in re.findall(r"\]\(([\w.-]+)\)", (first / "table.md").read_text()):
        assert (first / link).exists()
    rebuilt = json.loads((first / "study.json").read_text())
    second = write_report(tmp_path / "b", rebuilt, trial_records.read(first / "records.parquet"))
    for name in ("table.md", "search.png", "search-2.svg", "search.csv"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_a_study_of_one_search_is_written_as_before(searched):
    assert "each" not in json.loads(Study.model_validate(searched()).model_dump_json())["search"]


# --- the picture


def test_the_picture_has_the_best_so_far_of_every_arm_in_a_colour_of_its_own(several):
    (axes,) = search_each_figures.draw(several()).axes
    lines = {to_hex(line.get_color()): line for line in axes.lines if len(line.get_xdata())}
    assert list(lines) == list(COLOURS[:3])
    best = {"smwm": [60, 60, 60, 80, 80], "lewm": [40, 40, 40, 40, 90], "pldm": [70] * 5}
    for line, values in zip(lines.values(), best.values(), strict=True):
        assert list(line.get_xdata()) == [1, 2, 3, 4, 5, 5.6]
        assert list(line.get_ydata()) == pytest.approx([*values, values[-1]])
        assert line.get_drawstyle() == "steps-post"
    legend = [text.get_text() for legend in axes.figure.legends for text in legend.get_texts()]
    assert legend == ["smwm", "lewm", "pldm", "as declared"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("trials", "success rate (%)")


def test_every_trial_is_in_the_picture_and_those_without_a_value_in_its_strip(several):
    (axes,) = search_each_figures.draw(several()).axes
    drawn = [one for one in axes.collections if len(one.get_offsets()) and one.get_label() != "as declared"]
    inside = [one for one in drawn if one.get_offset_transform() == axes.transData]
    below = [one for one in drawn if one not in inside]
    values = [x * 100 for row in VALUES.values() for x in row if x is not None]
    defaults = [row[0] * 100 for row in VALUES.values()]
    assert sorted(y for one in inside for _, y in one.get_offsets()) == pytest.approx(sorted(values + defaults))
    assert sorted(round(x) for one in below for x, _ in one.get_offsets()) == [2, 3, 4, 5]
    assert marks(axes, "as declared") == []


@pytest.mark.parametrize("arms", [1, 2, 5, 8])
def test_no_text_of_the_picture_is_cut_or_lies_on_another(several, arms):
    values = {"smwm": VALUES["smwm"]} | {f"a method with a name {i}": (0.1 * i, None) * 20 for i in range(1, arms)}
    assert collisions(search_each_figures.draw(several(values))) == []


def test_searches_of_which_nothing_came_can_be_drawn(several):
    study = several()
    for one in study["search"]["each"].values():
        for trial in one["trials"]:
            trial |= {"state": "failed", "values": {}}
    assert collisions(search_each_figures.draw(study)) == []
    for one in study["search"]["each"].values():
        one["trials"] = []
    assert len(list(search_each_figures.pictures(study))) == 4
