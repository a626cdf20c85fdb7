"""The store in object storage: whole entries only, made once among nodes that share nothing else, and resumed there.

A node is a mirror of its own; the storage is moto's S3 behind HTTP on this machine.
"""

from __future__ import annotations

import errno
import hashlib
import json
import pickle
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from trainables import ids, pipeline, training
from trainables._objects import Objects
from trainables.files import read_json
from trainables.measures._trained import Stored, Trained
from trainables.remote import RemoteStore, existing_store, open_store
from trainables.store import PassingError, Store, StoreError

KEY = "train/ff00aa"
CONTENT = {"model.bin": bytes(range(256)) * 20, "history/steps.json": b'{"loss": [1, 2]}'}
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def node(uri, tmp_path):
    """The function that gives a store of the node with that name."""
    return lambda name="a", **options: RemoteStore(uri, tmp_path / name, **{"poll": 0.02, **options})


def fill(folder, content=CONTENT):
    for name, data in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def put(store, key=KEY, content=CONTENT):
    return store.put(key, fill(store.work(key), content))


def contents(folder):
    return {name: (folder / name).read_bytes() for name in CONTENT}


def objects(store, folder):
    return store._objects.names(folder)


def spoil(store, file):
    """Change the object of a file of KEY."""
    name = next(name for name in objects(store, KEY) if name.endswith(file))
    store._objects.write(name, store._objects.read(name)[:-1] + b"!")


def spawn(uri, mirror, code):
    head = f"import time; from trainables.remote import *; s = RemoteStore({uri!r}, {str(mirror)!r}, poll=0.02)\n"
    return subprocess.Popen([sys.executable, "-c", head + code], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)


# --- entries


def test_what_one_node_puts_another_gets(node):
    a, b = node("a"), node("b")
    assert b.get(KEY) is None
    folder = put(a)
    assert folder == a.get(KEY) == a.root / KEY
    assert b.get(KEY) == b.root / KEY
    assert contents(b.get(KEY)) == CONTENT
    assert not list((b.root / "work" / ".get").iterdir())


def test_the_first_valid_entry_wins_everywhere(node):
    a, b = node("a"), node("b")
    put(a)
    other = fill(b.work(KEY), {"model.bin": b"other"})
    assert contents(b.put(KEY, other)) == CONTENT
    assert not other.exists()
    assert len(objects(a, KEY)) == 1 + len(CONTENT)
    assert objects(a, "quarantine") == []


@pytest.mark.parametrize("kind", ["local", "remote"])
def test_keys_size_documents_and_entries_below_entries(kind, node, tmp_path):
    store = Store(tmp_path / "local") if kind == "local" else node()
    put(store)
    put(store, f"{KEY}/measures/a", {"values.json": b'{"x": 1}'})
    put(store, "data/01", {"sub/manifest.json": b"{}"})
    fill(store.work("data/02"))
    assert store.keys() == ["data/01", KEY, f"{KEY}/measures/a"]
    assert store.keys("train/") == [KEY, f"{KEY}/measures/a"]
    assert store.size() == sum(map(len, CONTENT.values())) + 8 + 2
    assert store.document(KEY, "history/steps.json") == {"loss": [1, 2]}
    assert store.documents([(f"{KEY}/measures/a", "values.json"), ("data/03", "x.json")]) == [{"x": 1}, None]


def test_a_document_comes_alone_and_once(node, monkeypatch):
    put(node("a"))
    b = node("b")
    assert b.document(KEY, "history/steps.json") == {"loss": [1, 2]}
    assert not (b.root / KEY).exists() and not list(b.root.rglob("model.bin"))
    monkeypatch.setattr(Objects, "download", None)
    monkeypatch.setattr(Objects, "read", None)
    assert node("b", writable=False).document(KEY, "history/steps.json") == {"loss": [1, 2]}


def test_symbolic_links_and_keys_that_lead_elsewhere_are_refused(node, tmp_path):
    store = node()
    (fill(store.work(KEY)) / "link").symlink_to(tmp_path)
    with pytest.raises(StoreError, match="symbolic links"):
        store.put(KEY, store.work(KEY))
    for key in ("../x", "a/../../x", "/etc", "work/x", "a//b", "s3://bucket/x"):
        for call in (store.get, store.work, store.lease, store.read, store.lines, store.save_work):
            with pytest.raises(StoreError, match="not a valid key"):
                call(key)
    with pytest.raises(StoreError, match="not a valid key"):
        store.report("../x")


