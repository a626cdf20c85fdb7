"""The addresses of a command line, checked before anything is written: MLflow's tracking URI, the Ray cluster's."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from urllib.parse import urlparse

from trainables.settings import ConfigError
from trainables.store import Store

ARTIFACTS = {"s3": "boto3", "gs": "google-cloud-storage", "file": ""}  # what MLflow needs, by scheme
SCHEMES = ("sqlite", "http", "https", "postgresql", "mysql", "mssql")


def check_uri(uri: str) -> None:
    """ConfigError for a tracking URI that MLflow cannot mean anything by."""
    parts = _parts(uri)
    scheme = parts.scheme.split("+")[0] if parts else ""
    if scheme not in SCHEMES:
        raise _wrong(uri, f"has no known scheme; valid: {', '.join(SCHEMES)}, as in sqlite:///...")
    if scheme == "sqlite" and not re.fullmatch(r"[^:]+:///.+", uri):
        raise _wrong(uri, "names no file; give sqlite:///PATH, with four slashes where the path is absolute")
    if scheme in ("http", "https") and not parts.hostname:
        raise _wrong(uri, f"names no host; give {scheme}://HOST:PORT")
    if "://" not in uri:
        raise _wrong(uri, f"is not of the form {scheme}://USER:PASSWORD@HOST/DATABASE")


def check_artifacts(uri: str) -> None:
    """ConfigError for a URI that MLflow's artifacts cannot be kept below. Secrets in it are not repeated."""
    if any(sign in uri for sign in "@?#"):
        raise ConfigError("artifacts: credentials are taken from the environment, never from the URI")
    scheme, _, place = uri.partition("://")
    if scheme not in ARTIFACTS or not place.strip("/"):
        forms = " or ".join(f"{known}://PLACE" for known in ARTIFACTS)
        raise ConfigError(f"artifacts: {uri!r} is not of the form {forms}")
    package = ARTIFACTS[scheme]
    if package and not _installed(package):
        raise ConfigError(f"artifacts: {uri} needs the package {package}: pip install {package}")


def _installed(package: str) -> bool:
    """Whether there is the package, which may lie in another one, as "google-cloud-storage" does."""
    try:
        return importlib.util.find_spec(package.replace("-", ".")) is not None
    except ModuleNotFoundError:
        return False


def default_uri(store: Store) -> str:
    """A database in the store, in this node's mirror of it where that is no folder."""
    return f"sqlite:///{store.root}/mlflow.db"


def database(uri: str) -> Path | None:
    """The file of a database in one; None for every other tracking URI."""
    scheme, _, path = uri.partition(":///")
    return Path(path.partition("?")[0]) if path and scheme.split("+")[0] == "sqlite" else None


def hidden(text: str) -> str:
    """The text without the passwords of the URIs in it."""
    text = re.sub(r"(://[^:/@\s]*):\S*@", r"\1:***@", text)
    return re.sub(r"([?&](?:password|passwd|pwd|token)=)[^&\s]+", r"\1***", text, flags=re.IGNORECASE)


def host_and_port(address: str) -> tuple[str, int] | None:
    """Where a Ray cluster listens, None for "auto" (which Ray finds itself); ConfigError for what is no address."""
    if address == "auto":
        return None
    parts = _parts(address if address.startswith("ray://") else f"//{address}")
    if not parts or not parts.hostname or not parts.port or parts.path.strip("/"):
        raise ConfigError(f"address: {address!r} is not of the form HOST:PORT (or auto, for a cluster on this machine)")
    return parts.hostname, parts.port


def _parts(uri: str):
    """The parts of a URI; None if it has none, or a port that is no number."""
    try:
        parts = urlparse(uri)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _wrong(uri: str, why: str) -> ConfigError:
    return ConfigError(f"tracking-uri: {hidden(uri)!r} {why}")
