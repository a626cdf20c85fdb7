"""One trial as cached stages: episodes (-> features) -> checkpoint -> measures -> the trial's part of its record.

Every stage is looked up in the store by its id, and made once under a lease if it is not there. Training never sees how
it is judged, and a new measure runs on old checkpoints.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trainables import features, ids, plugins, stages
from trainables.config import TrialConfig
from trainables.files import read_json, write_json
from trainables.monitors import Watch
from trainables.paths import flatten
from trainables.settings import ROLLOUT_BLOCKS
from trainables.store import Store, StoreError

logger = logging.getLogger(__name__)

Progress = Callable[[dict], None]
Saved = Callable[[], None]
Train = Callable[[TrialConfig, dict[str, Path], Path, Path, Progress | None, Watch | None, Saved | None], None]

WEIGHTS = "model.safetensors"  # of a checkpoint: all that measures need and records do not

# A latent below this share of its variance at initialisation, or whose one-step prediction is no better than the mean,
# has collapsed. Effective rank alone does not tell.
COLLAPSED_VARIANCE, COLLAPSED_ERROR = 0.01, 1.0


def run_trial(
    config: TrialConfig,
    store: Store,
    *,
    map: Callable | None = None,
    progress: Progress | None = None,
    train: Train | None = None,
    watch: Watch | None = None,
) -> dict[str, Any]:
    """Make whatever the store lacks of this trial and return its record part.

    `map` runs a function over chunks of planning tasks (the builtin by default); `train` is the loop's executor;
    `watch` says when training is looked at, which changes nothing in it.
    """
    tell = progress or (lambda event: None)
    data = {split: ensure_data(config, store, split, tell) for split in ids.SPLITS}
    if store.get(ids.train_key(config)) is None:
        check_episodes(config, store)
    checkpoint = _ensure_checkpoint(config, store, data, tell, train, watch)
    if read_json(checkpoint / "result.json")["status"] == "ok":
        if (lacking := _unmeasured(config, store)) and store.get(ids.train_key(config), whole=True) is None:
            logger.warning("its weights were removed, so it is trained again for %s", ", ".join(lacking))
            checkpoint = _ensure_checkpoint(config, store, data, tell, train, watch, whole=True)
        for name in config.measures:
            _ensure_measure(config, store, name, checkpoint, data, tell, map)
    store.forget(_failure(config))
    return record_part(config, store)


def ensure_data(
    config: TrialConfig, store: Store, split: str, progress: Progress | None = None, map: Callable | None = None
) -> Path:
    """The folder of a split's episodes, recorded or imported now if the store lacks it.

    `map` records parts of them (see `envs._recording`), many at a time; what a killed call made of them is used.
    """
    from envs._card import write_card

    def make(out: Path) -> None:
        about = {"phase": "data", "split": split}
        tell = progress and (lambda done, total: progress({**about, "done": done, "total": total}))
        _obtain(config, split, out, tell, map)
        write_card(out)

    return stages.ensure(store, ids.data_key(config, split), make)


def _obtain(config: TrialConfig, split: str, out: Path, tell: Callable | None, map: Callable | None) -> None:
    """Write episodes into the folder `out`; parts of them lie beside it."""
    data, parts = config.data, out.parent
    if data.source:
        from envs._source import Source, import_episodes

        chosen = {"split": split, "episodes": data.episodes, "held_out": data.held_out, "seed": data.seed}
        source = Source(data.world, data.options, data.source, data.fingerprint, size=data.image_size, **chosen)
        import_episodes(source, out, parts=parts, progress=tell)
        return
    from envs._recording import Recording, record

    count = data.episodes if split == "train" else data.held_out
    recording = Recording(data.world, split, count, data.steps, data.image_size, data.seed, data.options)
    record(recording, out, parts=parts, progress=tell, **({"map": map} if map else {}))


def lacking(config: TrialConfig) -> str | None:
    """What this machine lacks to run the config, "no weights: ..."; None if nothing is known to be missing."""
    asked = getattr(plugins.load("encoders", config.encoder.name), "lacking", None)
    return asked(config.encoder) if asked else None


def check_episodes(config: TrialConfig, store: Store) -> None:
    """ValueError before anything is trained if the episodes are too few or too short for what is asked of them."""
    from envs._episodes import Clips, Episodes
    from trainables.planning import choose_tasks

    episodes = {split: Episodes(store.get(ids.data_key(config, split))) for split in ids.SPLITS}
    if any("protocol" in plugins.load("measures", name).USES for name in config.measures):
        choose_tasks(config.data.load(), episodes[config.protocol.split], config.protocol)
    Clips(episodes[ids.judging_split(config)], config.history + ROLLOUT_BLOCKS, config.frameskip)
    if (clips := len(Clips(episodes["train"], config.clip, config.frameskip))) < config.optim.batch:
        raise ValueError(f"optim.batch={config.optim.batch} is more than the {clips} clips of the training set")


def data_note(config: TrialConfig, store: Store) -> str:
    """Where the training episodes come from, and how they differ from those of the papers."""
    card = store.document(ids.data_key(config, "train"), "card.json")
    return card["note"] if card else config.data.load().data_note


def ensure_floors(config: TrialConfig, store: Store) -> dict[str, dict[str, list[list[Any]]]]:
    """What policies without a model come to on the config's tasks, see `trainables.planning.floors`."""

    def make(work: Path) -> None:
        from trainables.planning import floors

        write_json(work / "floors.json", floors(ensure_data(config, store, config.protocol.split), config))

    return read_json(stages.ensure(store, ids.floors_key(config), make) / "floors.json")


