"""Importing public files: what is in them arrives unchanged, splits share nothing, and what is wrong is named."""

import os
import sys
import tracemalloc
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

import envs
from envs import _recording, _source_file
from envs._card import file_hash, write_card
from envs._episodes import Clips, Episodes
from envs._source import Source, fingerprint, import_episodes
from envs._source_file import SourceFile

WORLD = envs.load("two_room")
LENGTHS = (9, 1, 12, 5, 7, 0, 20, 2, 11, 6, 8)  # 9 of which have a step
BLOSC = hdf5plugin.Blosc(cname="zstd", clevel=3)
LAYOUTS = {
    "gzip": {"chunks": 7, "compression": "gzip"},
    "blosc": {"chunks": 100, **BLOSC},
    "contiguous": {},
    "packed": {"chunks": 1},
}
layouts = pytest.mark.parametrize("layout", LAYOUTS)


def content(lengths=LENGTHS, size=16, seed=0):
    """Columns of a public file of TwoRoom, frames unrelated to one another so that none can be taken for another."""
    rng = np.random.default_rng(seed)
    states = WORLD.sample(sum(lengths), rng)
    ends = np.cumsum(lengths)
    action = rng.uniform(-1, 1, (len(states), 2)).astype(np.float32)
    action[ends[np.array(lengths) > 0] - 1] = np.nan
    return {
        "pixels": WORLD.render(states, size),
        "action": action,
        "proprio": states,
        "reward": np.zeros(len(states)),
        "ep_len": np.array(lengths, np.int32),
        "ep_offset": ends - lengths,
    }


def written(path, columns=None, chunks=None, **storage):
    """A file of columns; a name that ends in .zst is packed."""
    columns, plain = columns or content(), path.with_suffix("") if path.suffix == ".zst" else path
    with h5py.File(plain, "w") as file:
        for name, values in columns.items():
            cut = (chunks, *values.shape[1:]) if chunks and name == "pixels" else None
            many = {"maxshape": (None, *values.shape[1:])} if cut else {}
            file.create_dataset(name, data=values, chunks=cut, **many, **(storage if name == "pixels" else {}))
    if path.suffix == ".zst":
        with pa.output_stream(path, compression="zstd") as packed:
            packed.write(plain.read_bytes())
        plain.unlink()
    return path


def asked(path, **changes):
    request = {
        "world": "two_room",
        "options": {},
        "split": "train",
        "episodes": 5,
        "held_out": 2,
        "size": 16,
        "seed": 0,
    }
    return Source(path=str(path), **{"fingerprint": fingerprint(path), **request, **changes})


def imported(path, folder, progress=None, **changes):
    """-> the file and its reader."""
    source = asked(path, **changes)
    target = import_episodes(source, folder, parts=folder / "work", progress=progress)
    assert not _recording.parts_folder(source, folder / "work").exists()
    return target, Episodes(folder)


def origin(episodes, columns):
    """The file's rows that episodes were imported from, told by their states."""
    rows = {tuple(state): row for row, state in enumerate(columns["proprio"])}
    return np.array([rows[tuple(state)] for state in episodes.states(np.arange(episodes.rows))])


@layouts
def test_what_is_in_the_file_arrives_unchanged(layout, tmp_path):
    columns = content()
    name = "two.h5.zst" if layout == "packed" else "two.h5"
    path = written(tmp_path / name, columns, **LAYOUTS[layout])
    _, episodes = imported(path, tmp_path / "data")
    rows, all_rows = origin(episodes, columns), np.arange(episodes.rows)
    assert np.array_equal(episodes.pixels(all_rows), columns["pixels"][rows])
    assert np.array_equal(episodes.actions(all_rows), columns["action"][rows], equal_nan=True)
    assert np.array_equal(episodes.states(all_rows), columns["proprio"][rows])
    assert np.array_equal(np.flatnonzero(np.isnan(episodes.actions(all_rows)[:, 0])), np.cumsum(episodes.length) - 1)
    assert path.exists()


def test_the_file_says_where_it_comes_from(tmp_path):
    path = written(tmp_path / "two.h5")
    target, episodes = imported(path, tmp_path / "data", seed=3, options={"agent_color": "blue"})
    about = episodes.metadata
    kept = {"world": "two_room", "version": WORLD.version, "split": "train", "episodes": 5, "steps": None, "size": 16}
    assert (kept | {"seed": 3, "options": {"agent_color": "blue"}}).items() <= about.items()
    assert set(about["source"]) == {"name", "fingerprint", "note"}
    assert about["source"].items() >= {
        ("name", "two.h5"),
        ("fingerprint", file_hash(path)),
    }
    assert str(tmp_path).encode() not in target.read_bytes()
    assert "options" not in imported(path, tmp_path / "plain")[1].metadata


