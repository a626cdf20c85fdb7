"""LeWM: L = L_forward + 0.09 * SIGReg (LeWorldModel, arXiv:2603.19312)."""

from __future__ import annotations

from typing import Any


def settings(world: str) -> dict[str, Any]:
    """The objective with the published weight, the same in every world; scale `local` sets one of its own."""
    return {"terms": {"forward": {}, "sigreg": {"weight": 0.09}}}
