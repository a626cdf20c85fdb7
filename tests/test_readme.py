"""The README's map is the tree, and what it tells people to type exists."""

import re
import subprocess
import sys
from pathlib import Path

import search_spaces
from trainables import plugins

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
FOLDERS = ("analysis", "benchmarks", "docs", "envs", "search_spaces", "study", "tests", "trainables")


def tree():
    files = {file for folder in FOLDERS for file in (ROOT / folder).rglob("*") if file.is_file()}
    top = {file for file in ROOT.iterdir() if file.is_file() and file.name not in (".git",)}
    names = {file.relative_to(ROOT).as_posix() for file in files | top | {ROOT / ".ci" / "run"}}
    return {name for name in names if "__pycache__" not in name and not name.endswith((".pyc", ".pyo"))}


def test_the_map_names_every_file_once_and_nothing_else():
    block = README.split("## The map")[1].split("```")[1]
    named = [line.split()[0] for line in block.strip().splitlines() if line.strip()]
    assert len(named) == len(set(named))
    assert set(named) == tree()
    assert all(
        len(line.split()) > 2 for line in block.strip().splitlines() if not line.split()[0].endswith("__init__.py")
    )


def test_every_option_that_the_readme_shows_exists():
    # Ray's commands and Debian's have options of their own.
    ours = re.sub(r"^ray .*$|apt-get install[^`]*", "", README, flags=re.M)
    shown = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", ours))
    helps = ""
    for command in (["study/run.py"], ["-m", "trainables.train"], ["-m", "envs.collect"]):
        run = [sys.executable, *command, "--help"]
        helps += subprocess.run(
            run, cwd=ROOT, capture_output=True, text=True, check=True, env={"COLUMNS": "200"}
        ).stdout
    assert shown and all(option in helps for option in shown)


def test_every_sweep_setting_and_make_target_that_the_readme_shows_exists():
    assert set(re.findall(r"--sweep (\w+)", README)) <= set(search_spaces.names())
    assert set(re.findall(r"--scale (\w+)", README)) <= set(plugins.names("scales"))
    makefile = (ROOT / "Makefile").read_text()
    assert all(
        f"\n{target}:" in makefile for target in re.findall(r"`make (\w+)`|^make (\w+)", README, re.M)[0] if target
    )
