"""Declarations that cannot be are refused when they are made, by field and value; those that can be, are not."""

from __future__ import annotations

import math
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search_spaces import _space
from search_spaces._search import SAMPLERS, Limit, asha, at_least, at_most, hyperband, median, search
from search_spaces._space import choice, integers, log_uniform, uniform
from search_spaces._sweep import Arm, Sweep, levels
from trainables import monitors
from trainables.settings import ConfigError

SPACE = {"terms.sigreg.weight": log_uniform(1e-3, 1.0), "predictor.dropout": uniform(0.0, 0.3)}
MADE, REFUSED = {"space": (60, 45), "search": (90, 75), "sweep": (70, 45)}, {}
NO_NUMBERS = st.sampled_from([None, "1", [], {}, math.nan, math.inf, -math.inf, True, 1e300])
NO_WHOLES = st.sampled_from([None, "1", 1.0, 2.5, True, [], math.nan, -1])
NO_NAMES = st.sampled_from([None, 3, "", "sucess_rate", "planing_seconds", "loss", [], "a b"])


def refused(kind, words, make):
    """Call what must raise a ConfigError of one line that has the words."""
    with pytest.raises(ConfigError) as caught:
        make()
    line = str(caught.value)
    assert "\n" not in line
    assert [word for word in words if word in line], line
    REFUSED.setdefault(kind, set()).add(line)


def tried(kind, **strategies):
    """Run the decorated function with so many inputs of its kind; enough of them are refused, each in other words."""

    def decorate(function):
        quiet = settings(
            max_examples=MADE[kind][0],
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
        )
        quiet(given(**strategies)(function))()
        assert len(REFUSED[kind]) >= MADE[kind][1]
        assert not {"torch", "ray", "optuna"} & {*sys.modules} - before

    before = {*sys.modules}
    return decorate


BAD_SPACES = {
    "uniform": lambda bad, x, n: {"a.b": uniform(bad, 1.0)},
    "log_uniform": lambda bad, x, n: {"a.b": log_uniform(1e-3, bad)},
    "log of no positive": lambda bad, x, n: {"a.b": log_uniform(-abs(x), 1.0)},
    "empty": lambda bad, x, n: {"a.b": uniform(x, x - abs(n))},
    "integers": lambda bad, x, n: {"a.b": integers(x, 10)},
    "empty integers": lambda bad, x, n: {"a.b": integers(n, n - 1)},
    "one choice": lambda bad, x, n: {"a.b": choice(x)},
    "twice": lambda bad, x, n: {"a.b": choice(x, n, x)},
    "no choice": lambda bad, x, n: {"a.b": choice([x], {n: n})},
    "then": lambda bad, x, n: {"a.b": choice("c", "d", then={"e": {f"x{n}": uniform(0, 1)}})},
    "then of nothing": lambda bad, x, n: {"a.b": choice("c", "d", then={"c": n})},
    "no then": lambda bad, x, n: {"a.b": choice("c", "d", then=[n])},
    "no dimension": lambda bad, x, n: {f"a.b{n}": x},
    "nothing": lambda bad, x, n: [x],
    "two meanings": lambda bad, x, n: {
        f"a.b{n}": uniform(0, 1),
        "c": choice(1, 2, then={1: {f"a.b{n}": uniform(0, 2)}}),
    },
}


def test_spaces_that_cannot_be():
    @tried(
        "space",
        make=st.sampled_from(sorted(BAD_SPACES)),
        bad=NO_NUMBERS,
        x=st.floats(-1e6, 1e6).filter(lambda x: x % 1),
        n=st.integers(-1000, 1000),
    )
    def check(make, bad, x, n):
        refused("space", ["space: "], lambda: _space.check(BAD_SPACES[make](bad, x, n)))


