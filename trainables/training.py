"""The one training loop: the same whether a Tune trial, a Ray Train worker or `python -m trainables.train` runs it."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from envs._episodes import Clips, Episodes
from trainables import checkpoint, collective, features, objective, streams
from trainables.config import TrialConfig
from trainables.files import write_json
from trainables.model import Normaliser, WorldModel
from trainables.monitors import Watch

CHECKPOINT_SECONDS = 30.0
SLOW_SECONDS = 1.5  # of writing and saving a checkpoint, from which on there is one less often
LOG_EVERY = 10  # steps between points of the loss history, and between checks that the loss is finite
INITIAL_FRAMES = 1024  # validation frames that the latent variance at initialisation is measured on
TRACE_STEPS = 50  # of the loss trace by which two arms are told to be one and the same

Progress = Callable[[dict], None]


def train(
    config: TrialConfig,
    data: dict[str, Path],
    work: Path,
    out: Path,
    progress: Progress | None = None,
    watch: Watch | None = None,
    saved: Callable[[], None] | None = None,
) -> None:
    """Train from `data` (see `trainables.features`) into the folder `out`, or go on from the checkpoint in `work`.

    `out` gets config.json, model.safetensors (weights and normaliser), history.json and result.json with the status,
    "ok" or "diverged". With several workers every one calls this and the first one writes. What `watch` looks at goes
    to `progress` alone, as {"step": ..., "monitor": {name: value}}, again after a resume. `saved` is called after every
    checkpoint.
    """
    torch.set_num_threads(config.threads)
    started = time.perf_counter()
    clips = Clips(features.episodes(data, "train"), config.clip, config.frameskip)
    run = Run(config, clips, features.episodes(data, "validation"))
    before = run.resume(work)
    status, last, pause = "ok", time.monotonic(), CHECKPOINT_SECONDS
    tell = progress or (lambda event: None)
    for look in run.looks:
        tell(look)
    while run.step < config.optim.steps and status == "ok":
        status = run.advance()
        if run.logged:
            tell({"step": run.step, "steps": config.optim.steps, **run.last()})
        if watch and status == "ok" and run.step in watch.steps and run.finite():
            tell(run.look(watch, data))
        if status == "ok" and collective.rank() == 0 and time.monotonic() - last > pause:
            began = time.monotonic()
            run.save(work, before + time.perf_counter() - started)
            if saved:
                saved()
            last = time.monotonic()
            pause = CHECKPOINT_SECONDS * max(1.0, (last - began) / SLOW_SECONDS)
    if collective.rank() == 0:
        run.finish(out, status, before + time.perf_counter() - started)


class Run:
    """The state of one training: model, optimiser, step and loss history; nothing else is needed to go on."""

    def __init__(self, config: TrialConfig, clips: Clips, held_out: Episodes):
        if len(clips) < config.optim.batch:
            raise ValueError(
                f"optim.batch={config.optim.batch} is more than the {len(clips)} clips of the training set"
            )
        self.config, self.clips, self.step = config, clips, 0
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = build(config, clips.episodes).to(self.device)
        self.initial_variance = initial_variance(self.model, held_out, config.seed)
        self.parameters = [weights for weights in self.model.parameters() if weights.requires_grad]
        if config.compile:
            self.model.compile_networks(config.compile)
        self.objective = collective.distributed(objective.Objective(self.model, config))
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=config.optim.lr, weight_decay=config.optim.weight_decay, fused=True
        )
        self.history: dict[str, list] = {"step": [], "lr": [], "gradient_norm": [], "loss": []}
        self.history |= {f"loss/{name}": [] for name in sorted(config.terms)}
        self.logged = False
        self.looks: list[dict] = []  # what was watched so far
        self._batches = _batches(len(clips), config.optim.batch, config.seed)

    def advance(self) -> str:
        """One update; "diverged" when the loss or the gradient is no longer finite."""
        pixels, actions = self._next_batch()
        self.model.train()
        lr = learning_rate(self.config, self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        with streams.seeded(self.config.seed, "dropout", self.step, collective.rank()), self._autocast():
            terms = self.objective(pixels, actions, self.step)
            loss = objective.total(self.config, terms)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.config.optim.clip, foreach=True)
        self.step += 1
        self.logged = self._due()
        if self.logged and not self._log(lr, norm, loss, terms):
            return "diverged"
        self.optimiser.step()
        return "ok"

    def look(self, watch: Watch, data: dict[str, Path]) -> dict:
        """Look at the model as it stands; the first worker does it for all."""
        values = watch.look(self, data) if collective.rank() == 0 else {}
        self.looks.append({"step": self.step, "steps": self.config.optim.steps, "monitor": values})
        return self.looks[-1]

    def finite(self) -> bool:
        """Whether every weight is; if not, the next check of the loss says "diverged"."""
        return all(bool(torch.isfinite(weights).all()) for weights in self.parameters)

    def last(self) -> dict[str, float]:
        """The newest point of the history."""
        return {name: values[-1] for name, values in self.history.items()}

    def resume(self, work: Path) -> float:
        """Take up the checkpoint in `work` if there is a sound one; the seconds of training that it holds."""
        found = checkpoint.read(work)
        if found is None:
            return 0.0
        tensors, state = found
        self.model.load_state_dict(checkpoint.part(tensors, "model"))
        checkpoint.restore_optimiser(self.optimiser, self.parameters, checkpoint.part(tensors, "optimiser"))
        self.step, self.history, self.looks = state["step"], state["history"], state.get("looks", [])
        self._batches = _batches(len(self.clips), self.config.optim.batch, self.config.seed, self.step)
        return state["seconds"]

    def save(self, work: Path, seconds: float) -> None:
        """Write the checkpoint that `resume` reads."""
        tensors = checkpoint.join(
            model=self.model.state_dict(), optimiser=checkpoint.optimiser_tensors(self.optimiser, self.parameters)
        )
        state = {"step": self.step, "history": self.history, "looks": self.looks, "seconds": seconds}
        checkpoint.write(work, tensors, state)

    def finish(self, out: Path, status: str, seconds: float) -> None:
        """Write the finished training into `out`."""
        weights = {name: tensor.contiguous().cpu() for name, tensor in self.model.state_dict().items()}
        checkpoint.write_weights(out / "model.safetensors", weights)
        write_json(out / "config.json", self.config.model_dump(mode="json"))
        write_json(out / "history.json", _finite(self.history))
        result = {
            "status": status,
            "steps": self.step,
            "seconds": seconds,
            "initial_variance": self.initial_variance,
            "parameters": self.model.size(),
            "trace": _trace(self.history, weights),
            "memory": _memory(self.device),
        }
        write_json(out / "result.json", result)

    def _due(self) -> bool:
        """Early steps are all kept, so that identical arms show at once."""
        return self.step <= TRACE_STEPS or self.step % LOG_EVERY == 0 or self.step == self.config.optim.steps

    def _log(self, lr: float, norm: Tensor, loss: Tensor, terms: dict[str, Tensor]) -> bool:
        values = [loss.detach(), *(terms[name].detach() for name in sorted(terms))]
        means = collective.batch_mean(torch.stack(values).float().unsqueeze(0)).tolist()
        for name, value in zip(("loss", *(f"loss/{name}" for name in sorted(terms))), means, strict=True):
            self.history[name].append(value)
        for name, value in (("step", self.step), ("lr", lr), ("gradient_norm", float(norm))):
            self.history[name].append(value)
        return all(map(math.isfinite, [*means, float(norm)]))

    def _next_batch(self) -> tuple[Tensor, Tensor]:
        rows = next(self._batches)[collective.rank() :: collective.workers()]
        pixels, actions = self.clips.gather(rows)
        return frames(pixels, self.device), torch.from_numpy(actions).to(self.device, non_blocking=True)

    def _autocast(self) -> torch.autocast:
        enabled = self.config.precision == "bf16" and self.device.type == "cuda"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)


def build(config: TrialConfig, episodes: Episodes) -> WorldModel:
    """A freshly initialised model with the normaliser fitted to the training actions."""
    with streams.seeded(config.seed, "weights"):
        model = WorldModel(config, episodes.action_dim)
    actions = episodes.actions(np.arange(episodes.rows))
    actions = actions[~np.isnan(actions).any(axis=1)].astype(np.float64)
    std = actions.std(axis=0, ddof=1)
    std[std == 0] = 1.0
    tile = lambda values: torch.from_numpy(np.tile(values, config.frameskip)).float()  # noqa: E731
    model.normaliser = Normaliser(tile(actions.mean(axis=0)), tile(std))
    return model


def frames(stored: np.ndarray, device: torch.device) -> Tensor:
    """Stored frames (B, T, Hpx, Wpx, C) uint8 -> (B, T, C, Hpx, Wpx) on the device, sharing memory on a CPU.

    Features of frames (B, T, P, F) stay as they are.
    """
    moved = torch.from_numpy(stored).to(device, non_blocking=True)
    return moved.movedim(-1, 2) if moved.dtype == torch.uint8 else moved


def learning_rate(config: TrialConfig, step: int) -> float:
    """Linear warm-up from zero, then cosine to zero, at every update (step counts from 0)."""
    warmup = max(1, round(config.optim.warmup * config.optim.steps))
    if step < warmup:
        return config.optim.lr * (step + 1) / warmup
    progress = (step - warmup) / max(1, config.optim.steps - warmup)
    return config.optim.lr * 0.5 * (1 + math.cos(math.pi * progress))


@torch.no_grad()
def initial_variance(model: WorldModel, held_out: Episodes, seed: int) -> float:
    """Mean variance of the latent's dimensions on validation frames before training.

    BatchNorm uses the frames' own statistics, as it will in training; its running statistics are left as they were.
    """
    rows = streams.rng(seed, "initial_variance").permutation(held_out.rows)[:INITIAL_FRAMES]
    running = {name: buffer.clone() for name, buffer in model.named_buffers()}
    device = model.pixel_mean.device
    with streams.seeded(seed, "initial_variance"):
        z = model.train().encode(frames(held_out.pixels(np.sort(rows))[None], device))
    for name, buffer in model.named_buffers():
        buffer.copy_(running[name])
    return z.flatten(0, 1).flatten(1).var(0).mean().item()


def _batches(clips: int, batch: int, seed: int, start: int = 0) -> Iterator[np.ndarray]:
    """Shuffled epochs without their last partial batch, from update `start` on; (B,) clip indices each."""
    per_epoch = clips // batch
    for epoch in range(start // per_epoch, 2**31):
        order = streams.rng(seed, "batches", epoch).permutation(clips)
        for number in range(start % per_epoch if epoch == start // per_epoch else 0, per_epoch):
            yield order[number * batch : (number + 1) * batch]


def _trace(history: dict[str, list], weights: dict[str, Tensor]) -> str:
    """A fingerprint of what training did: equal only if the first losses and the final weights are."""
    seen = hashlib.blake2b(repr(history["loss"][:TRACE_STEPS]).encode(), digest_size=8)
    for name in sorted(weights):
        seen.update(weights[name].numpy().tobytes())
    return seen.hexdigest()


def _memory(device: torch.device) -> dict[str, int] | None:
    """The most bytes of a GPU that this process has held, and what the card has; None on a CPU."""
    if device.type != "cuda":
        return None
    total = torch.cuda.get_device_properties(device).total_memory
    return {"peak": torch.cuda.max_memory_reserved(device), "total": total}


def _finite(history: dict[str, list]) -> dict[str, list]:
    """JSON knows no NaN: a value that is none becomes null."""
    return {name: [value if math.isfinite(value) else None for value in values] for name, values in history.items()}
