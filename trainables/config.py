"""The config of a trial: frozen, strict, one home per setting; changed by dotted paths.

A setting of an encoder, predictor, term, planner or measure lives in that thing's own file. What a scale fills in
(network sizes, steps) lives in `trainables/scales/<scale>.py`. Nothing here imports torch: a config is built, checked
and hashed before anything expensive starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from pydantic import Field, ValidationInfo, field_validator, model_validator

import envs
from trainables import plugins
from trainables.settings import EARLIER_ROWS, ROLLOUT_BLOCKS, Settings


def _union(folder: str) -> Any:
    """Any Config of a plug-in folder, told apart by its `name`."""
    configs = tuple(plugins.load(folder, name).Config for name in plugins.names(folder))
    return Annotated[Union[configs], Field(discriminator="name")] if len(configs) > 1 else configs[0]  # noqa: UP007


Encoder, Predictor, Planner = _union("encoders"), _union("predictors"), _union("planners")
Term, Measure = _union("terms"), _union("measures")

NAMED = ("terms", "measures")
PREDICTING = ("forward", "unrolled_forward")  # terms that train the predictor
CUSTOM = "custom"  # name of a protocol, or a predictor's size, that is none of those that have one


class Data(Settings):
    """Episodes that a trial learns from and is judged on; each split is a data set of its own."""

    world: str  # envs/<world>.py
    options: dict[str, Any] = Field(default_factory=dict)  # of the world, those unlike its defaults
    image_size: int = Field(ge=8, le=1024)  # px
    episodes: int = Field(ge=1)  # training episodes
    held_out: int = Field(ge=1)  # episodes in the validation set, and as many in the test set
    steps: int = Field(ge=1)  # env steps per recorded episode
    seed: int = Field(default=0, ge=0)  # stream of all three splits
    source: str | None = None  # a public LeWM file (HDF5) that episodes are taken from; else they are recorded
    fingerprint: str | None = None  # of that file, found when it is named: what the ids go by

    @model_validator(mode="before")
    @classmethod
    def _identified(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(source := value.get("source"), str):
            from envs._source import fingerprint

            try:
                found = value.get("fingerprint") or fingerprint(source)
                return {**value, "source": str(Path(source).absolute()), "fingerprint": found}  # trials run elsewhere
            except ValueError as error:
                raise ValueError(f"source: {error}; of what is done already, give data.fingerprint, too") from None
        return value

    @field_validator("world")
    @classmethod
    def _exists(cls, value: str) -> str:
        plugins.require("world", value, envs.names())
        return value

    @field_validator("options")
    @classmethod
    def _unlike_defaults(cls, value: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        """Without those that have their default values, so that the same world has one id."""
        if "world" not in info.data:
            return value
        return envs.load(info.data["world"]).unlike_defaults(value)

    @model_validator(mode="after")
    def _can_be_imported(self) -> Data:
        if self.source and not envs.load(self.world).source_columns:
            raise ValueError(f"source: there is no public file to import for the world {self.world!r}")
        if self.source and self.options:
            raise ValueError(
                "options: the episodes of a source look as they do; protocol.look changes what planning sees"
            )
        return self

    def load(self, look: Mapping[str, Any] | None = None) -> envs.World:
        """The world with its options, and with those of a `look` on top."""
        return envs.load(self.world, {**self.options, **(look or {})})


class Projector(Settings):
    """Linear, norm, GELU, Linear after the encoder and again after the predictor; its output is the latent z."""

    dim: int = Field(ge=2)  # D, the latent's size
    width: int = Field(ge=2)  # hidden units
    norm: Literal["batch", "none"] = "batch"  # LeWM and SMWM use batch
    identity: bool = False  # no projector at all: the latent is what the encoder says (DINO-WM), and D its features


class Optim(Settings):
    """AdamW with linear warm-up and cosine decay to zero, stepped at every update."""

    steps: int = Field(ge=1)  # updates
    batch: int = Field(ge=2)  # clips per update, over all workers
    lr: float = Field(gt=0, le=1)  # peak
    weight_decay: float = Field(default=1e-3, ge=0)  # on every parameter, as published
    warmup: float = Field(default=0.01, ge=0, le=1)  # share of steps
    clip: float = Field(default=1.0, gt=0)  # gradient norm


class Protocol(Settings):
    """How planning is judged: tasks from recorded episodes, each a start and a goal that was reached from there.

    `protocol=<name>` sets what that protocol fixes (trainables/protocols/<name>.py); the name becomes "custom" when a
    setting no longer agrees with it.
    """

    name: str = "strict"
    split: Literal["train", "validation", "test"] = "test"  # hyperparameters are chosen on validation
    tasks: int = Field(default=100, ge=1)  # start and goal pairs, the same for every arm and seed
    offset: int = Field(ge=1)  # env steps from start to goal in the recorded episode
    early: int = Field(default=0, ge=0, le=1)  # env steps by which the goal comes before that, in published code
    budget: int = Field(ge=1)  # env steps allowed
    earlier_rows: int = Field(default=EARLIER_ROWS, ge=0)  # of the episode before every start, whatever the history
    solved_starts: bool = False  # whether starts that are solved already are kept
    clip: bool = True  # plans to the action bounds while they are improved; the world clips what is executed anyway
    context: int | None = Field(default=None, ge=1, le=16)  # frames that planning sees; the trained history otherwise
    task_seed: int = Field(default=0, ge=0)
    plan_seed: int = Field(default=0, ge=0)
    chunk: int = Field(default=25, ge=1)  # tasks planned together, padded to this number
    look: dict[str, Any] = Field(default_factory=dict)  # options of the world that differ while planning

    @model_validator(mode="after")
    def _known(self) -> Protocol:
        plugins.require("protocol", self.name, [*plugins.names("protocols"), CUSTOM])
        if self.early >= self.offset:
            raise ValueError(f"early={self.early} leaves nothing of offset={self.offset}")
        return self


class TrialConfig(Settings):
    """One config with one seed; every value written out."""

    scale: str  # trainables/scales/<scale>.py, a label: what it sets is written out below
    method: str  # trainables/methods/<method>.py, a label likewise
    data: Data
    frameskip: int = Field(ge=1)  # env steps per action block
    history: int = Field(default=1, ge=1, le=16)  # frames that the predictor sees, in training and in planning
    projector: Projector
    action_width: int = Field(default=192, ge=1)  # conditioning size of the action encoder
    optim: Optim
    seed: int = Field(default=0, ge=0)  # weights, batches, dropout, SIGReg directions
    precision: Literal["fp32", "bf16"] = "fp32"  # bf16: autocast where the device has it
    compile: Literal["inductor", "aot_eager"] | None = None  # torch.compile's backend for training; None: eager
    threads: int = Field(default=1, ge=1)  # torch threads on a CPU
    executor: Literal["trial", "train"] = "trial"  # inside the Tune trial, or Ray Train workers
    workers: int = Field(default=1, ge=1)  # Ray Train workers, each with an equal share of the batch
    gpu_share: float | None = Field(default=None, gt=0, le=1)  # of a GPU per worker; None: by what is measured
    encoder: Encoder
    predictor: Predictor
    terms: dict[str, Term] = Field(min_length=1)  # the objective: their weighted sum
    planner: Planner
    protocol: Protocol
    measures: dict[str, Measure]

    @model_validator(mode="before")
    @classmethod
    def _name_from_key(cls, value: Any) -> Any:
        """`terms: {inverse: {weight: 1}}` need not repeat the name."""
        if not isinstance(value, dict):
            return value
        return {key: _with_names(key, part) if key in NAMED else part for key, part in value.items()}

    @model_validator(mode="after")
    def _fits(self) -> TrialConfig:
        plugins.require("scale", self.scale, plugins.names("scales"))
        plugins.require("method", self.method, plugins.names("methods"))
        if self.data.image_size % getattr(self.encoder, "patch", 1):
            raise ValueError(
                f"encoder.patch={self.encoder.patch} does not divide data.image_size={self.data.image_size}"
            )
        if self.projector.identity and self.projector.dim != self.encoder.features:
            raise ValueError(
                f"projector.dim={self.projector.dim}: with projector.identity the latent is what the encoder says, and "
                f"encoder={self.encoder.name} says {self.encoder.features} features"
            )
        self._runs_on_workers()
        self._objective_fits()
        self._looks_fit()
        self._fits_the_episodes()
        return self

    @property
    def clip(self) -> int:
        """Frames of a training clip: the history and one more, or as many as the term that needs the most of them."""
        return max(self.history + 1, *(self._needed(name) for name in self.terms))

    def _needed(self, term: str) -> int:
        needs = getattr(self.terms[term], "clip", None)
        return needs(self.history) if needs else 2

    @property
    def frozen(self) -> bool:
        """Whether the encoder is not trained, so that its features can be kept."""
        return getattr(self.encoder, "frozen", False)

    @property
    def context(self) -> int:
        """Frames that planning sees."""
        return self.protocol.context or self.history

    def _runs_on_workers(self) -> None:
        if self.workers > 1 and self.executor != "train":
            raise ValueError(f"workers={self.workers} needs executor=train")
        if self.optim.batch % self.workers:
            raise ValueError(f"optim.batch={self.optim.batch} does not divide among workers={self.workers}")
        if self.gpu_share is not None and self.executor != "train":
            raise ValueError(f"gpu_share={self.gpu_share} needs executor=train, a Tune trial itself trains on the CPU")
        if self.workers > 1 and self.gpu_share not in (None, 1.0):
            raise ValueError(
                f"gpu_share={self.gpu_share}: several workers of a trial need a whole GPU each, as NCCL does"
            )

    def _objective_fits(self) -> None:
        if not any(term.weight for term in self.terms.values()):
            raise ValueError("terms: every weight is zero, nothing would be trained")
        if self.frozen and self.projector.identity and not any(self._weight(name) for name in PREDICTING):
            raise ValueError(
                f"terms: of a frozen encoder without a projector only {' or '.join(PREDICTING)} train anything"
            )
        needy = [name for name, term in self.terms.items() if getattr(term, "pixels", False)]
        if self.frozen and needy:
            raise ValueError(f"terms.{needy[0]}: needs the frames, of a frozen encoder there are the features alone")

    def _weight(self, term: str) -> float:
        return self.terms[term].weight if term in self.terms else 0.0

    def _looks_fit(self) -> None:
        world, look = envs.load(self.data.world), self.protocol.look
        try:
            world.chosen(look)
        except ValueError as error:
            raise ValueError(f"protocol.look: {error}") from None
        if moved := sorted(set(look) & world.Options.dynamics):
            raise ValueError(
                f"protocol.look.{moved[0]}: changes what happens, not how it looks; set it in data.options"
            )

    def _fits_the_episodes(self) -> None:
        data, protocol, back = self.data, self.protocol, (self.history - 1) * self.frameskip
        clip, rollout = (self.clip - 1) * self.frameskip, back + ROLLOUT_BLOCKS * self.frameskip
        task = protocol.earlier_rows + protocol.offset - protocol.early
        seen = (self.context - 1) * self.frameskip
        if self.context > self.history:
            raise ValueError(f"protocol.context: {self.context} frames are more than the history of {self.history}")
        _at_most("history", "frames back", seen, protocol.earlier_rows, "env steps before the start of a planning task")
        if data.source:  # its episodes have lengths of their own
            return
        rolled = f"history + rollout at frameskip={self.frameskip}"
        _at_most(rolled, "env steps", rollout, data.steps, "data.steps")
        longest = max(self.terms, key=self._needed)
        _at_most(f"terms.{longest}", f"env steps in clips of {self.clip} frames", clip, data.steps, "data.steps")
        if task > data.steps:
            steps = f"{protocol.offset} env steps and the {protocol.earlier_rows} before the start"
            raise ValueError(f"protocol.offset: {steps} are more than the {data.steps} data.steps")
        setting = "episodes" if protocol.split == "train" else "held_out"
        count, clips = getattr(data, setting), data.episodes * (data.steps + 1 - clip)
        starts = count * (data.steps + 1 - task)
        _at_most("optim.batch", "clips", self.optim.batch, clips, f"clips of data.episodes={data.episodes}")
        _at_most("protocol.tasks", "tasks", protocol.tasks, starts, f"starts of data.{setting}={count}")


def _at_most(setting: str, what: str, value: int, limit: int, of: str) -> None:
    if value > limit:
        raise ValueError(f"{setting}: {value} {what} are more than the {limit} {of}")


def _with_names(folder: str, part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    for name in part:
        plugins.require(folder, name, plugins.names(folder))
    return {name: {"name": name, **given} if isinstance(given, dict) else given for name, given in part.items()}
