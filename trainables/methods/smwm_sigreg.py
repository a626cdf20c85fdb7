"""SMWM and SIGReg together: L = L_forward + 10 * L_inverse + 0.09 * SIGReg (the mixture in the later code of
arXiv:2606.20104, which weighs the inverse model alike in its four planning worlds; its toy worlds use 10 as well)."""

from __future__ import annotations

from typing import Any


def settings(world: str) -> dict[str, Any]:
    """The objective with the published weights, the same in every world; scale `local` sets one of its own."""
    return {"terms": {"forward": {}, "inverse": {"weight": 10.0}, "sigreg": {"weight": 0.09}}}
