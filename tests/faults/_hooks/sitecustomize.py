"""In every process of a driver under test, which finds this by PYTHONPATH: what tests cannot wait for or cannot have.

WM_CHECKPOINT_SECONDS: between checkpoints. WM_CLOCK: a file with the seconds by which the clock is ahead, if there.
WM_HOST: another host's name, for leases. WM_STALE_SECONDS: of silence, after which another host's lease falls.
"""

import importlib.util
import os
import sys
import time
from importlib.abc import MetaPathFinder
from types import SimpleNamespace


class After(MetaPathFinder):
    """Calls a function with a module as soon as that is imported."""

    def __init__(self, name, change):
        self.name, self.change = name, change

    def find_spec(self, name, path=None, target=None):
        """Python's."""
        if name != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module

        def loaded(module):
            load(module)
            self.change(module)

        spec.loader.exec_module = loaded
        return spec


def ahead(function, file, per_second=1):
    """A function of time that is ahead by what the file says."""

    def jumped(*arguments):
        try:
            with open(file) as content:
                return function(*arguments) + int(float(content.read()) * per_second)
        except FileNotFoundError:
            return function(*arguments)

    return jumped


if seconds := os.environ.get("WM_CHECKPOINT_SECONDS"):
    sys.meta_path.insert(
        0, After("trainables.training", lambda training: setattr(training, "CHECKPOINT_SECONDS", float(seconds)))
    )
if clock := os.environ.get("WM_CLOCK"):
    time.time, time.time_ns = ahead(time.time, clock), ahead(time.time_ns, clock, 10**9)
    # The kernel reckons when it was started from the clock, and psutil from that when a process was.
    sys.meta_path.insert(
        0, After("psutil._pslinux", lambda linux: setattr(linux, "boot_time", ahead(linux.boot_time, clock)))
    )
if host := os.environ.get("WM_HOST"):
    named = SimpleNamespace(gethostname=lambda: host)
    sys.meta_path.insert(0, After("trainables._lease", lambda lease: setattr(lease, "socket", named)))
if stale := os.environ.get("WM_STALE_SECONDS"):
    sys.meta_path.insert(
        0, After("trainables.store", lambda store: store.Store.__init__.__kwdefaults__.update(stale=float(stale)))
    )
