"""Settings by dotted path: `assign(config, "optim.lr", 1e-3)`, `flatten(config)`, and building a config of a scale.

Four paths stand for several settings, which the scale's, the method's or the protocol's file lists: `method=smwm`,
`encoder=vit`, `predictor.size=tiny` and `protocol=smwm`. A `predictor.size` or a protocol's name that no longer tells
the truth becomes "custom". `data.options.<name>` and `protocol.look.<name>` are options of the world.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from trainables import plugins
from trainables.config import CUSTOM, NAMED, TrialConfig
from trainables.settings import ConfigError

FIXED = {"scale": "--scale", "data.world": "--world"}  # everything else hangs on these two
OPEN = ("data.options", "protocol.look")  # whose names are the world's
# What stands for several settings; a method may bring an encoder.
SEVERAL = ("method", "encoder", "predictor.size", "protocol", "data.source")


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
        _join(tree, path)
        for part, chosen in _expand(tree, path, changes[path]).items():
            _put(tree, part, chosen)
        _honest_size(tree, path)
    _honest_protocol(tree)
    return _check(tree)


def _check_path(path: str) -> None:
    if path in FIXED:
        raise ConfigError(f"{path}: cannot be set here, use {FIXED[path]}")


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
        _known("method", value, plugins.names("methods"))
        preset = plugins.load("methods", value).settings(tree["data"]["world"])
        return {"method": value, **{key: _filled(scale, key, part) for key, part in preset.items()}}
    if path == "encoder" and isinstance(value, str):
        _known("encoder", value, plugins.names("encoders"))
        return {"encoder": {"name": value, **scale.SIZES.get(f"encoder.{value}", {})}}
    if path == "data.source":
        return {"data.source": value, "data.fingerprint": None}  # another file's is not kept
    if path in ("protocol", "protocol.name") and isinstance(value, str) and value != CUSTOM:
        return {"protocol.name": value, **_protocol(tree, value)}
    if path == "predictor.size" and value != CUSTOM:
        sizes = scale.SIZES["predictor.size"]
        _known("predictor.size", value, list(sizes))
        return {"predictor.size": value, **{f"predictor.{key}": size for key, size in sizes[value].items()}}
    return {path: value}


def _filled(scale: Any, key: str, part: Any) -> Any:
    """A preset's part; what the scale says of a term or measure goes before what the method says."""
    if key not in NAMED:
        return part
    return {name: {**given, **scale.SIZES.get(f"{key}.{name}", {})} for name, given in part.items()}


def _join(tree: dict, path: str) -> None:
    """A term or measure that is named and not there yet joins: `terms.sigreg.weight=0.09` makes a mixture."""
    folder, *rest = path.split(".")
    if folder in NAMED and rest:
        _known(folder, rest[0], plugins.names(folder))
        sizes = plugins.load("scales", tree["scale"]).SIZES.get(f"{folder}.{rest[0]}", {})
        settings = plugins.load(folder, rest[0]).Config(**sizes).model_dump()
        tree[folder] = {**tree[folder], rest[0]: tree[folder].get(rest[0], settings)}


def _honest_size(tree: dict, path: str) -> None:
    if not path.startswith("predictor."):
        return
    predictor, sizes = tree["predictor"], plugins.load("scales", tree["scale"]).SIZES["predictor.size"]
    named = sizes.get(predictor.get("size"), {})
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
    tagged = len(loc) > at + 1 and loc[0] in (*NAMED, "encoder", "predictor", "planner")
    kept = loc[:at] + loc[at + 1 :] if tagged and loc[at] in plugins.names(_folder(loc[0])) else loc
    return ".".join(map(str, kept))


def _folder(field: str) -> str:
    return field if field in NAMED else f"{field}s"
