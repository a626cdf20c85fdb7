"""Files of an entry are removed and come back: the entry is sound at every instant, on disk and in object storage."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress

import pytest

from trainables import _pruning
from trainables._manifest import MANIFEST, fingerprint, manifest
from trainables.files import write_json
from trainables.remote import RemoteStore, existing_store
from trainables.store import Store, StoreError

KEY, BELOW = "train/ff00aa", "train/ff00aa/measures/probe-01"
CONTENT = {"model.bin": bytes(range(256)) * 20, "result.json": b'{"status": "ok"}'}


@pytest.fixture(params=["local", "remote"])
def store(request, tmp_path):
    if request.param == "local":
        return Store(tmp_path / "store")
    return RemoteStore(request.getfixturevalue("uri"), tmp_path / "mirror", poll=0.02)


def put(store, key=KEY, content=CONTENT):
    work = store.work(key)
    for name, data in content.items():
        (work / name).write_bytes(data)
    return store.put(key, work)


def held(store):
    """Names of the entry's files where the store keeps them."""
    return sorted(name.rsplit("/", 1)[1] for name, _, _ in store.files() if name.startswith(f"{KEY}/"))


def test_a_pruned_entry_is_an_entry_without_those_files_and_says_so(store):
    put(store)
    assert store.prune(KEY, ["model.bin"]) == len(CONTENT["model.bin"])
    assert held(store) == [MANIFEST, "result.json"]
    assert store.get(KEY, whole=True) is None
    assert store.document(KEY, "result.json") == {"status": "ok"}
    assert list(json.loads((store.get(KEY) / MANIFEST).read_text())["pruned"]) == ["model.bin"]
    assert store.prune(KEY, ["model.bin"]) == store.prune("train/none", ["model.bin"]) == 0
    assert store.keys() == [KEY]


def test_what_was_pruned_comes_back_when_it_is_made_again_and_the_rest_stays(store):
    put(store)
    store.prune(KEY, ["model.bin"])
    put(store, content=CONTENT | {"result.json": b'{"status": "ok", "seconds": 2}'})
    folder = store.get(KEY, whole=True)
    assert {name: (folder / name).read_bytes() for name in CONTENT} == CONTENT
    assert held(store) == [MANIFEST, *CONTENT]
    assert "pruned" not in json.loads((folder / MANIFEST).read_text())


def test_what_comes_out_different_replaces_the_entry_and_all_that_was_made_from_it(store, caplog):
    put(store)
    put(store, BELOW, {"values.json": b"{}"})
    store.prune(KEY, ["model.bin"])
    put(store, content=CONTENT | {"model.bin": b"other"})
    assert (store.get(KEY, whole=True) / "model.bin").read_bytes() == b"other"
    assert store.get(BELOW) is None
    assert store.keys() == [KEY]
    aside = [name for name, _, _ in store.files() if name.startswith("quarantine/") and name.endswith("values.json")]
    assert len(aside) == 1
    assert "came out different" in caplog.text


def test_other_nodes_keep_what_they_have_and_fetch_what_came_back(uri, tmp_path):
    a, b, c = (RemoteStore(uri, tmp_path / name, poll=0.02) for name in "abc")
    put(a)
    assert b.get(KEY, whole=True)
    a.prune(KEY, ["model.bin"])
    assert b.get(KEY, whole=True)
    assert c.get(KEY)
    assert c.get(KEY, whole=True) is None
    put(a)
    assert (c.get(KEY, whole=True) / "model.bin").read_bytes() == CONTENT["model.bin"]


