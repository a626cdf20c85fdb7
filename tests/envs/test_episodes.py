"""Episodes: what is recorded, that it can be recorded again, and that it is read as written."""

import pickle
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import envs
from envs import _recording
from envs._episodes import Clips, Episodes
from envs._recording import Recording, record

worlds = pytest.mark.parametrize("world", [envs.load(name) for name in envs.names()], ids=envs.names())
DOT = envs.load("single_dot")


def recorded(folder, world=DOT, **changes):
    """-> the file and its reader."""
    request = {"split": "train", "episodes": 5, "steps": 7, "size": 8, "seed": 0, **changes}
    path = record(Recording(world.name, **request), folder)
    return path, Episodes(folder)


def content(episodes, rows=None):
    rows = np.arange(episodes.rows) if rows is None else rows
    return episodes.pixels(rows), episodes.actions(rows), episodes.states(rows)


def same(ours, theirs):
    return all(np.array_equal(a, b, equal_nan=a.dtype != np.uint8) for a, b in zip(ours, theirs, strict=True))


@worlds
def test_what_is_recorded_can_be_replayed_to_the_bit(world, tmp_path):
    _, episodes = recorded(tmp_path, world, size=32)
    pixels, actions, states = content(episodes)
    assert (pixels.dtype, actions.dtype, states.dtype) == (np.uint8, np.float32, np.float64)
    assert np.array_equal(pixels, world.render(states, 32))
    last = np.isnan(actions).all(axis=1)
    assert np.array_equal(np.flatnonzero(last), np.arange(7, 40, 8))
    assert np.array_equal(world.step(states[~last], actions[~last]), states[1:][~last[:-1]])


@worlds
def test_the_file_says_what_it_holds(world, tmp_path):
    _, episodes = recorded(tmp_path, world, seed=3, split="test")
    assert (episodes.rows, episodes.size, episodes.action_dim) == (40, 8, world.action_dim)
    assert episodes.state_names == world.state_names
    assert episodes.episode_start.tolist() == [0, 8, 16, 24, 32]
    assert episodes.length.tolist() == [8] * 5
    kept = {"world": world.name, "version": world.version, "split": "test", "seed": 3, "episodes": 5, "steps": 7}
    assert kept.items() <= episodes.metadata.items()


def test_any_arrow_reader_can_read_it(tmp_path):
    path, episodes = recorded(tmp_path)
    table = pa.ipc.open_file(path).read_all()
    assert table.column_names == ["episode", "step", "pixels", "action", "state"]
    assert table["episode"].to_pylist() == [episode for episode in range(5) for _ in range(8)]
    assert table["step"].to_pylist() == list(range(8)) * 5
    pixels, _, states = content(episodes)
    assert np.array_equal(table["pixels"].combine_chunks().to_numpy_ndarray(), pixels)
    assert table["state"].to_pylist() == states.tolist()


def test_the_same_arguments_give_the_same_file(tmp_path):
    one, _ = recorded(tmp_path / "one")
    two, _ = recorded(tmp_path / "two")
    assert one.read_bytes() == two.read_bytes()


@worlds
def test_more_episodes_begin_with_the_same_ones(world, tmp_path):
    _, few = recorded(tmp_path / "few", world, episodes=3)
    _, some = recorded(tmp_path / "some", world, episodes=33)
    _, many = recorded(tmp_path / "many", world, episodes=70)
    assert same(content(few), content(some, np.arange(few.rows)))
    assert same(content(some), content(many, np.arange(some.rows)))
    starts = many.states(many.episode_start)
    assert not np.array_equal(starts[:32], starts[32:64])


def test_splits_and_seeds_share_no_episode(tmp_path):
    world = envs.load("two_room")
    asked = [(split, seed) for split in envs.SPLITS for seed in (0, 1)]
    runs = [
        recorded(tmp_path / f"{split}{seed}", world, split=split, seed=seed, episodes=40)[1] for split, seed in asked
    ]
    starts = np.concatenate([episodes.states(episodes.episode_start) for episodes in runs])
    assert len(np.unique(starts, axis=0)) == len(asked) * 40


def test_the_size_of_the_picture_changes_nothing_else(tmp_path):
    _, small = recorded(tmp_path / "small", size=8)
    _, large = recorded(tmp_path / "large", size=20)
    assert same(content(small)[1:], content(large)[1:])


def test_small_record_batches_hold_the_same_rows(tmp_path, monkeypatch):
    _, whole = recorded(tmp_path / "whole", episodes=40)
    monkeypatch.setattr(_recording, "_BATCH_BYTES", 11 * 3 * 8 * 8)
    path, parts = recorded(tmp_path / "parts", episodes=40)
    assert pa.ipc.open_file(path).num_record_batches > 320 // 11
    assert same(content(whole), content(parts))
    rows = np.random.default_rng(0).integers(0, 320, 500)
    assert same(content(whole, rows), content(parts, rows))


def test_a_frame_larger_than_a_record_batch_is_written_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(_recording, "_BATCH_BYTES", 1)
    path, episodes = recorded(tmp_path)
    assert pa.ipc.open_file(path).num_record_batches == episodes.rows


def test_progress_counts_episodes(tmp_path):
    seen = []
    record(Recording("single_dot", "train", 70, 2, 8, 0), tmp_path, progress=lambda *now: seen.append(now))
    assert seen == [(32, 70), (64, 70), (70, 70)]


