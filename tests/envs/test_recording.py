"""Recording in parts: the same bits whoever makes them, in whatever order, and after a kill; and their data card."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import envs
from envs import _recording
from envs._card import write_card
from envs._episodes import Episodes
from envs._recording import Recording, make_part, parts_folder, record

ASKED = Recording("two_room", "train", episodes=100, steps=6, size=16, seed=0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return record(ASKED, tmp_path_factory.mktemp("whole")).read_bytes()


def test_order_does_not_matter(whole, tmp_path):
    backwards = lambda function, items: [function(item) for item in reversed(items)]  # noqa: E731
    assert record(ASKED, tmp_path, map=backwards).read_bytes() == whole


def test_a_part_made_out_of_reach_of_the_folder_is_given_back(whole, tmp_path):
    """As on another node, which has only what is pickled to it."""
    elsewhere = tmp_path / "elsewhere"

    def map(function, items):
        recording = pickle.loads(pickle.dumps(function.args[0]))
        return [make_part(recording, elsewhere, function.args[2], item) for item in items]

    assert record(ASKED, tmp_path, map=map).read_bytes() == whole
    assert not elsewhere.exists()


def test_a_folder_of_other_parts_is_not_mistaken_for_this_one(whole, tmp_path):
    """Another node may have a folder of that name, which a driver left that was killed there."""
    folder = parts_folder(ASKED, tmp_path)
    theirs, _ = _recording.begin(ASKED, folder)
    number, content = make_part(ASKED, folder, "ours", 1)
    assert number == 1 and content is not None
    assert not list(folder.glob("*.arrow"))
    assert make_part(ASKED, folder, theirs, 1) == (1, None)
    assert record(ASKED, tmp_path).read_bytes() == whole


def test_two_recordings_into_one_folder_do_not_mix(whole, tmp_path):
    other = Recording("two_room", "test", episodes=100, steps=6, size=16, seed=0)
    alone = record(other, tmp_path / "alone").read_bytes()

    def map(function, items):
        for item in items[:2]:
            yield function(item)
        assert record(other, tmp_path).read_bytes() == alone
        for item in items[2:]:
            yield function(item)

    assert record(ASKED, tmp_path, map=map).read_bytes() == whole


def test_what_else_lies_in_the_folder_stays(tmp_path):
    kept = tmp_path / "parts" / "notes.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    record(ASKED, tmp_path)
    assert kept.read_text() == "mine"


def test_a_part_of_other_columns_is_not_joined(tmp_path):
    interrupted(ASKED, tmp_path, after=4)
    record(Recording(**{**vars(ASKED), "size": 8}), tmp_path / "other")
    shutil.copy(tmp_path / "other" / "episodes.arrow", parts_folder(ASKED, tmp_path) / "000001.arrow")
    with pytest.raises(ValueError, match="is no part of these episodes"):
        record(ASKED, tmp_path)


def interrupted(asked, folder, after):
    """Record until so many parts are made."""

    def map(function, items):
        for item in items[:after]:
            yield function(item)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record(asked, folder, map=map)


def test_what_a_killed_call_made_is_not_made_again(whole, tmp_path):
    interrupted(ASKED, tmp_path, after=2)
    assert not (tmp_path / "episodes.arrow").exists()
    made, seen = [], []

    def map(function, items):
        made.extend(items)
        return [function(item) for item in items]

    assert record(ASKED, tmp_path, map=map, progress=lambda *now: seen.append(now)).read_bytes() == whole
    assert made == [2, 3]
    assert seen == [(96, 100), (100, 100)]
    assert not list(tmp_path.glob("parts-*"))


@pytest.mark.parametrize("damage", ["cut", "empty", "unfinished"])
def test_a_part_that_is_not_whole_is_made_again(whole, tmp_path, damage):
    interrupted(ASKED, tmp_path, after=2)
    part = parts_folder(ASKED, tmp_path) / "000001.arrow"
    content = part.read_bytes()
    part.write_bytes({"cut": content[:-100], "empty": b"", "unfinished": content[: len(content) // 2]}[damage])
    assert record(ASKED, tmp_path).read_bytes() == whole


def test_parts_of_another_recording_are_not_used(whole, tmp_path):
    for change in ({"seed": 1}, {"options": {"noise": 9.0}}, {"episodes": 70}):
        interrupted(Recording(**{**vars(ASKED), **change}), tmp_path, after=2)
    assert record(ASKED, tmp_path).read_bytes() == whole


def test_options_are_recorded_and_change_the_episodes(whole, tmp_path):
    path = record(Recording(**{**vars(ASKED), "options": {"wall_color": "blue"}}), tmp_path)
    episodes = Episodes(tmp_path)
    assert path.read_bytes() != whole
    assert episodes.metadata["options"] == {"wall_color": "blue"}
    drawn = envs.load("two_room", {"wall_color": "blue"}).render(episodes.states(np.arange(50)), 16)
    assert np.array_equal(episodes.pixels(np.arange(50)), drawn)


def collect(*arguments, folder, wait=True):
    command = [sys.executable, "-m", "envs.collect", *map(str, arguments), "--folder", str(folder)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    if not wait:
        return process
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


SMALL = ("two_room", "--episodes", 300, "--size", 16, "--steps", 40)


def test_the_command_gives_the_same_hash_with_one_and_four_workers_and_after_a_kill(tmp_path):
    code, out, _ = collect(*SMALL, "--workers", 1, folder=tmp_path / "one")
    assert code == 0 and "300 episodes, 12300 frames" in out
    one = (tmp_path / "one" / "episodes.arrow").read_bytes()
    killed = collect(*SMALL, "--workers", 4, folder=tmp_path / "four", wait=False)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "four").glob("parts-*/*.arrow")) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert not (tmp_path / "four" / "episodes.arrow").exists()
    left = {part.name: part.stat().st_mtime_ns for part in (tmp_path / "four").glob("parts-*/*.arrow")}
    assert left
    code, _, err = collect(*SMALL, "--workers", 4, folder=tmp_path / "four")
    assert code == 0, err
    assert (tmp_path / "four" / "episodes.arrow").read_bytes() == one
    cards = [json.loads((tmp_path / name / "card.json").read_text()) for name in ("one", "four")]
    assert cards[0] == cards[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["two_rom"], "unknown world 'two_rom', did you mean 'two_room'?"),
        (["two_room", "--option", "nose=1"], "nose: no such option of two_room, did you mean 'noise'?"),
        (["two_room", "--option", "noise"], "'noise' is not of the form name=value"),
        (["two_room", "--option", "noise=300"], "noise: 300: Input should be less than or equal to 128"),
        (["two_room", "--split", "dev"], "unknown split 'dev'"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(tmp_path, arguments, message):
    code, out, err = collect(*arguments, folder=tmp_path / "none")
    assert (code, out) == (2, "")
    assert message in err and len(err.splitlines()) == 1
    assert not (tmp_path / "none").exists()


def test_the_command_overwrites_no_other_episodes_and_repeats_nothing(tmp_path):
    assert collect("single_dot", "--episodes", 3, "--size", 8, folder=tmp_path)[0] == 0
    before = (tmp_path / "episodes.arrow").stat().st_mtime_ns
    code, out, _ = collect("single_dot", "--episodes", 3, "--size", 8, folder=tmp_path)
    assert code == 0 and "3 episodes, 51 frames" in out
    code, _, err = collect("single_dot", "--episodes", 3, "--size", 8, "--seed", 1, folder=tmp_path)
    assert code == 1 and "holds other episodes (world=single_dot, split=train, episodes=3" in err
    assert (tmp_path / "episodes.arrow").stat().st_mtime_ns == before


def test_a_folder_that_cannot_be_written_is_said_in_a_line(tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = collect("single_dot", "--episodes", 2, "--size", 8, "--workers", 1, folder=tmp_path / "file")
    assert code == 1 and "error: " in err and "Traceback" not in err


@pytest.mark.parametrize("world", [envs.load(name) for name in envs.names()], ids=envs.names())
def test_a_card_says_what_is_in_the_file(world, tmp_path):
    record(Recording(world.name, "test", episodes=3, steps=30, size=16, seed=5), tmp_path)
    card = write_card(tmp_path)
    episodes = Episodes(tmp_path)
    states = episodes.states(np.arange(93))
    assert (card["episodes"], card["frames"], card["split"], card["seed"]) == (3, 93, "test", 5)
    assert card["steps"] == {"least": 30, "mean": 30.0, "most": 30}
    for column, name in enumerate(world.state_names):
        ranges = card["ranges"][name]
        assert [ranges["least"], ranges["most"]] == [states[:, column].min(), states[:, column].max()]
    assert card["note"] == world.data_note
    assert all(np.isfinite(value) for value in card["coverage"].values())
    assert json.loads((tmp_path / "card.json").read_text()) == card
    text = (tmp_path / "card.md").read_text()
    assert all(f"| {name} | " in text for name in (*world.state_names, *card["coverage"]))
    sheet = np.asarray(Image.open(tmp_path / "card.png"))
    assert sheet.shape == (3 * 18, 8 * 18, 3)
    assert np.array_equal(sheet[2:18, 2:18], episodes.pixels(np.array([0]))[0])
    assert np.array_equal(sheet[-16:, -16:], episodes.pixels(np.array([92]))[0])


def test_the_card_goes_by_the_whole_content(tmp_path):
    asked = {"steps": 5, "size": 16, "episodes": 2, "split": "train"}
    hashes = []
    for seed in (0, 0, 1):
        record(Recording("single_dot", seed=seed, **asked), tmp_path / str(len(hashes)))
        hashes.append(write_card(tmp_path / str(len(hashes)))["hash"])
    assert hashes[0] == hashes[1] != hashes[2]


def test_noise_follows_from_the_state_and_has_the_deviation_asked_for():
    plain, noisy = envs.load("two_room"), envs.load("two_room", {"noise": 10.0, "background": "gray"})
    grey = envs.load("two_room", {"background": "gray"})
    states = plain.sample(40, np.random.default_rng(0))
    pictures = noisy.render(states, 64)
    assert np.array_equal(pictures[7:8], noisy.render(states[7:8], 64))
    error = pictures.astype(float) - grey.render(states, 64)
    middle = (grey.render(states, 64) > 60) & (grey.render(states, 64) < 190)
    assert np.std(error[middle]) == pytest.approx(10, rel=0.03)
    assert abs(np.corrcoef(error[0][middle[0] & middle[1]], error[1][middle[0] & middle[1]])[0, 1]) < 0.05


def test_the_readme_s_folder_of_data_is_not_part_of_the_repository():
    assert "/data/" in (Path(__file__).parents[2] / ".gitignore").read_text().splitlines()