@pytest.mark.parametrize("step", ["before the manifest", "before the file"])
def test_a_killed_prune_leaves_a_sound_entry_and_is_ended_by_the_next(step, tmp_path, monkeypatch):
    store = Store(tmp_path)
    put(store)

    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if step == "before the manifest":
            patch.setattr(_pruning, "write_json", killed)
        else:
            patch.setattr("pathlib.Path.unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            store.prune(KEY, ["model.bin"])
    again = Store(tmp_path)
    assert again.get(KEY)
    assert (again.get(KEY, whole=True) is None) == (step == "before the file")
    assert again.prune(KEY, ["model.bin"]) == len(CONTENT["model.bin"])
    assert held(again) == [MANIFEST, "result.json"]


def test_an_entry_that_is_pruned_while_it_is_read_is_not_taken_for_damaged(tmp_path, monkeypatch):
    store = Store(tmp_path)
    put(store)

    def pruned_meanwhile(folder, key):
        monkeypatch.undo()
        store.prune(KEY, ["model.bin"])
        return "model.bin is missing"

    monkeypatch.setattr("trainables.store.mismatch", pruned_meanwhile)
    assert store.get(KEY) == store.root / KEY
    assert not list((store.root / "quarantine").iterdir())


@pytest.mark.parametrize("change", ["pruned", "files"])
def test_a_manifest_that_lies_about_what_was_pruned_is_not_valid(change, tmp_path):
    store = Store(tmp_path)
    put(store)
    store.prune(KEY, ["model.bin"])
    manifest = json.loads((store.root / KEY / MANIFEST).read_text())
    if change == "pruned":
        del manifest["pruned"]
    else:
        manifest["files"] |= manifest["pruned"]
    (store.root / KEY / MANIFEST).write_text(json.dumps(manifest))
    assert store.get(KEY) is None


@pytest.fixture
def linked(tmp_path):
    """A store with an entry whose folder `sub` was put elsewhere, which a link in its place leads to."""
    store, outside = Store(tmp_path / "store"), tmp_path / "outside"
    (store.work(KEY) / "sub").mkdir()
    put(store, content=CONTENT | {"sub/file": b"content"})
    (store.root / KEY / "sub").rename(outside)
    (store.root / KEY / "sub").symlink_to(outside)
    return store


def test_nothing_is_pruned_where_a_link_leads_out_of_the_entry(linked, tmp_path):
    before = held(linked)
    with pytest.raises(StoreError, match=r"is not pruned: symbolic links lead out of it: sub/file$"):
        linked.prune(KEY, ["model.bin", "sub/file"])
    assert held(linked) == before
    assert linked.get(KEY, whole=True)
    assert (tmp_path / "outside" / "file").read_bytes() == b"content"


@pytest.mark.parametrize("name", ["sub/file", "../../outside/file"])
def test_a_manifest_that_was_written_by_hand_deletes_nothing_elsewhere(name, linked, tmp_path):
    folder = linked.root / KEY
    files = {name: fingerprint(folder / name) for name in CONTENT}
    write_json(folder / MANIFEST, manifest(KEY, files, {name: fingerprint(tmp_path / "outside" / "file")}))
    with suppress(StoreError):  # or it is no manifest at all
        assert linked.prune(KEY, ["model.bin"]) == 0
    assert (tmp_path / "outside" / "file").read_bytes() == b"content"
    assert (folder / "model.bin").exists()


def test_what_was_pruned_does_not_come_back_through_a_link(linked, tmp_path, caplog):
    folder, outside = linked.root / KEY, tmp_path / "outside"
    files = {name: fingerprint(folder / name) for name in CONTENT}
    write_json(folder / MANIFEST, manifest(KEY, files, {"sub/file": fingerprint(outside / "file")}))
    (outside / "file").unlink()
    (linked.work(KEY) / "sub").mkdir()
    put(linked, content=CONTENT | {"sub/file": b"content"})
    assert list(outside.iterdir()) == []
    assert (linked.get(KEY, whole=True) / "sub" / "file").read_bytes() == b"content"
    assert not (linked.root / KEY / "sub").is_symlink()


def test_a_store_that_is_looked_at_is_left_as_it_is(tmp_path):
    store = Store(tmp_path / "store")
    put(store)
    (store.root / KEY / "model.bin").write_bytes(b"spoilt")
    before = sorted(store.files())
    looked = existing_store(store.root)
    assert looked.get(KEY) is None
    assert looked.read("studies/none") is None
    assert looked.lines("searches/none") == []
    assert looked.holders() == {}
    assert sorted(store.files()) == before


def test_a_lease_that_is_taken_is_not_waited_for(store):
    with store.attempt("studies/one") as owner:
        assert owner is None
        (holder,) = store.holders().values()
        assert holder["alive"]
    assert store.holders() == {}
    other = _other_process(store)
    try:
        with store.attempt("studies/one") as owner:
            assert owner["pid"] == other.pid
    finally:
        other.kill()
        other.wait()
    with store.attempt("studies/one") as owner:  # a dead one's is free at once
        assert owner is None


def _other_process(store):
    """A process that holds the lease."""
    code = "import sys, time; from trainables.remote import *; uri, mirror = sys.argv[1:]\n"
    code += "s = RemoteStore(uri, mirror) if '://' in uri else Store(uri)\n"
    code += "with s.attempt('studies/one') as owner:\n  print(owner, flush=True); time.sleep(600)"
    arguments = [sys.executable, "-c", code, store.uri, str(store.root)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "None\n"
    return process
