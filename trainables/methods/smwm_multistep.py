"""SMWM with a multi-step inverse model: L = L_forward + weight * L_multi_step_inverse (arXiv:2606.20104, toy study)."""

from __future__ import annotations

from typing import Any

from trainables.methods import smwm


def settings(world: str) -> dict[str, Any]:
    """The objective with SMWM's weight of the world, and up to four action blocks between two latents."""
    weight = smwm.settings(world)["terms"]["inverse"]["weight"]
    return {"terms": {"forward": {}, "multi_step_inverse": {"weight": weight, "k_max": 4}}}