def test_the_card_of_imported_episodes_has_the_note(tmp_path):
    _, episodes = imported(written(tmp_path / "two.h5"), tmp_path / "data")
    note = episodes.metadata["source"]["note"]
    assert write_card(tmp_path / "data")["note"] == note
    assert note.startswith("Imported from two.h5: 5 of its 11 episodes; 2 of fewer than 2 rows are in no split; ")


def test_splits_share_no_episode_and_keep_the_order_of_the_file(tmp_path):
    columns = content()
    path = written(tmp_path / "two.h5", columns)
    found = [origin(imported(path, tmp_path / split, split=split)[1], columns) for split in envs.SPLITS]
    assert all(np.all(np.diff(rows) > 0) for rows in found)
    used = np.sort(np.concatenate(found))
    long = np.repeat(np.array(LENGTHS) > 1, LENGTHS)
    assert np.array_equal(used, np.flatnonzero(long))


def test_held_out_sets_do_not_depend_on_the_training_set(tmp_path):
    path = written(tmp_path / "two.h5")
    for split in ("validation", "test"):
        few, many = (imported(path, tmp_path / f"{split}{n}", split=split, episodes=n)[0] for n in (1, 5))
        assert few.read_bytes() == many.read_bytes()


def test_seeds_deal_the_episodes_differently(tmp_path):
    path = written(tmp_path / "two.h5")
    files = {imported(path, tmp_path / str(seed), seed=seed, episodes=2)[0].read_bytes() for seed in range(4)}
    assert len(files) == 4


def test_the_same_source_gives_the_same_bytes(tmp_path):
    path = written(tmp_path / "two.h5")
    one, two = (imported(path, tmp_path / name)[0].read_bytes() for name in ("one", "two"))
    assert one == two


def test_channels_may_come_first(tmp_path):
    columns = content()
    turned = columns | {"pixels": columns["pixels"].transpose(0, 3, 1, 2)}
    _, last = imported(written(tmp_path / "last.h5", columns), tmp_path / "last")
    _, first = imported(written(tmp_path / "first.h5", turned), tmp_path / "first")
    rows = np.arange(last.rows)
    assert np.array_equal(first.pixels(rows), last.pixels(rows))


@pytest.mark.parametrize("channel_first", [False, True])
def test_other_sizes_are_resized_and_antialiased(channel_first, tmp_path):
    columns = content(size=32)
    pixels = columns["pixels"].transpose(0, 3, 1, 2) if channel_first else columns["pixels"]
    path = written(tmp_path / "two.h5", columns | {"pixels": pixels})
    _, episodes = imported(path, tmp_path / "data", size=12)
    for row, frame in zip(origin(episodes, columns), episodes.pixels(np.arange(episodes.rows)), strict=True):
        small = Image.fromarray(columns["pixels"][row]).resize((12, 12), Image.Resampling.HAMMING)
        assert np.array_equal(frame, np.asarray(small))
    assert "pictures resized from 32 to 12 pixels" in episodes.metadata["source"]["note"]


def test_missing_actions_are_none_at_the_end_of_an_episode_and_zero_elsewhere(tmp_path):
    columns = content((4, 4, 4))
    columns["action"][:] = 0.5
    columns["action"][1::4, 0] = np.nan
    path = written(tmp_path / "two.h5", columns)
    _, episodes = imported(path, tmp_path / "data", episodes=1, held_out=1)
    actions = episodes.actions(np.arange(4))
    assert np.array_equal(actions, [[0.5, 0.5], [0, 0.5], [0.5, 0.5], [np.nan] * 2], equal_nan=True)
    assert "; numbers missing in actions, now 0: 1;" in episodes.metadata["source"]["note"]


def test_the_note_tells_actions_beyond_the_range(tmp_path):
    columns = content((4, 4, 4))

    def note(name, action):
        path = written(tmp_path / f"{name}.h5", columns | {"action": action})
        return imported(path, tmp_path / name, episodes=1, held_out=1)[1].metadata["source"]["note"]

    action = columns["action"]
    assert "actions reach" not in note("within", action)
    wide = np.tile(np.array([[-0.5, 1.5], [0, 0], [1, 1], [9, 9]], np.float32), (3, 1))  # 9: after the last step
    assert "; actions reach from -0.5 to 1.5, the world clips them to [-1, 1];" in note("beyond", wide)


