"""The store keeps whole entries only, whatever dies or is damaged, and lets one process at a time make a thing."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables import _lease
from trainables._lease import FileLeases
from trainables.files import read_json, write_json
from trainables.store import Store, StoreError

KEY = "train/ff00aa"
CONTENT = {"model.bin": bytes(range(256)) * 20, "history/steps.json": b'{"loss": [1, 2]}'}
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store", poll=0.01)


def fill(folder, content=CONTENT):
    for name, data in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def put(store, key=KEY, content=CONTENT):
    return store.put(key, fill(store.work(key), content))


def contents(folder):
    return {name: (folder / name).read_bytes() for name in CONTENT}


def spawn(root, code):
    """A python process with `store` at hand that runs `code`; it says what it prints, line by line."""
    head = f"import os, time; from trainables.store import Store; store = Store({str(root)!r}, poll=0.01)\n"
    return subprocess.Popen([sys.executable, "-c", head + code], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)


HOLD = f"with store.lease({KEY!r}): print('held', flush=True); time.sleep(60)"


# --- entries


def test_what_is_put_is_got_back_with_the_same_bytes(store):
    assert store.get(KEY) is None
    folder = put(store)
    assert store.get(KEY) == folder == store.root / KEY
    assert contents(folder) == CONTENT


def test_put_takes_the_folder_away_and_the_first_valid_entry_wins(store):
    put(store)
    second = fill(store.work(KEY), {"model.bin": b"other"})
    assert contents(store.put(KEY, second)) == CONTENT
    assert not second.exists()
    assert list((store.root / "quarantine").iterdir()) == []


def test_an_entry_may_live_below_another_and_does_not_change_its_manifest(store):
    put(store)
    before = (store.root / KEY / "manifest.json").read_bytes()
    below = put(store, f"{KEY}/measures/success_rate-0a1b")
    assert store.get(f"{KEY}/measures/success_rate-0a1b") == below
    assert Store(store.root).get(KEY) == store.root / KEY
    assert (store.root / KEY / "manifest.json").read_bytes() == before


def test_a_measures_folder_is_left_out_of_the_manifest(store):
    folder = fill(store.work(KEY), CONTENT | {"measures/a/row.json": b"1"})
    stored = store.put(KEY, folder)
    assert set(read_json(stored / "manifest.json")["files"]) == set(CONTENT)
    (stored / "measures/a/row.json").write_bytes(b"2")
    assert store.get(KEY) == stored


def test_keys_and_size_count_the_entries_and_nothing_else(store):
    put(store)
    put(store, f"{KEY}/measures/a")
    put(store, "data/01", {"episodes.arrow": b"12345"})
    copied = (store.root / "data/01/manifest.json").read_bytes()
    put(store, "data/02", {"sub/manifest.json": copied})
    fill(store.work("data/03"))
    (store.root / "data/04").mkdir()
    size = sum(map(len, CONTENT.values()))
    assert store.keys() == ["data/01", "data/02", KEY, f"{KEY}/measures/a"]
    assert store.keys("data/") == ["data/01", "data/02"]
    assert store.size() == 2 * size + 5 + len(copied)


def test_a_folder_without_a_manifest_does_not_exist_and_gives_way_to_a_new_entry(store):
    fill(store.root / KEY)
    assert store.get(KEY) is None
    assert contents(put(store)) == CONTENT
    assert len(list((store.root / "quarantine").iterdir())) == 1


def test_a_file_that_lies_where_an_entry_should_gives_way(store):
    (store.root / "train").mkdir()
    (store.root / KEY).write_bytes(b"in the way")
    assert store.get(KEY) is None
    assert contents(put(store)) == CONTENT


@pytest.mark.parametrize("wrong", ["missing", "a file", "the entry", "above the entry"])
def test_put_refuses_what_is_no_folder_of_its_own(store, wrong):
    put(store)
    (store.root / "file").write_bytes(b"")
    places = {"missing": "nowhere", "a file": "file", "the entry": KEY, "above the entry": "train"}
    with pytest.raises(StoreError, match="must be a folder outside"):
        store.put(KEY, store.root / places[wrong])
    assert contents(store.get(KEY)) == CONTENT


def test_put_refuses_symbolic_links_since_their_content_lies_elsewhere(store, tmp_path):
    folder = fill(store.work(KEY))
    (folder / "weights").symlink_to(tmp_path)
    with pytest.raises(StoreError, match=r"symbolic links.*weights"):
        store.put(KEY, folder)
    assert store.get(KEY) is None


# --- damage


def damage_bytes(path):
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def replace_by_folder(path):
    path.unlink()
    path.mkdir()


DAMAGES = [(name, damage) for name in CONTENT for damage in (damage_bytes, truncate, Path.unlink, replace_by_folder)]
DAMAGES += [("manifest.json", damage) for damage in (damage_bytes, truncate, replace_by_folder)]


@pytest.mark.parametrize(("name", "damage"), DAMAGES)
def test_a_damaged_entry_is_quarantined_with_a_warning_and_can_be_made_again(store, caplog, name, damage):
    folder = put(store)
    damage(folder / name)
    assert store.get(KEY) is None
    assert KEY in caplog.text
    assert name in caplog.text
    assert not folder.exists()
    assert len(list((store.root / "quarantine").iterdir())) == 1
    assert contents(put(store)) == CONTENT == contents(store.get(KEY))


def test_damage_after_a_file_was_verified_is_seen_because_its_stats_changed(store):
    folder = put(store)
    assert store.get(KEY) == folder
    damage_bytes(folder / "model.bin")
    later = time.time() + 1
    os.utime(folder / "model.bin", (later, later))
    assert store.get(KEY) is None


def test_a_verified_file_is_read_once_per_process(store, monkeypatch):
    folder = put(store)
    store.get(KEY)
    monkeypatch.setattr("hashlib.blake2b", SealOnly)
    assert store.get(KEY) == folder


class SealOnly:
    """Hashes what is given at once (a manifest's seal) and refuses to read a file in chunks."""

    real = staticmethod(hashlib.blake2b)

    def __init__(self, data=None, *, digest_size):
        assert data is not None, "a verified file was read again"
        self.state = self.real(data, digest_size=digest_size)

    def hexdigest(self):
        return self.state.hexdigest()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_flipped_byte_is_found_or_does_no_harm(tmp_path_factory, data):
    store = Store(tmp_path_factory.mktemp("flip"))
    folder = put(store)
    name = data.draw(st.sampled_from([*CONTENT, "manifest.json"]))
    raw = bytearray((folder / name).read_bytes())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    (folder / name).write_bytes(raw)
    found = store.get(KEY)
    assert found is None if name in CONTENT else found is None or contents(found) == CONTENT


def test_a_good_entry_put_while_a_bad_one_was_judged_stays(store, monkeypatch):
    put(store, content=CONTENT | {"model.bin": b"bad"})
    damage_bytes(store.root / KEY / "model.bin")

    def judged_too_late(folder, key):
        monkeypatch.undo()
        assert store.get(KEY) is None
        put(store)
        return "has changed"

    monkeypatch.setattr("trainables.store.mismatch", judged_too_late)
    assert contents(store.get(KEY)) == CONTENT


# --- keys and roots

BAD_KEYS = [
    "",
    "/",
    "/etc",
    "..",
    "../x",
    "a/../../x",
    "a//b",
    "a/",
    "./a",
    "a\\..\\b",
    "a\0b",
    "a\n",
    "work/x",
    "Leases/x",
]


@pytest.mark.parametrize("key", [*BAD_KEYS, "quarantine/x", "data/manifest.json", ".hidden", "x" * 300, "é"])
@pytest.mark.parametrize("call", ["get", "work", "lease"])
def test_a_malformed_key_is_refused_by_name(store, key, call):
    with pytest.raises(StoreError, match="not a valid key"):
        getattr(store, call)(key)


@settings(max_examples=100, deadline=None)
@given(
    st.text(max_size=30) | st.lists(st.sampled_from(["..", ".", "", "a", "work", "~", "b.c"]), max_size=5).map("/".join)
)
def test_no_key_leaves_the_root(tmp_path_factory, key):
    store = Store(tmp_path_factory.getbasetemp() / "keys")
    try:
        folder = store.work(key)
    except StoreError:
        return
    assert folder.resolve().is_relative_to(store.root / "work")
    assert store.get(key) is None


def test_a_symbolic_link_does_not_lead_out_of_the_root(store, tmp_path):
    outside = fill(tmp_path / "outside")
    (store.root / "data").symlink_to(outside)
    with pytest.raises(StoreError, match="symbolic link"):
        store.get("data/x")
    with pytest.raises(StoreError, match="symbolic link"):
        store.put("data/x", fill(store.work(KEY)))
    assert contents(outside) == CONTENT


@pytest.mark.parametrize("link", ["train", "train/ff00aa"])
def test_no_link_leads_the_unfinished_work_out_of_the_root(store, tmp_path, link):
    outside = fill(tmp_path / "outside" / "ff00aa", {"state.json": b"{}", "ff00aa/state.json": b"{}"})
    before = sorted(outside.parent.rglob("*"))
    (store.root / "work" / link).parent.mkdir(exist_ok=True)
    (store.root / "work" / link).symlink_to(outside.parent if link == "train" else outside)
    for call in (store.work, store.drop_work, lambda key: store.saved(key, "state.json")):
        with pytest.raises(StoreError, match=r"leads out of its place .* by a symbolic link"):
            call(KEY)
    assert sorted(outside.parent.rglob("*")) == before


def test_what_was_saved_is_not_read_through_a_link(store, tmp_path):
    (tmp_path / "outside.json").write_text("{}")
    (store.work(KEY) / "state.json").symlink_to(tmp_path / "outside.json")
    with pytest.raises(StoreError, match="symbolic link"):
        store.saved(KEY, "state.json")


def test_a_root_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=str(tmp_path / "file" / "store")):
        Store(tmp_path / "file" / "store")


