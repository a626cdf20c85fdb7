"""lewm_v3: as in the third version of the LeWM paper (arXiv:2603.19312v3): like the first, but TwoRoom is 25 ahead."""

from __future__ import annotations

from typing import Any

from trainables.protocols import lewm_v1


def settings(world: str) -> dict[str, Any]:
    """Settings by path."""
    return lewm_v1.settings(world, far=False)
