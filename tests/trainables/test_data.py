"""What a trial learns from: options of the world and public files, in configs, ids and trials."""

import h5py
import numpy as np
import pytest

import envs
from envs._episodes import Episodes
from trainables import ids, pipeline, plugins
from trainables.files import read_json
from trainables.paths import assign, assign_all, base_config
from trainables.settings import ConfigError
from trainables.store import Store

LOCAL = base_config("smwm", "two_room", "local")


@pytest.mark.parametrize("scale", plugins.names("scales"))
@pytest.mark.parametrize("world", envs.names())
def test_every_world_has_a_config_at_every_scale(world, scale):
    config = base_config("smwm", world, scale)
    assert config.data.world == world
    assert config.protocol.offset == envs.load(world).goal_offset


def test_options_are_part_of_the_id_and_defaults_are_not():
    same = assign(LOCAL, "data.options.wall_color", "black")
    other = assign(LOCAL, "data.options.wall_color", "blue")
    assert same == LOCAL
    assert len({ids.data_key(config, "train") for config in (LOCAL, same, other)}) == 2
    assert ids.train_key(other) != ids.train_key(LOCAL)
    integer, real = (assign(LOCAL, "data.options.noise", value) for value in (3, 3.0))
    assert ids.data_key(integer, "test") == ids.data_key(real, "test")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("data.options.wall_colour", "blue", "wall_colour: no such option of two_room, did you mean 'wall_color'"),
        ("data.options.noise", "much", "data.options: noise: 'much': Input should be a valid number"),
        ("data.options.agent_color", "rde", "agent_color: 'rde': 'rde' is no colour"),
        ("data.options", 3, "data.options: 3: Input should be a valid dictionary"),
        ("data.source", "nowhere.h5", "nowhere.h5"),
        ("data.source", "/", "/"),
    ],
)  # fmt: skip
def test_data_that_cannot_be_are_refused_by_name(path, value, message):
    with pytest.raises(ConfigError, match=message):
        assign(LOCAL, path, value)


def test_a_world_without_public_files_says_so(tmp_path):
    with pytest.raises(ConfigError, match="source: there is no public file to import for the world 'single_dot'"):
        assign(base_config("smwm", "single_dot", "local"), "data.source", public(tmp_path / "file.h5"))


@pytest.mark.parametrize("options", [{"groups": "independent+random"}, {"groups": "coupled"}])
def test_options_that_change_the_action_reach_model_and_planner(tiny, tmp_path, options):
    config = tiny("smwm", world="dots", **{f"data__options__{key}": value for key, value in options.items()})
    record = pipeline.run_trial(config, Store(tmp_path))
    assert record["status"] in ("ok", "collapsed")
    assert len(record["tasks"]) == 10


def test_angles_are_probed_by_their_cosine_and_sine(tiny, tmp_path):
    from trainables.measures.probe_r2 import targets

    world = envs.load("sprite")
    states = world.sample(20, np.random.default_rng(0))
    asked = targets(world, ("x", "angle"), states)
    assert np.array_equal(asked, np.stack([states[:, 0], np.cos(states[:, 2]), np.sin(states[:, 2])], axis=1))


def public(path, episodes=24, seed=0):
    """A file as the public ones are: TwoRoom, 24 episodes of 40 to 63 rows."""
    world, rng = envs.load("two_room"), np.random.default_rng(seed)
    lengths = rng.integers(40, 64, episodes)
    policy, states, actions = None, [], []
    for length in lengths:
        here, policy = world.sample(1, rng), world.policy(1, rng)
        for _ in range(length):
            states.append(here[0])
            actions.append(policy.act(here)[0])
            here = world.step(here, actions[-1][None])
    with h5py.File(path, "w") as file:
        file["pixels"] = world.render(np.array(states), 48)
        file["action"], file["proprio"] = np.array(actions, np.float32), np.array(states)
        file["ep_len"], file["ep_offset"] = lengths, np.cumsum(lengths) - lengths
    return str(path)


