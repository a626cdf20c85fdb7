"""JSON in files, written whole or not at all or line by line, and renames: durable all."""

import errno
import json
import os
from pathlib import Path
from typing import Any

_CHUNK = 1 << 20


def json_text(value: Any) -> str:
    """`value` as the text of a JSON file. ValueError for NaN and infinities, TypeError for what JSON does not know."""
    return json.dumps(value, sort_keys=True, allow_nan=False, indent=1) + "\n"


def json_line(value: Any) -> str:
    """`value` as a line of JSON; errors as of `json_text`."""
    return json.dumps(value, sort_keys=True, allow_nan=False) + "\n"


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write `value` to `path` as JSON with sorted keys; a reader sees the old file or the whole new one, never a part.

    Raises ValueError for NaN and infinities, TypeError for what JSON does not know.
    """
    path = Path(path)
    text = json_text(value)
    part = path.with_name(f".{path.name}.{token()}.tmp")
    try:
        with open(part, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(path.parent)


def read_json(path: str | os.PathLike) -> Any:
    """Read a JSON file. Raises FileNotFoundError, or ValueError naming the file when its content is no JSON."""
    return parse_json(Path(path).read_bytes(), path)


def parse_json(content: bytes, place: str | os.PathLike) -> Any:
    """The value of a JSON file's content. ValueError naming the `place` it comes from when it is no JSON."""
    try:
        return json.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{place} is not valid JSON: {error}") from error


def glance(path: Path) -> Any | None:
    """The value of a JSON file; None where there is none that can be read."""
    try:
        return read_json(path)
    except (OSError, ValueError):
        return None


def append_line(path: Path, number: int, value: Any) -> int | None:
    """Add `value` as line `number`, from 0, of JSON, durable when this returns None.

    What a killed process left of a line goes first. Of a file with another number of lines that number is returned, and
    nothing written.
    """
    text = json_line(value)
    new = not path.exists()
    with open(path, "ab+") as file:
        whole, there = _whole_lines(file)
        if there != number:
            return there
        file.truncate(whole)
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
    if new:
        sync_folder(path.parent)
    return None


def read_lines(path: Path) -> list[Any]:
    """The values of a file of JSON lines, without an unfinished last one; ValueError naming a damaged line."""
    content = path.read_bytes() if path.exists() else b""
    found = []
    for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), start=1):
        found.append(parse_json(line, f"{path}, line {number}"))
    return found


def _whole_lines(file: Any) -> tuple[int, int]:
    """Bytes of a file of lines up to the end of its last whole line, and how many whole lines that are."""
    file.seek(0)
    at = whole = count = 0
    while chunk := file.read(_CHUNK):
        if lines := chunk.count(b"\n"):
            count, whole = count + lines, at + chunk.rfind(b"\n") + 1
        at += len(chunk)
    return whole, count


def token() -> str:
    """Sixteen random hex digits, for names that nobody else uses."""
    return os.urandom(8).hex()


def renamed(folder: Path, target: Path) -> bool:
    """Rename `folder` to `target`, durably; False if something is there already."""
    try:
        os.rename(folder, target)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            raise
        return False
    sync_folder(target.parent)
    return True


def sync_folder(folder: Path) -> None:
    """Make a rename within `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
