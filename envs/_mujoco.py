"""MuJoCo without a display: what draws, and the one thread of a process that does.

On import MUJOCO_GL is chosen unless it is set: "egl" where its libraries load (a GPU draws if there is one, else Mesa
does on the CPU), else "osmesa". Where what it names is missing all works but drawing, which says what to install.
`python -m envs._mujoco` draws once and says what draws, or what is missing.
"""

import ctypes
import importlib.util
import math
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

_LIBRARIES = {"egl": ("libEGL.so.1", "libGL.so.1"), "osmesa": ("libOSMesa.so.8",)}


def _loads(backend: str) -> bool:
    if backend not in (*_LIBRARIES, "glfw"):
        return False  # nothing of MuJoCo's, or "disabled"
    try:
        for library in _LIBRARIES.get(backend, ()):
            ctypes.CDLL(library)
    except OSError:
        return False
    return True


# Without threads of its own Mesa is faster per core, and a process that has drawn can be forked.
os.environ.setdefault("LP_NUM_THREADS", "0")
_ASKED = os.environ.get("MUJOCO_GL", "").strip().lower()
BACKEND = next(filter(_loads, [_ASKED] if _ASKED else _LIBRARIES), "disabled")
os.environ["MUJOCO_GL"] = BACKEND  # mujoco and dm_control do not import when what it names is missing

try:
    import mujoco
except ModuleNotFoundError as error:
    raise ImportError("this world needs mujoco: pip install 'mujoco>=3.17,<4'") from error


@contextmanager
def without_display() -> Iterator[None]:
    """Where dm_control is imported: it would open a display of its own, and forked processes crash as they end."""
    os.environ["MUJOCO_GL"] = "disabled"
    try:
        yield
    finally:
        os.environ["MUJOCO_GL"] = BACKEND


MAX_SIZE = 1024  # of a picture, and of the buffer it is drawn in
_AT_LEAST = 128  # pixels a side that are drawn before they are averaged
_FLAGS = mujoco.mjtRndFlag
_HIDDEN = [_FLAGS.mjRND_SHADOW, _FLAGS.mjRND_REFLECTION, _FLAGS.mjRND_SKYBOX]  # most of the time, for little to see


def wrapped(angles: np.ndarray) -> np.ndarray:
    """Angles in radians, of any shape -> the same in [-pi, pi)."""
    turned = np.mod(angles + np.pi, 2 * np.pi) - np.pi
    return np.where(turned < np.pi, turned, -np.pi)  # the rounded remainder may be the divisor


class Camera:
    """Pictures of a model by its camera `name`.

    Cameras of one `kind` share the model, which the first of them to draw builds. `dress` gives it the look of this
    camera, all that another one's may have changed: colours, sizes, lights, views; it returns the numbers of the
    textures it painted.
    """

    def __init__(self, kind: str, name: str, build: Callable[[], mujoco.MjModel], dress: Callable[..., Iterable[int]]):
        self.kind, self.name, self.build, self.dress = kind, name, build, dress

    def draw(self, positions: np.ndarray, out: np.ndarray) -> None:
        """positions (n, nq) of the joints -> out (n, size, size, 3) uint8, from any thread.

        Where nothing can draw it is an ImportError that says what to install.
        """
        if out.shape[1] > MAX_SIZE:
            raise ValueError(f"a picture has at most {MAX_SIZE} pixels a side, got {out.shape[1]}")
        _painter.submit(_draw, self, positions, out).result()


# What draws belongs to the thread that made it, so one thread makes and uses all of it. Nobody forks while it works.
_painter = ThreadPoolExecutor(1, "mujoco-pictures")
_working = threading.Lock()
_stages: dict[str, "_Stage"] = {}


def _after_fork():
    """The child has neither the thread nor a use for what belonged to it."""
    global _painter
    _painter = ThreadPoolExecutor(1, "mujoco-pictures")
    _stages.clear()
    _working.release()


os.register_at_fork(before=_working.acquire, after_in_parent=_working.release, after_in_child=_after_fork)


def _draw(camera, positions, out):
    with _working:
        if camera.kind not in _stages:
            _stages[camera.kind] = _Stage(camera.build())
        _stages[camera.kind].draw(camera, positions, out)


