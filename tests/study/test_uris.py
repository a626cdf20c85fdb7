"""What may stand for MLflow's server and for a Ray cluster, and what is never shown of them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from study import cluster, uris

SOUND = [
    "sqlite:///mlflow.db",
    "sqlite:////a/b.db",
    "http://host:5000",
    "https://host",
    "postgresql+psycopg2://u:p@h/d",
]


@pytest.mark.parametrize("uri", SOUND)
def test_what_mlflow_serves_passes(uri):
    uris.check_uri(uri)


@pytest.mark.parametrize(
    ("address", "place"),
    [("host:6379", ("host", 6379)), ("ray://host:1", ("host", 1)), ("[::1]:2", ("::1", 2)), ("auto", None)],
)
def test_an_address_is_a_host_and_a_port(address, place):
    assert uris.host_and_port(address) == place


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at mysql://u:p@h/d now", "at mysql://u:***@h/d now"),
        ("http://h:80/x and a@b", "http://h:80/x and a@b"),
        ("postgresql://h/d?user=u&password=p", "postgresql://h/d?user=u&password=***"),
        ("sqlite:////a/b.db", "sqlite:////a/b.db"),
    ],
)
def test_passwords_alone_are_hidden(text, shown):
    assert uris.hidden(text) == shown


@pytest.mark.parametrize(("usual", "chosen"), [("/var/tmp", "/var/tmp"), (f"/{'x' * 40}", "/tmp")])
def test_rays_scratch_lies_with_what_is_temporary_unless_its_path_is_too_long(usual, chosen, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", usual)
    assert cluster._temporary() == Path(chosen)
