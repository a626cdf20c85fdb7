"""Planning towards a goal image: tasks, the receding-horizon loop, and the floors of policies without a model.

The protocol says which tasks (see `trainables.config.Protocol`); every task is run to its budget, and success at any
step and at the last step are both told.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs._episodes import Episodes
from envs._world import World
from trainables import plugins, streams, training
from trainables.config import Protocol, TrialConfig
from trainables.measures._trained import Map, Trained
from trainables.model import WorldModel

RANDOM_REPEATS = 5  # of the random floor
TOKENS_AT_ONCE = 2**18  # predicted latents of a step (tasks x plans x patches) that are held at a time

# (states by block (n, T, S), past action blocks (n, T - 1, fA), number of the plan) -> actions (n, steps, A) in [-1, 1]
Propose = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


@dataclass(frozen=True)
class Tasks:
    """Start and goal rows of the test episodes; `number` names a task whatever it is planned with."""

    number: np.ndarray  # (n,)
    start: np.ndarray  # (n,) rows
    goal: np.ndarray  # (n,) rows

    def __getitem__(self, index: np.ndarray) -> Tasks:
        return Tasks(self.number[index], self.start[index], self.goal[index])

    def __len__(self) -> int:
        return len(self.number)


@dataclass(frozen=True)
class Outcome:
    """What became of n tasks."""

    solved: np.ndarray  # (n,) at any step within the budget
    solved_last: np.ndarray  # (n,) at the last step
    distance: np.ndarray  # (n,) to the goal at the last step, in the world's unit


def choose_tasks(world: World, episodes: Episodes, protocol: Protocol) -> Tasks:
    """The protocol's tasks, the same for every model; ValueError if the episodes hold too few."""
    ahead = protocol.offset - protocol.early
    rows = np.concatenate(
        [
            np.arange(start + protocol.earlier_rows, start + length - protocol.offset)
            for start, length in zip(episodes.episode_start, episodes.length, strict=True)
        ]
    )
    if episodes.metadata.get("source"):  # another simulator's states may be none of ours
        rows = rows[world.contains(episodes.states(rows)) & world.contains(episodes.states(rows + ahead))]
    if not protocol.solved_starts:
        rows = rows[~world.solved(episodes.states(rows), episodes.states(rows + ahead))]
    if len(rows) < protocol.tasks:
        kind = "" if protocol.solved_starts else "unsolved "
        raise ValueError(
            f"protocol.tasks={protocol.tasks} is more than the {len(rows)} {kind}starts in the "
            f"{protocol.split} episodes; raise data.{'episodes' if protocol.split == 'train' else 'held_out'}"
        )
    start = rows[streams.rng(protocol.task_seed, "tasks").permutation(len(rows))[: protocol.tasks]]
    return Tasks(np.arange(protocol.tasks), start, start + ahead)


def evaluate(trained: Trained, config: TrialConfig, map: Map) -> tuple[Outcome, float]:
    """Plan every task with the trained model, in padded chunks of one shape; outcome and seconds per plan.

    Neither the number of chunks planned at a time nor their order changes a bit, since each task draws its own noise
    and every chunk has the same shape.
    """
    world, protocol = config.data.load(), config.protocol
    tasks = choose_tasks(world, trained.episodes(protocol.split), protocol)
    chunks = np.split(np.arange(len(tasks)), range(protocol.chunk, len(tasks), protocol.chunk))
    parts = list(map(partial(_evaluate_chunk, trained, config), [tasks[chunk] for chunk in chunks]))
    outcomes, seconds = zip(*parts, strict=True)
    joined = Outcome(*(np.concatenate([getattr(o, name) for o in outcomes]) for name in Outcome.__dataclass_fields__))
    return joined, sum(seconds) / len(seconds)


def floors(folder: Path, config: TrialConfig) -> dict[str, dict[str, list[list[Any]]]]:
    """What doing nothing ("no-op") and uniform random actions ("random", repeated) come to on the config's tasks.

    "success" at any step and "distance" to the goal at the last one, per repeat and task.
    """
    world, protocol = config.data.load(), config.protocol
    episodes = Episodes(folder)
    tasks = choose_tasks(world, episodes, protocol)
    start, goal = episodes.states(tasks.start), episodes.states(tasks.goal)
    size = (protocol.budget, world.action_dim)

    def run(propose: Propose) -> Outcome:
        return pursue(world, start[:, None], goal, _no_past(start, world), protocol.budget, 1, propose)

    def random(repeat: int) -> Propose:
        draws = [
            streams.rng(protocol.plan_seed, "random_floor", repeat, task).uniform(-1, 1, size) for task in tasks.number
        ]
        return lambda states, past, number: np.stack(draws)

    still = np.zeros((len(tasks), *size))
    outcomes = {"no-op": [run(lambda *_: still)], "random": [run(random(repeat)) for repeat in range(RANDOM_REPEATS)]}
    return {
        policy: {
            "success": [one.solved.tolist() for one in found],
            "distance": [one.distance.tolist() for one in found],
        }
        for policy, found in outcomes.items()
    }