def state(config: TrialConfig, store: Store) -> str:
    """ "done", "failed" (it crashed; the next run takes it up again) or "to run"."""
    if _result(config, store) is not None and not _lacks_measures(config, store):
        return "done"
    return "failed" if why_failed(config, store) else "to run"


def fail(config: TrialConfig, store: Store, error: str) -> None:
    """Remember that the trial crashed, and how."""
    store.write(_failure(config), {"error": error})


def record_part(config: TrialConfig, store: Store) -> dict[str, Any]:
    """What the store knows of this trial; status "missing" or "crashed" while a stage is missing."""
    result = _result(config, store)
    record = {"trial": ids.train_key(config).split("/")[1], "config": flatten(config), "measures": {}, "tasks": []}
    if result is None or _lacks_measures(config, store):
        error = why_failed(config, store)
        return record | {"status": "crashed" if error else "missing", "error": error, "seconds": {}, **_no_provenance()}
    measured = _measured(config, store) if result["status"] == "ok" else []
    for part in measured:
        record["measures"] |= part["values"]
        record["tasks"] += part["tasks"]
    record["status"] = _collapse(record["measures"]) or result["status"]
    record["measure_commits"] = sorted({part["commit"] for part in measured if "commit" in part})
    seconds = {"train": result["seconds"]} | (
        {"measures": sum(part["seconds"] for part in measured)} if measured else {}
    )
    about = {key: result[key] for key in ("parameters", "trace", "steps")}
    about["memory"] = result.get("memory")  # older trainings do not say
    return record | {"error": None, "seconds": seconds, **about, **result["provenance"]}


def history(config: TrialConfig, store: Store) -> dict[str, list]:
    """The stepped training metrics of a finished training; empty while there is none."""
    return store.document(ids.train_key(config), "history.json") or {}


def saver(store: Store, key: str) -> Saved:
    """What to call when work on `key` got further. A store that cannot take it just now does not stop the work."""

    def save() -> None:
        try:
            store.save_work(key)
        except StoreError as error:
            logger.warning("the checkpoint of %s is on this node alone: %s", key, error)

    return save


def measure_values() -> list[dict[str, Any]]:
    """Every number that measures report: name, unit, direction, and whether it is a measured time."""
    return [
        {"name": name, **asdict(value)}
        for plugin in plugins.names("measures")
        for name, value in plugins.load("measures", plugin).VALUES.items()
    ]


def _ensure_checkpoint(
    config: TrialConfig,
    store: Store,
    data: dict[str, Path],
    tell: Progress,
    train: Train | None,
    watch: Watch | None,
    whole: bool = False,
) -> Path:
    key = ids.train_key(config)

    def make(out: Path) -> None:
        from trainables import training
        from trainables.provenance import provenance

        store.restore_work(key)
        run = train or training.train
        told = lambda event: tell({"phase": "train", **event})  # noqa: E731
        # Ray Train's workers see to the features themselves: they have the devices.
        seen = data if train else features.ensure(config, store, data, tell)
        run(config, seen, out.parent, out, told, watch, saver(store, key))
        write_json(out / "result.json", {"provenance": provenance(), **read_json(out / "result.json")})

    return stages.ensure(store, key, make, whole)


def _ensure_measure(
    config: TrialConfig,
    store: Store,
    name: str,
    checkpoint: Path,
    data: dict[str, Path],
    tell: Progress,
    map: Callable | None,
) -> Path:
    def make(out: Path) -> None:
        import time

        from trainables.measures._trained import Stored, Trained
        from trainables.provenance import provenance

        seen = features.ensure(config, store, data, tell)
        judged = features.judged(seen, ids.judging_split(config))  # a search sees nothing of the test episodes
        tell({"phase": "measure", "measure": name})
        began = time.perf_counter()
        stored = Stored(store.uri, ids.train_key(config), ids.judged_data(config))
        trained = Trained(checkpoint, judged, stored, config.encoder)
        measured = plugins.load("measures", name).measure(trained, config, map or _map)
        content = {"values": measured.values, "tasks": measured.tasks, "seconds": time.perf_counter() - began}
        content["commit"] = provenance()["commit"]
        write_json(out / "values.json", content)

    return stages.ensure(store, ids.measure_key(config, name), make)


def _map(function: Callable, items: Any) -> list:
    return [function(item) for item in items]


def _result(config: TrialConfig, store: Store) -> dict[str, Any] | None:
    return store.document(ids.train_key(config), "result.json")


def _lacks_measures(config: TrialConfig, store: Store) -> bool:
    return _result(config, store)["status"] == "ok" and bool(_unmeasured(config, store))


def _unmeasured(config: TrialConfig, store: Store) -> list[str]:
    """The measures of which the store has no values."""
    return [name for name in config.measures if store.document(ids.measure_key(config, name), "values.json") is None]


def _measured(config: TrialConfig, store: Store) -> list[dict[str, Any]]:
    return [store.document(ids.measure_key(config, name), "values.json") for name in config.measures]


def _collapse(measures: dict[str, float]) -> str | None:
    variance, error = measures.get("variance_kept", 1.0), measures.get("rollout_error_1", 0.0)
    return "collapsed" if variance < COLLAPSED_VARIANCE or error >= COLLAPSED_ERROR else None


def _failure(config: TrialConfig) -> str:
    """The note of why the trial crashed."""
    return ids.train_key(config).replace("train/", "failures/", 1)


def why_failed(config: TrialConfig, store: Store) -> str | None:
    """Why the trial crashed, if it did."""
    try:
        found = store.read(_failure(config))
        return found and found["error"]
    except (ValueError, KeyError, TypeError) as error:
        return f"it crashed, and why can no longer be read ({error})"


def _no_provenance() -> dict[str, Any]:
    return {"commit": None, "dirty": None, "versions": {}, "device": None, "trace": None}