@pytest.mark.parametrize(
    ("error", "kind"),
    [(ConnectionError("reset"), PassingError), (OSError(errno.ENOSPC, "No space left on device"), StoreError)],
)
def test_storage_that_does_not_answer_may_do_so_later_and_a_full_disk_will_not(error, kind, node, monkeypatch):
    store = node()

    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(store._objects._fs, "get_file", fail)
    with pytest.raises(StoreError, match="cannot be read") as failed:
        store._objects.download("x", store.root / "x")
    assert failed.type is kind


def test_nothing_is_downloaded_through_a_link(node, tmp_path):
    put(node("a"))
    other, outside = node("b"), tmp_path / "outside"
    folder = other.root / "work" / ".parts" / KEY
    folder.mkdir(parents=True)
    outside.mkdir()
    (folder / "history").symlink_to(outside)
    with pytest.raises(StoreError, match="by a symbolic link"):
        other.document(KEY, "history/steps.json")
    assert list(outside.iterdir()) == []


# --- damage


@pytest.mark.parametrize("file", [*CONTENT, "manifest.json"])
def test_a_damaged_object_is_set_aside_and_can_be_made_again(node, caplog, file):
    put(node("a"))
    b = node("b")
    spoil(b, file)
    assert b.get(KEY) is None
    assert "set aside" in caplog.text and file in caplog.text
    assert any(name.endswith(file) for name in objects(b, "quarantine"))
    assert contents(put(b)) == CONTENT == contents(node("c").get(KEY))


def test_a_missing_object_and_a_damaged_document_make_the_entry_nothing(node):
    a = put(node("a")) and node("a")
    a._objects.remove(name for name in objects(a, KEY) if name.endswith("model.bin"))
    assert node("b").document(KEY, "history/steps.json")
    assert node("b").get(KEY) is None
    put(node("c"))
    spoil(a, "steps.json")
    assert node("d").document(KEY, "history/steps.json") is None


def test_a_manifest_that_names_a_file_elsewhere_is_not_followed(node, tmp_path):
    a, files = node("a"), {"../../evil": [1, "0123456789abcdef"]}
    seal = hashlib.blake2b(json.dumps([KEY, files], sort_keys=True).encode(), digest_size=32).hexdigest()
    manifest = {"key": KEY, "files": files, "seal": seal}
    a._objects.write(f"{KEY}/manifest.json", json.dumps(manifest).encode())
    a._objects.write(f"{KEY}/0123456789abcdef/../../evil", b"1")
    assert node("b").get(KEY) is None
    assert not list(tmp_path.rglob("evil"))


# --- sudden death


class Died(BaseException):
    """What a killed process leaves behind is what was there when this was raised."""


def failing(monkeypatch, step):
    """The `step`-th request that changes anything is never made."""
    seen = 0

    def before(real):
        def call(*arguments):
            nonlocal seen
            seen += 1
            if seen == step:
                raise Died
            return real(*arguments)

        return call

    for name in ("write", "create", "upload", "copy"):
        monkeypatch.setattr(Objects, name, before(getattr(Objects, name)))


def test_a_put_that_dies_between_any_two_requests_leaves_all_or_nothing(uri, tmp_path):
    step, died = 0, True
    while died:
        step += 1
        place = f"{uri}/{step}"
        a = RemoteStore(place, tmp_path / f"a{step}")
        work = fill(a.work(KEY))
        with pytest.MonkeyPatch.context() as patch:
            failing(patch, step)
            try:
                a.put(KEY, work)
                died = False
            except Died:
                assert contents(work) == CONTENT
        b = RemoteStore(place, tmp_path / f"b{step}")
        assert (b.get(KEY) is None) == died and (b.keys() == []) == died
        assert contents(put(b)) == CONTENT == contents(a.get(KEY))
        assert len(objects(b, KEY)) == 1 + len(CONTENT)
    assert step == 4


# --- leases


def test_processes_on_two_nodes_make_a_thing_once(uri, tmp_path):
    code = f"""
with s.lease({KEY!r}):
    if s.get({KEY!r}) is None:
        (s.work({KEY!r}) / "made").write_text("x")
        time.sleep(0.3)
        s.put({KEY!r}, s.work({KEY!r}))
        print("made", flush=True)
"""
    racers = [spawn(uri, tmp_path / name, code) for name in "ab"]
    assert sorted(racer.communicate(timeout=60)[0] for racer in racers) == ["", "made\n"]
    assert [racer.returncode for racer in racers] == [0, 0]
    assert [name for name in RemoteStore(uri, tmp_path / "a")._objects.names("leases") if "train" in name] == []