def test_an_interrupted_recording_leaves_the_earlier_file(tmp_path):
    def interrupt(done, total):
        raise KeyboardInterrupt

    path, _ = recorded(tmp_path)
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        record(Recording("single_dot", "test", 70, 2, 8, 0), tmp_path, progress=interrupt)
    with pytest.raises(KeyboardInterrupt):
        record(Recording("single_dot", "test", 70, 2, 8, 0), tmp_path / "new", progress=interrupt)
    assert path.read_bytes() == before
    with pytest.raises(FileNotFoundError):
        Episodes(tmp_path / "new")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split": "training"}, "unknown split 'training'"),
        ({"episodes": 0}, "must be at least 1, got 0 and 7"),
        ({"steps": 0}, "must be at least 1, got 5 and 0"),
        ({"size": 4}, "at least 8 pixels"),
    ],
)
def test_a_recording_that_cannot_be_is_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        recorded(tmp_path, **change)
    assert not (tmp_path / "episodes.arrow").exists()


def test_a_file_cut_off_anywhere_is_refused_by_name(tmp_path):
    path, _ = recorded(tmp_path, episodes=2, steps=2)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=rf"{path} is truncated or corrupt, record it again"):
            Episodes(tmp_path)


def test_damaged_bytes_are_refused_by_name_or_change_numbers_only(tmp_path):
    path, whole = recorded(tmp_path, episodes=2, steps=2)
    good, rng = path.read_bytes(), np.random.default_rng(0)
    refused = 0
    read = 0
    for _ in range(1000):
        damaged = bytearray(good)
        damaged[rng.integers(len(good))] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        try:
            shapes = [part.shape for part in content(Episodes(tmp_path))]
        except ValueError as error:
            refused += str(path) in str(error)
        else:
            read += shapes == [part.shape for part in content(whole)]
    assert refused > 100
    assert refused + read == 1000


@pytest.mark.parametrize(
    "change", [{"episodes": "6"}, {"steps": "3"}, {"size": "9"}, {"size": "null"}, {"state_names": "[]"}]
)
def test_a_header_that_contradicts_the_rows_is_refused(tmp_path, change):
    path, _ = recorded(tmp_path)
    table = pa.ipc.open_file(path).read_all()
    metadata = {key.decode(): value for key, value in table.schema.metadata.items()} | change
    with pa.ipc.new_file(path, table.schema.with_metadata(metadata)) as writer:
        writer.write_table(table.replace_schema_metadata(metadata))
    with pytest.raises(ValueError, match=f"{path} is truncated or corrupt"):
        Episodes(tmp_path)


@pytest.mark.parametrize("order", [[1, 0, 2], [0, 2, 1], [0, 0, 2]])
def test_rows_out_of_order_are_refused(tmp_path, order):
    path, _ = recorded(tmp_path, episodes=1, steps=2)
    table = pa.ipc.open_file(path).read_all()
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(pa.concat_tables([table.slice(row, 1) for row in order]))
    with pytest.raises(ValueError, match="its steps are not in order"):
        Episodes(tmp_path)


def test_opening_and_gathering_copy_no_more_than_what_is_asked_for(tmp_path):
    path = record(Recording("single_dot", "train", 40, 20, 64, 0), tmp_path)
    tracemalloc.start()
    clips = Clips(Episodes(tmp_path), 2, 1)
    pixels, _ = clips.gather(np.array([3, 700]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert pixels.nbytes == 4 * 64 * 64 * 3
    assert peak < path.stat().st_size / 20


def test_what_is_read_can_be_changed_without_changing_the_file(tmp_path):
    _, episodes = recorded(tmp_path)
    before = content(episodes)
    for part in content(episodes):
        part[:] = 0
    assert same(content(episodes), before)


def test_a_pickled_reader_reads_the_same(tmp_path):
    _, episodes = recorded(tmp_path)
    sent = pickle.dumps(episodes)
    assert len(sent) < 1000
    assert same(content(pickle.loads(sent)), content(episodes))


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    return recorded(tmp_path_factory.mktemp("many"), envs.load("two_room"), episodes=6, steps=30)[1]


@settings(deadline=None)
@given(frames=st.integers(1, 5), frameskip=st.integers(1, 7), seed=st.integers(0, 2**32))
def test_a_clip_is_a_run_of_frames_of_one_episode_with_all_actions_between_them(many, frames, frameskip, seed):
    clips = Clips(many, frames, frameskip)
    assert len(clips) == 6 * (31 - (frames - 1) * frameskip)
    index = np.random.default_rng(seed).integers(0, len(clips), 4)
    pixels, actions = clips.gather(index)
    assert pixels.shape == (4, frames, 8, 8, 3)
    assert actions.shape == (4, frames - 1, 2 * frameskip)
    for clip, row in enumerate(clips.rows(index)):
        rows = np.arange(row, row + (frames - 1) * frameskip + 1)
        assert rows[0] // 31 == rows[-1] // 31
        assert np.array_equal(pixels[clip], many.pixels(rows[::frameskip]))
        assert np.array_equal(actions[clip].ravel(), many.actions(rows[:-1]).ravel())
    assert not np.isnan(actions).any()


def test_every_clip_there_is_can_be_had_once(many):
    clips = Clips(many, 3, 5)
    assert clips.rows(np.arange(len(clips))).tolist() == [
        31 * episode + step for episode in range(6) for step in range(21)
    ]


def test_clips_longer_than_every_episode_are_refused(many):
    assert len(Clips(many, 7, 5)) == 6
    with pytest.raises(ValueError, match="no episode is long enough for 8 frames, 5 steps apart"):
        Clips(many, 8, 5)