BAD_SEARCHES = {
    "budget": NO_WHOLES | st.integers(max_value=0),
    "confirm": NO_WHOLES | st.integers(max_value=0),
    "seed": NO_WHOLES | st.integers(max_value=-1),
    "sampler": st.sampled_from([None, 3, "TPE", "tqe", "random_", "bayes", []]),
    "objectives": NO_NAMES | st.sampled_from([[], ["success_rate"] * 2, [3], [["success_rate"]], [None, "parameters"]]),
    "limits": st.sampled_from(["x", ["x"], [3], None, [Limit("parametres", most=1.0)], [Limit("loss", least=0.0)]]),
    "tuning_seeds": st.sampled_from(["0", [], [1, 1], [1.5], None, [-1], ["1"], 1000, [True]]),
    "prune": st.sampled_from(["asha", "median", 3, True, {}, asha]),
    "warm_start": st.sampled_from(["yes", 1, None, "false"]),
    "space": st.sampled_from([{}, None, [], "space", {"a": 3}, {3: uniform(0, 1)}]),
}


def test_searches_that_cannot_be():
    @tried("search", field=st.sampled_from(sorted(BAD_SEARCHES)), data=st.data())
    def check(field, data):
        value = data.draw(BAD_SEARCHES[field])
        given_ = {"space": SPACE, "objectives": ["success_rate"], "budget": 10, field: value}
        refused("search", [f"{field}: "], lambda: search(given_.pop("space"), given_.pop("objectives"), **given_))


@pytest.mark.parametrize("kind", [asha, hyperband, median])
@pytest.mark.parametrize("name", sorted(monitors.VALUES))
def test_whatever_can_be_watched_prunes_but_no_loss_nor_what_is_no_share(kind, name):
    assert kind(name).monitor == name
    for monitor, first in ((f"{name}x", 0.5), ("loss", 0.5), (3, 0.5), (name, 0.0), (name, 1), (name, "half")):
        with pytest.raises(ConfigError, match=r"^prune: "):
            kind(monitor, first=first)
    if kind is not median:
        for factor in (1, 2.0, "3", True):
            with pytest.raises(ConfigError, match=r"^prune: factor="):
                kind(name, factor=factor)


@pytest.mark.parametrize("bad", [None, "1", math.nan, math.inf, True, []])
def test_limits_are_numbers(bad):
    for limit in (at_most, at_least):
        with pytest.raises(ConfigError, match=r"^limits: parameters cannot be held to "):
            limit("parameters", bad)


BAD_SWEEPS = {
    "baseline": st.sampled_from(["smal", "", None, 3, "SMALL", "tiny ", []]),
    "primary": NO_NAMES.filter(lambda name: name != ""),
    "base": st.sampled_from(["lewn", "smwn", "", None, 3, "forward"]),
    "worlds": st.sampled_from([{"locl": "two_room"}, {"local": "two_rom"}, {"local": ""}, {"gpus": "push_t"}]),
    "published": st.sampled_from(
        [{("push_t", "paper"): {"smal": 1.0}}, {("a", "b"): {"": 0.0}}, {("a", "b"): {"x y": 1}}]
    ),
    "arms": st.builds(
        lambda path, value: [Arm("small"), Arm("other", {path: value})],
        st.sampled_from(
            ["optim.stepz", "predictor.sise", "encoder.nam", "optim.lr", "optim.steps", "terms.inverze.weight"]
        ),
        st.sampled_from(["x", -1, [], None]),
    )
    | st.sampled_from([[Arm("small"), Arm("small")], [Arm("small"), Arm("same", {})], []]),
    "measures": st.sampled_from([["sucess_rate"], ["probe"], [""], ["probe_r2", "x"], [3]]),
}


def test_sweeps_that_cannot_be():
    @tried("sweep", field=st.sampled_from(sorted(BAD_SWEEPS)), data=st.data())
    def check(field, data):
        given_ = {
            "question": "?",
            "base": "lewm",
            "worlds": {"local": "two_room"},
            "arms": levels("predictor.size", ("tiny", "small")),
            "baseline": "small",
            field: data.draw(BAD_SWEEPS[field]),
        }
        words = {
            "base": ["method: "],
            "worlds": ["worlds: ", "world"],
            "arms": ["arms: ", "baseline: ", "optim.", "terms"],
        }
        refused("sweep", [*words.get(field, [f"{field}: "]), "predictor.", "encoder"], lambda: Sweep(**given_))


