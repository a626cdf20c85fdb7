"""Settings by path: what is refused and how, and what ids depend on."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables import ids, plugins
from trainables.paths import assign, assign_all, base_config, flatten, parse_settings, parse_value
from trainables.settings import ConfigError

SMWM = base_config("smwm", "two_room", "local")

BAD = [
    ("optim.stps", 10, "optim.stps: no such setting, did you mean 'optim.steps'?"),
    ("optim.clip", float("inf"), "optim.clip: inf: Input should be a finite number"),
    ("optim.batch", 100_000, "optim.batch: 100000 clips are more than the 38400 clips of data.episodes=400"),
    ("protocol.tasks", 100_000, "protocol.tasks: 100000 tasks are more than the 6600 starts of data.held_out=100"),
    (
        "protocol.offset",
        95,
        "protocol.offset: 95 env steps and the 10 before the start are more than the 100 data.steps",
    ),
    ("history", 4, "history: 15 frames back are more than the 10 env steps before the start of a planning task"),
    ("optimm.steps", 10, "optimm: no such setting, did you mean 'optim'?"),
    ("optim.steps", 1.5, "optim.steps: 1.5: Input should be a valid integer"),
    ("optim.steps", "many", "optim.steps: 'many': Input should be a valid integer"),
    ("optim.steps", True, "optim.steps: True: Input should be a valid integer"),
    ("optim.lr", -1.0, "optim.lr: -1.0: Input should be greater than 0"),
    ("optim.lr.peak", 1.0, "optim.lr: is a single value (0.001) and has no settings below it"),
    ("encoder", "resnet", "encoder: 'resnet' is unknown"),
    ("encoder.wdth", 3, "encoder.wdth: no such setting"),
    ("encoder.channels", 0, "encoder.channels: 0: Input should be greater than or equal to 1"),
    ("predictor.size", "smal", "predictor.size: 'smal' is unknown, did you mean 'small'?"),
    ("terms.invers.weight", 1.0, "terms: 'invers' is unknown, did you mean 'inverse'?"),
    ("terms.inverse.weight", -1.0, "terms.inverse.weight: -1.0: Input should be greater than or equal to 0"),
    ("method", "smvm", "method: 'smvm' is unknown, did you mean 'smwm'?"),
    ("data.world", "push_t", "data.world: cannot be set here, use --world"),
    ("workers", 2, "workers=2 needs executor=train"),
    ("planner.elites", 4000, "elites=4000 is more than samples=128"),
    ("measures.succes_rate", {}, "measures: 'succes_rate' is unknown, did you mean 'success_rate'?"),
]


@pytest.mark.parametrize(("path", "value", "message"), BAD)
def test_a_bad_setting_is_refused_with_its_name_and_the_nearest_valid_one(path, value, message):
    with pytest.raises(ConfigError) as refused:
        assign(SMWM, path, value)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "arguments", [("smvm", "two_room", "local"), ("smwm", "two_rom", "local"), ("smwm", "two_room", "loca")]
)
def test_unknown_method_world_or_scale_names_the_nearest(arguments):
    with pytest.raises(ConfigError, match=r"did you mean '(smwm|two_room|local)'"):
        base_config(*arguments)


def test_shorter_paths_come_first_whatever_their_order():
    one = assign_all(SMWM, {"encoder.depth": 2, "encoder": "vit"})
    assert (one.encoder.name, one.encoder.depth, one.encoder.width) == ("vit", 2, 64)


def test_only_the_outcome_of_several_changes_must_fit():
    few = {"data.episodes": 1, "optim.batch": 64, "data.held_out": 1, "protocol.tasks": 10}
    assert assign_all(SMWM, few).data.episodes == 1
    with pytest.raises(ConfigError, match=r"optim\.batch: 128 clips are more than the 96 clips"):
        assign(SMWM, "data.episodes", 1)


def test_a_size_that_no_longer_tells_the_truth_becomes_custom():
    assert assign(SMWM, "predictor.depth", 3).predictor.size == "custom"
    assert assign(SMWM, "predictor.depth", SMWM.predictor.depth).predictor.size == "small"
    assert assign(SMWM, "predictor.dropout", 0.2).predictor.size == "small"


def test_a_method_brings_its_terms_at_the_sizes_of_the_scale():
    lewm = assign(SMWM, "method", "lewm")
    assert set(lewm.terms) == {"forward", "sigreg"}
    assert (lewm.terms["sigreg"].projections, lewm.terms["sigreg"].weight) == (128, 0.01)
    published = base_config("lewm", "two_room", "paper").terms["sigreg"]
    assert (published.projections, published.weight) == (1024, 0.09)


def test_a_term_that_is_named_joins_the_objective_as_a_mixture():
    mixture = assign(SMWM, "terms.sigreg.weight", 0.05)
    assert (mixture.terms["sigreg"].weight, mixture.terms["sigreg"].projections) == (0.05, 128)
    assert mixture.terms["inverse"] == SMWM.terms["inverse"]


def test_a_term_is_left_out_by_null_and_named_by_its_own_name():
    lewm = base_config("lewm", "two_room", "local")
    mixture = assign(lewm, "terms.inverse", "inverse")
    assert mixture.terms["inverse"].weight == 1.0
    assert assign_all(lewm, {"terms.inverse.weight": 2.0, "terms.inverse": "inverse"}).terms["inverse"].weight == 2.0
    assert assign(mixture, "terms.inverse", None) == assign(lewm, "terms.inverse", None) == lewm
    assert ids.train_key(assign(mixture, "terms.inverse", None)) == ids.train_key(lewm)
    with pytest.raises(ConfigError, match=r"terms: 'invers' is unknown, did you mean 'inverse'"):
        assign(lewm, "terms.invers", None)


@pytest.mark.parametrize("value", ["sigreg", 3, True, 0.5, [1]])
def test_a_term_that_is_given_as_something_else_says_what_it_may_be(value):
    with pytest.raises(ConfigError) as refused:
        assign(SMWM, "terms.inverse", value)
    assert (
        str(refused.value)
        == f"terms.inverse: {value!r}: give a setting of it (terms.inverse.NAME=VALUE), its own name, or null"
    )
    assert assign(SMWM, "terms.inverse", {"weight": 3.0}).terms["inverse"].weight == 3.0


@pytest.mark.parametrize("folder", ["terms", "measures"])
def test_a_whole_folder_that_is_nothing_is_refused_in_words(folder):
    with pytest.raises(ConfigError, match=rf"^{folder}: None: Input should be a valid dict"):
        assign(SMWM, folder, None)
    with pytest.raises(ConfigError, match=rf"^{folder}: is a single value \(None\)"):
        assign_all(SMWM, {folder: None, f"{folder}.{plugins.names(folder)[0]}.weight": 1.0})


@pytest.mark.parametrize("path", ["terms.inverse.weight", "terms.sigreg.weight"])
def test_a_term_cannot_be_left_out_and_set_at_once(path):
    whole = path.removesuffix(".weight")
    with pytest.raises(ConfigError, match=rf"^{whole}: null leaves it out, but {path} sets something of it"):
        assign_all(SMWM, {path: 3.0, whole: None})
    assert assign_all(SMWM, {path: 3.0, "terms.multi_step_inverse": None}).terms[whole.split(".")[1]].weight == 3.0


def test_a_setting_that_is_given_beside_a_short_name_for_several_stays():
    assert assign_all(SMWM, {"predictor.size": "tiny", "predictor.depth": 5}).predictor.depth == 5
    assert assign_all(SMWM, {"predictor.size": "tiny", "predictor.depth": 5}).predictor.size == "custom"
    assert assign_all(SMWM, {"encoder": "vit", "method": "lewm"}).encoder.name == "vit"


def test_settings_of_a_command_line_are_read_once_each():
    assert parse_settings(["optim.lr=1e-3", "encoder=vit"]) == {"optim.lr": 1e-3, "encoder": "vit"}
    for texts, message in ((["optim.lr"], "'optim.lr' is not of the form"), (["a=1", "a=2"], "a is given twice")):
        with pytest.raises(ConfigError, match=message):
            parse_settings(texts)


def test_flatten_lists_every_setting_once_and_assigning_them_back_changes_nothing():
    flat = flatten(SMWM)
    assert flat["terms.inverse.weight"] == 0.1 and flat["data.world"] == "two_room"
    again = assign_all(SMWM, {path: flat[path] for path in ("optim.lr", "terms.inverse.weight", "predictor.mlp")})
    assert again == SMWM


@given(st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(min_size=1)))
def test_a_value_on_the_command_line_is_json_or_text(value):
    import json

    assert parse_value(json.dumps(value)) == value


@given(st.text(min_size=1, max_size=12), st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=5)))
def test_no_path_and_value_gets_through_unchecked(path, value):
    with suppress(ConfigError):
        config = assign(SMWM, path, value)
        assert flatten(config) != flatten(SMWM) or flatten(SMWM).get(path) == value


def test_the_id_of_a_training_depends_on_what_is_trained_and_on_nothing_else():
    key = ids.train_key(SMWM)
    for path, value in {"executor": "train", "planner.samples": 64, "protocol.tasks": 7, "data.held_out": 100}.items():
        assert ids.train_key(assign(SMWM, path, value)) == key
    for path, value in {"seed": 1, "threads": 2, "precision": "bf16", "optim.lr": 2e-3, "data.episodes": 9}.items():
        assert ids.train_key(assign(SMWM, path, value)) != key


def test_the_id_of_a_measure_depends_on_its_settings_and_on_the_training():
    for name in plugins.names("measures"):
        key = ids.measure_key(SMWM, name)
        assert key.startswith(ids.train_key(SMWM) + f"/measures/{name}-")
        assert ids.measure_key(assign(SMWM, "seed", 1), name) != key
    assert ids.measure_key(assign(SMWM, "planner.samples", 64), "success_rate") != ids.measure_key(SMWM, "success_rate")
    assert ids.measure_key(assign(SMWM, "planner.samples", 64), "probe_r2") == ids.measure_key(SMWM, "probe_r2")


def test_test_and_validation_episodes_do_not_depend_on_the_amount_of_training_data():
    more = assign(SMWM, "data.episodes", 500)
    assert ids.data_key(more, "train") != ids.data_key(SMWM, "train")
    assert ids.data_key(more, "test") == ids.data_key(SMWM, "test") != ids.data_key(SMWM, "validation")
