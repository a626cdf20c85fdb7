"""SMWM: L = L_forward + weight * L_inverse (Sensorimotor World Models, arXiv:2606.20104)."""

from __future__ import annotations

from typing import Any

# Table 1 of the paper for the planning worlds, its toy section for dots and sprites.
INVERSE_WEIGHT = {"two_room": 0.1, "reacher": 5.0, "push_t": 30.0, "cube": 1.0}
TOY_WEIGHT = 10.0


def settings(world: str) -> dict[str, Any]:
    """The objective with the published weight of the world, 1 where none is published."""
    toy = world == "sprite" or world.startswith(("dots", "single_dot"))
    weight = TOY_WEIGHT if toy else INVERSE_WEIGHT.get(world, 1.0)
    return {"terms": {"forward": {}, "inverse": {"weight": weight}}}
