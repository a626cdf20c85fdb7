"""Objects by name below a URI in object storage, through fsspec; whatever goes wrong is a StoreError of one line."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from trainables.store import SEGMENT, PassingError, StoreError

PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs"}  # that fsspec needs, by scheme
INSTALL = {"s3": "pip install wm-study[s3]", "gs": "pip install gcsfs", "az": "pip install adlfs"}
OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}  # this node's, to which something was to be downloaded
PROBE = "leases/.probe"


class Objects:
    """The objects below `uri`, "s3://BUCKET/PREFIX" or the like; names are relative posix paths.

    Credentials come from where the storage's own tools take them: the environment, its files or the machine's role.
    Raises StoreError for a URI that is malformed or holds credentials, and where the package for it is not installed.
    """

    def __init__(self, uri: str):
        self.uri, self._scheme = check_uri(uri), uri.partition("://")[0]
        self._root = self.uri.partition("://")[2]
        with self._told("opened"):
            self._fs = _filesystem(self._scheme)
        # One request per small object: s3fs would ask for its size before.
        self._reading = {"max_concurrency": 1} if self._scheme == "s3" else {}

    def check_writable(self) -> None:
        """StoreError unless objects can be written, and be created on condition that they are not there yet."""
        self.write(PROBE, b"")
        if self.create(PROBE, b""):
            raise StoreError(f"the store {self.uri} cannot be used: it does not know conditional writes")

    def exists(self) -> bool:
        """Whether somebody has written here; StoreError if there is not even a bucket, or none that can be read."""
        if self.read(PROBE) is not None:
            return True
        with self._told("read"):
            self._fs.info(self._root.partition("/")[0])
        return False

    def read(self, name: str) -> bytes | None:
        """The object's content; None where there is none."""
        with self._told("read"), suppress(FileNotFoundError):
            return self._fs.cat_file(self._path(name), **self._reading)
        return None

    def read_all(self, names: Iterable[str]) -> dict[str, bytes]:
        """The contents of those objects that are there, many at a time."""
        paths = {self._path(name): name for name in names}
        with self._told("read"):
            found = self._fs.cat(list(paths), on_error="return", **self._reading) if paths else {}
            for content in found.values():
                if isinstance(content, Exception) and not isinstance(content, FileNotFoundError):
                    raise content
        return {paths[path]: content for path, content in found.items() if isinstance(content, bytes)}

    def write(self, name: str, content: bytes) -> None:
        """Keep `content` as the object `name`, whole or not at all."""
        with self._told("written"):
            self._fs.pipe_file(self._path(name), content)

    def create(self, name: str, content: bytes) -> bool:
        """Like `write` where there is no such object; False where there is one. Of any number who try, one succeeds."""
        with self._told("written"), suppress(FileExistsError):
            self._fs.pipe_file(self._path(name), content, mode="create")
            return True
        return False

    def upload(self, file: Path, name: str) -> None:
        """Keep a file as the object `name`, whole or not at all."""
        with self._told("written"):
            self._fs.put_file(str(file), self._path(name))

    def download(self, name: str, file: Path) -> bool:
        """Write the object to `file`; False where there is none."""
        with self._told("read"), suppress(FileNotFoundError):
            self._fs.get_file(self._path(name), str(file))
            return True
        return False

    def copy(self, name: str, to: str) -> None:
        """Copy an object if it is there."""
        with self._told("written"), suppress(FileNotFoundError):
            self._fs.cp_file(self._path(name), self._path(to))

    def remove(self, names: Iterable[str]) -> None:
        """Delete those objects that are there."""
        for name in names:
            with self._told("written"), suppress(FileNotFoundError):
                self._fs.rm_file(self._path(name))

    def names(self, folder: str = "") -> list[str]:
        """Sorted names of the objects below `folder`, however deep."""
        start = f"{self._root}/"
        with self._told("read"), suppress(FileNotFoundError):
            return sorted(path.removeprefix(start) for path in self._fs.find(self._path(folder).rstrip("/")))
        return []

    def details(self, folder: str = "") -> list[tuple[str, int, float]]:
        """(name, bytes, unix s of its last change) of the objects below `folder`."""
        start = f"{self._root}/"
        with self._told("read"), suppress(FileNotFoundError):
            found = self._fs.find(self._path(folder).rstrip("/"), detail=True)
            return [(path.removeprefix(start), about["size"], _changed(about)) for path, about in found.items()]
        return []

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except StoreError:
            raise
        except ImportError as error:
            package, install = PACKAGES[self._scheme], INSTALL[self._scheme]
            raise StoreError(f"the store {self.uri} needs the package {package}: {install}") from error
        except Exception as error:  # every storage has exceptions of its own, of no common kind
            line = " ".join(str(error).split()) or type(error).__name__
            kind = StoreError if getattr(error, "errno", None) in OF_THE_DISK else PassingError
            raise kind(f"the store {self.uri} cannot be {what}: {line}") from error


def check_uri(uri: str) -> str:
    """The URI without a slash at its end; StoreError for what is none of ours. Secrets in it are not repeated."""
    scheme, _, place = uri.rstrip("/").partition("://")
    form = " or ".join(f"{known}://BUCKET/PREFIX" for known in PACKAGES)
    if any(sign in uri for sign in "@?#"):
        raise StoreError(f"a URI is of the form {form}; credentials are taken from the environment, never from the URI")
    if scheme not in PACKAGES or not all(SEGMENT.fullmatch(part) for part in place.split("/")):
        raise StoreError(f"{uri!r} is not of the form {form}")
    return f"{scheme}://{place}"


def endpoint(uri: str) -> str | None:
    """The stand-in that the environment names for Amazon's own S3, if any."""
    named = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return named or None if uri.startswith("s3://") else None


def _changed(about: dict[str, Any]) -> float:
    """When an object was written; every kind of storage calls it otherwise."""
    when = next(about[name] for name in ("LastModified", "last_modified", "mtime", "updated") if name in about)
    return (datetime.fromisoformat(when) if isinstance(when, str) else when).timestamp()


def _filesystem(scheme: str) -> Any:
    import fsspec

    # Named, though botocore knows the variable: fsspec shares what has the same arguments among its users.
    options = {"endpoint_url": endpoint("s3://")} if scheme == "s3" else {}
    return fsspec.filesystem(scheme, use_listings_cache=False, **options)
