"""A report is always written whole, and the same records give the same bytes."""

import json

import numpy as np
import polars as pl
import pytest

from analysis import records as trial_records
from analysis.report import FILES, SEARCH_FILES, write_report
from analysis.tables import summary


def test_a_report_has_all_its_files_and_their_bytes_do_not_depend_on_order(make_study, mixed, tmp_path):
    shuffled = [mixed[i] for i in np.random.default_rng(0).permutation(len(mixed))]
    first, second = (
        write_report(tmp_path / name, make_study(), found) for name, found in (("a", mixed), ("b", shuffled))
    )
    assert sorted(file.name for file in first.iterdir()) == sorted(FILES)
    for name in FILES:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_a_report_can_be_rebuilt_from_its_own_records_and_declaration(make_study, mixed, tmp_path):
    first = write_report(tmp_path / "a", make_study(), mixed)
    study = json.loads((first / "study.json").read_text())
    second = write_report(tmp_path / "b", study, trial_records.read(first / "records.parquet"))
    for name in FILES:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_the_declaration_is_kept_whole(make_study, mixed, tmp_path):
    study = make_study(something_more=[1, 2])
    folder = write_report(tmp_path, study, mixed)
    kept = json.loads((folder / "study.json").read_text())
    assert kept == kept | study


def test_the_csv_is_the_summary(make_study, mixed, tmp_path):
    folder = write_report(tmp_path, make_study(), mixed)
    table = summary(make_study(), mixed)
    assert pl.read_csv(folder / "table.csv", schema=table.schema).equals(table)


@pytest.mark.parametrize("status", ["crashed", "missing", "diverged", None])
def test_a_study_without_one_result_still_gets_its_report(make_study, make_record, tmp_path, status):
    found = [make_record(arm, seed, status=status) for arm in ("tiny", "small", "base") for seed in range(3)]
    folder = write_report(tmp_path, make_study(floors={}), found if status else [])
    assert sorted(file.name for file in folder.iterdir()) == sorted(FILES)
    assert "– (0/3)" in (folder / "table.md").read_text()


def test_one_seed_and_one_arm_are_enough_for_a_report(make_study, make_record, tmp_path):
    study = make_study(seeds=[0], arms=("tiny", "small"))
    study |= {"arms": study["arms"][1:], "floors": {}}
    folder = write_report(tmp_path, study, [make_record("small", 0, 90)])
    assert "| small (baseline) | 90.0 " in (folder / "table.md").read_text()


def test_a_second_report_replaces_the_first(make_study, mixed, make_record, tmp_path):
    write_report(tmp_path, make_study(), mixed)
    write_report(tmp_path, make_study(), [*mixed[:2], make_record("tiny", 2, 88), *mixed[3:]])
    assert "84.0 [" in (tmp_path / "table.md").read_text()


def test_the_report_of_a_search_has_its_files_and_their_bytes_do_not_depend_on_order(searched, confirmations, tmp_path):
    study = searched()
    again = study | {"search": study["search"] | {"trials": study["search"]["trials"][::-1]}}
    first = write_report(tmp_path / "a", study, confirmations)
    second = write_report(tmp_path / "b", again, confirmations[::-1])
    assert sorted(file.name for file in first.iterdir()) == sorted(FILES + SEARCH_FILES)
    for name in FILES + SEARCH_FILES:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    rebuilt = json.loads((first / "study.json").read_text())
    third = write_report(tmp_path / "c", rebuilt, trial_records.read(first / "records.parquet"))
    for name in FILES + SEARCH_FILES:
        assert (first / name).read_bytes() == (third / name).read_bytes(), name


def test_a_search_that_nothing_has_confirmed_yet_gets_its_report(searched, make_search, tmp_path):
    study = searched(make_search(), floors={})
    folder = write_report(tmp_path, study | {"arms": study["arms"][:1]}, [])
    assert sorted(file.name for file in folder.iterdir()) == sorted(FILES + SEARCH_FILES)
    assert "– (0/3)" in (folder / "table.md").read_text()
    assert pl.read_csv(folder / "search.csv").height == 9
