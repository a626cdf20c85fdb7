"""What stops a whole study, and not one trial alone: a store that cannot be written, wherever that was met."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from trainables.store import StoreError

# What a store says that cannot be written just now; no other trial can succeed either.
UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE}
_BELOW = ("cause", "__cause__", "controller_failure", "health_check_failure")


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what it was raised from, and what Ray Train or its workers raised."""
    if error is None:
        return
    yield error
    for below in (*(getattr(error, name, None) for name in _BELOW), *getattr(error, "worker_failures", {}).values()):
        if isinstance(below, BaseException) and below is not error:
            yield from causes(below)


def unwritable(error: BaseException | None) -> bool:
    """Whether an error comes from a store that cannot be written just now."""
    return any(isinstance(cause, OSError) and cause.errno in UNWRITABLE for cause in causes(error))


def check_written(error: BaseException | None) -> None:
    """StoreError if a trial failed for that reason, or the store refused it: the next trial would fare no better."""
    for cause in causes(error):
        if isinstance(cause, StoreError):
            raise cause
        if unwritable(cause):
            raise StoreError(f"the store cannot be written: {cause}") from cause
