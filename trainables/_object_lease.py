"""Leases among nodes that share nothing but object storage."""

from __future__ import annotations

import json
import logging
import time

from trainables._lease import Leases
from trainables._objects import Objects
from trainables.files import parse_json
from trainables.store import StoreError

logger = logging.getLogger(__name__)


class ObjectLeases(Leases):
    """One object per lease. `node` names who shares our own folder, and with it leases that are asked for before these.

    Created on condition that it is not there, an object has one owner, whose heartbeat rewrites it. A lease of another
    node is taken over when its object has not changed for `stale` seconds of our own clock, so that no clocks are
    compared; one of our own node at once, since whoever holds that node's own lease is alone there.

    Two hold a lease at a time in two cases: when two nodes take over a dead one within the same moment, and when an
    owner was cut off for longer than `stale` and is not dead. Both then make the same thing and the first one put is
    kept: work is lost, nothing else.
    """

    failures = (OSError, StoreError)

    def __init__(self, objects: Objects, node: str, *, stale: float, poll: float):
        super().__init__(stale=stale, poll=poll)
        self._objects, self._node = objects, node
        self._seen: dict[str, tuple[bytes, float]] = {}  # content of a lease that we wait for, and since when

    def holders(self) -> dict[str, dict]:
        """See `Leases.holders`; by the clocks of the storage and of this node."""
        changed = {name: when for name, _, when in self._objects.details("leases")}
        owners = {name: _owner(content) for name, content in self._objects.read_all(changed).items()}
        return {
            name.removeprefix("leases/"): {**owner, "alive": time.time() - changed[name] < self.stale}
            for name, owner in owners.items()
            if owner is not None
        }

    def _lives(self, owner: dict, first: dict | None) -> bool:
        return first is not None and owner != first

    def _claim(self, name: str, mine: dict) -> dict | None:
        place, mine["node"] = _place(name), self._node
        while not self._objects.create(place, _text(mine)):
            content = self._objects.read(place)
            owner = _owner(content)
            if owner is not None and owner["token"] == mine["token"]:
                break  # it was created, and the answer got lost on its way
            if owner is not None and owner["node"] != self._node and not self._silent(name, content):
                return owner
            if content is not None and self._objects.read(place) == content:
                logger.info("%s: taking over a lease whose owner is gone", name)
                self._objects.remove([place])
        self._seen.pop(name, None)
        return None

    def _silent(self, name: str, content: bytes) -> bool:
        """Whether the lease has been as it is for too long."""
        now = time.monotonic()
        seen, since = self._seen.get(name, (None, now))
        if content != seen:
            self._seen[name] = (content, now)
            return False
        return now - since >= self.stale

    def _renew(self, name: str, mine: dict) -> bool:
        if not self._ours(name, mine):
            return False
        mine["beat"] = mine.get("beat", 0) + 1
        self._objects.write(_place(name), _text(mine))
        return True

    def _release(self, name: str, mine: dict) -> None:
        try:
            if self._ours(name, mine):
                self._objects.remove([_place(name)])
        except StoreError as error:
            # What was made under the lease is kept, and the lease falls by itself.
            logger.warning("the lease of %s could not be given back: %s", name, error)

    def _ours(self, name: str, mine: dict) -> bool:
        owner = _owner(self._objects.read(_place(name)))
        return owner is not None and owner["token"] == mine["token"]


def _place(name: str) -> str:
    return f"leases/{name}"


def _text(owner: dict) -> bytes:
    return json.dumps(owner).encode()


def _owner(content: bytes | None) -> dict | None:
    """Who holds a lease; None for nobody, or if it cannot be told."""
    try:
        owner = parse_json(content or b"", "a lease")
        return owner if {"node", "token", "pid", "host"} <= owner.keys() else None
    except (ValueError, AttributeError):
        return None
