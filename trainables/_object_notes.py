"""Notes and journals in object storage: a note is an object, and so is every line of a journal."""

from __future__ import annotations

import re
from typing import Any

from trainables._objects import Objects
from trainables.files import json_line, json_text, parse_json
from trainables.store import FOREIGN, Store, StoreError


class ObjectNotes(Store):
    """The part of a store that keeps documents, not entries.

    Appending is one small request however long the journal is, and no writer undoes another one's line.
    """

    _objects: Objects

    def write(self, name: str, value: Any) -> None:
        """See `Store.write`."""
        self._objects.write(self._noted(name, "json"), json_text(value).encode())

    def read(self, name: str) -> Any | None:
        """See `Store.read`."""
        content = self._objects.read(self._noted(name, "json"))
        return None if content is None else parse_json(content, f"{self._objects.uri}/{self._noted(name, 'json')}")

    def append(self, name: str, number: int, line: Any) -> None:
        """See `Store.append`; of several writers of a line one succeeds."""
        content, place = json_line(line).encode(), f"{self._noted(name, 'jsonl')}/{number:08d}"
        # One that is there already may be ours, if the answer got lost on its way.
        if not self._objects.create(place, content) and self._objects.read(place) != content:
            there = len(self._objects.names(self._noted(name, "jsonl")))
            raise StoreError(FOREIGN.format(name=name, there=there, number=number))

    def lines(self, name: str) -> list[Any]:
        """See `Store.lines`."""
        found = self._objects.read_all(self._objects.names(self._noted(name, "jsonl")))
        return [parse_json(found[line], f"{self._objects.uri}/{line}") for line in sorted(found)]

    def forget(self, name: str) -> None:
        """See `Store.forget`."""
        self._objects.remove([self._noted(name, "json")])

    def notes(self, prefix: str = "") -> list[str]:
        """See `Store.notes`."""
        found = self._objects.names(f"notes/{prefix.rpartition('/')[0]}")
        names = {re.sub(r"\.json$|\.jsonl/\d+$", "", name.removeprefix("notes/")) for name in found}
        return sorted(name for name in names if name.startswith(prefix))

    def _noted(self, name: str, suffix: str) -> str:
        """The object of a note, the folder of a journal's lines. StoreError for a name that is malformed."""
        self._folder(name)
        return f"notes/{name}.{suffix}"
