"""Settings by dotted path: `assign(config, "optim.lr", 1e-3)`, `flatten(config)`, and building a config of a scale.

Five paths stand for several settings, which the scale's, the method's or the protocol's file lists: `method=smwm`,
`encoder=vit`, `predictor=patch`, `predictor.size=tiny` and `protocol=smwm`. A `predictor.size` or a protocol's name
that no longer tells the truth becomes "custom". A term or measure joins by its name, `terms.inverse=inverse`, or by any
setting of it, and `terms.inverse=null` leaves it out. `data.options.<name>` and `protocol.look.<name>` are options of
the world.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import reduce
from operator import getitem
from typing import Any

from pydantic import ValidationError

from trainables import plugins
from trainables.config import CUSTOM, NAMED, TrialConfig
from trainables.settings import ConfigError

FIXED = {"scale": "--scale", "data.world": "--world"}  # everything else hangs on these two
OPEN = ("data.options", "protocol.look")  # whose names are the world's
FINGERPRINTS = {"data.source": "data.fingerprint", "encoder.weights": "encoder.fingerprint"}  # of files
# What stands for several settings; a method may bring an encoder.
SEVERAL = ("method", "encoder", "predictor", "predictor.size", "protocol", "data.source", "encoder.weights")
USUAL_SIZE = "small"  # of a predictor that is named alone


def base_config(method: str, world: str, scale: str) -> TrialConfig:
    """The config of `method` on `world` at `scale`; unknown names raise ConfigError."""
    try:
        plugins.require("scale", scale, plugins.names("scales"))
        settings = plugins.load("scales", scale).settings(world)
        plugins.require("method", method, plugins.names("methods"))
    except (ValueError, ImportError) as error:  # the second: a world's simulator is not there
        raise ConfigError(str(error)) from None
    tree = {"scale": scale, "method": method, **settings}
    for path, value in _expand(tree, "method", method).items():
        _put(tree, path, value)
    return _check(tree)


def assign(config: TrialConfig, path: str, value: Any) -> TrialConfig:
    """`config` with `path` set; unknown paths, wrong types and values out of range raise ConfigError."""
    return assign_all(config, {path: value})


def assign_all(config: TrialConfig, changes: Mapping[str, Any]) -> TrialConfig:
    """All changes, shorter paths first, so that `encoder=vit` precedes `encoder.depth=2`; only the outcome must fit.

    Of equally long ones, those first that stand for several: what is given besides is meant to differ from them.
    """
    tree = config.model_dump()
    for path in sorted(changes, key=_order):
        _check_path(path)
        _check_named(path, changes)
        _join(tree, path)
        for part, chosen in _expand(tree, path, changes[path]).items():
            _put(tree, part, chosen)
        _leave(tree, path)
        _honest_size(tree, path)
    _honest_protocol(tree)
    return _check(tree)


def _check_path(path: str) -> None:
    if path in FIXED:
        raise ConfigError(f"{path}: cannot be set here, use {FIXED[path]}")


def _check_named(path: str, changes: Mapping[str, Any]) -> None:
    """A term or measure as a whole: null, its own name or its settings; ConfigError for null beside a setting of it."""
    folder, _, name = path.partition(".")
    if folder not in NAMED or not name or "." in name or isinstance(changes[path], Mapping):
        return
    below = next((other for other in changes if other.startswith(f"{path}.")), None)
    if changes[path] is None and below:
        raise ConfigError(f"{path}: null leaves it out, but {below} sets something of it; give one of the two")
    if changes[path] not in (None, name):
        _known(folder, name, plugins.names(folder))
        raise ConfigError(f"{path}: {changes[path]!r}: give a setting of it ({path}.NAME=VALUE), its own name, or null")


def _order(path: str) -> tuple[int, int, str]:
    return path.count("."), SEVERAL.index(path) if path in SEVERAL else len(SEVERAL), path


def flatten(config: TrialConfig) -> dict[str, Any]:
    """Every setting by its dotted path, in a fixed order."""
    return dict(sorted(_leaves(config.model_dump(), "")))


def parse_value(text: str) -> Any:
    """A command-line value: JSON where it is JSON (3, 0.1, true, null, [1, 2]), else the text itself."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # numbers of thousands of digits, thousands of brackets
        return text


