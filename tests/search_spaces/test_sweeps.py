"""Every sweep of the folder keeps the contract, and a mistake in a declaration is found when it is built."""

from __future__ import annotations

from pathlib import Path

import pytest

import search_spaces
from search_spaces._sweep import Arm, Sweep, ablate, grid, identity, levels, methods, zipped
from trainables.paths import flatten
from trainables.settings import ConfigError

FOLDER = Path(search_spaces.__file__).parent
SWEEPS = search_spaces.names()


def sweep(**changes):
    """A sound sweep with some fields changed."""
    given = {
        "question": "Does the width matter?",
        "base": "lewm",
        "worlds": {"local": "two_room"},
        "arms": levels("predictor.size", ("tiny", "small")),
        "baseline": "small",
    }
    return Sweep(**given | changes)


@pytest.mark.parametrize("name", SWEEPS)
def test_a_sweep_is_a_short_file_that_begins_with_its_question(name):
    lines = (FOLDER / f"{name}.py").read_text().splitlines()
    assert 12 <= len(lines) <= 25
    assert lines[0].startswith('"""')
    assert "?" in lines[0]
    assert search_spaces.load(name).question.endswith("?")


@pytest.mark.parametrize("name", SWEEPS)
def test_arms_and_seeds_are_distinct_trials(name):
    declared = search_spaces.load(name)
    trials = declared.trials(declared.world("local"), "local", {}, declared.seeds)
    assert len({identity(trial.config) for trial in trials}) == len(declared.arms) * len(declared.seeds) == len(trials)
    assert len(declared.seeds) >= 3


@pytest.mark.parametrize("name", SWEEPS)
def test_what_an_arm_changes_reaches_its_trials(name):
    declared = search_spaces.load(name)
    for trial in declared.trials(declared.world("local"), "local", {}, range(2)):
        resolved = flatten(trial.config)
        for path, value in next(arm.changes for arm in declared.arms if arm.name == trial.arm).items():
            assert resolved.get(path, resolved.get(f"{path}.name")) == value
        assert resolved["seed"] == trial.seed


@pytest.mark.parametrize("name", SWEEPS)
def test_published_values_are_of_arms_with_a_source_and_rates_are_fractions(name):
    declared = search_spaces.load(name)
    for values in declared.published.values():
        assert set(values) <= {arm.name for arm in declared.arms}
        if declared.primary.startswith("success_rate"):
            assert all(0 <= value <= 1 for value in values.values())
    assert bool(declared.published) == bool(declared.source)


@pytest.mark.parametrize("name", SWEEPS)
def test_a_sweep_can_be_built_wherever_it_names_a_world_or_has_published_values(name):
    declared = search_spaces.load(name)
    for scale, world in [*declared.worlds.items(), *((scale, world) for world, scale in declared.published)]:
        assert len(declared.trials(world, scale, {}, [0])) == len(declared.arms)


def test_all_arms_of_a_seed_come_before_the_next_seed():
    trials = sweep().trials("two_room", "local", {}, range(2))
    assert [(trial.arm, trial.seed) for trial in trials] == [("tiny", 0), ("small", 0), ("tiny", 1), ("small", 1)]


def test_sets_reach_every_trial_shorter_paths_first():
    sets = {"encoder.depth": 3, "encoder": "vit", "optim.steps": 7}
    for trial in sweep().trials("two_room", "local", sets, [0]):
        assert (trial.config.encoder.name, trial.config.encoder.depth, trial.config.optim.steps) == ("vit", 3, 7)


