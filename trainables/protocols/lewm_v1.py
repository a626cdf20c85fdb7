"""lewm_v1: as in the first version of the LeWM paper (arXiv:2603.19312v1): 50 tasks of training episodes.

TwoRoom plans 100 steps ahead with a history of 1. The history on Reacher is not stated: the code's is used.
"""

from __future__ import annotations

from typing import Any

from trainables.protocols import _published


def settings(world: str, far: bool = True) -> dict[str, Any]:
    """Settings by path; unless `far`, TwoRoom plans 25 steps ahead like the other worlds."""
    reach = {"offset": 100, "budget": 150} if far and world == "two_room" else {}
    iterations, history = 30 if world == "push_t" else 10, 1 if world == "two_room" else 3
    return _published.settings(world, tasks=50, split="train", iterations=iterations, history=history, **reach)
