"""Made-up studies and records with known numbers."""

import numpy as np
import pytest

MEASURES = [
    {"name": "success_rate", "unit": "of tasks", "higher_is_better": True, "timed": False},
    {"name": "success_rate_last", "unit": "of tasks", "higher_is_better": True, "timed": False},
    {"name": "planning_seconds", "unit": "s per plan", "higher_is_better": False, "timed": True},
    {"name": "probe_r2", "unit": "R²", "higher_is_better": True, "timed": False},
    {"name": "rollout_error_1", "unit": "of variance", "higher_is_better": False, "timed": False},
    {"name": "rollout_error_2", "unit": "of variance", "higher_is_better": False, "timed": False},
]


@pytest.fixture
def make_study():
    """A declaration of arms tiny, small (baseline) and base, three seeds, whose published values are of elsewhere."""

    def make(arms=("tiny", "small", "base"), **changes):
        return {
            "sweep": "predictor_size",
            "question": "How small can the predictor be?",
            "world": "two_room",
            "scale": "local",
            "sets": {},
            "arms": [{"name": arm, "changes": {"predictor.size": arm}} for arm in arms],
            "baseline": arms[1],
            "seeds": [0, 1, 2],
            "primary": "success_rate",
            "margin": 0.05,
            "published": {"tiny": 0.807, "small": 0.96},
            "source": "arXiv:2603.19312, Table 6",
            "published_at": "push_t, paper",
            "measures": MEASURES,
            "floors": {"random": [[True] * 6 + [False] * 94, [True] * 2 + [False] * 98], "no-op": [[False] * 100]},
            "notes": [],
        } | changes

    return make


@pytest.fixture
def make_record():
    """A trial that solved `solved` of `tasks` tasks, the easy ones first; without measures if it came to nothing."""

    def make(arm, seed, solved=90, status="ok", tasks=100, **changes):
        rng = np.random.default_rng([seed, sum(map(ord, arm))])
        rows = [
            {"task": i, "success": i < solved, "success_last": i < solved - 1, "distance": 1.5} for i in range(tasks)
        ]
        measures = {
            "success_rate": solved / tasks,
            "success_rate_last": max(solved - 1, 0) / tasks,
            "planning_seconds": float(rng.gamma(20, 0.05)),
            "probe_r2": 1 - float(rng.gamma(2, 0.001)),
            "rollout_error_1": 0.01 + 0.001 * float(rng.random()),
            "rollout_error_2": 0.02 + 0.001 * float(rng.random()),
        }
        nothing = status in ("crashed", "missing", "diverged")
        protocol = {"name": "strict", "split": "test", "tasks": tasks, "offset": 25, "budget": 50}
        return {
            "trial": f"{arm}{seed}",
            "arm": arm,
            "seed": seed,
            "status": status,
            "measures": {} if nothing else measures,
            "tasks": [] if nothing else rows,
            "config": {"predictor.size": arm, "seed": seed} | {f"protocol.{key}": x for key, x in protocol.items()},
            "seconds": {"train": 101.25 + seed, "measures": 20.5},
            "commit": "3f2a91c",
            "dirty": False,
            "versions": {"numpy": "2.4"},
            "device": "cpu, 2 cores",
            "error": "Traceback ...\nRuntimeError: out of memory" if status == "crashed" else None,
        } | changes

    return make


@pytest.fixture
def mixed(make_record):
    """One arm with a crash, a sound baseline, and one arm with two collapses and a divergence."""
    tiny = [make_record("tiny", 0, 80), make_record("tiny", 1, 84), make_record("tiny", 2, status="crashed")]
    small = [make_record("small", seed, 95 + seed) for seed in range(3)]
    base = [make_record("base", seed, 10, "collapsed") for seed in range(2)]
    return [*tiny, *small, *base, make_record("base", 2, status="diverged")]
