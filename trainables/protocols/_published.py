"""What the published protocols share: CEM in plans of five blocks, all executed, and the worlds they are of."""

from __future__ import annotations

from typing import Any

WORLDS = ("two_room", "reacher", "push_t", "cube")


def settings(
    world: str,
    *,
    tasks: int,
    split: str,
    iterations: int,
    history: int,
    context: int | None = None,
    offset: int = 25,
    budget: int = 50,
    early: int = 0,
) -> dict[str, Any]:
    """Settings by path; ValueError for a world in which the papers do not plan."""
    if world not in WORLDS:
        raise ValueError(f"the papers do not plan in the world {world!r}; they do in {', '.join(WORLDS)}")
    protocol = {"tasks": tasks, "split": split, "offset": offset, "budget": budget, "early": early, "context": context}
    # No more rows before a start than the frames that planning sees take up; solved starts count as solved.
    protocol |= {"earlier_rows": 5 * ((context or history) - 1), "solved_starts": True, "clip": False}
    planner = {"samples": 300, "iterations": iterations, "elites": 30, "horizon": 5, "receding": 5, "std": 1.0}
    return {
        "history": history,
        **{f"protocol.{key}": value for key, value in protocol.items()},
        **{f"planner.{key}": value for key, value in planner.items()},
    }
