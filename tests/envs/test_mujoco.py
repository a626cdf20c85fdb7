"""Drawing without a display: who draws, from any thread and process, and what is said where nothing can."""

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest

import envs
from envs import _mujoco

REACHER = envs.load("reacher")
STATES = REACHER.sample(6, np.random.default_rng(0))

# As if a library were not installed.
WITHOUT = """
import ctypes
load = ctypes.CDLL
def missing(name, *args, **kwargs):
    if name and any(part in name for part in {names}):
        raise OSError(name)
    return load(name, *args, **kwargs)
ctypes.CDLL = missing
"""
STEP_THEN_DRAW = """
import numpy as np
import envs
world = envs.load({world!r})
states = world.sample(1, np.random.default_rng(0))
print(world.contains(world.step(states, np.zeros((1, world.action_dim))))[0])
try:
    world.render(states, 8)
except ImportError as error:
    print(error)
"""
PACKAGES = "apt-get install --no-install-recommends libegl1 libgl1 (or libosmesa6"


def python(code, **environment):
    """-> what a fresh interpreter says, and on stderr."""
    kept = {name: value for name, value in os.environ.items() if name not in ("MUJOCO_GL", "PYOPENGL_PLATFORM")}
    return subprocess.run(
        [sys.executable, "-c", code], env=kept | environment, capture_output=True, text=True, timeout=120
    )


def picture():
    return REACHER.render(STATES, 32)


@pytest.fixture(scope="module", autouse=True)
def drawn():
    """Whatever comes after, this process has drawn before."""
    return picture()


def test_importing_the_package_imports_no_simulator():
    assert (
        python("import sys, envs; print(sorted({'mujoco', 'OpenGL', 'dm_control'} & set(sys.modules)))").stdout
        == "[]\n"
    )


def test_what_draws_is_chosen_and_said():
    chosen = python("from envs import _mujoco; import os; print(_mujoco.BACKEND, os.environ['LP_NUM_THREADS'])")
    assert chosen.stdout == "egl 0\n"
    chosen = python(WITHOUT.format(names=["libEGL", "libOSMesa"]) + "from envs import _mujoco; print(_mujoco.BACKEND)")
    assert chosen.stdout == "disabled\n"
    chosen = python("from envs import _mujoco; import os; print(os.environ['LP_NUM_THREADS'])", LP_NUM_THREADS="2")
    assert chosen.stdout == "2\n"


@pytest.mark.parametrize("world", ["reacher", "cube"])
def test_without_drawing_a_world_can_be_simulated_and_says_what_to_install(world):
    said = python(STEP_THEN_DRAW.format(world=world), MUJOCO_GL="disabled")
    assert said.stdout.startswith("True\nMuJoCo cannot draw here with MUJOCO_GL=disabled")
    assert PACKAGES in said.stdout
    assert said.stderr == ""


@pytest.mark.parametrize("asked", [{}, {"MUJOCO_GL": "egl"}])
def test_so_it_is_where_a_library_is_missing(asked):
    said = python(WITHOUT.format(names=["libEGL", "libOSMesa"]) + STEP_THEN_DRAW.format(world="reacher"), **asked)
    assert said.stdout.startswith(
        f"True\nMuJoCo cannot draw here with MUJOCO_GL={asked.get('MUJOCO_GL', 'disabled')} ("
    )
    assert PACKAGES in said.stdout
    assert said.stderr == ""


def test_a_driver_that_fails_is_told_by_what_it_says(monkeypatch):
    def broken():
        raise ImportError("Cannot initialize a EGL device display")

    monkeypatch.setattr(_mujoco, "_context_class", broken)
    camera = _mujoco.Camera("another", "above", _mujoco._ball, lambda model: ())
    with pytest.raises(ImportError, match="Cannot initialize a EGL device display"):
        camera.draw(np.empty((1, 0)), np.empty((1, 8, 8, 3), np.uint8))
    monkeypatch.undo()
    camera.draw(np.empty((1, 0)), np.empty((1, 8, 8, 3), np.uint8))  # what failed is tried again


@pytest.mark.parametrize(
    ("package", "world", "install"),
    [
        ("mujoco", "reacher", "pip install 'mujoco>=3.17,<4'"),
        ("dm_control", "reacher", "pip install 'dm_control>=1.0.50'"),
        ("mujoco", "cube", "pip install 'mujoco>=3.17,<4'"),
        ("ogbench", "cube", "pip install 'ogbench>=1.2.2'"),
    ],
)
def test_a_missing_package_is_named(package, world, install):
    load = f"try: envs.load({world!r})\nexcept ImportError as error: print(error)"
    assert install in python(f"import sys, envs; sys.modules[{package!r}] = None\n{load}").stdout


def test_the_command_says_whether_anything_draws(capsys):
    assert _mujoco.main() == 0
    assert capsys.readouterr().out == f"MuJoCo draws with MUJOCO_GL={_mujoco.BACKEND}\n"
    code = "import runpy; runpy.run_module('envs._mujoco', run_name='__main__')"
    failed = python(code, MUJOCO_GL="disabled")
    assert failed.returncode == 1
    assert PACKAGES in failed.stderr
    assert "Traceback" not in failed.stderr


def test_any_thread_gets_the_same_picture_and_many_at_once(drawn):
    with ThreadPoolExecutor(8) as threads:
        pictures = list(threads.map(lambda _: picture(), range(32)))
    assert all(np.array_equal(one, drawn) for one in pictures)


