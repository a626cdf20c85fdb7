"""Whatever a search's summary says or lacks, its report is written and tells of nothing that is not there."""

import math
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.search_records import STATES
from analysis.tables import latex, markdown

NUMBER = st.none() | st.floats(width=32) | st.sampled_from([math.inf, -math.inf, math.nan, 0.0, 1e300])
VALUE = (
    st.none()
    | st.booleans()
    | st.integers(-5, 10**12)
    | NUMBER
    | st.text(max_size=6)
    | st.lists(st.integers(), max_size=2)
)
PATHS = st.sampled_from(["a", "encoder", "encoder.depth", "terms.sigreg.weight", "terms.inverse.weight", "x|y"])
NAMES = st.sampled_from(["success_rate", "parameters", "planning_seconds", "other"])


def _maybe(strategy):
    return st.none() | strategy


TRIAL = st.fixed_dictionaries(
    {"state": st.sampled_from(STATES)},
    optional={
        "params": st.dictionaries(PATHS, VALUE, max_size=4),
        "values": st.dictionaries(NAMES, NUMBER, max_size=4),
        "feasible": _maybe(st.booleans()),
        "constraints": st.dictionaries(NAMES, NUMBER, max_size=2),
        "step": _maybe(st.integers(0, 10**9)),
        "steps": _maybe(st.integers(0, 10**9)),
        "note": _maybe(st.sampled_from(["default", "warm start"])),
        "error": _maybe(st.text(max_size=20)),
    },
)
DIMENSION = st.fixed_dictionaries(
    {"kind": st.sampled_from(["uniform", "log", "integers", "choice"])},
    optional={
        "low": NUMBER,
        "high": NUMBER,
        "values": _maybe(st.lists(VALUE, max_size=9)),
        "when": _maybe(st.tuples(PATHS, VALUE)),
    },
)
OBJECTIVE = st.fixed_dictionaries({"name": NAMES, "higher_is_better": _maybe(st.booleans()), "timed": st.booleans()})
SEARCH = st.fixed_dictionaries(
    {
        "objectives": st.lists(OBJECTIVE, min_size=1, max_size=3, unique_by=lambda one: one["name"]),
        "trials": st.lists(TRIAL, max_size=14).map(lambda found: [x | {"number": i} for i, x in enumerate(found)]),
    },
    optional={
        "budget": _maybe(st.integers(0, 20)),
        "tuning_seeds": st.lists(st.integers(0, 3), max_size=3),
        "prune": _maybe(st.dictionaries(st.sampled_from(["kind", "monitor", "factor"]), VALUE)),
        "constraints": st.lists(st.fixed_dictionaries({"name": NAMES, "least": NUMBER, "most": NUMBER}), max_size=2),
        "space": st.dictionaries(PATHS, DIMENSION, max_size=5),
        "importance": _maybe(st.dictionaries(NAMES, st.dictionaries(PATHS, NUMBER))),
        "front": _maybe(st.lists(st.integers(0, 15), max_size=4)),
        "best": _maybe(st.integers(0, 15)),
        "confirmed": st.dictionaries(st.sampled_from(["tuned", "default", "gone"]), st.integers(0, 15)),
        "spent": _maybe(st.fixed_dictionaries({}, optional={"steps": st.integers(0, 99), "hours": NUMBER})),
    },
)


@given(SEARCH, st.booleans())
@settings(max_examples=300, deadline=None)
def test_no_summary_breaks_the_report_or_is_told_to_have_what_it_lacks(found, confirmed):
    study = STUDY | {"search": found}
    text = markdown(study, CONFIRMED if confirmed else []).split("## The search")[1]
    latex(study, CONFIRMED if confirmed else [])
    able = [trial for trial in found["trials"] if _judged(found, trial)]
    assert ("came to nothing" in text) == any(
        t["state"] in ("collapsed", "diverged", "failed") for t in found["trials"]
    )
    if not able:
        assert "there is nothing to choose from" in text
        assert not re.search(r"best so far|Pareto|best of \d|is at the", text)
    if len(able) < 10:
        assert "PED-ANOVA" not in text
    if not confirmed:
        assert "Not confirmed yet." in text and "Believe" not in text
    for line in text.splitlines():
        if line.startswith("|"):
            assert line.endswith("|")


def _judged(found, trial):
    values = [trial.get("values", {}).get(one["name"]) for one in found["objectives"]]
    return trial["state"] in ("complete", "known") and all(x is not None and math.isfinite(x) for x in values)


STUDY = {
    "sweep": "tune",
    "question": "What is best?",
    "world": "two_room",
    "scale": "local",
    "arms": [{"name": "default"}, {"name": "tuned"}],
    "baseline": "default",
    "seeds": [0, 1, 2],
    "primary": "success_rate",
    "margin": 0.05,
}
CONFIRMED = [
    {
        "trial": f"{arm}{seed}",
        "arm": arm,
        "seed": seed,
        "status": "ok",
        "measures": {"success_rate": 0.5 + 0.1 * seed, "planning_seconds": 0.3},
        "config": {"protocol.split": "test"},
    }
    for arm in ("default", "tuned")
    for seed in range(3)
]