def test_the_note_counts_states_that_our_world_cannot_be_in(tmp_path):
    columns = content((4, 4, 4))
    columns["proprio"][1::4] = 112, 150  # within the wall
    _, episodes = imported(written(tmp_path / "two.h5", columns), tmp_path / "data", episodes=1, held_out=1)
    assert "; frames in states that our world cannot be in: 1;" in episodes.metadata["source"]["note"]


def test_the_note_tells_how_much_our_pictures_differ(tmp_path):
    columns = content()
    _, episodes = imported(written(tmp_path / "same.h5", columns), tmp_path / "same")
    assert "differ from the file's by 0.0 of 255 grey levels" in episodes.metadata["source"]["note"]
    ours = columns["pixels"]
    shifted = np.where(ours > 200, ours - 20, ours + 20)
    _, episodes = imported(written(tmp_path / "other.h5", columns | {"pixels": shifted}), tmp_path / "other")
    note = episodes.metadata["source"]["note"]
    assert f"by 20.0 of 255 grey levels on average ({min(64, episodes.rows)} frames)" in note


def test_clips_never_cross_the_ends_of_imported_episodes(tmp_path):
    columns = content()
    _, episodes = imported(written(tmp_path / "two.h5", columns), tmp_path / "data")
    clips = Clips(episodes, 2, 5)
    assert len(clips) == np.maximum(episodes.length - 5, 0).sum()
    pixels, actions = clips.gather(np.arange(len(clips)))
    assert not np.isnan(actions).any()
    first = origin(episodes, columns)[clips.rows(np.arange(len(clips)))]
    number = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
    assert np.array_equal(number[first], number[first + 5])
    assert np.array_equal(pixels[:, 1], columns["pixels"][first + 5])
    assert np.array_equal(actions[:, 0, -2:], columns["action"][first + 4])


def test_a_killed_import_goes_on_where_it_was(tmp_path, monkeypatch):
    def kill(done, total):
        seen.append((done, total))
        if len(seen) == 2:
            raise KeyboardInterrupt

    seen = []
    path = written(tmp_path / "two.h5.zst", content([3] * 110))
    source = asked(path, episodes=100, held_out=4)
    with pytest.raises(KeyboardInterrupt):
        import_episodes(source, tmp_path / "data", parts=tmp_path / "work", progress=kill)
    assert seen == [(32, 100), (64, 100)]
    assert not (tmp_path / "data" / "episodes.arrow").exists()
    read, pictures = [], SourceFile.pictures
    monkeypatch.setattr(SourceFile, "pictures", lambda *all: (read.append(len(all[1])), pictures(*all)))
    monkeypatch.setattr(_source_file, "_next", None)  # nor is it unpacked again
    import_episodes(source, tmp_path / "data", parts=tmp_path / "work", progress=lambda *now: seen.append(now))
    assert seen[2:] == [(96, 100), (100, 100)]
    assert read == [64, 96, 12]  # for the note, and the two parts that lacked
    monkeypatch.undo()
    whole, _ = imported(path, tmp_path / "whole", episodes=100, held_out=4)
    assert whole.read_bytes() == (tmp_path / "data" / "episodes.arrow").read_bytes()


@pytest.mark.parametrize("change", [{"seed": 1}, {"size": 8}, {"episodes": 34}, {"options": {"agent_color": "blue"}}])
def test_parts_of_another_source_are_not_taken(change, tmp_path):
    def kill(done, total):
        raise KeyboardInterrupt

    path = written(tmp_path / "two.h5", content([3] * 50))
    with pytest.raises(KeyboardInterrupt):
        import_episodes(asked(path, episodes=40), tmp_path, parts=tmp_path / "one" / "work", progress=kill)
    changes = {"episodes": 40, **change}
    assert imported(path, tmp_path / "one", **changes)[0].read_bytes() == (
        imported(path, tmp_path / "two", **changes)[0].read_bytes()
    )


def test_memory_does_not_grow_with_the_file(tmp_path, monkeypatch):
    path = written(tmp_path / "two.h5", content([40] * 40, size=64))
    monkeypatch.setattr(_recording, "_BATCH_BYTES", 2**20)
    monkeypatch.setattr(_source_file, "_READ_BYTES", 2**20)
    source = asked(path, episodes=36, size=64)
    tracemalloc.start()
    import_episodes(source, tmp_path, parts=tmp_path / "work")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert path.stat().st_size > 19e6
    assert peak < 6e6


