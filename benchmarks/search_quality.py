"""How many trials our searches need for what random search finds in 100, on functions that are known, with noise.

`python benchmarks/search_quality.py [--repeats 20] [--samplers tpe,gp] [--problems mixed]`: every trial is asked for
and told through `study.explore.Exploration`, as in a study, the journal kept in memory. A search is as good as the
noise-free value of the trial that looks best in it; the target is random search's median after 100 trials over 2 x
`repeats` searches. Printed per problem and sampler: trials until a search is first as good as the target (median,
quartiles) as a share of 100, and in how many of the repeats that happened within 100. Of two objectives it is the
hypervolume that counts. Last: the evaluations of bisection against log2 of its grid.
"""

from __future__ import annotations

import itertools
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import typer

from search_spaces._search import search
from search_spaces._space import Space, choice, integers, log_uniform, uniform
from study import samplers
from study.explore import Exploration

TRIALS = 100  # of the random search that sets the target
Chosen = Mapping[str, Any]


@dataclass(frozen=True)
class Problem:
    """A space, values of which more is better (`costs`: of which less is), and the noise that a trial sees on each."""

    space: Space
    value: Callable[[Chosen], float]
    noise: float  # standard deviation
    cost: Callable[[Chosen], float] | None = None  # a second objective, without noise

    @property
    def objectives(self) -> tuple[str, ...]:
        """Names that a search knows, the first to be raised, the second to be lowered."""
        return ("success_rate", "parameters") if self.cost else ("success_rate",)

    @property
    def samplers(self) -> tuple[str, ...]:
        """Those that can search the space."""
        numeric = all(not hasattr(dimension, "values") for dimension in self.space.values())
        return ("tpe", "gp", "nsga2") if self.cost else ("tpe", "gp", *(["cmaes"] if numeric else []))


class Memory:
    """A journal that is kept nowhere."""

    def __init__(self) -> None:
        self._lines: list[dict[str, Any]] = []

    def lines(self) -> list[dict[str, Any]]:
        """See `explore.Journal`."""
        return self._lines

    def append(self, line: dict[str, Any]) -> None:
        """See `explore.Journal`."""
        self._lines.append(line)


def trials(problem: Problem, sampler: str, seed: int) -> Iterator[tuple[Chosen, float]]:
    """What a search tries, one after the other, each with the value it was told; ends with the search."""
    wanted = search(problem.space, problem.objectives, 10 * TRIALS, sampler=sampler, seed=seed)
    found, noise = Exploration(wanted, Memory(), steps=1), np.random.default_rng([seed, 1])
    while point := found.ask(wanted.budget):
        seen = problem.value(point.params) + problem.noise * noise.standard_normal()
        values = {"success_rate": seen, "parameters": problem.cost(point.params) if problem.cost else 0.0}
        found.tell(point.number, "complete", {name: values[name] for name in problem.objectives}, {})
        yield point.params, seen


def progress(problem: Problem, sampler: str, seed: int) -> Iterator[float]:
    """How good the search is after each trial: the noise-free value of its best-looking one, or the hypervolume."""
    best, rows = (-math.inf, -math.inf), []
    for params, seen in itertools.islice(trials(problem, sampler, seed), TRIALS):
        best = max(best, (seen, problem.value(params)))
        if problem.cost:
            rows.append((problem.value(params), problem.cost(params)))
        yield hypervolume(rows) if problem.cost else best[1]


def hypervolume(rows: list[tuple[float, float]]) -> float:
    """Area that points (value above 0, cost below 1) dominate."""
    area, reached = 0.0, 0.0
    for value, cost in sorted(rows, key=lambda row: (row[1], -row[0])):
        if value > reached and cost < 1:
            area, reached = area + (value - reached) * (1 - cost), value
    return area


def target(problem: Problem, repeats: int) -> float:
    """Random search's median after TRIALS trials."""
    return statistics.median(list(progress(problem, "random", 10_000 + seed))[-1] for seed in range(2 * repeats))


def needed(problem: Problem, sampler: str, seed: int, wanted: float) -> float:
    """Trials until a search is as good as `wanted`; inf if it is not within TRIALS."""
    return next((n for n, value in enumerate(progress(problem, sampler, seed), 1) if value >= wanted), math.inf)


# --- problems

