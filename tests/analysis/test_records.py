"""Records become a frame and a file, and come back as they were."""

import math
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import records


def test_a_trial_is_one_row_with_a_column_per_measure_setting_and_stage(mixed):
    frame = records.frame(mixed)
    assert frame.height == 9
    row = frame.row(by_predicate=(pl.col("arm") == "tiny") & (pl.col("seed") == 1), named=True)
    assert row["measure.success_rate"] == 0.84
    assert row["seconds.train"] == 102.25
    assert row["config.predictor.size"] == '"tiny"'
    assert row["config.protocol.tasks"] == "100"
    assert sum(task["success"] for task in row["tasks"]) == 84


def test_the_frame_and_the_file_do_not_depend_on_the_order_of_records(mixed, tmp_path):
    shuffled = [mixed[i] for i in np.random.default_rng(0).permutation(len(mixed))]
    assert records.frame(shuffled).equals(records.frame(mixed))
    records.write(mixed, tmp_path / "a.parquet")
    records.write(shuffled, tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_parquet_gives_back_what_was_written(mixed, tmp_path):
    records.write(mixed, tmp_path / "records.parquet")
    back = records.read(tmp_path / "records.parquet")
    assert records.parse(back) == records.parse(mixed)
    assert records.frame(back).equals(records.frame(mixed))


def test_no_records_are_an_empty_file_that_can_be_read(tmp_path):
    records.write([], tmp_path / "records.parquet")
    assert records.read(tmp_path / "records.parquet") == []


SETTING = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=3)


@settings(max_examples=30, deadline=None)
@given(
    config=st.dictionaries(st.sampled_from("abc"), SETTING | st.lists(SETTING, max_size=2)),
    measures=st.dictionaries(st.sampled_from(("x", "y/z")), st.floats(allow_nan=False)),
)
def test_settings_and_measures_of_any_kind_survive_the_file(tmp_path_factory, config, measures):
    file = tmp_path_factory.mktemp("round") / "records.parquet"
    plain = {"trial": "0", "arm": "other", "seed": 0, "status": "ok", "config": {"a": 1}, "measures": {"x": 2.0}}
    given_record = {"trial": "1", "arm": "this", "seed": 0, "status": "ok", "config": config, "measures": measures}
    records.write([plain, given_record], file)
    back = records.read(file)[1]
    assert back["config"] == config
    assert [type(x) for x in back["config"].values()] == [type(config[path]) for path in back["config"]]
    assert back["measures"] == measures


def test_a_value_that_is_not_finite_or_of_a_crashed_trial_does_not_count(make_record):
    record = records.Record.model_validate(make_record("tiny", 0, 90))
    assert record.value("success_rate") == 0.9
    assert record.value("unheard_of") is None
    for x in (math.nan, math.inf, None):
        assert record.model_copy(update={"measures": {"success_rate": x}}).value("success_rate") is None
    for status in ("crashed", "missing", "not run"):
        assert record.model_copy(update={"status": status}).value("success_rate") is None
    assert record.model_copy(update={"status": "collapsed"}).value("success_rate") == 0.9


def test_a_file_from_before_a_column_was_added_can_be_read(make_record, tmp_path):
    older = records.frame([make_record("tiny", 0)]).drop("measure_commits")
    older.write_parquet(tmp_path / "records.parquet")
    assert records.parse(records.read(tmp_path / "records.parquet"))[0].measure_commits == []


def test_two_records_of_one_arm_and_seed_are_refused(make_record):
    with pytest.raises(ValueError, match="two records of arm 'tiny' with seed 1"):
        records.frame([make_record("tiny", 1), make_record("tiny", 1, trial="another")])


def test_an_unknown_status_is_refused(make_record):
    with pytest.raises(ValueError, match="status"):
        records.parse([make_record("tiny", 1, status="fine")])


def test_analysis_needs_neither_torch_nor_ray_nor_the_other_packages():
    code = (
        "import sys; import analysis.report, analysis.mlflow_records\n"
        "print({'torch', 'ray', 'envs', 'trainables', 'search_spaces', 'study'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
