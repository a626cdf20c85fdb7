"""The data card of a file of episodes: what is in it, in numbers and in one picture."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from envs._episodes import FILE_NAME, Episodes

GRID, FRAMES = 8, 8  # episodes and frames of each in the picture
GAP = 2  # px between pictures


def write_card(folder: Path | str) -> dict[str, Any]:
    """Write card.json, card.md and card.png beside the episodes in `folder`; what card.json holds."""
    folder = Path(folder)
    episodes = Episodes(folder)
    card = describe(episodes)
    (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    (folder / "card.md").write_text(markdown(card), encoding="utf-8")
    _save(sheet(episodes), folder / "card.png")
    return card


def describe(episodes: Episodes) -> dict[str, Any]:
    """Counts, ranges, coverage, and how the data differ from those of the papers."""
    from envs import load

    about = episodes.metadata
    world = load(about["world"], about.get("options"))
    rows = np.arange(episodes.rows)
    actions, states = episodes.actions(rows), episodes.states(rows)
    acted = actions[~np.isnan(actions).any(axis=1)]
    names = [f"action_{i + 1}" for i in range(episodes.action_dim)]
    note = world.data_note if about.get("source") is None else about["source"]["note"]
    return {
        **{key: about[key] for key in ("world", "version", "split", "seed", "size")},
        "options": about.get("options", {}),
        "source": about.get("source"),
        "episodes": len(episodes.length),
        "frames": episodes.rows,
        "steps": {"least": int(episodes.length.min()) - 1, "mean": float(episodes.length.mean()) - 1}
        | {"most": int(episodes.length.max()) - 1},
        "hash": file_hash(episodes.folder / FILE_NAME),
        "ranges": _ranges(names, acted) | _ranges(episodes.state_names, states),
        "coverage": _coverage(world, episodes, states),
        "note": note,
    }


def file_hash(path: Path) -> str:
    """Sixteen hex digits of the file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).hexdigest()


def markdown(card: dict[str, Any]) -> str:
    """card.md of what `describe` says."""
    steps, options = card["steps"], ", ".join(f"{key}={value}" for key, value in sorted(card["options"].items()))
    lines = [
        f"# {card['world']}, {card['split']} episodes",
        "",
        f"{card['episodes']} episodes, {card['frames']} frames of {card['size']} x {card['size']} pixels, "
        f"{steps['least']} to {steps['most']} steps each (mean {steps['mean']:.1f}). "
        f"World version {card['version']}, seed {card['seed']}, hash {card['hash']}.",
        *(["", f"Options: {options}."] if options else []),
        *(["", card["note"]] if card["note"] else []),
        "",
        "| value | least | mean | most | deviation |",
        "|---|---|---|---|---|",
    ]
    for name, values in card["ranges"].items():
        lines.append(f"| {name} | " + " | ".join(f"{value:.4g}" for value in values.values()) + " |")
    if card["coverage"]:
        lines += ["", "| coverage | |", "|---|---|"]
        lines += [f"| {name} | {value:.3g} |" for name, value in card["coverage"].items()]
    return "\n".join([*lines, "", "![frames of some episodes, one episode per row](card.png)"]) + "\n"


def sheet(episodes: Episodes) -> np.ndarray:
    """Frames evenly spaced over evenly chosen episodes, an episode per row -> (h, w, 3) uint8."""
    chosen = np.linspace(0, len(episodes.length) - 1, min(GRID, len(episodes.length))).astype(int)
    lines = []
    for episode in chosen:
        steps = np.linspace(0, episodes.length[episode] - 1, FRAMES).astype(int)
        frames = episodes.pixels(episodes.episode_start[episode] + steps)
        padded = np.pad(frames, ((0, 0), (GAP, 0), (GAP, 0), (0, 0)), constant_values=128)
        lines.append(np.concatenate(padded, axis=1))
    return np.concatenate(lines, axis=0)


def _save(picture: np.ndarray, path: Path) -> None:
    from PIL import Image

    Image.fromarray(picture).save(path)


def _ranges(names: Any, values: np.ndarray) -> dict[str, dict[str, float]]:
    return {
        name: {
            "least": float(column.min()),
            "mean": float(column.mean()),
            "most": float(column.max()),
            "deviation": float(column.std()),
        }
        for name, column in zip(names, values.T, strict=True)
    }


def _coverage(world: Any, episodes: Episodes, states: np.ndarray) -> dict[str, float]:
    """The world's own numbers; of episodes of different lengths, over as many steps as all have."""
    steps = int(episodes.length.min())
    rows = episodes.episode_start[:, None] + np.arange(steps)
    return {name: float(value) for name, value in world.coverage(states[rows]).items()}