_A = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
_P = np.array(
    [
        [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
        [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
        [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
        [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
    ]
)
_C = np.array([1.0, 1.2, 3.0, 3.2])


def hartmann(chosen: Chosen) -> float:
    """Hartmann's function of six numbers, 3.32 at its best."""
    x = np.array([chosen[f"x{i}"] for i in range(6)])
    return float(_C @ np.exp(-(_A * (x - _P) ** 2).sum(1)))


def branin(chosen: Chosen) -> float:
    """Branin's function of two numbers, or a bowl that is as good on average and worse at its best, or a constant."""
    return _branin(chosen) if chosen["kind"] == "branin" else _bowl(chosen, 10, 200, 50)


def trap(chosen: Chosen) -> float:
    """Branin's function, or a bowl that is far better on average and a little worse at its best, or a constant."""
    return _branin(chosen) if chosen["kind"] == "branin" else _bowl(chosen, 3, 20, 12)


def _branin(chosen: Chosen) -> float:
    x, y = chosen["branin.x"], chosen["branin.y"]
    inner = y - 5.1 * x**2 / (4 * math.pi**2) + 5 * x / math.pi - 6
    return -(inner**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10)


def _bowl(chosen: Chosen, least: float, steep: float, flat: float) -> float:
    if chosen["kind"] == "flat":
        return -flat
    return -least - steep * ((chosen["bowl.x"] - 0.3) ** 2 + (chosen["bowl.y"] - 0.7) ** 2)


def network(chosen: Chosen) -> float:
    """Something like a success rate: of a learning rate whose best place moves with the depth, a width and more."""
    rate = math.log10(chosen["lr"]) + 3 + 0.15 * (chosen["depth"] - 3)
    width = math.log2(chosen["width"] / 96) / 3
    drop = (chosen["dropout"] - 0.1) / 0.2
    kind = {"relu": 0.15, "gelu": 0.0, "tanh": 0.3}[chosen["activation"]]
    return math.exp(-(0.7 * rate**2 + 0.5 * width**2 + 0.3 * drop**2 + 0.05 * (chosen["depth"] - 4) ** 2) - kind)


def mixture(chosen: Chosen) -> float:
    """Two terms that may be there, each with a weight of its own that matters over a decade; best with both."""
    share = 0.3
    for term, best in (("inverse", -1.0), ("sigreg", -2.0)):
        if chosen[term]:
            share += 0.35 * math.exp(-((math.log10(chosen[f"{term}.weight"]) - best) ** 2) / 0.3)
    return share * math.exp(-((math.log10(chosen["lr"]) + 3) ** 2) / 0.5)


def ellipsoid(chosen: Chosen) -> float:
    """A bowl in five directions, some a hundred times as steep as others."""
    return -sum(10 ** (i / 2) * (chosen[f"x{i}"] - 0.2 * i) ** 2 for i in range(5))


def parameters(chosen: Chosen) -> float:
    """Share of the largest network's size."""
    return chosen["depth"] * chosen["width"] ** 2 / (8 * 1024**2)


NETWORK = {
    "lr": log_uniform(1e-5, 1.0),
    "width": integers(8, 1024, log=True),
    "depth": integers(1, 8),
    "activation": choice("relu", "gelu", "tanh"),
    "dropout": uniform(0.0, 0.8),
}
KINDS = {
    "kind": choice(
        "branin",
        "bowl",
        "flat",
        then={
            "branin": {"branin.x": uniform(-5, 10), "branin.y": uniform(0, 15)},
            "bowl": {"bowl.x": uniform(0, 1), "bowl.y": uniform(0, 1)},
        },
    )
}
PROBLEMS = {
    "hartmann6": Problem({f"x{i}": uniform(0, 1) for i in range(6)}, hartmann, 0.05),
    "conditional": Problem(KINDS, branin, 0.2),
    "trap": Problem(KINDS, trap, 0.2),
    "mixed": Problem(NETWORK, network, 0.02),
    "mixture": Problem(
        {
            "lr": log_uniform(1e-5, 1e-1),
            "inverse": choice(False, True, then={True: {"inverse.weight": log_uniform(1e-4, 10.0)}}),
            "sigreg": choice(False, True, then={True: {"sigreg.weight": log_uniform(1e-4, 10.0)}}),
        },
        mixture,
        0.02,
    ),
    "ellipsoid5": Problem({f"x{i}": uniform(0, 1) for i in range(5)}, ellipsoid, 0.05),
    "two objectives": Problem(NETWORK, network, 0.0, parameters),
}


def bisection(seed: int, points: int, noise: float) -> tuple[int, float]:
    """(evaluations of a bisection over a grid of so many points, what its best lacks of the best grid point)."""
    peak = np.random.default_rng([seed, 2]).uniform(-3, 0)
    problem = Problem({"weight": log_uniform(1e-3, 1.0)}, lambda c: -abs(math.log10(c["weight"]) - peak) / 3, noise)
    usual, samplers.POINTS = samplers.POINTS, points
    try:
        tried = list(trials(problem, "bisection", seed))
    finally:
        samplers.POINTS = usual
    return len(tried), -problem.value(max(tried, key=lambda row: row[1])[0])


def row(problem: Problem, sampler: str, wanted: float, repeats: int) -> str:
    """What a sampler needs, in words."""
    began = time.perf_counter()
    counts = sorted(needed(problem, sampler, seed, wanted) for seed in range(repeats))
    spent = 1e3 * (time.perf_counter() - began) / sum(min(count, TRIALS) for count in counts)
    low, half, high = (counts[round(share * (repeats - 1))] for share in (0.25, 0.5, 0.75))
    reached = f"{sum(map(math.isfinite, counts))}/{repeats}"
    return f"{sampler:8} {half:6} {low:>8}-{high:<6} {half / TRIALS:10.0%} {reached:>12} {spent:10.1f}"


def main(
    repeats: Annotated[int, typer.Option(help="searches of each kind")] = 20,
    problems: Annotated[str, typer.Option(help="of them, comma-separated")] = ",".join(PROBLEMS),
    only: Annotated[str, typer.Option("--samplers", help="comma-separated")] = "tpe,gp,cmaes,nsga2",
) -> None:
    """Print one row per problem and sampler, then bisection."""
    typer.echo(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; {repeats} searches each")
    typer.echo(f"{'problem':15} sampler  trials       quartiles     of 100       reached   ms/trial")
    for name in problems.split(","):
        wanted = target(PROBLEMS[name], repeats)
        for sampler in [each for each in PROBLEMS[name].samplers if each in only.split(",")]:
            typer.echo(f"{name:15} {row(PROBLEMS[name], sampler, wanted, repeats)}")
    for points in (9, 33, 129, 513):
        rows = [bisection(seed, points, 0.2 / points) for seed in range(repeats)]
        count, lacks = (statistics.median(column) for column in zip(*rows, strict=True))
        share = f"{count / math.log2(points - 1):.1f} x log2"
        typer.echo(
            f"bisection of {points:3} points: {count:3.0f} evaluations, {share}; {lacks:.3f} of the range from the best"
        )


if __name__ == "__main__":
    typer.run(main)