def test_one_thread_of_the_process_draws(drawn):
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: picture(), range(8)))
    drawing = [thread.name for thread in threading.enumerate() if thread.name.startswith("mujoco-pictures")]
    assert len(drawing) == 1


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_of_fork_gets_the_same_picture(drawn):
    context = multiprocessing.get_context("fork")
    for _ in range(2):
        with context.Pool(1) as pool:
            assert np.array_equal(pool.apply_async(picture).get(timeout=60), drawn)
    assert np.array_equal(picture(), drawn)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_nobody_forks_in_the_middle_of_a_picture():
    begun, done = threading.Event(), threading.Event()

    def dress(model):
        begun.set()
        time.sleep(0.3)
        done.set()
        return ()

    camera = _mujoco.Camera("ball", "above", _mujoco._ball, dress)
    with ThreadPoolExecutor(1) as thread:
        drawing = thread.submit(camera.draw, np.empty((1, 0)), np.empty((1, 8, 8, 3), np.uint8))
        begun.wait()
        child = os.fork()
        if not child:
            os._exit(0 if done.is_set() and not _mujoco._working.locked() else 1)
        assert os.waitpid(child, 0)[1] == 0
        drawing.result()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_children_of_a_process_that_keeps_drawing_draw_too(drawn):
    stop, context = threading.Event(), multiprocessing.get_context("fork")

    def draw_on():
        while not stop.is_set():
            picture()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(draw_on)
        try:
            for _ in range(3):
                with context.Pool(1) as pool:
                    assert np.array_equal(pool.apply_async(picture).get(timeout=60), drawn)
        finally:
            stop.set()


def test_a_spawned_process_gets_the_same_picture(drawn):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert np.array_equal(pool.submit(picture).result(timeout=120), drawn)


def test_a_process_that_has_drawn_ends_quietly():
    code = (
        "import os, sys, numpy as np, envs\n"
        "for name in ('reacher', 'cube'):\n"
        "    world = envs.load(name)\n"
        "    world.render(world.sample(2, np.random.default_rng(0)), 16)\n"
        "child = os.fork()\n"
        "world.render(world.sample(2, np.random.default_rng(0)), 16)\n"
        "if child: assert os.waitpid(child, 0)[1] == 0\n"
        "print('end')\n"
    )
    ended = python(code)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "end\nend\n", "")


def test_what_draws_is_never_freed():
    """By a child of fork, or while Python ends, it would be in the wrong thread."""
    code = (
        "import os, importlib, numpy as np, envs\n"
        "world = envs.load('reacher')\n"
        "world.render(world.sample(2, np.random.default_rng(0)), 16)\n"
        "from envs import _mujoco\n"
        "_mujoco._context_class().free = lambda self: os.write(1, b'freed')\n"
        "if os.fork(): os.wait()\n"
    )
    ended = python(code)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_a_process_interrupted_while_it_draws_ends_quietly():
    code = (
        "import signal, numpy as np, envs\n"
        "world = envs.load('reacher')\n"
        "states = world.sample(256, np.random.default_rng(0))\n"
        "world.render(states[:1], 512)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.2)\n"
        "def stop(*_): raise KeyboardInterrupt\n"
        "signal.signal(signal.SIGALRM, stop)\n"
        "try: world.render(states, 512)\n"
        "except KeyboardInterrupt: print('interrupted')\n"
    )
    ended = python(code)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "interrupted\n", "")


def test_sizes_go_to_1024():
    assert REACHER.render(STATES[:1], 1024).shape == (1, 1024, 1024, 3)
    with pytest.raises(ValueError, match="at most 1024 pixels a side, got 1025"):
        REACHER.render(STATES[:1], 1025)


@pytest.mark.parametrize("size", [8, 33, 64, 100, 256])
def test_pictures_of_all_sizes_show_the_same(size):
    """Each pixel is close to the mean of what a large picture shows there."""
    large = REACHER.render(STATES, size * (1024 // size)).astype(float)
    means = large.reshape(len(STATES), size, 1024 // size, size, 1024 // size, 3).mean((2, 4))
    apart = np.abs(REACHER.render(STATES, size) - means)
    assert apart.mean() < 2
    assert np.sqrt((apart**2).mean()) < 6


def test_worlds_of_different_looks_take_turns():
    others = [envs.load("reacher", {"arm_color": "lime"}), envs.load("reacher", {"floor_color": "maroon"}), REACHER]
    alone = [world.render(STATES, 16) for world in others]
    for _ in range(2):
        for world, seen in zip(others, alone, strict=True):
            for row in range(2):
                assert np.array_equal(world.render(STATES[row : row + 1], 16)[0], seen[row])
    assert not np.array_equal(alone[0], alone[1])


def test_angles_are_wrapped_into_one_turn():
    angles = np.array([0.0, np.pi, -np.pi, 3.5 * np.pi, -1e-17 - np.pi, 100.0])
    turned = _mujoco.wrapped(angles)
    assert ((turned >= -np.pi) & (turned < np.pi)).all()
    assert np.allclose(np.exp(1j * turned), np.exp(1j * angles))
    assert turned[:3].tolist() == [0, -np.pi, -np.pi]
    assert (np.abs(_mujoco.wrapped(np.nextafter(np.pi, [0, 4]))) <= np.pi).all()


DRAW_THEN_TRAIN = """
import numpy as np
import envs
world = envs.load("reacher")
world.render(world.sample(1, np.random.default_rng(0)), 8)
import torch
torch.optim.AdamW([torch.nn.Parameter(torch.zeros(3))], fused=True)
print("trains")
"""


def test_a_process_that_has_drawn_can_train():
    """Mesa's LLVM and that of torch's compiler are not the same one."""
    said = python(DRAW_THEN_TRAIN)
    assert said.stdout == "trains\n", said.stderr
