"""Bad input, some hundred kinds of it made up anew: one line that says what is wrong, exit code 2, and no trace.

Hypothesis makes the inputs, always the same ones. None of them loads torch, Ray or MLflow: in this process that is
asked of what was not loaded before, and of some of each kind in a process of its own.
"""

from __future__ import annotations

import json
import math
import random
import re
import string
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import search_spaces
from study import run as command_line
from study.candidates import Candidates
from study.plan import make_study
from trainables import ids, plugins
from trainables.paths import assign, base_config, flatten
from trainables.remote import existing_store
from trainables.settings import ConfigError
from trainables.store import Store

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "ray", "mlflow", "matplotlib"}
# How many inputs of each kind hypothesis makes, and how many of them must have been refused, each once.
MADE = {"types": (110, 100), "ranges": (80, 50), "names": (90, 60), "options": (90, 80), "files": (80, 60)}
REFUSED: dict[str, list[list[str]]] = {kind: [] for kind in MADE}
SWEEPS = ("predictor_size", "encoder", "tune_lewm", "tune_smwm")
MODES = st.sampled_from([(), ("--plan",), ("--report",), ("--status",)])


@pytest.fixture
def refused(invoke, tmp_path, monkeypatch):
    """The function that gives what is said to a bad command line, once it was refused as it must be."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command_line, "run", lambda *_: pytest.fail("it was run"))

    def check(kind, *arguments):
        before, loaded = tree(tmp_path), HEAVY & {*sys.modules}
        result = invoke(*arguments)
        assert isinstance(result.exception, SystemExit), (arguments, result.exception)
        assert result.exit_code == 2, (arguments, result.output)
        assert tree(tmp_path) == before, arguments
        assert HEAVY & {*sys.modules} == loaded, arguments
        if arguments not in REFUSED[kind]:
            REFUSED[kind].append([*map(str, arguments)])
        *usage, line = result.stderr.splitlines()
        assert result.stdout == ""
        assert line.startswith("Error: " if usage else "error: "), result.stderr
        assert not usage or usage[0].startswith("Usage: "), result.stderr
        assert line.isprintable()
        assert len(line) < 1100
        return line

    return check


def tree(folder):
    """Every file below a folder with its content, every folder."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def tried(kind, **strategies):
    """Run the decorated function with so many inputs of its kind, the same ones each time."""

    def decorate(function):
        quiet = settings(
            max_examples=MADE[kind][0],
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
        )
        quiet(given(**strategies)(function))()
        distinct = {json.dumps(arguments) for arguments in REFUSED[kind]}
        assert len(distinct) >= MADE[kind][1], f"{len(distinct)} inputs of the kind {kind}"

    return decorate


# --- settings

CONFIG = base_config("lewm", "two_room", "local")
LEAVES = {path: value for path, value in flatten(CONFIG).items() if path not in ("scale", "data.world", "seed")}
NUMBERS = sorted(path for path, value in LEAVES.items() if isinstance(value, int | float))
WORDS = st.text(string.ascii_letters + "_ é☂\n\x1b", min_size=1, max_size=12).filter(
    lambda text: text not in ("NaN", "Infinity") and not text.isspace()
)
STRUCTURES = st.recursive(
    st.sampled_from([{}, [], {"a": 1}, [1, 2]]),
    lambda below: st.lists(below, max_size=2) | st.dictionaries(WORDS, below, max_size=2),
    max_leaves=4,
)


def said(value):
    """What an error must repeat of a value, as it prints it: the beginning will do."""
    return " ".join(repr(value).split())[:40]


def taken(path, value):
    """Whether the setting can be that, as far as the config alone knows."""
    try:
        assign(CONFIG, path, value)
    except ConfigError:
        return False
    return True


def test_settings_of_a_wrong_type(refused):
    @tried(
        "types",
        path=st.sampled_from(sorted(LEAVES)),
        value=WORDS | STRUCTURES | st.none() | st.booleans() | st.floats(0.1, 9.9).filter(lambda x: x % 1),
        sweep=st.sampled_from(SWEEPS),
        mode=MODES,
    )
    def check(path, value, sweep, mode):
        text = value if isinstance(value, str) else json.dumps(value)
        if taken(path, value) or taken(path, text):
            return
        line = refused("types", "--sweep", sweep, "--store", "store", *mode, "--set", f"{path}={text}")
        assert re.search(rf"{re.escape(path)}|{re.escape(path.rsplit('.', 1)[0])}", line), line
        assert said(value) in line or text in line or "cannot be set" in line or isinstance(value, dict), line


