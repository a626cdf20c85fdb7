"""Spectra side by side: bars are means over seeds, the knee and the truth are marked, whatever failed is said."""

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from analysis import spectra, tables
from analysis.records import Study, parse
from analysis.report import FILES, SPECTRA_FILES, write_report
from analysis.spectra import BEYOND

SHARES = {"coupled": (0.5, 0.4, 0.06, 0.04), "independent": (0.3, 0.25, 0.23, 0.22)}


@pytest.fixture
def study(make_study):
    def make(**changes):
        truth = {"knee": {"coupled": 2, "independent": 4}}
        return make_study(tuple(SHARES), primary="knee", margin=0.5, truth=truth, published={}) | changes

    return make


@pytest.fixture
def make(make_record):
    """The function that makes a record with a spectrum, moved a little by the seed, and a knee."""

    def record(arm, seed, knee, status="ok"):
        shift = 0.01 * (seed - 1) * np.array([1, -1, 0, 0])
        parts = {f"component_share/{i}": x for i, x in enumerate(np.array(SHARES[arm]) + shift, start=1)}
        found = make_record(arm, seed, status=status)
        return found | {"measures": found["measures"] and found["measures"] | parts | {"knee": float(knee)}}

    return record


@pytest.fixture
def found(make):
    return [make(arm, seed, knee) for arm, knee in (("coupled", 2), ("independent", 4)) for seed in range(3)]


def panels(figure):
    return [axes for axes in figure.axes if axes.axison]


def test_a_bar_is_the_mean_share_of_a_component_and_a_dot_a_seed(study, found):
    first, _ = panels(spectra.draw(study(), found))
    heights = [bar.get_height() for bar in first.patches]
    assert heights == pytest.approx([50.0, 40.0, 6.0, 4.0])
    dots = sorted(tuple(points.get_offsets()[0].data) for points in first.collections)
    assert [y for _, y in dots] == pytest.approx([49.0, 50.0, 51.0])
    assert [bar.get_x() + bar.get_width() / 2 for bar in first.patches] == pytest.approx([1, 2, 3, 4])


def test_the_knee_is_a_dashed_line_and_stands_in_the_title_beside_the_truth(study, found):
    first, second = panels(spectra.draw(study(), found))
    assert first.get_title(loc="left") == "coupled: knee 2 (expected 2)"
    assert second.get_title(loc="left") == "independent: knee 4 (expected 4)"
    assert [line.get_xdata()[0] for line in first.lines] == [2.5]
    assert [line.get_xdata()[0] for line in second.lines] == [4.5]
    beyond = [to_rgba(bar.get_facecolor()) == to_rgba(BEYOND) for bar in first.patches]
    assert beyond == [False, False, True, True]


def test_knees_that_differ_between_seeds_are_all_told(study, make):
    found = [make("coupled", seed, knee) for seed, knee in enumerate((2, 3, 2))]
    first, _ = panels(spectra.draw(study(truth={}), found))
    assert first.get_title(loc="left") == "coupled: knee 2 | 3"
    assert [line.get_xdata()[0] for line in first.lines] == [2.5, 3.5]
    assert first.lines[0].get_alpha() == pytest.approx(2 / 3)


@pytest.mark.parametrize(("status", "said"), [("crashed", "crashed"), ("not run", "not run: no weights")])
def test_an_arm_without_a_spectrum_says_what_became_of_it(study, make, found, status, said):
    found = [*found[:3], *(make("independent", seed, 4, status) for seed in range(3))]
    _, second = panels(spectra.draw(study(), found))
    assert [text.get_text() for text in second.texts] == [said]
    assert second.get_title(loc="left") == "independent (expected 4)"


def test_a_collapsed_seed_is_a_cross(study, make, found):
    sound, crossed = (
        panels(spectra.draw(study(), one))[0] for one in (found, [make("coupled", 0, 2, "collapsed"), *found[1:]])
    )
    outlines = [[len(points.get_paths()[0].vertices) for points in axes.collections] for axes in (sound, crossed)]
    assert outlines[0][0] != outlines[1][0]
    assert outlines[0][1:] == outlines[1][1:]


def test_it_is_drawn_where_the_question_is_about_the_spectrum_and_there_is_one(study, found, mixed, make_study):
    asked = Study.model_validate(study())
    assert spectra.wanted(asked, parse(found))
    assert spectra.wanted(asked.model_copy(update={"primary": "effective_rank"}), parse(found))
    assert not spectra.wanted(asked.model_copy(update={"primary": "success_rate"}), parse(found))
    assert not spectra.wanted(Study.model_validate(make_study(primary="knee")), parse(mixed))


def test_the_report_has_it_with_the_same_bytes_in_any_order_and_points_to_it(study, found, tmp_path):
    first, second = (write_report(tmp_path / name, study(), part) for name, part in (("a", found), ("b", found[::-1])))
    assert sorted(file.name for file in first.iterdir()) == sorted(FILES + SPECTRA_FILES)
    for name in SPECTRA_FILES:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    assert "](spectra.png)" in (first / "table.md").read_text()
    assert "](spectra.png)" not in tables.markdown(study(primary="success_rate"), found)


def test_many_arms_stand_in_rows_of_four(make_study, make, found):
    names = [f"arm {i}" for i in range(6)]
    records = [found[0] | {"arm": name, "trial": name} for name in names]
    figure = spectra.draw(make_study(tuple(names), primary="knee"), records)
    figure.canvas.draw()
    assert len(panels(figure)) == 6
    places = [axes.get_position() for axes in panels(figure)]
    assert len({round(place.y0, 2) for place in places}) == 2
    assert len({round(place.x0, 2) for place in places}) == 4