MISTAKES = {
    "an unknown path": (
        {"arms": [Arm("small"), Arm("a", {"predictor.dpeth": 1})]},
        r"predictor\.dpeth: .*did you mean 'predictor.depth'",
    ),
    "a wrong type": ({"arms": [Arm("small"), Arm("a", {"optim.steps": "many"})]}, r"optim\.steps: 'many': .*integer"),
    "a value out of range": (
        {"arms": [Arm("small"), Arm("a", {"optim.lr": 7.0})]},
        r"optim\.lr: 7\.0: .*less than or equal to 1",
    ),
    "an unknown size": ({"arms": levels("predictor.size", ("tny", "small"))}, "'tny' .*did you mean 'tiny'"),
    "an arm that changes nothing": (
        {"arms": [Arm("small"), Arm("same", {"predictor.depth": 2})]},
        "'same' changes nothing: .*the baseline 'small'",
    ),
    "two arms that are one": (
        {"arms": [Arm("small"), Arm("a", {"optim.lr": 0.1}), Arm("b", {"optim.lr": 0.1})]},
        "'b' changes nothing: .*arm 'a'",
    ),
    "an arm that changes a label alone": (
        {"arms": [Arm("small"), Arm("train", {"executor": "train"})]},
        "'train' changes nothing",
    ),
    "one name for two arms": ({"arms": [Arm("small"), Arm("small", {"optim.lr": 0.1})]}, "'small' is there twice"),
    "an unknown baseline": ({"baseline": "smal"}, "baseline: 'smal' .*did you mean 'small'"),
    "an unknown primary measure": ({"primary": "succes_rate"}, "primary: 'succes_rate' .*did you mean 'success_rate'"),
    "an unknown measure": ({"measures": ["probe_r3"]}, "'probe_r3' .*did you mean 'probe_r2'"),
    "an unknown method": ({"base": "lewn"}, "'lewn' .*did you mean 'lewm'"),
    "an unknown scale": ({"worlds": {"locl": "two_room"}}, "'locl' .*did you mean 'local'"),
    "an unknown world at scale local": ({"worlds": {"local": "two_rooms"}}, "'two_rooms'.*did you mean 'two_room'"),
    "a truth of no arm": ({"truth": {"knee": {"tni": 2.0}}}, "truth: 'tni' .*'tiny'"),
    "a truth of nothing measured": ({"truth": {"kne": {"tiny": 2.0}}}, "truth: 'kne' .*did you mean 'knee'"),
    "a published value of no arm": ({"published": {("push_t", "paper"): {"tni": 0.5}}}, "published: 'tni' .*'tiny'"),
}