def test_a_root_that_cannot_be_written_is_named_though_its_folders_exist(store, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match=f"{store.root} cannot be written.*No space left"):
        Store(store.root)


# --- sudden death


def killed_at(step, action):
    """Run `action` in a child that SIGKILLs itself at its `step`-th touch of the file system; whether it was killed."""
    child = os.fork()
    if child == 0:
        seen = 0

        def hook(event, _):
            nonlocal seen
            if event.startswith(("open", "os.", "shutil.", "fcntl.")):
                seen += 1
                if seen == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        action()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("situation", ["empty", "debris", "damaged", "taken"])
def test_a_put_killed_between_any_two_steps_leaves_all_or_nothing(tmp_path, situation):
    step, killed = 0, True
    while killed:
        step += 1
        store = Store(tmp_path / str(step))
        if situation == "debris":
            fill(store.root / KEY, {"half": b"written"})
        elif situation != "empty":
            put(store)
        if situation == "damaged":
            truncate(store.root / KEY / "model.bin")
        work = fill(store.work(KEY))
        killed = killed_at(step, lambda store=store, work=work: store.put(KEY, work))
        found = store.get(KEY)
        assert contents(found) == CONTENT if found else contents(work) == CONTENT
        assert contents(put(store)) == CONTENT == contents(store.get(KEY))
    assert step > 5


