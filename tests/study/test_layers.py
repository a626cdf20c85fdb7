"""What may import what, and what must not be loaded to answer a small question."""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAY_IMPORT = {
    "envs": set(),
    "analysis": set(),
    "trainables": {"envs"},
    "search_spaces": {"envs", "trainables"},
    "study": {"analysis", "envs", "search_spaces", "trainables"},
}
FILES = [file for folder in MAY_IMPORT for file in sorted((ROOT / folder).rglob("*.py"))]


def imported(file):
    """Every module that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import"
            yield node.module


def packages(file):
    return {name.split(".")[0] for name in imported(file)}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_go_one_way(file):
    layer = file.relative_to(ROOT).parts[0]
    assert packages(file) & MAY_IMPORT.keys() - {layer} <= MAY_IMPORT[layer]


def test_only_the_trial_and_the_study_know_ray():
    users = {str(file.relative_to(ROOT)) for file in FILES if packages(file) & {"ray"}}
    assert users == {"envs/collect.py", "trainables/trial.py", "study/cluster.py", "study/execute.py"}
    users = {str(file.relative_to(ROOT)) for file in FILES if "trainables.trial" in set(imported(file))}
    assert {Path(user).parts[0] for user in users} == {"study"}


@pytest.mark.parametrize("folder", ["analysis", "search_spaces"])
def test_declarations_and_statistics_need_neither_torch_nor_ray(folder):
    for file in FILES:
        if file.relative_to(ROOT).parts[0] == folder:
            assert not packages(file) & {"torch", "ray", "optuna"}


def test_no_module_of_the_study_hides_a_package():
    """`python study/run.py` puts study/ first on the path."""
    for file in (ROOT / "study").glob("*.py"):
        if file.stem != "__init__":
            assert importlib.util.find_spec(file.stem) is None, file


LOADED = """
import json, runpy, sys
sys.argv = ["run.py", *json.loads(sys.argv[1])]
try:
    runpy.run_path(%r, run_name="__main__")
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


def loaded(arguments, folder):
    """Packages in memory after the command line has run from `folder`."""
    code = LOADED % str(ROOT / "study" / "run.py")
    process = subprocess.run(
        [sys.executable, "-c", code, json.dumps(arguments)], capture_output=True, text=True, cwd=folder
    )
    assert process.returncode == 0, process.stderr
    return set(json.loads(process.stdout.splitlines()[-1]))


@pytest.mark.parametrize("sweep", ["", "predictor_size", "tune_lewm"])
def test_list_and_plan_load_neither_torch_nor_ray_nor_optuna_but_for_a_search(sweep, tmp_path):
    found = loaded(["--sweep", sweep, "--plan"] if sweep else ["--list"], tmp_path)
    assert not found & {"torch", "ray", "mlflow", "timm", "matplotlib", "scipy", "sklearn"}
    assert ("optuna" in found) == (sweep == "tune_lewm")


def test_a_study_that_is_done_starts_no_ray(command, done, tmp_path):
    assert "ray" not in loaded(command(done.root, "--seeds", "2"), tmp_path)