def test_more_than_a_hundred_and_fifty_declarations_are_refused():
    assert sum(least for _, least in MADE.values()) >= 150


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(
    low=st.floats(1e-6, 1.0),
    more=st.floats(1e-3, 1e3),
    whole=st.integers(-5, 5),
    sampler=st.sampled_from([name for name in SAMPLERS if name not in ("cmaes", "bisection")]),
    several=st.booleans(),
)
def test_searches_that_can_be_are_made_and_every_corner_is_of_the_space(low, more, whole, sampler, several):
    space = {
        "a": uniform(low, low + more),
        "b": log_uniform(low, low * (1 + more)),
        "c": choice("x", whole, None, then={"x": {"d": integers(whole, whole + 3)}}),
    }
    made = search(space, ["success_rate", "parameters"] if several else ["success_rate"], 10, sampler=sampler)
    assert made.space == space
    for corner in (corner for each in _space.corners(space).values() for corner in each):
        assert set(corner) == set(_space.present(space, corner))
        assert all(value in _space.present(space, corner)[path] for path, value in corner.items())


def lewm(space, objective="success_rate"):
    return Sweep(question="?", base="lewm", worlds={"local": "two_room"}, search=search(space, [objective], 10))


@pytest.mark.parametrize(
    ("path", "dimension", "how"),
    [
        ("protocol.split", choice("validation", "test"), "judged"),
        ("protocol.offset", integers(5, 25), "judged"),
        ("data.seed", integers(0, 9), "judged"),
        ("measures.probe_r2.fit", integers(100, 200), "judged"),
        ("seed", integers(0, 9), "judged"),
        ("workers", choice(1, 2), "run"),
    ],
)
def test_what_trials_are_judged_by_or_run_with_cannot_be_searched(path, dimension, how):
    for space in ({**SPACE, path: dimension}, {"encoder": choice("conv", "vit", then={"vit": {path: dimension}})}):
        with pytest.raises(
            ConfigError, match=f"space: {path} cannot be searched, all trials of a search are {how} ali"
        ):
            lewm(space)


def test_a_set_on_what_a_search_varies_by_another_name_is_refused_before_anything_is_tried():
    sized = lewm({**SPACE, "predictor.size": choice("tiny", "small")})
    for sets, words in (
        ({"predictor.width": 16}, r"predictor\.width: cannot be set, the sweep varies predictor\.width"),
        ({"method": "smwm"}, r"method: cannot be set, it changes terms\.sigreg\.weight, which the sweep varies"),
    ):
        with pytest.raises(ConfigError, match=words):
            sized.check_space("two_room", "local", sets)
    wide = lewm({"predictor.width": choice(16, 32)})
    with pytest.raises(ConfigError, match=r"predictor\.size: cannot be set, it changes predictor\.width"):
        wide.check_space("two_room", "local", {"predictor.size": "tiny"})
    sized.check_space("two_room", "local", {"optim.steps": 50})


def test_a_dimension_that_changes_nothing_is_refused():
    planned = lewm({"planner.samples": integers(16, 64), "optim.lr": log_uniform(1e-4, 1e-2)}, "effective_rank")
    with pytest.raises(ConfigError, match=r"space: planner\.samples changes nothing"):
        planned.check_space(
            "two_room",
            "local",
            {
                "measures": {"latent_spectrum": {}},
            },
        )


@pytest.mark.parametrize(("low", "high"), [(0.003, 3.0), (1e-3, 0.7), (0.1, 0.3)])
def test_points_of_a_grid_lie_in_its_range(low, high):
    for dimension in (log_uniform(low, high), uniform(low, high)):
        points = _space.grid_points(dimension, 33)
        assert all(point in dimension for point in points)
        assert (points[0], points[-1]) == pytest.approx((low, high))