def test_a_lease_killed_between_any_two_steps_is_free_again(tmp_path):
    def hold(store):
        with store.lease(KEY):
            pass

    step, killed = 0, True
    while killed:
        step += 1
        store = Store(tmp_path / str(step), poll=0.01)
        killed = killed_at(step, lambda store=store: hold(store))
        hold(store)
    assert step > 5


def test_json_is_whole_whenever_its_writer_dies(tmp_path):
    path = tmp_path / "record.json"
    step, killed = 0, True
    while killed:
        step += 1
        write_json(path, {"old": 1})
        killed = killed_at(step, lambda: write_json(path, {"new": 2}))
        assert read_json(path) in ({"old": 1}, {"new": 2})
    assert read_json(path) == {"new": 2}


# --- leases


def test_racing_processes_make_a_thing_once(store):
    code = f"""
with store.lease({KEY!r}):
    if store.get({KEY!r}) is None:
        (store.work({KEY!r}) / "made").write_text(str(os.getpid()))
        time.sleep(0.1)
        store.put({KEY!r}, store.work({KEY!r}))
        print("made", flush=True)
"""
    racers = [spawn(store.root, code) for _ in range(4)]
    said = [racer.communicate(timeout=30)[0] for racer in racers]
    assert sorted(said) == ["", "", "", "made\n"]
    assert [racer.returncode for racer in racers] == [0] * 4
    assert list((store.root / "leases").glob("train*")) == []