def taking(store):
    """Take and release the lease in a thread; the event says when it was ours."""

    def take():
        with store.lease(KEY):
            taken.set()

    taken = threading.Event()
    threading.Thread(target=take, daemon=True).start()
    return taken


def test_a_living_owner_is_waited_for_and_its_heart_beats(node):
    a, b = node("a", stale=0.5), node("b", stale=0.5)
    with a.lease(KEY):
        taken = taking(b)
        assert not taken.wait(1.5)
    assert taken.wait(10)


def leave_lease(store):
    """The lease of an owner of that node who died."""
    store._objects.write("leases/train~ff00aa", json.dumps(_owner(store)).encode())


def _owner(store):
    return {"node": store._shared._node, "token": "gone", "pid": 1, "host": "elsewhere"}


def test_a_dead_owners_lease_falls_at_once_on_its_node_and_when_stale_on_another(node):
    a, b = node("a"), node("b", stale=0.3)
    leave_lease(a)
    with a.lease(KEY):
        pass
    leave_lease(a)
    began = time.monotonic()
    assert taking(b).wait(10)
    assert time.monotonic() - began >= 0.3


def test_a_lease_lost_to_another_is_neither_renewed_nor_given_back(node, caplog):
    a = node("a", stale=0.12)
    with a.lease(KEY):
        end = time.monotonic() + 10
        while "taken over by another" not in caplog.text and time.monotonic() < end:
            leave_lease(a)  # again, for a heartbeat may have been on its way
            time.sleep(0.1)
    assert "taken over by another" in caplog.text
    assert json.loads(a._objects.read("leases/train~ff00aa"))["token"] == "gone"


def test_a_thread_that_asks_twice_is_an_error(node):
    store = node()
    with store.lease(KEY), pytest.raises(RuntimeError, match="already holds"), store.lease(KEY):
        pass


def test_an_answer_that_gets_lost_makes_neither_a_second_line_nor_a_wait(node, monkeypatch):
    """The storage's client asks again, and then finds what it has made itself."""
    real = Objects.create
    monkeypatch.setattr(Objects, "create", lambda *arguments: real(*arguments) and False)
    store = node(writable=False)
    store.append("searches/s", 0, {"n": 1})
    with store.lease(KEY):
        pass
    assert store.lines("searches/s") == [{"n": 1}]


# --- unfinished work, notes and reports


def test_saved_work_comes_back_on_another_node_and_goes_when_dropped(node):
    a, b = node("a"), node("b")
    fill(a.work(KEY), {"state-1.bin": b"1", "state.json": b"1", "ray/.hidden": b"x", ".part": b"x"})
    a.save_work(KEY)
    (a.work(KEY) / "state-1.bin").unlink()
    fill(a.work(KEY), {"state-2.bin": b"2", "state.json": b"2"})
    a.save_work(KEY)
    fill(b.work(KEY), {"state.json": b"older", "unsaved": b"1", ".own": b"kept", "measures/a/x": b"another's"})
    b.restore_work(KEY)
    found = {file.name: file.read_bytes() for file in b.work(KEY).glob("*") if file.is_file()}
    del found["manifest.json"]
    assert found == {"state-2.bin": b"2", "state.json": b"2", ".own": b"kept"}
    assert (b.work(KEY) / "measures/a/x").exists()
    b.drop_work(KEY)
    assert objects(a, "work") == [] and not (b.root / "work" / KEY).exists()
    c = node("c")
    c.restore_work(KEY)
    assert list(c.work(KEY).iterdir()) == []


def test_a_save_that_dies_leaves_the_one_before_and_damaged_work_is_not_used(node, monkeypatch, caplog):
    a = node("a")
    fill(a.work(KEY), {"state.json": b"1"})
    a.save_work(KEY)
    fill(a.work(KEY), {"state.json": b"2"})
    with pytest.MonkeyPatch.context() as patch:
        failing(patch, 2)
        with pytest.raises(Died):
            a.save_work(KEY)
    b = node("b")
    b.restore_work(KEY)
    assert (b.work(KEY) / "state.json").read_bytes() == b"1"
    for name in objects(a, "work"):
        a._objects.write(name, b"{}")
    c = node("c")
    c.restore_work(KEY)
    assert list(c.work(KEY).iterdir()) == [] and "is not used" in caplog.text