def pursue(
    world: World,
    states: np.ndarray,
    goals: np.ndarray,
    past: np.ndarray,
    budget: int,
    frameskip: int,
    propose: Propose,
) -> Outcome:
    """Act on `propose`'s plans until the budget of env steps is spent.

    `states` (n, T, S) are the history, one per block, and `past` (n, T - 1, frameskip A) the blocks between them.
    """
    depth, now, spent, number = states.shape[1], states[:, -1], 0, 0
    solved = np.zeros(len(goals), bool)
    while spent < budget:
        block: list[np.ndarray] = []
        for action in propose(states, past, number).swapaxes(0, 1)[: budget - spent]:
            now = world.step(now, action)
            solved |= world.solved(now, goals)
            spent, block = spent + 1, [*block, action]
            if len(block) == frameskip:
                states = np.concatenate([states, now[:, None]], axis=1)[:, -depth:]
                past = np.concatenate([past, np.concatenate(block, axis=1)[:, None]], axis=1)[:, 1:]
                block = []
        number += 1
    return Outcome(solved, world.solved(now, goals), world.distance(now, goals))


def _evaluate_chunk(trained: Trained, config: TrialConfig, tasks: Tasks) -> tuple[Outcome, float]:
    """One chunk, padded with its last task; the outcome of the real ones and the seconds per plan."""
    size = config.protocol.chunk
    padded = tasks[np.minimum(np.arange(size), len(tasks) - 1)]
    world, episodes = config.data.load(config.protocol.look), trained.episodes(config.protocol.split)
    goals = episodes.states(padded.goal)
    planner = _ModelPlanner(trained.model, config, world, padded.number, goals)
    back = np.arange(config.context - 1, -1, -1) * config.frameskip
    history = np.stack([episodes.states(padded.start - rows) for rows in back], axis=1)
    outcome = pursue(
        world, history, goals, _past(episodes, padded, config), config.protocol.budget, config.frameskip, planner
    )
    kept = [getattr(outcome, name)[: len(tasks)] for name in Outcome.__dataclass_fields__]
    return Outcome(*kept), planner.seconds / (size * planner.plans)


class _ModelPlanner:
    """Proposes the blocks that the planner finds in the model's latent space; counts plans and their seconds."""

    def __init__(self, model: WorldModel, config: TrialConfig, world: World, numbers: np.ndarray, goals: np.ndarray):
        self.model, self.config, self.world, self.numbers = model, config, world, numbers
        self.device, self.seconds, self.plans = model.pixel_mean.device, 0.0, 0
        self.planner = plugins.load("planners", config.planner.name)
        self.goal = self._encode(goals[:, None])[:, 0]
        edge = torch.ones_like(model.normaliser.mean)
        # What is executed is clipped by the world in any case.
        edge = edge if config.protocol.clip else edge * torch.inf
        self.bounds = model.normaliser(-edge), model.normaliser(edge)

    @torch.inference_mode()
    def __call__(self, states: np.ndarray, past: np.ndarray, number: int) -> np.ndarray:
        began = time.perf_counter()
        z = self._encode(states)
        blocks = self.model.normaliser(torch.from_numpy(past).float().to(self.device))
        seed = self.config.protocol.plan_seed
        generators = [streams.generator(seed, "plan", int(task), number) for task in self.numbers]
        plan = self.planner.plan(
            self.config.planner, lambda plans: self._cost(z, plans, blocks), self.bounds, generators
        )
        executed = self.model.normaliser.undo(plan[:, : self.config.planner.receding]).clamp(-1, 1)
        actions = executed.cpu().double().numpy().reshape(len(states), -1, self.world.action_dim)
        self.seconds, self.plans = self.seconds + time.perf_counter() - began, self.plans + 1
        return actions

    def _cost(self, z: Tensor, plans: Tensor, past: Tensor) -> Tensor:
        """Squared distance (n, S) of the last predicted latent to the goal's."""
        together = max(1, TOKENS_AT_ONCE // (plans.shape[1] * z.shape[2]))
        parts = zip(*(x.split(together) for x in (z, plans, past, self.goal)), strict=True)
        return torch.cat([self._distance(*part) for part in parts])

    def _distance(self, z: Tensor, plans: Tensor, past: Tensor, goal: Tensor) -> Tensor:
        reached = self.model.rollout(z, plans, past)[:, :, -1]
        return (reached - goal[:, None]).square().flatten(2).sum(-1)

    @torch.inference_mode()
    def _encode(self, states: np.ndarray) -> Tensor:
        size, (tasks, time_) = self.config.data.image_size, states.shape[:2]
        pixels = self.world.render(states.reshape(tasks * time_, -1), size).reshape(tasks, time_, size, size, 3)
        return self.model.encode(training.frames(pixels, self.device))


def _past(episodes: Episodes, tasks: Tasks, config: TrialConfig) -> np.ndarray:
    """Recorded action blocks (n, context - 1, frameskip A) that lead to the start."""
    steps = (config.context - 1) * config.frameskip
    rows = tasks.start[:, None] - steps + np.arange(steps)
    actions = episodes.actions(rows.ravel())
    return actions.reshape(len(tasks), config.context - 1, config.frameskip * episodes.action_dim)


def _no_past(states: np.ndarray, world: World) -> np.ndarray:
    return np.zeros((len(states), 0, world.action_dim))
