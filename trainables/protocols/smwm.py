"""smwm: as in the code of SMWM (arXiv:2606.20104): 100 tasks of held-out episodes, history 1, 30 iterations of CEM.

The goal is 24 steps ahead: the stable-worldmodel 0.0.6 that it plans with takes the last row of a slice of 25.
"""

from __future__ import annotations

from typing import Any

from trainables.protocols import _published


def settings(world: str) -> dict[str, Any]:
    """Settings by path."""
    return _published.settings(world, tasks=100, split="test", iterations=30, history=1, early=1)
