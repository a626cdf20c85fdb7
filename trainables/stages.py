"""A stage of a trial: a folder of the store that is made once, by whoever needs it first."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from trainables.store import Store, TakenOverError


def ensure(store: Store, key: str, make: Callable[[Path], None], whole: bool = False) -> Path:
    """The store's folder of `key`, made in a fresh folder under its lease if it is not there, or not `whole`."""
    found = store.get(key, whole=whole)
    if found is not None:
        return found
    with store.lease(key):
        found = store.get(key, whole=whole)
        if found is None:
            out = store.work(key) / "out"
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            make(out)
            if not store.holds(key):
                raise TakenOverError(f"{key} was taken over by another process, while this one stood still")
            found = store.put(key, out)
            store.drop_work(key)
    return found
