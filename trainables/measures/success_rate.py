"""Planning success: the share of tasks whose goal is reached by planning in the latent space towards the goal image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from trainables.measures._value import Value
from trainables.settings import Settings

if TYPE_CHECKING:
    from trainables.config import TrialConfig
    from trainables.measures._trained import Map, Measured, Trained

VERSION = 1
USES = ("planner", "protocol")
VALUES = {
    "success_rate": Value("of tasks", True, least=0.0, most=1.0),
    "success_rate_last": Value("of tasks", True, least=0.0, most=1.0),
    "final_distance": Value("world units", False, least=0.0),
    "planning_seconds": Value("s per plan, batched", False, least=0.0, timed=True),
}


class Config(Settings):
    name: Literal["success_rate"] = "success_rate"


def measure(trained: Trained, config: TrialConfig, map: Map) -> Measured:
    """Success at any step and at the last one, final distance, and seconds per plan when planned in chunks."""
    from trainables.measures._trained import Measured
    from trainables.planning import evaluate

    outcome, seconds = evaluate(trained, config, map)
    rows = zip(outcome.solved.tolist(), outcome.solved_last.tolist(), outcome.distance.tolist(), strict=True)
    tasks = [
        {"task": task, "success": solved, "success_last": last, "distance": distance}
        for task, (solved, last, distance) in enumerate(rows)
    ]
    values = {
        "success_rate": float(outcome.solved.mean()),
        "success_rate_last": float(outcome.solved_last.mean()),
        "final_distance": float(outcome.distance.mean()),
        "planning_seconds": seconds,
    }
    return Measured(values, tasks)