@pytest.mark.parametrize("kind", ["local", "remote"])
def test_notes_are_replaced_and_journals_grow(kind, node, tmp_path):
    store = Store(tmp_path / "local") if kind == "local" else node()
    assert store.read("studies/a") is None and store.lines("searches/s") == []
    store.write("studies/a", {"state": "unfinished"})
    store.write("studies/a", {"state": "complete"})
    for number in range(12):
        store.append("searches/s", number, {"n": number})
    again = Store(tmp_path / "local") if kind == "local" else node("b")
    again.append("searches/s", 12, {"n": 0})
    with pytest.raises(StoreError, match="searches/s has 13 lines where 12 were expected: another process"):
        store.append("searches/s", 12, {"n": 12})
    assert again.lines("searches/s") == [{"n": number} for number in [*range(12), 0]]
    assert again.read("studies/a") == {"state": "complete"}
    assert store.notes() == ["searches/s", "studies/a"] and store.notes("studies/") == ["studies/a"]
    store.forget("studies/a")
    store.forget("studies/a")
    assert again.read("studies/a") is None and store.keys() == []
    with pytest.raises(ValueError, match="JSON compliant"):
        store.write("studies/a", float("nan"))


def test_a_damaged_note_is_named(node):
    store = node()
    store._objects.write("notes/studies/a.json", b"{")
    with pytest.raises(ValueError, match=r"s3://.*studies/a\.json is not valid JSON"):
        store.read("studies/a")


def test_a_published_report_is_found_on_another_node(node, tmp_path):
    a, b = node("a"), node("b")
    fill(a.report("study"), {"table.md": b"table", "figures/a.svg": b"<svg/>"})
    a.publish("study")
    a._objects.write("reports/study/../../../evil", b"1")
    assert (b.report("study") / "figures/a.svg").read_bytes() == b"<svg/>"
    assert (b.report("study") / "table.md").read_bytes() == b"table" and not list(tmp_path.rglob("evil"))


# --- trials


def test_a_trial_of_one_node_is_done_and_the_same_on_another(node, tiny):
    config = tiny("smwm")
    a, b = node("a"), node("b")
    record = pipeline.run_trial(config, a)
    assert pipeline.state(config, b) == "done"
    assert pipeline.record_part(config, b) == record
    assert pipeline.history(config, b) == pipeline.history(config, a)
    assert not list(b.root.rglob("*.safetensors")), "to look at a trial takes its numbers only"
    assert objects(b, "work") == [] and [name for name in objects(b, "leases") if "~" in name] == []
    other = tiny("smwm", measures__probe_r2__fit=150)
    assert pipeline.run_trial(other, b, train=untouched)["measures"]["probe_r2"] is not None


def test_a_planning_actor_on_another_node_gets_what_it_needs_from_the_store(uri, tiny, data, monkeypatch, tmp_path):
    config = tiny("smwm", optim__steps=3)
    keys = {split: ids.data_key(config, split) for split in ("train", "test")}
    monkeypatch.setenv("WM_CACHE", str(tmp_path / "a"))
    a = open_store(uri)
    for split, key in keys.items():
        a.put(key, shutil.copytree(data(config)[split], a.work(key), dirs_exist_ok=True))
    train(config, a, data(config))
    folders = {split: a.get(key) for split, key in keys.items()}
    key = ids.train_key(config)
    sent = pickle.dumps(Trained(a.get(key), folders, Stored(uri, key, keys)))
    assert pickle.loads(sent).folder == a.get(key)
    a.root.rename(tmp_path / "gone")
    received = pickle.loads(sent)
    assert received.result["steps"] == 3 and received.model and len(received.episodes("test").length) == 6
    a.root.rename(tmp_path / "gone too")
    a._objects.remove(objects(a, key))
    with pytest.raises(StoreError, match=f"has lost {key}"):
        pickle.loads(sent)


def untouched(*_):
    raise AssertionError("this was trained again")


def train(config, store, data, tell=lambda event: None):
    return read_json(pipeline._ensure_checkpoint(config, store, data, tell, None, None) / "result.json")


