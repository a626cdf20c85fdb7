"""What stops a whole study, and not one trial alone: a store that cannot be written, wherever that was met."""

from __future__ import annotations

import errno

from trainables.store import PassingError, StoreError

# What a store says that cannot be written just now; no other trial can succeed either.
UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE}
_BELOW = ("cause", "__cause__", "__context__", "controller_failure", "health_check_failure")


def causes(error: BaseException | None) -> list[BaseException]:
    """An error, what it was raised from or during, and what Ray Train or its workers raised; each once."""
    found, left = [], [error]
    while left:
        error = left.pop(0)
        if isinstance(error, BaseException) and not any(error is one for one in found):
            found.append(error)
            left += [*(getattr(error, name, None) for name in _BELOW), *getattr(error, "worker_failures", {}).values()]
    return found


def unwritable(error: BaseException | None) -> bool:
    """Whether an error comes from a store that cannot be written just now."""
    return any(isinstance(cause, OSError) and cause.errno in UNWRITABLE for cause in causes(error))


def passing(error: BaseException | None) -> bool:
    """Whether an error comes from a store that could not do something just now, as far as one process saw."""
    return any(isinstance(cause, PassingError) for cause in causes(error))


def check_written(error: BaseException | None) -> None:
    """StoreError if the error comes from that, or from what the store refused: the next trial would fare no better."""
    plain = [cause for cause in causes(error) if not hasattr(cause, "cause")]  # Ray's own are those and a traceback
    if refused := next((cause for cause in plain if isinstance(cause, StoreError)), None):
        raise type(refused)(str(refused)) from refused
    if failed := next((cause for cause in plain if isinstance(cause, OSError) and cause.errno in UNWRITABLE), None):
        raise StoreError(f"the store cannot be written: {failed}") from failed
