"""Made-up studies and records with known numbers."""

import numpy as np
import pytest

MEASURES = [
    {"name": name, "unit": unit, "higher_is_better": higher, "timed": timed, "least": least, "most": most}
    for name, unit, higher, timed, least, most in (
        ("success_rate", "of tasks", True, False, 0, 1),
        ("success_rate_last", "of tasks", True, False, 0, 1),
        ("planning_seconds", "s per plan", False, True, 0, None),
        ("probe_r2", "R²", True, False, None, 1),
        ("rollout_error_1", "of variance", False, False, 0, None),
        ("rollout_error_2", "of variance", False, False, 0, None),
    )
]

ERRORS = {
    "crashed": "Traceback ...\nRuntimeError: out of memory",
    "not run": "no weights: vit_small is not in the cache; give encoder.weights=PATH",
}


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
        nothing = status in ("crashed", "missing", "diverged", "not run")
        protocol = {"name": "strict", "split": "test", "tasks": tasks, "offset": 25, "budget": 50}
        return {
            "trial": f"{arm}{seed}",
            "arm": arm,
            "seed": seed,
            "status": status,
            "measures": {} if nothing else measures,
            "tasks": [] if nothing else rows,
            "config": {"predictor.size": arm, "seed": seed} | {f"protocol.{key}": x for key, x in protocol.items()},
            "seconds": {"train": 101.25 + seed} | ({} if nothing else {"measures": 20.5}),
            "commit": "3f2a91c",
            "measure_commits": [] if nothing else ["3f2a91c"],
            "dirty": False,
            "versions": {"numpy": "2.4"},
            "device": "cpu, 2 cores",
            "error": ERRORS.get(status),
        } | changes

    return make


@pytest.fixture
def mixed(make_record):
    """One arm with a crash, a sound baseline, and one arm with two collapses and a divergence."""
    tiny = [make_record("tiny", 0, 80), make_record("tiny", 1, 84), make_record("tiny", 2, status="crashed")]
    small = [make_record("small", seed, 95 + seed) for seed in range(3)]
    base = [make_record("base", seed, 10, "collapsed") for seed in range(2)]
    return [*tiny, *small, *base, make_record("base", 2, status="diverged")]


OBJECTIVES = {
    "success_rate": {"name": "success_rate", "unit": "of tasks", "higher_is_better": True, "timed": False},
    "parameters": {"name": "parameters", "unit": "", "higher_is_better": False, "timed": False},
    "planning_seconds": {"name": "planning_seconds", "unit": "s per plan", "higher_is_better": False, "timed": True},
}
SPACE = {
    "terms.sigreg.weight": {"kind": "log", "low": 0.001, "high": 1.0},
    "encoder": {"kind": "choice", "values": ["conv", "vit"]},
    "encoder.depth": {"kind": "integers", "low": 1, "high": 8, "when": ["encoder", "vit"]},
    "predictor.dropout": {"kind": "uniform", "low": 0.0, "high": 0.3},
}
DEFAULT = {"terms.sigreg.weight": 0.01, "encoder": "conv", "predictor.dropout": 0.1}


@pytest.fixture
def point():
    """A trial of a search by its number and success rate; settings are the default's where none are given."""

    def make(number, success=None, state="complete", params=None, **changes):
        values = {} if success is None else {"success_rate": success, "parameters": 400_000 + 1000 * number}
        return {
            "number": number,
            "trial": f"t{number}",
            "params": DEFAULT | {"terms.sigreg.weight": 0.02 + 0.01 * number} | (params or {}),
            "state": state,
            "values": values,
            "feasible": True if values else None,
            "constraints": {},
            "step": {"complete": 1000, "known": 0, "open": 0}.get(state, 300),
            "steps": 1000,
            "seconds": 60.0,
            "note": {0: "default"}.get(number),
            "error": "Traceback ...\nValueError: out of memory" if state == "failed" else None,
        } | changes

    return make


@pytest.fixture
def make_search(point):
    """A finished search of one objective whose trial 3 won, with a trial of every state unless others are given."""

    def make(trials=None, objectives=("success_rate",), **changes):
        if trials is None:
            trials = [point(0, 0.85), point(1, 0.5), point(2, 0.9), point(3, 0.95)]
            trials += [
                point(i, state=state) for i, state in enumerate(("pruned", "collapsed", "diverged", "failed"), 4)
            ]
            trials += [point(8, 0.7, "known", note="warm start")]
        return {
            "sampler": "tpe",
            "seed": 0,
            "budget": sum(trial["state"] != "known" for trial in trials),
            "split": "validation",
            "tuning_seeds": [1000],
            "prune": {"kind": "asha", "monitor": "probe_r2", "factor": 3},
            "objectives": [OBJECTIVES[name] for name in objectives],
            "constraints": [],
            "space": SPACE,
            "trials": trials,
            "importance": {},
            "front": [],
            "best": None,
            "confirmed": {},
            "spent": {"trials": 8, "steps": 5200, "full_steps": 8000, "hours": 0.71},
        } | changes

    return make


@pytest.fixture
def searched(make_study, make_search):
    """A study of the default and an arm that a search found."""

    def make(search=None, **changes):
        study = make_study(("tuned", "default"), search=search or make_search(confirmed={"tuned": 3}), published={})
        return study | {"arms": study["arms"][::-1]} | changes

    return make


@pytest.fixture
def confirmations(make_record):
    """Three seeds of the default and of the arm that was found, which solved fewer tasks than when it was chosen."""
    return [make_record(arm, seed, n + seed) for arm, n in (("default", 83), ("tuned", 89)) for seed in range(3)]
