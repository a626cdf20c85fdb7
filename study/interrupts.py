"""SIGTERM stops a study as Ctrl-C does, and neither interrupts what is cleaned up after it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class TerminatedError(KeyboardInterrupt):
    """SIGTERM came."""


@contextmanager
def stoppable() -> Iterator[None]:
    """While the block runs, SIGTERM raises TerminatedError as Ctrl-C raises KeyboardInterrupt."""
    came: list[bool] = []

    def terminate(*_: Any) -> None:
        came.append(True)
        raise TerminatedError

    with _handled((signal.SIGTERM,), terminate):
        try:
            yield
        except KeyboardInterrupt as stop:
            # What Ray's own code in C is interrupted by, it raises anew as a plain KeyboardInterrupt.
            if came and not isinstance(stop, TerminatedError):
                raise TerminatedError from stop
            raise


@contextmanager
def kept() -> Iterator[None]:
    """Undo what a library does to SIGTERM, whose handlers end the process without a word."""
    with _handled((signal.SIGTERM,), signal.getsignal(signal.SIGTERM)):
        try:
            yield
        except SystemExit as end:
            raise TerminatedError from end


@contextmanager
def shielded() -> Iterator[None]:
    """Nothing interrupts the block, which is short and leaves nothing behind if it comes to its end."""
    with _handled(SIGNALS, lambda *_: None):
        yield


@contextmanager
def _handled(signals: tuple[int, ...], handler: Callable | int | None) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    before = {each: signal.signal(each, handler) for each in signals}
    try:
        yield
    finally:
        for each, old in before.items():
            signal.signal(each, old)
