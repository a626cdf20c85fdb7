"""An arm that the machine could not run is shown as such, with what to provide, and counts in no statistic."""

import polars as pl
import pytest

from analysis import figures, records
from analysis.report import FILES, write_report
from analysis.tables import latex, markdown, summary

REASON = "vit_small is not in the cache; give encoder.weights=PATH"


@pytest.fixture
def lacking(make_record):
    """Three seeds of every arm; of base there were no weights."""
    ran = [make_record(arm, seed, n) for arm, n in (("tiny", 50), ("small", 95)) for seed in range(3)]
    return [*ran, *(make_record("base", seed, status="not run") for seed in range(3))]


def row(study, found, arm, measure="success_rate"):
    return summary(study, found).row(by_predicate=(pl.col("arm") == arm) & (pl.col("measure") == measure), named=True)


def line(text, start):
    return next(one for one in text.splitlines() if one.startswith(start))


def test_the_row_of_the_arm_says_why_and_the_note_what_to_provide(make_study, lacking):
    text = markdown(make_study(), lacking)
    cells = [cell.strip() for cell in line(text, "| base").split("|")]
    assert "not run: no weights" in cells
    assert "3 not run" in cells
    note = (
        f"Not run (no weights), and in no mean or test: base (3 trials). {REASON}. Once that is there, the same command"
    )
    assert note in text
    assert "not run: no weights" in latex(make_study(), lacking)
    assert "base" not in line(text, "- Not run").replace("base (3 trials)", "")
    for said in ("Fewer than 3 seeds", "Counting trials without a value", "Missing", "Crashed"):
        assert said not in text


def test_it_is_in_no_mean_no_comparison_and_no_family(make_study, lacking):
    base, tiny = (row(make_study(), lacking, arm) for arm in ("base", "tiny"))
    assert (base["mean"], base["difference"], base["p"], base["verdict"], base["worst"]) == (None,) * 5
    assert (base["seeds"], base["planned"], base["not run"], base["lacks"]) == (0, 3, 3, "no weights")
    assert tiny["p_holm"] == tiny["p"] < 0.05
    assert tiny["verdict"] == "worse"
    assert "Holm over 1 comparison;" in markdown(make_study(), lacking)


def test_seeds_that_another_machine_has_run_count_and_the_others_are_told(make_study, make_record, lacking):
    found = [*lacking[:-2], make_record("base", 1, 90), make_record("base", 2, 80)]
    base = row(make_study(), found, "base")
    assert base["mean"] == pytest.approx(0.85)
    assert base["worst"] == pytest.approx(0.85)
    text = markdown(make_study(), found)
    assert "85.0 (2/3)" in line(text, "| base")
    assert "2 ok, 1 not run" in line(text, "| base")
    assert "base (1 trial)" in text


def test_without_its_baseline_a_study_says_that_nothing_is_compared(make_study, make_record):
    found = [
        make_record(arm, seed, status="not run" if arm == "small" else "ok")
        for arm in ("tiny", "small")
        for seed in range(3)
    ]
    text = markdown(make_study(arms=("tiny", "small")), found)
    assert "Without the baseline nothing is compared." in text
    assert "verdict" not in text


def test_the_figure_marks_it_under_its_name(make_study, lacking):
    figure = figures.draw(make_study(), lacking)
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["tiny", "small", "base\n3 not run:\nno weights"]


def test_records_of_it_and_of_before_it_was_known_come_back_from_the_file(lacking, tmp_path):
    records.write(lacking, tmp_path / "records.parquet")
    assert records.parse(records.read(tmp_path / "records.parquet")) == records.parse(lacking)
    (told,) = {record.lacks for record in records.parse(lacking) if record.status == "not run"}
    assert told == "no weights"
    assert {record.lacks for record in records.parse(lacking) if record.status != "not run"} == {None}


def test_a_study_of_which_nothing_could_be_run_gets_its_report(make_study, make_record, tmp_path):
    found = [make_record(arm, seed, status="not run") for arm in ("tiny", "small", "base") for seed in range(3)]
    folder = write_report(tmp_path, make_study(floors={}), found)
    assert sorted(file.name for file in folder.iterdir()) == sorted(FILES)
    assert (folder / "table.md").read_text().count("not run: no weights") == 3


def test_a_reason_without_details_or_none_at_all_is_told_as_it_is(make_study, make_record):
    found = [make_record("small", seed, 90) for seed in range(3)]
    found += [make_record("tiny", seed, status="not run", error=error) for seed, error in enumerate(("no disk", None))]
    text = markdown(make_study(arms=("tiny", "small")), found)
    assert "Not run (no disk), and in no mean or test: tiny (1 trial). Once that is there" in text
    assert "Not run (not told), and in no mean or test: tiny (1 trial). Once that is there" in text