def test_little_memory_gives_the_same_frames(tmp_path, monkeypatch):
    path = written(tmp_path / "two.h5")
    _, one = imported(path, tmp_path / "one", size=8)
    monkeypatch.setattr(_recording, "_BATCH_BYTES", 11 * 3 * 8 * 8)
    monkeypatch.setattr(_source_file, "_READ_BYTES", 1)
    _, two = imported(path, tmp_path / "two", size=8)
    rows = np.arange(one.rows)
    assert np.array_equal(one.pixels(rows), two.pixels(rows))


def without(name):
    return lambda columns: {key: values for key, values in columns.items() if key != name}


def with_(name, change):
    return lambda columns: columns | {name: change(columns[name])}


WRONG = {
    "no proprio": (without("proprio"), "no column proprio; there are: action, ep_len, ep_offset, pixels, reward"),
    "no pixels": (without("pixels"), "no column pixels; there are: action, "),
    "no ep_len": (without("ep_len"), "no column ep_len; there are: action, "),
    "only ep_len": (lambda columns: {"ep_len": columns["ep_len"]}, "no columns ep_offset, pixels, action, proprio;"),
    "wide action": (
        with_("action", lambda a: np.repeat(a, 2, 1)),
        "an action of two_room is 2 numbers, .* float32 .81, 4",
    ),
    "flat action": (with_("action", lambda a: a[:, 0]), "an action of two_room is 2 numbers, column action is float32"),
    "words": (with_("action", lambda a: np.full(a.shape, b"up")), r"column action is \|S2"),
    "infinite": (with_("action", lambda a: a / 0), "column action holds numbers beyond all measure"),
    "one state": (
        with_("proprio", lambda p: p[:, :1]),
        r"columns proprio give states \(\d+, 1\), not \(\d+, 2\)",
    ),
    "flat state": (with_("proprio", lambda p: p[:, 0]), "columns proprio are not those of two_room"),
    "nan state": (with_("proprio", lambda p: p * np.nan), "columns proprio hold numbers that are missing"),
    "floats": (with_("pixels", lambda p: p / 255), r"pixels must be uint8 \(N, side, side, 3\) .* they are float64"),
    "oblong": (with_("pixels", lambda p: p[:, :-1]), r"pixels must be uint8 .*, they are uint8 \(81, 15, 16, 3\)"),
    "grey": (with_("pixels", lambda p: p[..., 0]), r"they are uint8 \(81, 16, 16\)"),
    "four channels": (with_("pixels", lambda p: np.repeat(p, 2, 3)[..., :4]), r"they are uint8 \(81, 16, 16, 4\)"),
    "rows lack": (with_("proprio", lambda p: p[:-1]), "ep_len adds up to 81 rows, but column proprio has 80"),
    "rows left": (with_("ep_len", lambda n: n - (n == 20)), "ep_offset and ep_len contradict each other"),
    "overlap": (with_("ep_offset", lambda s: s - (s > 20)), "ep_offset and ep_len contradict each other"),
    "negative": (with_("ep_len", lambda n: -n), "ep_offset and ep_len contradict each other"),
    "more offsets": (with_("ep_offset", lambda s: s[:-1]), r"ep_offset int64 \(10,\) and ep_len int32 \(11,\) do not"),
    "real lengths": (with_("ep_len", lambda n: n / 1), "ep_offset int64 .* and ep_len float64 .* do not match"),
}


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize("wrong", WRONG)
def test_a_file_that_does_not_fit_is_refused_by_name_before_any_pixel_is_read(wrong, tmp_path, monkeypatch):
    change, message = WRONG[wrong]
    monkeypatch.setattr(SourceFile, "pictures", None)
    path = written(tmp_path / "two.h5", change(content()))
    with pytest.raises(ValueError, match=rf"^{path}: .*{message}"):
        imported(path, tmp_path / "data")
    assert not list((tmp_path / "data" / "work").iterdir())
    assert not (tmp_path / "data" / "episodes.arrow").exists()


@pytest.mark.parametrize("change", [{"episodes": 6}, {"held_out": 3}])
def test_too_few_episodes_are_refused_with_their_number_and_the_settings_to_lower(change, tmp_path):
    path = written(tmp_path / "two.h5")
    with pytest.raises(ValueError, match=rf"^{path}: 9 episodes of 2 rows .*lower data.episodes or data.held_out"):
        imported(path, tmp_path / "data", **change)