def parse_settings(texts: Iterable[str]) -> dict[str, Any]:
    """Texts `path=value` by path; ConfigError for one of another form and for a path that comes twice."""
    found: dict[str, Any] = {}
    for text in texts:
        path, equals, value = text.partition("=")
        if not equals or not path:
            raise ConfigError(f"set: {text!r} is not of the form path=value")
        if path in found:
            raise ConfigError(f"set: {path} is given twice")
        found[path] = parse_value(value)
    return found


def _leaves(tree: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    return [
        leaf
        for key, value in tree.items()
        for leaf in (_leaves(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [(f"{prefix}{key}", value)])
    ]


def _expand(tree: dict, path: str, value: Any) -> dict[str, Any]:
    """The settings that `path` stands for, itself included."""
    scale = plugins.load("scales", tree["scale"])
    if path == "method":
        return {"method": value, **_preset(tree, scale, value)}
    if path in ("encoder", "predictor") and isinstance(value, str):
        _known(path, value, plugins.names(f"{path}s"))
        return {path: _filled(scale, path, {"name": value})}
    if path in FINGERPRINTS:
        return {path: value, FINGERPRINTS[path]: None}  # another file's is not kept
    if path in ("protocol", "protocol.name") and isinstance(value, str) and value != CUSTOM:
        return {"protocol.name": value, **_protocol(tree, value)}
    if path == "predictor.size" and value != CUSTOM:
        sizes = _sizes(scale, tree["predictor"])
        _known("predictor.size", value, list(sizes))
        return {"predictor.size": value, **{f"predictor.{key}": size for key, size in sizes[value].items()}}
    folder, _, name = path.partition(".")
    return {} if folder in NAMED and value == name else {path: value}  # `terms.inverse=inverse` has joined already


def _preset(tree: dict, scale: Any, method: Any) -> dict[str, Any]:
    """What a method sets; what the one before it had set alone is again as the scale has it."""
    _known("method", method, plugins.names("methods"))
    world = tree["data"]["world"]
    before, preset = (plugins.load("methods", name).settings(world) for name in (tree["method"], method))
    usual = scale.settings(world)
    back = {key: _usual(usual, key) for key in before if key not in preset}
    found = back | {key: _filled(scale, key, part) for key, part in preset.items()}
    for path, value in scale.SIZES.get(f"method.{method}", {}).items():
        _put(found, path, value)
    return found


def _usual(settings: dict, path: str) -> Any:
    """What a scale's settings, or else the config's defaults, have at a path."""
    if path not in settings and path in TrialConfig.model_fields:
        return TrialConfig.model_fields[path].default
    return reduce(getitem, path.split("."), settings)


def _filled(scale: Any, key: str, part: Any) -> Any:
    """A preset's part with all its settings; what the scale says of one goes before what the preset says."""
    if key in NAMED:
        return {name: _whole(key, name, given, scale.SIZES.get(f"{key}.{name}", {})) for name, given in part.items()}
    if key == "encoder":
        return _whole("encoders", part["name"], part, scale.SIZES.get(f"encoder.{part['name']}", {}))
    if key == "predictor":
        size = part.get("size", USUAL_SIZE)
        return _whole("predictors", part["name"], {**part, "size": size}, _sizes(scale, part)[size])
    return part


def _whole(folder: str, name: str, given: dict, sizes: dict) -> dict[str, Any]:
    """Every setting of a plug-in, so that each can be set by its path."""
    return plugins.load(folder, name).Config(**{**given, **sizes}).model_dump()


def _sizes(scale: Any, predictor: Any) -> dict[str, dict[str, Any]]:
    """What the names of sizes stand for: for that kind of predictor if the scale tells them apart."""
    kind = predictor.get("name") if isinstance(predictor, dict) else None
    return scale.SIZES.get(f"predictor.{kind}.size", scale.SIZES["predictor.size"])


def _join(tree: dict, path: str) -> None:
    """A term or measure that is named and not there yet joins: `terms.sigreg.weight=0.09` makes a mixture."""
    folder, *rest = path.split(".")
    if folder in NAMED and rest and isinstance(tree[folder], dict):
        _known(folder, rest[0], plugins.names(folder))
        sizes = plugins.load("scales", tree["scale"]).SIZES.get(f"{folder}.{rest[0]}", {})
        settings = _whole(folder, rest[0], {}, sizes)
        tree[folder] = {**tree[folder], rest[0]: tree[folder].get(rest[0], settings)}


def _leave(tree: dict, path: str) -> None:
    """A term or measure that was set to null is left out: `terms.inverse=null`."""
    folder, _, name = path.partition(".")
    if folder in NAMED and name and name in tree[folder] and tree[folder][name] is None:
        tree[folder] = {key: part for key, part in tree[folder].items() if key != name}


def _honest_size(tree: dict, path: str) -> None:
    if not path.startswith("predictor."):
        return
    predictor = tree["predictor"]
    named = _sizes(plugins.load("scales", tree["scale"]), predictor).get(predictor.get("size"), {})
    if any(predictor[key] != value for key, value in named.items()):
        predictor["size"] = CUSTOM


def _protocol(tree: dict, name: str) -> dict[str, Any]:
    """What a protocol fixes in the tree's world."""
    _known("protocol", name, plugins.names("protocols"))
    try:
        return plugins.load("protocols", name).settings(tree["data"]["world"])
    except ValueError as error:
        raise ConfigError(f"protocol: {error}") from None


def _honest_protocol(tree: dict) -> None:
    """What is no protocol, or no data, at all is for the config to refuse."""
    if not isinstance(tree["protocol"], dict) or not isinstance(tree["data"], dict):
        return
    name, flat = tree["protocol"].get("name"), dict(_leaves(tree, ""))
    fixed = _protocol(tree, name) if name in plugins.names("protocols") else {}
    if any(flat.get(path) != value for path, value in fixed.items()):
        tree["protocol"]["name"] = CUSTOM


def _put(tree: dict, path: str, value: Any) -> None:
    """Set a leaf or a branch; a name that is not there raises ConfigError with the nearest valid one."""
    node, *rest = path.split(".")
    here, done = tree, ""
    while rest:
        here = _branch(here, node, done)
        done, node, rest = f"{done}{node}.", rest[0], rest[1:]
    if done.rstrip(".") not in OPEN and (tree is not here or node not in TrialConfig.model_fields):
        _known_key(here, node, done)
    here[node] = value


def _branch(here: dict, node: str, done: str) -> dict:
    _known_key(here, node, done)
    if not isinstance(here[node], dict):
        raise ConfigError(f"{done}{node}: is a single value ({here[node]!r}) and has no settings below it")
    return here[node]


def _known_key(here: dict, node: str, done: str) -> None:
    if node not in here:
        near = plugins.nearest(f"{done}{node}", [f"{done}{name}" for name in here])
        raise ConfigError(f"{done}{node}: no such setting{near}; valid: {', '.join(here)}")


def _known(what: str, name: Any, valid: list[str]) -> None:
    try:
        plugins.require(what, name, valid)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _check(tree: dict) -> TrialConfig:
    try:
        return TrialConfig.model_validate(tree)
    except ValidationError as error:
        raise ConfigError("; ".join(_sentence(problem) for problem in error.errors())) from None


def _sentence(problem: Mapping[str, Any]) -> str:
    shown = "" if isinstance(problem["input"], Mapping) else f" {problem['input']!r}:"
    return f"{_place(problem['loc'])}:{shown} {problem['msg'].removeprefix('Value error, ')}".lstrip(": ")


def _place(loc: tuple) -> str:
    """The dotted path of a problem, without the plug-in's name that pydantic puts into it."""
    at = 2 if loc[:1] and loc[0] in NAMED else 1
    tagged = len(loc) > at and loc[0] in (*NAMED, "encoder", "predictor", "planner")
    kept = loc[:at] + loc[at + 1 :] if tagged and loc[at] in plugins.names(_folder(loc[0])) else loc
    return ".".join(map(str, kept))


def _folder(field: str) -> str:
    return field if field in NAMED else f"{field}s"
