"""How near do searches come to the best of a recorded grid, and what of its training do they spend? Replayed offline.

`python benchmarks/replay.py [--searches 200] [--grid benchmarks/data/grid.json]`: the space is the grid's; every trial
is asked for, looked at and told through `study.explore.Exploration`, and does what the recorded trial with its settings
did (`record_grid.py`). A training's updates count until a look stops it; settings that were trained to their end before
cost nothing, as in the store. A search has found what its best trial has, on the validation tasks that it judges by.
Printed: the distance to the grid's best in points of success, median and 90 % of the searches, once shares of the
grid's updates are spent.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from search_spaces._search import Prune, Search, asha, search
from search_spaces._space import choice
from study.explore import Exploration

FILE = Path(__file__).parent / "data" / "grid.json"
SHARES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
PRUNED = {"": None, " + asha": asha("probe_r2"), " + asha on the rollout": asha("rollout_error_1")}
KINDS = {f"{sampler}{name}": (sampler, prune) for sampler in ("random", "tpe") for name, prune in PRUNED.items()}


class Memory(list):
    """A journal that is kept nowhere."""

    def lines(self) -> list[dict[str, Any]]:
        """See `explore.Journal`."""
        return list(self)


class Grid:
    """Recorded trials by their settings."""

    def __init__(self, content: Mapping[str, Any]):
        self.steps: int = content["steps"]
        self.rows = {_key(row["params"]): row for row in content["trials"]}
        varied = {path: {row["params"][path] for row in content["trials"]} for path in content["trials"][0]["params"]}
        self.space = {path: choice(*sorted(values, key=str)) for path, values in varied.items()}
        self.best = max(row["success_rate"] or 0.0 for row in self.rows.values())

    def row(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """The trial with these settings."""
        return self.rows[_key(params)]

    @property
    def updates(self) -> int:
        """Of all its trainings."""
        return self.steps * len(self.rows)


def replay(grid: Grid, wanted: Search) -> Iterator[tuple[int, float]]:
    """(updates spent, success of the best trial) after every trial of a search."""
    exploration = Exploration(wanted, Memory(), steps=grid.steps)
    known: set[str] = set()
    spent, found = 0, 0.0
    while point := exploration.ask(wanted.budget):
        row = grid.row(point.params)
        stopped = next(
            (int(step) for step, look in row["looks"].items() if exploration.report(point.number, int(step), look)),
            None,
        )
        if stopped is None and row["success_rate"] is not None:
            exploration.tell(point.number, "complete", {"success_rate": row["success_rate"]}, {})
            found = max(found, row["success_rate"])
        else:
            exploration.tell(point.number, point.stopped or "diverged", {}, {})
        if _key(point.params) not in known:
            spent += stopped or grid.steps
        if stopped is None:
            known.add(_key(point.params))
        yield spent, found


def distances(grid: Grid, sampler: str, prune: Prune | None, seed: int) -> list[float]:
    """Points of success that the search lacks of the grid's best once each of SHARES is spent."""
    wanted = search(grid.space, ["success_rate"], 10 * len(grid.rows), sampler=sampler, seed=seed, prune=prune)
    found = [0.0] * len(SHARES)
    for spent, success in replay(grid, wanted):
        within = [spent <= share * grid.updates for share in SHARES]
        found = [success if inside else before for inside, before in zip(within, found, strict=True)]
        if not any(within):
            break
    return [100 * (grid.best - success) for success in found]


def _key(params: Mapping[str, Any]) -> str:
    return json.dumps(params, sort_keys=True)


def main(
    searches: Annotated[int, typer.Option(help="of each kind")] = 200,
    grid: Annotated[Path, typer.Option(help="what record_grid.py wrote")] = FILE,
    kinds: Annotated[str, typer.Option(help="comma-separated")] = ",".join(KINDS),
) -> None:
    """Print one row per kind of search."""
    table = Grid(json.loads(grid.read_text()))
    successes = sorted((100 * (row["success_rate"] or 0.0) for row in table.rows.values()), reverse=True)
    near = sum(successes[0] - success <= 3 for success in successes)
    typer.echo(f"load {os.getloadavg()[0]:.1f}; {len(successes)} trials of {table.steps} updates")
    middle = np.median(successes)
    typer.echo(
        f"success {successes[-1]:.0f} to {successes[0]:.0f} %, median {middle:.0f}; {near} within 3 points of the best"
    )
    typer.echo(f"{'points below the best, median (90 %)':30}" + "".join(f"{share:>12.0%}" for share in SHARES))
    for kind in kinds.split(","):
        found = np.array([distances(table, *KINDS[kind], seed) for seed in range(searches)])
        cells = zip(np.median(found, 0), np.quantile(found, 0.9, 0), strict=True)
        typer.echo(f"{kind:36}" + "".join(f"{f'{half:.0f} ({most:.0f})':>12}" for half, most in cells))


if __name__ == "__main__":
    typer.run(main)
