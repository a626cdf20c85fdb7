"""Arms against floors: paired by task, with intervals that hold, and only where there is something to pair."""

import numpy as np
import pytest

from analysis import floors, statistics, tables
from analysis.records import Study, parse


def test_the_difference_is_paired_by_task_and_repeats_are_averaged():
    arm = np.array([[1, 1, 0, 1], [1, 0, 0, 1], [1, 1, 0, 0]], float)
    floor = np.array([[1, 0, 0, 0], [0, 0, 0, 0]], float)
    found = statistics.floor_difference(arm, floor)
    assert found.mean == pytest.approx(7 / 12 - 1 / 8)
    assert found.low < found.mean < found.high


def test_with_fewer_than_three_seeds_there_is_no_interval():
    assert statistics.floor_difference(np.ones((2, 50)), np.zeros((5, 50))) == (1.0, None, None)


def test_an_arm_that_is_a_floor_is_seldom_called_better_than_it():
    rng, called = np.random.default_rng(0), 0
    for _ in range(300):
        ease = rng.beta(0.5, 2, 100)  # tasks differ
        arm, floor = (rng.random((n, 100)) < ease for n in (3, 5))
        found = statistics.floor_difference(arm, floor)
        called += not found.low <= 0 <= found.high
    assert called <= 15 + 2 * np.sqrt(300 * 0.05 * 0.95)


def test_distances_have_intervals_in_their_own_unit():
    rng = np.random.default_rng(0)
    task = rng.gamma(2, 10, 100)
    arm, floor = task * 0.5 + rng.normal(0, 1, (3, 100)), task + rng.normal(0, 1, (5, 100))
    found = statistics.floor_difference(arm, floor, rate=False)
    assert found.mean == pytest.approx(-task.mean() / 2, abs=0.5)
    assert found.high < 0
    thousand = statistics.floor_difference(1000 * arm, 1000 * floor, rate=False)
    assert np.allclose(thousand, 1000 * np.array(found))


def test_nothing_solved_on_either_side_is_no_certainty():
    found = statistics.floor_difference(np.zeros((3, 100)), np.zeros((5, 100)))
    assert found.mean == 0 and -0.05 < found.low < -0.01 and 0.01 < found.high < 0.05
    found = statistics.floor_difference(np.ones((3, 10)), np.zeros((5, 10)))
    assert found.high == 1 and found.low > 0.5
    found = statistics.floor_difference(np.full((3, 100), 7.0), np.full((5, 100), 7.0), rate=False)
    assert found.low < 0 < found.high


def test_an_arm_of_other_tasks_is_not_compared_with_the_floors(make_study, make_record):
    records = parse([make_record(arm, seed) for arm in ("small", "base") for seed in range(3)])
    study = Study.model_validate(make_study(floor_arms=["small"]))
    assert [row["arm"] for row in floors.differences(study, records)] == ["small"]
    assert "The floors are of other tasks than those of tiny, base." in floors.block(study, records)[-1]


def test_the_table_shows_every_arm_against_every_floor(make_study, make_record):
    records = [make_record("small", seed, solved=60 + seed) for seed in (0, 1, 2)]
    distances = {"random": [[2.5] * 100] * 2, "no-op": [[3.5] * 100]}
    study = make_study(floor_distances=distances)
    text = tables.markdown(study, records)
    block = text[text.index("**Against the floors**") :].split("\n\n")[1]
    header, _, row, *_ = block.splitlines()
    assert [cell.strip() for cell in header.split("|")[1:-1]] == [
        "arm",
        "success (%) minus no-op's [95 %]",
        "success (%) minus random's [95 %]",
        "final distance minus no-op's [95 %]",
        "final distance minus random's [95 %]",
    ]
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[0] == "small"
    assert cells[1].startswith("+61.0 [") and cells[2].startswith("+57.0 [")
    assert cells[3].startswith("-2") and cells[4].startswith("-1")


def test_trials_of_other_tasks_are_not_compared(make_study, make_record):
    study = Study.model_validate(make_study())
    assert floors.differences(study, parse([make_record("small", 0, tasks=50)])) == []
    assert floors.block(study, parse([make_record("small", 0, status="crashed", tasks=50)])) == []


def test_without_floors_nothing_is_said(make_study, make_record):
    study = Study.model_validate(make_study(floors={}))
    assert floors.block(study, parse([make_record("small", 0)])) == []
