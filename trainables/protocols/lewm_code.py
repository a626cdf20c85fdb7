"""lewm_code: as the code of LeWM does it: history 3 in training, one frame in planning, 30 iterations everywhere."""

from __future__ import annotations

from typing import Any

from trainables.protocols import _published


def settings(world: str) -> dict[str, Any]:
    """Settings by path."""
    return _published.settings(world, tasks=50, split="train", iterations=30, history=3, context=1)