class _Stage:
    """A model and what it takes to draw it; used by the painter only."""

    def __init__(self, model):
        self.model, self.data = model, mujoco.MjData(model)
        model.vis.global_.offwidth = model.vis.global_.offheight = MAX_SIZE
        model.vis.quality.offsamples = 0  # drawing larger and averaging is cheaper
        model.vis.quality.shadowsize = 0
        model.vis.quality.numslices, model.vis.quality.numstacks = 14, 6  # of round things; no pixel shows more
        self.scene, self.options = mujoco.MjvScene(model, maxgeom=1000), mujoco.MjvOption()
        for flag in _HIDDEN:
            self.scene.flags[flag] = False
        self.context, self.canvas = _contexts(model)
        self.worn = None

    def draw(self, camera, positions, out):
        self.context.make_current()
        self._wear(camera)
        view = mujoco.MjvCamera()
        view.type, view.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, self.model.camera(camera.name).id
        size = out.shape[1]
        factor = max(1, min(MAX_SIZE // size, max(2, math.ceil(_AT_LEAST / size))))
        frame = mujoco.MjrRect(0, 0, factor * size, factor * size)
        pixels = np.empty((factor * size, factor * size, 3), np.uint8)
        for position, picture in zip(positions, out, strict=True):
            self._look(position, view)
            mujoco.mjr_render(frame, self.scene, self.canvas)
            mujoco.mjr_readPixels(pixels, None, frame, self.canvas)
            upright = Image.frombuffer("RGB", pixels.shape[:2], pixels, "raw", "RGB", 0, -1)
            picture[:] = np.asarray(upright.reduce(factor))

    def _wear(self, camera):
        if self.worn is camera:
            return
        for texture in camera.dress(self.model):
            mujoco.mjr_uploadTexture(self.model, self.canvas, texture)
        self.worn = camera

    def _look(self, position, view):
        self.data.qpos[:] = position
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_camlight(self.model, self.data)
        everything = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(self.model, self.data, self.options, None, view, everything, self.scene)


def _contexts(model):
    """-> the context of OpenGL, and what MuJoCo keeps in it.

    Neither is ever freed: there is one a process and model, and freeing them in a child of fork, or while Python ends,
    fails noisily.
    """
    _bind_triton()
    try:
        context = _context_class()(MAX_SIZE, MAX_SIZE)
        context.make_current()
        canvas = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50.value)
    except Exception as error:
        raise ImportError(
            f"MuJoCo cannot draw here with MUJOCO_GL={_ASKED or BACKEND} ({error}). What draws is installed by: "
            "apt-get install --no-install-recommends libegl1 libgl1 (or libosmesa6, or the driver of a GPU)"
        ) from error
    mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, canvas)
    for kept in (context, canvas):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))
    return context, canvas


def _bind_triton():
    """Load torch's compiler, if there is one, before Mesa, whose LLVM every later library would bind to.

    Triton has an LLVM of its own: bound to Mesa's, it ends the process as soon as torch loads it.
    """
    found = importlib.util.find_spec("triton")
    for place in found.submodule_search_locations or () if found else ():
        library = Path(place) / "_C" / "libtriton.so"
        if library.is_file():
            ctypes.CDLL(str(library), os.RTLD_NOW | os.RTLD_LOCAL)


def _context_class():
    """Not just `mujoco.GLContext`, which was decided by whoever imported mujoco first."""
    if BACKEND == "disabled":
        raise RuntimeError("there is nothing that draws")
    return importlib.import_module(f"mujoco.{BACKEND}" if BACKEND in _LIBRARIES else "mujoco").GLContext


def _ball():
    return mujoco.MjModel.from_xml_string(
        "<mujoco><worldbody><camera name='above' pos='0 0 1'/><geom size='.2'/></worldbody></mujoco>"
    )


def main() -> int:
    """Draw 8 x 8 pixels -> the exit status."""
    picture = np.zeros((1, 8, 8, 3), np.uint8)
    try:
        Camera("ball", "above", _ball, lambda model: ()).draw(np.empty((1, 0)), picture)
    except ImportError as error:
        print(error, file=sys.stderr)
        return 1
    if picture[0, 4, 4].max() <= picture[0, 0, 0].max():
        print(f"MuJoCo draws nothing with MUJOCO_GL={BACKEND}", file=sys.stderr)
        return 1
    print(f"MuJoCo draws with MUJOCO_GL={BACKEND}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