def test_training_goes_on_from_the_last_checkpoint_when_its_node_is_gone(node, tiny, data, monkeypatch, tmp_path):
    config = tiny("smwm", optim__steps=30)
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)

    def dies(event):
        if event.get("step") == 20:
            raise Died

    with pytest.raises(Died):
        train(config, node("a"), data(config), dies)
    steps = []
    result = train(config, node("b"), data(config), lambda event: steps.append(event["step"]))
    assert steps[0] == 20  # the checkpoint of step 19 was the last
    assert result["trace"] == train(config, Store(tmp_path / "local"), data(config))["trace"]


def test_what_workers_on_another_node_train_is_the_trials(node, tiny, data):
    """As Ray Train's workers do it."""
    config, a, b = tiny("smwm", optim__steps=3), node("a"), node("b")
    key = ids.train_key(config)

    def elsewhere(config, data, work, out, progress, watch, saved):
        b.restore_work(key)
        there = b.work(key) / out.name
        there.mkdir()
        training.train(config, data, there.parent, there, progress, watch, pipeline.saver(b, key))
        b.save_work(key)
        a.restore_work(key)

    folder = pipeline._ensure_checkpoint(config, a, data(config), print, elsewhere, None)
    assert read_json(folder / "result.json")["steps"] == 3
    assert node("c").get(key) and objects(a, "work") == []


def test_a_checkpoint_that_cannot_be_saved_does_not_end_the_training(node, tiny, data, monkeypatch, caplog):
    def away(*_):
        raise StoreError("the storage is away")

    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(RemoteStore, "save_work", away)
    config = tiny("smwm", optim__steps=3)
    assert train(config, node(), data(config))["status"] == "ok"
    assert "on this node alone: the storage is away" in caplog.text


# --- places


def test_a_uri_opens_the_store_it_names(uri, tmp_path, monkeypatch):
    monkeypatch.setenv("WM_CACHE", str(tmp_path / "cache"))
    assert type(open_store(str(tmp_path))) is Store
    assert open_store(f"file://{tmp_path}/with%20space").root == tmp_path / "with space"
    assert open_store(open_store(tmp_path).uri).root == tmp_path
    assert existing_store(tmp_path / "none") is None and existing_store(uri) is None
    store = open_store(uri + "/")
    assert store.uri == uri and store.root.parent == tmp_path / "cache"
    assert existing_store(uri).root == open_store(store.uri).root
    assert open_store(uri + "x").root != store.root


SECRET = "hunter2"


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        (f"s3://user:{SECRET}@bucket/x", "from the environment"),
        (f"s3://bucket/x?secret={SECRET}", "from the environment"),
        ("s3://", "not of the form"),
        ("s3:/bucket/x", "not of the form"),
        ("s3://bucket/../other", "not of the form"),
        ("s3://bucket//x", "not of the form"),
        ("ftp://host/x", "not of the form s3://BUCKET/PREFIX"),
        ("file://host/x", "three slashes"),
    ],
)
def test_a_uri_that_cannot_be_is_refused_without_its_secrets(uri, message):
    for opened in (open_store, existing_store):
        with pytest.raises(StoreError, match=message) as refused:
            opened(uri)
        assert SECRET not in str(refused.value)


def test_storage_that_is_not_there_is_one_line_with_its_uri(storage, tmp_path, monkeypatch):
    monkeypatch.setenv("WM_CACHE", str(tmp_path / "cache"))
    for opened in (open_store, existing_store):
        with pytest.raises(StoreError, match=r"^the store s3://no-such-bucket/x cannot be .*[^\n]*$"):
            opened("s3://no-such-bucket/x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StoreError, match=r"^the store s3://bucket/x cannot be written: Could not connect"):
        open_store("s3://bucket/x")
    assert not (tmp_path / "cache").exists()


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(StoreError, match="gs://bucket/x needs the package gcsfs: pip install gcsfs"):
        open_store("gs://bucket/x")


def test_storage_that_ignores_conditions_is_refused(node, monkeypatch):
    monkeypatch.setattr(Objects, "create", lambda *_: True)
    with pytest.raises(StoreError, match="conditional writes"):
        node()


def test_opening_a_store_in_a_folder_loads_no_storage_package():
    code = "import sys; from trainables.remote import open_store; print(sorted({'fsspec', 'torch'} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert said.stdout == "[]\n"