def test_settings_out_of_range(refused):
    @tried(
        "ranges",
        path=st.sampled_from(NUMBERS),
        value=st.integers(max_value=0)
        | st.integers(min_value=2**53 + 1)
        | st.sampled_from([math.nan, math.inf, -math.inf, -0.5, 1e300, 10**4400, -(10**4400)])
        | st.integers(2**17, 2**40),
        mode=MODES,
    )
    def check(path, value, mode):
        whole = isinstance(value, int)
        if whole and abs(value) > 10**4300:  # more digits than are read as a number
            text = "9" * 4400
        else:
            text = str(value) if whole else json.dumps(value)
            if taken(path, value):
                return
        line = refused("ranges", "--sweep", "encoder", "--store", "store", *mode, "--set", f"{path}={text}")
        assert path.split(".")[0] in line
        assert path in line or "more than" in line or path.split(".")[-1] in line, line
        assert text[:40] in line or said(value) in line or "cannot be set" in line, line


def misspelt(name, seed):
    """The name with a letter changed, doubled, left out or swapped with the next."""
    draw = random.Random(seed)
    at = draw.randrange(len(name))
    swapped = name[:at] + name[at : at + 2][::-1] + name[at + 2 :]
    return draw.choice(
        [name[:at] + name[at + 1 :], name[:at] + name[at] + name[at:], f"{name[:at]}q{name[at + 1 :]}", swapped]
    )


CHOICES = {
    "encoder": plugins.names("encoders"),
    "method": plugins.names("methods"),
    "predictor.size": ["tiny", "small", "base"],
    "protocol.split": ["validation", "test"],
    "precision": ["fp32", "bf16"],
}


def test_names_that_are_not_there_lead_to_the_nearest(refused):
    @tried("names", path=st.sampled_from(sorted(LEAVES)), seed=st.integers(0, 10**6), of=st.integers(0, 3), mode=MODES)
    def check(path, seed, of, mode):
        head, _, last = path.rpartition(".")
        wrong = misspelt(last, seed)
        where, option = f"{head}.{wrong}".lstrip("."), "--set"
        given_ = ["--sweep", "encoder", option, f"{where}=1"]
        nearest = [last]
        if of == 1:
            nearest = search_spaces.names()
            wrong = where = misspelt(nearest[seed % len(nearest)], seed)
            given_ = ["--sweep", where]
        elif of == 2:
            path, nearest = sorted(CHOICES.items())[seed % len(CHOICES)]
            wrong = where = misspelt(nearest[seed % len(nearest)], seed)
            given_ = ["--sweep", "anti_collapse" if path == "encoder" else "encoder", option, f"{path}={wrong}"]
        if wrong in nearest or where in LEAVES or any(leaf.startswith(f"{where}.") for leaf in LEAVES):
            return
        line = refused("names", "--store", "store", *given_, *mode)
        assert wrong in line or repr(wrong) in line, line
        assert [name for name in nearest if name in line], line


# --- options

BAD_COUNTS = (
    st.sampled_from(["0", "-1", "1.5", "", "many", "1e3", "9" * 30, "10001", "0x10", "∞", " 3", "--", "null"]) | WORDS
)
BAD_OPTIONS = {
    "--seeds": BAD_COUNTS,
    "--budget": BAD_COUNTS,
    "--at-most": BAD_COUNTS,
    "--scale": WORDS,
    "--world": WORDS,
    "--sweep": WORDS | st.sampled_from(["../encoder", "_sweep", "__init__", "encoder.py", "encoder/", ""]),
    "--keep": WORDS | st.sampled_from(["", "ALL", "al", "some"]),
    "--store": st.sampled_from(
        ["", " ", "\n", "\0", "~nobody-at-all/x", "s3:/", "s3://", "s3://b/../c", "s3://k:s@b/c"]
    )
    | st.sampled_from(["file://x", "file:/x?y", "ftp://x", "gopher://b/c", "s3://b/c?d", "s3://b c/d", "a" * 5000]),
    "--tracking-uri": WORDS
    | st.sampled_from(["", "sqlite:", "sqlite:///", "http://", "http://h:x", "ftp://h", "s3://b"]),
    "--address": WORDS
    | st.sampled_from(["", ":1", "h:", "h:x", "h:99999999", "ray://", "http://h:1", "h:1/x", "[::1"]),
    "--set": WORDS.filter(lambda text: "=" not in text)
    | st.sampled_from(["=", "=1", "seed=1", "scale=gpu", "data.world=x"]),
    "--plan": st.just("--report"),
    "--list": st.sampled_from(["--status", "--plan", "--report"]),
    "--status": st.sampled_from(["--report", "--plan"]),
}
UNKNOWN = st.text(string.ascii_lowercase, min_size=2, max_size=9).map(lambda word: f"--{word}")
KNOWN = {*BAD_OPTIONS, "--help", "--report"}