def test_racing_puts_without_a_lease_leave_one_whole_entry(store):
    code = f"""
folder = store.work("data/mine" + str(os.getpid()))
for name in "abc":
    (folder / name).write_text(str(os.getpid()))
store.put({KEY!r}, folder)
"""
    racers = [spawn(store.root, code) for _ in range(4)]
    assert [racer.wait(timeout=30) for racer in racers] == [0] * 4
    assert len({(store.get(KEY) / name).read_text() for name in "abc"}) == 1
    assert list((store.root / "quarantine").iterdir()) == []


@pytest.mark.parametrize("reaped", [True, False])
def test_the_lease_of_a_killed_process_is_taken_over_at_once(store, reaped):
    owner = spawn(store.root, HOLD)
    assert owner.stdout.readline() == "held\n"
    owner.kill()
    if reaped:
        owner.wait()
    with store.lease(KEY):
        assert json.loads((store.root / "leases" / "train~ff00aa").read_text())["pid"] == os.getpid()
    owner.communicate()


def test_a_living_owner_is_waited_for(store):
    owner = spawn(store.root, HOLD)
    assert owner.stdout.readline() == "held\n"
    taken = taking(store)
    assert not taken.wait(0.2)
    owner.kill()
    owner.communicate()
    assert taken.wait(10)


def taking(store):
    """Take and release the lease in a thread; the event says when it was ours."""

    def take():
        with store.lease(KEY):
            taken.set()

    taken = threading.Event()
    threading.Thread(target=take, daemon=True).start()
    return taken


def leave_lease(store, *, age=0.0, **changes):
    """A lease file as another owner would have left it, last renewed `age` seconds ago."""
    path = store.root / "leases" / "train~ff00aa"
    with store.lease(KEY):
        owner = json.loads(path.read_text())
    path.write_text(json.dumps(owner | {"token": "other", "thread": 0} | changes))
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_a_process_that_was_given_a_dead_owners_number_does_not_keep_the_lease(store):
    leave_lease(store, ticks=1)
    assert taking(store).wait(10)


def test_a_lease_that_a_clock_set_back_has_left_in_the_future_falls(store):
    leave_lease(store, host="elsewhere", age=-86400)
    assert taking(store).wait(10)


def test_a_clock_that_was_set_meanwhile_does_not_make_a_living_owner_dead(store):
    path = leave_lease(store, started=1.0, age=-86400)
    taken = taking(store)
    os.utime(path, (0.0, 0.0))
    assert not taken.wait(0.3)
    path.unlink()
    assert taken.wait(10)


def test_another_hosts_lease_holds_while_its_heart_beats_and_falls_when_it_stops(store):
    path = leave_lease(store, host="elsewhere", age=30)
    taken = taking(store)
    assert not taken.wait(0.2)
    os.utime(path, (time.time() - 61,) * 2)
    assert taken.wait(10)


@pytest.mark.parametrize("part", ["boot", "space"])
def test_another_machine_or_container_of_the_same_name_is_another_host(part, store):
    path = leave_lease(store, pid=1 << 30, age=30, **{part: 7 if part == "space" else "another"})
    taken = taking(store)
    assert not taken.wait(0.2)
    os.utime(path, (time.time() - 61,) * 2)
    assert taken.wait(10)


def test_a_lease_that_is_half_written_is_nobodys(store):
    leave_lease(store).write_text('{"host": "else')
    assert taking(store).wait(10)