@pytest.fixture
def imported(tiny, tmp_path):
    source = public(tmp_path / "tworoom.h5")
    return tiny("smwm", data__source=source, data__episodes=12, data__held_out=5), Store(tmp_path / "store")


def test_a_trial_learns_from_a_public_file_and_is_judged_on_it(imported):
    config, store = imported
    record = pipeline.run_trial(config, store)
    assert record["status"] in ("ok", "collapsed")
    assert len(record["tasks"]) == 10
    assert record["config"]["data.source"].endswith("tworoom.h5")
    note = pipeline.data_note(config, store)
    assert "Imported from tworoom.h5: 12 of its 24 episodes" in note and "resized from 48 to 32" in note
    card = read_json(store.get(ids.data_key(config, "train")) / "card.json")
    assert card["note"] == note and card["episodes"] == 12


def test_its_splits_share_no_episode_and_hold_out_the_same_ones_whatever_is_trained_on(imported):
    config, store = imported
    starts = {}
    for split in ids.SPLITS:
        episodes = Episodes(pipeline.ensure_data(config, store, split))
        starts[split] = {tuple(state) for state in episodes.states(episodes.episode_start)}
    assert [len(starts[split]) for split in ids.SPLITS] == [12, 5, 5]
    assert len(set.union(*starts.values())) == 22
    fewer = assign(config, "data.episodes", 6)
    held = Episodes(pipeline.ensure_data(fewer, store, "test"))
    assert {tuple(state) for state in held.states(held.episode_start)} == starts["test"]


def test_the_id_goes_by_the_content_and_not_by_the_place(imported, tmp_path):
    config, _ = imported
    moved = assign(config, "data.source", public(tmp_path / "other.h5"))
    changed = assign(config, "data.source", public(tmp_path / "fresh.h5", seed=1))
    assert ids.train_key(moved) == ids.train_key(config)
    assert changed.data.fingerprint != config.data.fingerprint
    assert ids.train_key(changed) != ids.train_key(config)


def test_a_file_named_from_here_is_the_same_in_another_folder(imported, tmp_path, monkeypatch):
    config, store = imported
    monkeypatch.chdir(tmp_path)
    here = assign(config, "data.source", "tworoom.h5")
    known = assign_all(config, {"data.source": "tworoom.h5", "data.fingerprint": config.data.fingerprint})
    monkeypatch.chdir("/")
    assert here == known == config
    assert len(Episodes(pipeline.ensure_data(here, store, "test")).length) == 5


def test_what_is_known_by_its_fingerprint_needs_no_file(imported, tmp_path):
    config, _ = imported
    (tmp_path / "tworoom.h5").unlink()
    with pytest.raises(ConfigError, match=r"there is no file .*; of what is done already, give data\.fingerprint"):
        assign(LOCAL, "data.source", config.data.source)
    known = {"data.source": config.data.source, "data.fingerprint": config.data.fingerprint}
    assert assign_all(config, known) == config


def test_options_of_a_file_s_episodes_are_refused(imported):
    with pytest.raises(ConfigError, match=r"options: the episodes of a source look as they do; protocol\.look"):
        assign(imported[0], "data.options.background", "blue")


def test_episodes_too_short_for_what_is_measured_are_refused_before_training(imported):
    config, store = imported
    long = assign_all(config, {"protocol.earlier_rows": 0, "protocol.offset": 20, "frameskip": 15})
    for split in ids.SPLITS:
        pipeline.ensure_data(long, store, split)
    with pytest.raises(ValueError, match="no episode is long enough for 6 frames, 15 steps apart"):
        pipeline.check_episodes(long, store)


def test_a_colour_has_one_name_in_ids():
    white, same = (assign(LOCAL, "data.options.background", name) for name in ("white", "#FFFFFF"))
    assert white == same == LOCAL


def test_a_stored_config_needs_its_file_no_more(imported, tmp_path):
    config, _ = imported
    content = config.model_dump(mode="json")
    (tmp_path / "tworoom.h5").unlink()
    assert type(config).model_validate(content) == config
