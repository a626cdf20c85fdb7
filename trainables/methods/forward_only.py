"""Forward-only: prediction error alone, which a constant latent solves; the baseline that collapses."""

from __future__ import annotations

from typing import Any


def settings(world: str) -> dict[str, Any]:
    """The objective L = L_forward."""
    return {"terms": {"forward": {}}}