def test_threads_wait_for_each_other_and_a_thread_for_itself_is_an_error(store):
    with store.lease(KEY):
        taken = taking(store)
        assert not taken.wait(0.1)
        with pytest.raises(RuntimeError, match="already holds"), store.lease(KEY):
            pass
        with store.lease("data/other"):
            pass
    assert taken.wait(10)


def test_leases_change_hands_one_process_at_a_time(tmp_path):
    store = Store(tmp_path, poll=0.01)
    with FileLeases(tmp_path / "leases", stale=60, poll=0.01).mutex():
        taken = taking(store)
        assert not taken.wait(0.2)
    assert taken.wait(10)


def test_a_lease_is_released_when_the_work_fails(store):
    with pytest.raises(KeyError), store.lease(KEY):
        raise KeyError("the work failed")
    assert list((store.root / "leases").glob("train*")) == []


def beats(path):
    os.utime(path, (0, 0))
    end = time.monotonic() + 10
    while path.stat().st_mtime == 0 and time.monotonic() < end:
        time.sleep(0.01)
    return path.stat().st_mtime > 0


def test_the_heart_beats_while_held_and_stops_with_its_thread(tmp_path):
    store = Store(tmp_path, stale=0.12)
    with store.lease(KEY):
        assert beats(tmp_path / "leases" / "train~ff00aa")
    assert not (tmp_path / "leases" / "train~ff00aa").exists()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lease")]


def test_a_lease_lost_to_another_is_neither_renewed_nor_released(tmp_path, caplog):
    store = Store(tmp_path, stale=0.12)
    path = tmp_path / "leases" / "train~ff00aa"
    with store.lease(KEY):
        owner = json.loads(path.read_text()) | {"token": "other"}
        path.write_text(json.dumps(owner))
        end = time.monotonic() + 10
        while "taken over by another" not in caplog.text and time.monotonic() < end:
            time.sleep(0.01)
    assert json.loads(path.read_text()) == owner
    assert "taken over by another" in caplog.text


def test_a_process_that_stood_still_finds_that_its_lease_was_taken_over(tmp_path, monkeypatch):
    store, path, awake = Store(tmp_path, stale=600), tmp_path / "leases" / "train~ff00aa", _lease._now()
    monkeypatch.setattr(_lease, "_now", lambda: awake)
    assert not store.holds(KEY)
    with store.lease(KEY):
        mine = json.loads(path.read_text())
        awake += 400
        assert store.holds(KEY)
        path.write_text(json.dumps(mine | {"token": "other"}))
        assert store.holds(KEY)  # not looked at: nobody takes over a lease that was renewed a moment ago
        awake += 400
        assert not store.holds(KEY)
    assert not store.holds(KEY)
    assert json.loads(path.read_text())["token"] == "other"


# --- JSON


@settings(max_examples=50, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
)
def test_json_comes_back_as_written(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "value.json"
    write_json(path, value)
    assert read_json(path) == value


def test_who_reads_json_while_it_is_replaced_reads_the_whole_old_one(tmp_path):
    write_json(tmp_path / "a.json", {"old": 1})
    with open(tmp_path / "a.json") as reader:
        write_json(tmp_path / "a.json", {"new": 2})
        assert json.load(reader) == {"old": 1}


def test_json_is_sorted_refuses_nan_and_leaves_no_pieces(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": 2})
    before = (tmp_path / "a.json").read_text()
    assert before.index('"a"') < before.index('"b"')
    for bad, error in ((float("nan"), ValueError), (float("inf"), ValueError), (object(), TypeError)):
        with pytest.raises(error):
            write_json(tmp_path / "a.json", {"x": bad})
    assert (tmp_path / "a.json").read_text() == before
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("raw", [b"", b'{"a": ', b"\xff\xfe"])
def test_damaged_json_is_named(tmp_path, raw):
    (tmp_path / "bad.json").write_bytes(raw)
    with pytest.raises(ValueError, match=r"bad\.json is not valid JSON"):
        read_json(tmp_path / "bad.json")


def test_the_store_comes_without_heavy_imports():
    code = "import sys, trainables.store; print(sorted({'torch', 'ray', 'numpy'} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert said.stdout == "[]\n"
