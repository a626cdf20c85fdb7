"""Arms against policies without a model, on the same tasks: is anything gained by the model at all?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis import statistics
from analysis.cells import NOTHING, grid, listed, number
from analysis.records import Record, Study
from analysis.statistics import Estimate


def differences(study: Study, records: Sequence[Record]) -> list[dict[str, Estimate | str]]:
    """Per arm with planned tasks: "arm", and arm minus floor by (number, policy), paired by task.

    "success" is at any step, "distance" to the goal at the last one.
    """
    kinds = {"success": study.floors, "distance": study.floor_distances}
    rows = []
    for arm in study.arms:
        if study.floor_arms is not None and arm.name not in study.floor_arms:
            continue
        mine = [record for record in records if record.arm == arm.name and record.seed in study.seeds and record.tasks]
        found: dict = {"arm": arm.name}
        for kind, floors in kinds.items():
            for policy, repeats in sorted(floors.items()):
                outcomes = _outcomes(mine, kind, len(repeats[0]))
                if outcomes is not None:
                    floor = np.array(repeats, float)
                    found[kind, policy] = statistics.floor_difference(outcomes, floor, rate=kind == "success")
        rows += [found] if len(found) > 1 else []
    return rows


def block(study: Study, records: Sequence[Record]) -> list[str]:
    """The differences as Markdown; nothing without floors or planned tasks."""
    rows = differences(study, records)
    columns = list(dict.fromkeys(key for row in rows for key in row if key != "arm"))
    if not columns:
        return []
    units = {"success": "success (%)", "distance": "final distance"}
    header = ["arm", *(f"{units[kind]} minus {policy}'s [95 %]" for kind, policy in columns)]
    cells = [[row["arm"], *(_cell(row.get(column), column[0] == "success") for column in columns)] for row in rows]
    note = "Intervals: two-way over seeds and tasks, paired by task; not corrected for how many there are."
    if study.floor_arms is not None and (other := [arm.name for arm in study.arms if arm.name not in study.floor_arms]):
        note += f" The floors are of other tasks than those of {listed(other)}."
    return ["**Against the floors**", "", *grid(header, cells), "", note]


def _outcomes(records: Sequence[Record], kind: str, tasks: int) -> np.ndarray | None:
    """(S, M) of the trials that planned all of the floors' tasks; None if there are none."""
    rows = [{row["task"]: row.get(kind) for row in record.tasks} for record in records]
    whole = [[row[task] for task in range(tasks)] for row in rows if set(range(tasks)) <= row.keys()]
    whole = [row for row in whole if None not in row]
    return np.array(whole, float) if whole else None


def _cell(found: Estimate | None, rate: bool) -> str:
    if found is None:
        return NOTHING
    text = number(found.mean, rate, "+")
    return text if found.low is None else f"{text} [{number(found.low, rate, '+')}, {number(found.high, rate, '+')}]"
