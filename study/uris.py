"""The addresses of a command line, checked before anything is written: MLflow's tracking URI, the Ray cluster's."""

from __future__ import annotations

import importlib.util
import os
import re
import unicodedata
from pathlib import Path
from urllib.parse import unquote, urlparse

from trainables.settings import ConfigError
from trainables.store import Store

ARTIFACTS = {"s3": "boto3", "gs": "google-cloud-storage", "file": ""}  # what MLflow needs, by scheme
SERVERS = ("postgresql", "mysql", "mssql")  # databases that are asked for by a user's name
SCHEMES = ("sqlite", "http", "https", *SERVERS)
OPTION, VARIABLE = "tracking-uri", "MLFLOW_TRACKING_URI"
KINDS = {"Cc": "a control character", "Cf": "an invisible character", "Zs": "a space of another kind"}
_USER = re.compile(r"(?<![\w+.-])([\w+.-]*)://([^/\s]\S*)@")
_QUERY = re.compile(r"[?&;#]\S*")
_SECRET = re.compile(
    r"([?&;#][^=&;?#\s]*(?:pass|pwd|token|secret|key|odbc_connect)[^=&;?#\s]*=)(?!\*{3}(?:[&\s]|$))[^&\s]+",
    flags=re.IGNORECASE,
)


def check_printable(name: str, given: str) -> None:
    """ConfigError for characters that no place has in its name. What is given may hold a secret and is not repeated."""
    if wrong := next((sign for sign in given if not sign.isprintable()), None):
        kind = KINDS.get(unicodedata.category(wrong), "a character that cannot be printed")
        raise ConfigError(f"{name}: there is {kind} in it (U+{ord(wrong):04X}), which no place has in its name")


def tracking_uri(given: str | None) -> str | None:
    """MLflow's URI, checked: the one given as an option, else the environment's, else None.

    What is given as an option is to be seen by everyone on the machine, so only the environment's may hold a password.
    """
    if given is None:
        if uri := os.environ.get(VARIABLE):
            check_uri(uri, VARIABLE)
        return uri or None
    if holds_secret(given):
        raise ConfigError(f"{OPTION}: it holds a password or a token; set {VARIABLE} in the environment instead")
    check_uri(given)
    return given


def check_uri(uri: str, name: str = OPTION) -> None:
    """ConfigError for a tracking URI, of the option or variable `name`, that MLflow cannot mean anything by."""
    check_printable(name, uri)
    parts = _parts(uri)
    if parts is None:
        raise ConfigError(f"{name}: it is no URI, or its port is no number")
    scheme = parts.scheme.split("+")[0]
    if scheme not in SCHEMES:
        raise _wrong(name, uri, f"has no known scheme; valid: {', '.join(SCHEMES)}, as in sqlite:///...")
    if scheme == "sqlite" and not re.fullmatch(r"[^:]+:///.+", uri):
        raise _wrong(name, uri, "names no file; give sqlite:///PATH, with four slashes where the path is absolute")
    if scheme in ("http", "https") and not parts.hostname:
        raise _wrong(name, uri, f"names no host; give {scheme}://HOST:PORT")
    if "://" not in uri:
        raise _wrong(name, uri, f"is not of the form {scheme}://USER@HOST/DATABASE")
    if scheme != "sqlite" and " " in uri:  # what is hidden of a URI in a text ends at a space
        raise ConfigError(f"{name}: there is a space in it; write %20")


def check_artifacts(uri: str) -> None:
    """ConfigError for a URI that MLflow's artifacts cannot be kept below. Secrets in it are not repeated."""
    if any(sign in uri for sign in "@?#"):
        raise ConfigError(
            "artifacts: credentials are taken from the environment (the storage's own variables), never from the URI"
        )
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
    """The text without the passwords, tokens and keys of the URIs in it."""
    return _QUERY.sub(_without_secrets, _USER.sub(_without_password, text))


def _without_secrets(found: re.Match) -> str:
    """A URI's query; nothing is left of one that has secrets once it is decoded."""
    query = _SECRET.sub(r"\1***", found[0])
    return f"{query[0]}***" if _SECRET.search(unquote(query)) else query


def _without_password(found: re.Match) -> str:
    """What stands before a URI's host: a name is shown where a database has one, for elsewhere it may be a token."""
    scheme, (user, colon, _) = found[1], found[2].partition(":")
    named = scheme.lower().split("+")[0] in SERVERS and not {"@", "/"} & {*user}
    return f"{scheme}://{user}{colon and ':***'}@" if named else f"{scheme}://***@"


def holds_secret(uri: str) -> bool:
    """Whether there is anything in a URI that `hidden` hides."""
    return hidden(uri) != uri


def host_and_port(address: str) -> tuple[str, int] | None:
    """Where a Ray cluster listens, None for "auto" (which Ray finds itself); ConfigError for what is no address."""
    if address == "auto":
        return None
    form = "HOST:PORT (or auto, for a cluster on this machine)"
    if "@" in address or holds_secret(address):
        raise ConfigError(f"address: give {form}, without a user, a password or a token")
    parts = _parts(address if address.startswith("ray://") else f"//{address}")
    if not parts or not parts.hostname or not parts.port or parts.path.strip("/"):
        raise ConfigError(f"address: {address!r} is not of the form {form}")
    return parts.hostname, parts.port


def _parts(uri: str):
    """The parts of a URI; None if it has none, or a port that is no number."""
    try:
        parts = urlparse(uri)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _wrong(name: str, uri: str, why: str) -> ConfigError:
    """The environment's may hold a secret, and so may whatever has an @: that is not repeated."""
    return ConfigError(f"{name}: {'it' if name == VARIABLE or '@' in uri else repr(uri)} {why}")
