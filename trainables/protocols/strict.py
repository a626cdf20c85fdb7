"""strict: unseen episodes, no solved starts, the goal exactly `offset` env steps ahead, plans within the bounds."""

from __future__ import annotations

from typing import Any

from trainables.settings import EARLIER_ROWS


def settings(world: str) -> dict[str, Any]:
    """The rules alone; offset, budget, tasks and split are free, and the table names them."""
    rules = {"early": 0, "earlier_rows": EARLIER_ROWS, "solved_starts": False, "clip": True, "context": None}
    return {f"protocol.{key}": value for key, value in rules.items()}