@pytest.mark.parametrize(("changes", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_fails_when_the_sweep_is_built(changes, message):
    with pytest.raises(ConfigError, match=message):
        sweep(**changes)


def test_a_world_to_come_is_an_error_only_where_it_is_asked_for():
    declared = sweep(worlds={"local": "two_room", "paper": "no_such_world"})
    assert declared.world("paper") == "no_such_world"
    with pytest.raises(ConfigError, match="no_such_world"):
        declared.trials("no_such_world", "paper", {}, [0])
    with pytest.raises(ConfigError, match=r"names no world for 'gpu'.*--world"):
        declared.world("gpu")


REFUSED = {
    "the swept path": ({"predictor.size": "tiny"}, r"predictor\.size: cannot be set, the sweep varies predictor\.size"),
    "what leads to it": ({"predictor": 1}, "predictor: cannot be set, the sweep varies"),
    "what it stands for": ({"predictor.depth": 9}, r"the sweep varies predictor\.depth"),
    "the seed": ({"seed": 1}, "seed: .*--seeds"),
    "the world": ({"data.world": "single_dot"}, "use --world"),
    "the measure that is judged": ({"measures": {"probe_r2": {}}}, "primary: 'success_rate'"),
}


@pytest.mark.parametrize(("sets", "message"), REFUSED.values(), ids=REFUSED)
def test_a_set_leaves_alone_what_the_sweep_is_about(sets, message):
    with pytest.raises(ConfigError, match=message):
        sweep().trials("two_room", "local", sets, [0])


def test_a_set_that_undoes_the_sweep_by_another_path_is_refused():
    weights = sweep(base="smwm", arms=levels("terms.inverse.weight", (0.1, 1.0)), baseline="0.1")
    with pytest.raises(ConfigError, match=r"method: cannot be set, it changes terms\.inverse"):
        weights.trials("two_room", "local", {"method": "lewm"}, [0])


def resolved(name, sets):
    """Config by arm of a sweep of the folder."""
    return {trial.arm: trial.config for trial in search_spaces.load(name).trials("two_room", "local", sets, [0])}


@pytest.mark.parametrize(("name", "pretrained"), [("methods", "dino_wm"), ("encoder", "dinov2")])
def test_a_set_on_what_one_arm_alone_has_is_of_that_arm(name, pretrained, tmp_path):
    file = tmp_path / "dinov2.pth"
    file.write_bytes(b"weights")
    plain = resolved(name, {})
    for sets in ({"encoder.weights": "random"}, {"encoder.weights": str(file)}, {"encoder.frozen": False}):
        configs = resolved(name, {**sets, "optim.steps": plain[pretrained].optim.steps})
        assert [arm for arm in plain if configs[arm] != plain[arm]] == [pretrained]
        assert [arm for arm in plain if identity(configs[arm]) != identity(plain[arm])] == [pretrained]
        assert all(flatten(configs[pretrained])[path] == value for path, value in sets.items())


@pytest.mark.parametrize(
    ("name", "sets", "message"),
    [
        ("methods", {"encoder.weights": None}, r"encoder\.weights: None: Input should be a valid string"),
        ("methods", {"encoder.weightz": "random"}, r"encoder\.weightz: no such setting"),
        ("methods", {"encoder.width": 4}, r"encoder\.width: no such setting"),  # of a vit, which no arm has
        ("methods", {"terms.sigreg": None}, r"terms\.sigreg: cannot be set, the sweep varies terms\.sigreg\.knots"),
        ("methods", {"terms.inverse.weight": 0.1}, r"the sweep varies terms\.inverse\.weight"),
        ("encoder", {"encoder.tokens": "patch"}, r"encoder\.tokens: cannot be set, the sweep varies encoder\.tokens"),
        ("encoder", {"encoder.width": 4}, r"the sweep varies encoder\.width"),  # vit's and resnet18's are unlike
    ],
)
def test_what_arms_have_unlike_or_are_about_or_have_not_at_all_cannot_be_set(name, sets, message):
    with pytest.raises(ConfigError, match=message):
        resolved(name, sets)


def test_an_arm_is_about_what_it_says_one_by_one_or_all_together():
    for changes in ({"terms.sigreg.weight": 0.1}, {"terms": {"forward": {}, "sigreg": {"weight": 0.1}}}):
        declared = sweep(base="smwm", arms=[Arm("plain"), Arm("sigreg", changes)], baseline="plain")
        with pytest.raises(ConfigError, match=r"cannot be set, the sweep varies terms\.sigreg\.weight"):
            declared.trials("two_room", "local", {"terms.sigreg.weight": 0.2}, [0])
    gray = sweep(arms=[Arm("usual"), Arm("other", {"protocol.look": {"background": "gray"}})], baseline="usual")
    with pytest.raises(ConfigError, match=r"the sweep varies protocol\.look\.background"):
        gray.trials("two_room", "local", {"protocol.look.background": "usual"}, [0])


def test_kinds_of_space_give_named_arms():
    assert levels("optim.lr", (0.001, 1.0)) == [Arm("0.001", {"optim.lr": 0.001}), Arm("1", {"optim.lr": 1.0})]
    assert methods("smwm", "lewm") == [Arm("smwm", {"method": "smwm"}), Arm("lewm", {"method": "lewm"})]
    assert grid({"optim.lr": (0.1, 0.2), "history": (1, 2)}) == [
        Arm("lr=0.1 history=1", {"optim.lr": 0.1, "history": 1}),
        Arm("lr=0.1 history=2", {"optim.lr": 0.1, "history": 2}),
        Arm("lr=0.2 history=1", {"optim.lr": 0.2, "history": 1}),
        Arm("lr=0.2 history=2", {"optim.lr": 0.2, "history": 2}),
    ]
    assert zipped({"protocol.offset": (25, 50), "protocol.budget": (50, 100)})[1] == Arm(
        "offset=50 budget=100", {"protocol.offset": 50, "protocol.budget": 100}
    )
    assert ablate({"projector.norm": "none", "predictor.dropout": 0.0}) == [
        Arm("base"),
        Arm("norm=none", {"projector.norm": "none"}),
        Arm("dropout=0", {"predictor.dropout": 0.0}),
    ]


def test_arms_whose_paths_end_alike_keep_the_whole_path_in_their_names():
    names = [arm.name for arm in grid({"terms.inverse.weight": (1.0,), "terms.sigreg.weight": (2.0,)})]
    assert names == ["terms.inverse.weight=1 terms.sigreg.weight=2"]


def test_axes_of_different_lengths_cannot_be_zipped():
    with pytest.raises(ValueError, match="shorter"):
        zipped({"optim.lr": (0.1, 0.2), "history": (1,)})
