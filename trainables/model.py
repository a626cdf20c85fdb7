"""The world model: one method per arrow of the papers.

Letters: B batch, T time, S candidate plans, H horizon, P patches (1 for a global latent), A action block, D latent.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainables import plugins
from trainables.collective import GlobalBatchNorm
from trainables.config import Projector, TrialConfig
from trainables.terms._latents import Dims

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as published
FRAMES_AT_ONCE = 512  # bounds the memory of encoding when no gradient is kept


class Normaliser(nn.Module):
    """Mean and unbiased deviation of the training actions; saved with the weights and never fitted again."""

    def __init__(self, mean: Tensor, std: Tensor):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, actions: Tensor) -> Tensor:
        """Raw actions (..., A) -> unit variance."""
        return (actions - self.mean) / self.std

    def undo(self, actions: Tensor) -> Tensor:
        """Unit-variance actions (..., A) -> raw."""
        return actions * self.std + self.mean


class Mlp(nn.Module):
    """The projector of LeWM: Linear, BatchNorm, GELU, Linear over the last axis."""

    def __init__(self, inner: int, config: Projector):
        super().__init__()
        norm = GlobalBatchNorm(config.width) if config.norm == "batch" else nn.Identity()
        self.net = nn.Sequential(nn.Linear(inner, config.width), norm, nn.GELU(), nn.Linear(config.width, config.dim))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.flatten(0, -2)).view(*x.shape[:-1], -1)


class Frozen(nn.Module):
    """A network that is used and never trained: no part of the parameters, the state or the mode of what holds it."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.features, self.patches = net.features, net.patches
        self.held = (net.eval().requires_grad_(False),)  # a tuple is nothing that torch would look into

    def _apply(self, function, recurse: bool = True) -> nn.Module:
        self.held[0]._apply(function, recurse)
        return super()._apply(function, recurse)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        return self.held[0](images)


class WorldModel(nn.Module):
    """Encoder, projector, action encoder, predictor and the heads of the objective's terms."""

    def __init__(self, config: TrialConfig, action_dim: int):
        """`action_dim` is the world's; one action block is `frameskip` of them."""
        super().__init__()
        self.history, block = config.history, action_dim * config.frameskip
        dim = config.projector.dim
        encoder = plugins.load("encoders", config.encoder.name).build(config.encoder, config.data.image_size)
        self.encoder = Frozen(encoder) if config.frozen else encoder
        self.projector = _projector(self.encoder.features, config.projector)
        self.action_encoder = _action_encoder(block, config.action_width)
        predictor = plugins.load("predictors", config.predictor.name)
        patches = self.encoder.patches
        self.predictor = predictor.build(config.predictor, dim, config.action_width, config.history, patches)
        self.prediction_projector = _projector(dim, config.projector)
        dims = Dims(latent=patches * dim, action=block, image=config.data.image_size)
        heads = {name: plugins.load("terms", name).head(term, dims) for name, term in sorted(config.terms.items())}
        self.heads = nn.ModuleDict({name: head for name, head in heads.items() if head is not None})
        self.normaliser = Normaliser(torch.zeros(block), torch.ones(block))
        self.register_buffer("pixel_mean", 255 * torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_scale", 1 / (255 * torch.tensor(STD).view(3, 1, 1)), persistent=False)

    def encode(self, frames: Tensor) -> Tensor:
        """Images (B, T, C, Hpx, Wpx) uint8, or a frozen encoder's features of them (B, T, P, F), -> z (B, T, P, D)."""
        if frames.dtype != torch.uint8:
            return self.projector(frames.to(self.pixel_mean.dtype))
        images = frames.flatten(0, 1)
        if not torch.is_grad_enabled() and not self.training and len(images) > FRAMES_AT_ONCE:
            parts = [self._encode(part) for part in images.split(FRAMES_AT_ONCE)]
            return torch.cat(parts).unflatten(0, frames.shape[:2])
        return self._encode(images).unflatten(0, frames.shape[:2])

    def features(self, images: Tensor) -> Tensor:
        """Images (N, C, Hpx, Wpx) uint8 -> what the encoder says of them, (N, P, F)."""
        return self.encoder(images.to(self.pixel_mean.dtype).sub_(self.pixel_mean).mul_(self.pixel_scale))

    def predict(self, z: Tensor, actions: Tensor) -> Tensor:
        """Latents (B, T, P, D) and normalised action blocks (B, T, A) -> the latents one block later (B, T, P, D).

        T may be more than the trained history: a prediction sees the last `history` frames, as in planning.
        """
        return self.prediction_projector(self._windowed(z, self.action_encoder(actions)))

    def infer_action(self, z: Tensor, following: Tensor) -> Tensor:
        """Latents (..., P, D) before and after -> the normalised action block (..., A) between them."""
        if "inverse" not in self.heads:
            raise ValueError("this model has no inverse head: add the term 'inverse' to its objective")
        return self.heads["inverse"](torch.cat([z.flatten(-2), following.flatten(-2)], dim=-1))

    def rollout(self, z: Tensor, plans: Tensor, past: Tensor | None = None) -> Tensor:
        """Open loop. History latents z (B, T, P, D), normalised plans (B, S, H, A) -> (B, S, H, P, D).

        `past` (B, T - 1, A) are the normalised blocks between the history's frames; T is at most the trained history.
        """
        tasks, samples, horizon, _ = plans.shape
        latents = z.repeat_interleave(samples, dim=0)
        actions = plans.flatten(0, 1)
        if past is not None and past.shape[1]:
            actions = torch.cat([past.repeat_interleave(samples, dim=0), actions], dim=1)
        first = latents.shape[1]
        for step in range(horizon):
            low = max(0, first + step - self.history)
            following = self.predict(latents[:, low:], actions[:, low : first + step])[:, -1:]
            latents = torch.cat([latents, following], dim=1)
        return latents[:, first:].unflatten(0, (tasks, samples))

    def compile_networks(self, backend: str) -> None:
        """Compile encoder and predictor in place by torch.compile; names of weights stay the same."""
        self.encoder.compile(backend=backend)
        self.predictor.compile(backend=backend)

    def _windowed(self, z: Tensor, condition: Tensor) -> Tensor:
        """The predictor along time: the first `history` predictions from one window, each later one from its own."""
        time, history = z.shape[1], self.history
        first = self.predictor(z[:, :history], condition[:, :history])
        if time <= history:
            return first
        windows = [x.unfold(1, history, 1)[:, 1:].movedim(-1, 2).flatten(0, 1) for x in (z, condition)]
        later = self.predictor(*windows)[:, -1].unflatten(0, (len(z), time - history))
        return torch.cat([first, later], dim=1)

    def size(self) -> int:
        """Parameters, those of a frozen encoder included."""
        frozen = self.encoder.held[0].parameters() if isinstance(self.encoder, Frozen) else ()
        return sum(weights.numel() for weights in (*self.parameters(), *frozen))

    def _encode(self, images: Tensor) -> Tensor:
        return self.projector(self.features(images))


def _projector(inner: int, config: Projector) -> nn.Module:
    if not config.identity:
        return Mlp(inner, config)
    if inner != config.dim:
        raise ValueError(
            f"projector.identity: the latent is the encoder's {inner} features, projector.dim={config.dim}"
        )
    return nn.Identity()


def _action_encoder(block: int, width: int) -> nn.Module:
    """A -> 10 -> 4 E -> E, as published (its first layer is a convolution of kernel one there)."""
    return nn.Sequential(nn.Linear(block, 10), nn.Linear(10, 4 * width), nn.SiLU(), nn.Linear(4 * width, width))