def test_options_that_cannot_be(refused):
    @tried(
        "options",
        option=st.sampled_from(sorted(BAD_OPTIONS)) | UNKNOWN.filter(lambda name: name not in KNOWN),
        data=st.data(),
        mode=MODES,
    )
    def check(option, data, mode):
        value = data.draw(BAD_OPTIONS.get(option, st.just("1")))
        if option in ("--plan", "--list", "--status"):
            line = refused("options", "--sweep", "encoder", option, value)
            assert f"{option} and {value}" in line or f"{value} and {option}" in line or "--list and" in line, line
            return
        if option == "--scale" and value in plugins.names("scales"):
            return
        start = [] if option == "--sweep" else ["--sweep", "tune_lewm"]
        store = [] if option == "--store" else ["--store", "store"]
        line = refused("options", *start, *store, *mode, f"{option}={value}" if option in KNOWN else option)
        assert option.strip("-") in line or option == "--world" or (option == "--store" and "path" not in line), line


HIDDEN = [
    ("--tracking-uri", "postgresql://u:hunter2@h/db\r"),
    ("--tracking-uri", "postgresql://u:hunter2@h/db"),
    ("--tracking-uri", "https://hunter2@h"),
    ("--store", "s3://k:hunter2@b/c\r"),
    ("--store", "s3://k:hunter2@b/c"),
    ("--store", "file://k:hunter2@b/c"),
    ("--artifacts", "s3://k:hunter2@b/c"),
    ("--artifacts", "s3://b/c?token=hunter2\x7f"),
    ("--address", "ray://u:hunter2@h"),
    ("--address", "u:hunter2@h:1"),
    ("--address", "ray://h:1?token=hunter2"),
    ("--sweep", "postgresql://u:hunter2@h/db"),
    ("--plan", "postgresql://u:hunter2@h/db"),
    ("--tracking-url=postgresql://u:hunter2@h/db",),
]


