"""A trial on Ray, the only file here that knows Ray: the Tune trainable, planning actors, and the Ray Train executor.

With executor "trial" training runs inside the Tune trial, which holds the cores it trains on and sleeps while its
planning actors, one per core, work in its place. With executor "train" the trial holds a `trial_slot` alone; Ray Train
workers hold the resources while they train, planning actors hold as much afterwards.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import ray
import ray.train
import torch
from ray import tune
from ray.exceptions import RayActorError
from ray.train.torch import TorchConfig, TorchTrainer
from ray.tune.integration.ray_train import TuneReportCallback
from ray.util.actor_pool import ActorPool
from ray.util.placement_group import get_current_placement_group, placement_group, remove_placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

from trainables import collective, features, ids, pipeline, training
from trainables.config import TrialConfig
from trainables.files import read_json, write_json
from trainables.monitors import Watch
from trainables.provenance import provenance
from trainables.remote import open_store
from trainables.store import Store

REPORT_SECONDS = 1.0
SLOT = "trial_slot"  # custom resource of the head node: how many Ray Train trials may be under way


def cell(
    config: TrialConfig,
    store: Store,
    number: int,
    seeds: Sequence[int] = (),
    watch: Watch | None = None,
    gpu: float = 0.0,
) -> str:
    """What `trial` needs, as text: Tune takes a nested config apart.

    `seeds`: to train with after the config's own; `gpu`: the share of a GPU that each Ray Train worker holds.
    """
    content = {"config": config.model_dump(mode="json"), "store": store.uri, "number": number, "gpu": gpu}
    return json.dumps({**content, "seeds": list(seeds), "watch": watch and asdict(watch)})


def resources(config: TrialConfig) -> dict[str, float]:
    """What the Tune trial itself holds, from start to end."""
    return {SLOT: 1} if config.executor == "train" else {"CPU": config.threads}


def worker_resources(config: TrialConfig, gpu: float) -> dict[str, float]:
    """What one Ray Train worker holds, and after training one bundle of planning actors."""
    return {"CPU": config.threads, **({"GPU": gpu} if gpu else {})}


def trial(setting: dict[str, str]) -> None:
    """The Tune trainable: make what the store lacks of one trial, reporting about once a second.

    Reports hold the newest event, the loss points and the warnings since the report before, and at once what a watched
    training shows; the driver may stop the trial at any of them. Only the first seed's training is watched.
    """
    content = json.loads(setting["cell"])
    config, store = TrialConfig.model_validate(content["config"]), open_store(content["store"])
    watch = content["watch"] and Watch(tuple(content["watch"]["steps"]), tuple(content["watch"]["values"]))
    reporter = Reporter(tune.report)
    with _heard(reporter):
        _run(config, store, reporter, watch, content["gpu"])
        for seed in content["seeds"]:
            _run(config.model_copy(update={"seed": seed}), store, reporter, None, content["gpu"])
    reporter.flush()


def _run(config: TrialConfig, store: Store, reporter: Reporter, watch: Watch | None, gpu: float) -> None:
    if config.executor == "train":
        bundle = worker_resources(config, gpu)
        train = partial(ray_train, store, bundle)
        pipeline.run_trial(config, store, map=reserved_map(config, bundle), progress=reporter, train=train, watch=watch)
    else:
        pipeline.run_trial(config, store, map=kept_map(config.threads), progress=reporter, watch=watch)


class Reporter:
    """Collects events and passes them on in one report when the last one is a while ago."""

    def __init__(self, send: Callable[[dict], None]):
        self._send, self._sent = send, 0.0
        self._event: dict = {"phase": "start"}
        self._points: list[dict] = []
        self._looks: list[dict] = []
        self.warnings: list[str] = []

    def __call__(self, event: dict) -> None:
        self.collect(event)
        if self.due():
            self.flush()

    def collect(self, event: dict) -> None:
        """Take in an event of the pipeline; those of training are points of the loss curve, or looks at it."""
        if "monitor" in event:
            self._looks.append({"step": event["step"], "values": event["monitor"]})
            return
        self._event = event
        if event["phase"] == "train":
            self._points.append({key: value for key, value in event.items() if key not in ("phase", "steps")})

    def due(self) -> bool:
        """Whether it is time for a report: a look may end the training, so it does not wait."""
        return bool(self._looks) or time.monotonic() - self._sent >= REPORT_SECONDS

    def flush(self, **more: Any) -> None:
        """Report now."""
        content = {"event": self._event, "points": self._points, "looks": self._looks, "warnings": self.warnings}
        # Forgotten first: being told to stop ends the call.
        self._points, self._looks, self.warnings, self._sent = [], [], [], time.monotonic()
        self._send({**content, **more})


class _Handler(logging.Handler):
    def __init__(self, reporter: Reporter):
        super().__init__(logging.WARNING)
        self._reporter = reporter

    def emit(self, record: logging.LogRecord) -> None:
        self._reporter.warnings.append(record.getMessage())


@contextmanager
def _heard(reporter: Reporter) -> Iterator[None]:
    """Pass on what our packages warn of: nobody reads the logs of Ray's processes."""
    handler, loggers = _Handler(reporter), [logging.getLogger(name) for name in ("trainables", "envs")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


# --- planning actors


@ray.remote
class Planner:
    """A process that applies a function to chunks of tasks; it fetches a function once."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self._key: str | None = None
        self._function: Callable = print

    def apply(self, key: str, function: list[ray.ObjectRef], item: Any) -> Any:
        """function(item); the reference comes in a list, so that Ray does not fetch it at every call."""
        if key != self._key:
            self._key, self._function = key, ray.get(function[0])
        return self._function(item)


_kept: list[Any] = []  # actors that the trials of this process share


def kept_map(count: int) -> Callable[[Callable, Iterable], list]:
    """A map over `count` actors on this node that hold no resource of their own and outlive the trial."""

    def map(function: Callable, items: Iterable) -> list:
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        while len(_kept) < count:
            _kept.append(_planner(num_cpus=0, scheduling_strategy=here))
        try:
            return _over(_kept[:count], function, items)
        except RayActorError:
            _kept.clear()  # the next trial in this process starts with new ones
            raise

    return map


def reserved_map(config: TrialConfig, bundle: dict[str, float]) -> Callable[[Callable, Iterable], list]:
    """A map over actors that hold what the Ray Train workers held, all or none: trials cannot block each other."""

    def map(function: Callable, items: Iterable) -> list:
        share = {"num_cpus": bundle["CPU"], "num_gpus": bundle["GPU"]} if "GPU" in bundle else {"num_cpus": 1}
        count = config.workers * (1 if "GPU" in bundle else config.threads)
        group = placement_group([bundle] * config.workers)
        ray.get(group.ready())
        try:
            return _over([_planner(**share, scheduling_strategy=_inside(group)) for _ in range(count)], function, items)
        finally:
            remove_placement_group(group)

    return map


def _inside(group: Any) -> PlacementGroupSchedulingStrategy:
    return PlacementGroupSchedulingStrategy(group)


def _planner(**options: Any) -> Any:
    return Planner.options(max_restarts=1, max_task_retries=1, **options).remote()


def _over(actors: list, function: Callable, items: Iterable) -> list:
    """[function(item) for each item], in order, over the actors."""
    reference = ray.put(function)
    call = lambda actor, item: actor.apply.remote(reference.hex(), [reference], item)  # noqa: E731
    return list(ActorPool(actors).map(call, items))


# --- Ray Train


def ray_train(
    store: Store,
    bundle: dict[str, float],
    config: TrialConfig,
    data: dict[str, Path],
    work: Path,
    out: Path,
    progress: Callable[[dict], None],
    watch: Watch | None,
    saved: Callable[[], None],
) -> None:
    """`training.train` on `config.workers` Ray Train workers of these resources.

    They report to Tune and save to the store themselves.
    """
    TorchTrainer(
        _train_worker,
        train_loop_config={
            "config": config.model_dump(mode="json"),
            "store": store.uri,
            "out": out.name,
            "watch": watch,
        },
        # A lone worker talks to nobody, and NCCL would take memory of a GPU that it may share.
        torch_config=TorchConfig(backend="gloo" if config.workers == 1 else None),
        scaling_config=ray.train.ScalingConfig(
            num_workers=config.workers, use_gpu="GPU" in bundle, resources_per_worker=bundle
        ),
        run_config=ray.train.RunConfig(
            name=tune.get_context().get_trial_id(),
            storage_path=str(work / ".ray"),
            callbacks=[TuneReportCallback()],
            logging_config=ray.train.LoggingConfig(log_level="ERROR"),
        ),
    ).fit()
    store.restore_work(ids.train_key(config))  # what the workers made, should they be on another node


def _train_worker(setting: dict[str, Any]) -> None:
    """The Ray Train loop: all workers call it, the first one writes and its reports count."""
    reporter = Reporter(ray.train.report)
    # The driver frees this group should the trial be killed: Ray does so only where its dashboard runs.
    group = {"placement_group": get_current_placement_group().id.hex()}

    def progress(event: dict) -> None:
        reporter.collect({"phase": "train", **event})
        if _agreed(reporter.due()):
            reporter.flush(**group)

    config, store = TrialConfig.model_validate(setting["config"]), open_store(setting["store"])
    key = ids.train_key(config)
    with _heard(reporter):
        data = {split: pipeline.ensure_data(config, store, split) for split in ids.SPLITS}
        data = features.ensure(config, store, data)
        store.restore_work(key)
        out = store.work(key) / setting["out"]
        out.mkdir(exist_ok=True)
        training.train(config, data, out.parent, out, progress, setting["watch"], pipeline.saver(store, key))
        if collective.rank() == 0:
            # Said here, for the trial itself does not see the devices that its workers hold.
            write_json(out / "result.json", {**read_json(out / "result.json"), "provenance": provenance()})
            store.save_work(key)
    reporter.flush(**group)


def _agreed(due: bool) -> bool:
    """The first worker's clock decides for all, for a report waits until every worker has made one."""
    if collective.workers() == 1:
        return due
    flag = torch.tensor([float(due)], device=ray.train.torch.get_device())
    torch.distributed.broadcast(flag, 0)
    return bool(flag.item())