@layouts
def test_a_damaged_file_is_refused_by_name_or_gives_whole_episodes(layout, tmp_path):
    name = "two.h5.zst" if layout == "packed" else "two.h5"
    path = written(tmp_path / name, **LAYOUTS[layout])
    good, rng = path.read_bytes(), np.random.default_rng(0)
    refused = 0
    for trial in range(40):
        damaged = bytearray(good)
        if trial < 20:
            del damaged[int(len(good) * trial / 20) :]
        else:
            start = int(rng.integers(len(good)))
            damaged[start : start + 500] = rng.bytes(500)
        path.write_bytes(damaged)
        try:
            assert imported(path, tmp_path / "data")[1].metadata["episodes"] == 5
        except ValueError as error:
            refused += str(path) in str(error)
    assert refused >= 20


def test_what_is_no_hdf5_is_refused_by_name(tmp_path):
    for name in ("words.h5", "words.h5.zst"):
        (tmp_path / name).write_text("Entry not found")
        with pytest.raises(ValueError, match=f"{name} is damaged or not HDF5"):
            imported(tmp_path / name, tmp_path / "data")


def test_a_file_that_has_changed_since_is_refused(tmp_path):
    path = written(tmp_path / "two.h5")
    source = asked(path)
    written(path, content(seed=1))
    with pytest.raises(ValueError, match=rf"{path} has changed: its fingerprint is {fingerprint(path)}, not"):
        import_episodes(source, tmp_path, parts=tmp_path / "work")


def test_a_world_without_a_public_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="single_dot: there is no public file to import for this world"):
        imported(written(tmp_path / "two.h5"), tmp_path / "data", world="single_dot")


@pytest.mark.parametrize("package", ["h5py", "hdf5plugin"])
def test_a_missing_package_is_named(package, tmp_path, monkeypatch):
    path = written(tmp_path / "two.h5")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f"pip install {package}"):
        imported(path, tmp_path / "data")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split": "training"}, "unknown split 'training'"),
        ({"episodes": 0}, "at least 1, got 0 and 2"),
        ({"held_out": 0}, "at least 1, got 5 and 0"),
        ({"size": 4}, "at least 8 pixels"),
        ({"options": {"agent_colour": "red"}}, "did you mean 'agent_color'"),
    ],
)
def test_a_source_that_cannot_be_is_refused(change, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        imported(written(tmp_path / "two.h5"), tmp_path / "data", **change)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Where fingerprints are remembered."""
    monkeypatch.setenv("WM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "fingerprints"


def test_a_fingerprint_is_of_the_whole_content_and_not_of_the_name(tmp_path, cache):
    one, two = tmp_path / "one", tmp_path / "two"
    whole = np.random.default_rng(0).bytes(300_000)
    one.write_bytes(whole)
    two.write_bytes(whole)
    assert fingerprint(one) == fingerprint(two)
    assert len(fingerprint(one)) == 16
    changed = [whole[:-1], whole + b"\0", *(whole[:at] + b"?" + whole[at + 1 :] for at in (0, 150_001, 299_999))]
    for time, other in enumerate(changed):
        two.write_bytes(other)
        os.utime(two, (time, time))  # writes within a clock's tick look alike
        assert fingerprint(one) != fingerprint(two)


def test_a_file_that_stays_as_it_is_is_read_once(tmp_path, cache, monkeypatch):
    path, reads = tmp_path / "file", []
    path.write_bytes(b"content")
    monkeypatch.setattr(_source_file, "file_hash", lambda path: reads.append(path) or file_hash(path))
    assert fingerprint(path) == fingerprint(path) == file_hash(path)
    assert reads == [path]
    (next(cache.iterdir())).write_text("half")
    assert fingerprint(path) == file_hash(path)
    os.utime(path, (1, 1))
    assert fingerprint(path) == file_hash(path)
    assert len(reads) == 3


def test_what_cannot_be_read_as_a_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="aaa cannot be read: File name too long"):
        fingerprint(tmp_path / ("a" * 300))
    with pytest.raises(ValueError, match=r"/proc/self/mem cannot be read: Input/output error"):
        fingerprint("/proc/self/mem")


def test_no_file_or_a_folder_has_no_fingerprint(tmp_path):
    with pytest.raises(ValueError, match=f"there is no file {tmp_path / 'absent.h5'}"):
        fingerprint(tmp_path / "absent.h5")
    with pytest.raises(ValueError, match=f"{tmp_path} is a folder, not a file"):
        fingerprint(Path(tmp_path))