@pytest.mark.parametrize("given_", HIDDEN, ids=" ".join)
def test_no_secret_of_an_option_is_in_what_is_said_of_it(given_, invoke, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command_line, "run", lambda *_: pytest.fail("it was run"))
    result = invoke("--sweep", "encoder", *given_)
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    line = result.stderr.splitlines()[-1]
    assert line.lower().startswith("error: ")
    assert line.isprintable()
    assert "hunter2" not in result.output
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("place", ["/dev/null", "file", "file/store"])
@pytest.mark.parametrize("mode", ["--plan", "--status"])
def test_a_store_that_is_no_folder_is_refused(place, mode, invoke, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("in the way")
    result = invoke("--sweep", "encoder", "--store", place, mode)
    assert result.exit_code == 2
    assert re.fullmatch(rf"error: the store \S*{place} is no folder: [^\n]*\n", result.stderr)


def test_a_store_whose_path_cannot_be_followed_is_refused(invoke, tmp_path, monkeypatch):
    resolve = Path.resolve

    def denied(path, strict=False):
        if path.name == "elsewhere":
            raise PermissionError(13, "Permission denied", str(path))
        return resolve(path, strict)

    monkeypatch.setattr(Path, "resolve", denied)  # as for the root of another user's process
    for mode in ("--plan", "--report"):
        result = invoke("--sweep", "encoder", "--store", tmp_path / "elsewhere", mode)
        assert result.exit_code == 2
        assert re.fullmatch(r"error: .*names no folder of this machine: .*Permission denied.*\n", result.stderr)


# --- files

DAMAGE = st.sampled_from(["", "{", "[]", "{}", "null", "3", '"text"', "\0\0", "{}{}", '{"a": NaN}', "[" * 3000])
LINES = st.sampled_from(
    [
        "[]",
        "{",
        "{}",
        "null",
        "\0",
        '{"event": "ask"}',
        '{"event": "ask", "number": 7, "params": {}, "note": null}',
        '{"event": "ask", "number": 0, "params": {}, "note": null}',
        '{"event": "ask", "number": 0, "params": {"encoder": "none"}, "note": null}',
        '{"event": "ask", "number": "0", "params": [], "note": null}',
        '{"event": "tell", "number": 0}',
        '{"event": "tell", "number": -1, "state": "complete", "values": {}, "limits": {}, "about": {}}',
        '{"event": "report", "number": 3, "step": 1, "values": {}, "stop": null}',
        '{"event": "forget", "number": 0}',
        '{"event": "know", "name": "x", "params": {}, "values": {}}',
    ]
)


def test_a_journal_that_cannot_be_followed_is_named_with_the_line(refused, tmp_path):
    study, store = make_study("tune_lewm", sets={}), Store(tmp_path / "store")
    name = Candidates(study, store).key
    first = {"event": "ask", "number": 0, "params": Candidates(study, store).default, "note": "default"}
    file = store.root / "notes" / f"{name}.jsonl"
    store.append(name, 0, first)

    @tried(
        "files", line=LINES, before=st.integers(0, 1), after=st.integers(0, 2), mode=st.sampled_from(["--plan", None])
    )
    def check(line, before, after, mode):
        text = f"{json.dumps(first)}\n" * before + f"{line}\n" + "{}\n" * after
        file.write_text(text)
        arguments = ["--sweep", "tune_lewm", "--store", "store", *([mode] if mode else ["--report"])]
        # What was written differs by its content alone.
        REFUSED["files"].append([text, *arguments])
        found = refused("files", *arguments)
        assert f"notes/{name}.jsonl" in found
        assert f"line {before + 1}" in found or (after and "line" in found), found


@pytest.fixture
def some(tmp_path):
    """A store with a training, a note, a report's declaration and a lease, as files."""
    store, study = Store(tmp_path / "store"), make_study("predictor_size", sets={})
    key = ids.train_key(study.trials[0].config)
    for name in ("config.json", "result.json", "history.json"):
        (store.work(key) / name).write_text('{"status": "diverged"}')
    entry = store.put(key, store.work(key))
    store.write(f"studies/{study.key}", {"state": "unfinished", "trials": [key.removeprefix("train/")]})
    store.write(f"failures/{key.removeprefix('train/')}", {"error": "x"})
    declared = store.report(study.key) / "study.json"
    declared.parent.mkdir(parents=True)
    lease = store.root / "leases" / f"studies~{study.key}"
    notes = sorted((store.root / "notes").rglob("*.json"))
    return [*sorted(entry.iterdir()), *notes, declared, lease]


@pytest.mark.parametrize("which", range(8))
@pytest.mark.parametrize("mode", ["--plan", "--status"])
def test_what_is_damaged_in_the_store_spoils_no_look_at_it(which, mode, invoke, some, tmp_path):
    file = some[which]

    @settings(max_examples=12, deadline=None, derandomize=True, database=None)
    @given(content=DAMAGE)
    def check(content):
        file.write_text(content)
        before, loaded = tree(tmp_path), HEAVY & {*sys.modules}
        for arguments in (
            (["--sweep", "predictor_size"], []) if mode == "--status" else (["--sweep", "predictor_size"],)
        ):
            result = invoke(*arguments, mode, "--store", tmp_path / "store")
            assert result.exit_code == 0, (content, result.output, result.exception)
        assert tree(tmp_path) == before
        assert HEAVY & {*sys.modules} == loaded

    check()
    assert existing_store(tmp_path / "store").holders() == {}


# --- all of them

APART = """
import json, sys
sys.path.insert(0, sys.argv[1])
from typer.testing import CliRunner
from study import run
codes = [CliRunner().invoke(run.app, arguments).exit_code for arguments in json.loads(sys.argv[2])]
print(json.dumps([codes, sorted(set(json.loads(sys.argv[3])) & {*sys.modules})]))
"""


def test_more_than_three_hundred_inputs_were_refused_and_a_process_that_refuses_loads_nothing_heavy(tmp_path):
    assert sum(least for _, least in MADE.values()) >= 300
    by_kind = {kind: list(map(json.loads, {json.dumps(each) for each in found})) for kind, found in REFUSED.items()}
    lines = [each for kind, found in by_kind.items() if kind != "files" for each in found[:12]]
    lines = lines or [["--sweep", "encoder", "--set", "optim.lr=-1"]]  # when this test runs alone
    arguments = [sys.executable, "-c", APART, str(ROOT), json.dumps(lines), json.dumps(sorted(HEAVY))]
    ended = subprocess.run(arguments, capture_output=True, text=True, cwd=tmp_path, check=True)
    codes, heavy = json.loads(ended.stdout)
    assert codes == [2] * len(lines)
    assert heavy == []
    assert list(tmp_path.iterdir()) == []
