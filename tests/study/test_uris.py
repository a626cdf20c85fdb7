"""What may stand for MLflow's server and for a Ray cluster, and what is never shown of them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from study import cluster, run, uris
from study.drive import Places
from trainables.settings import ConfigError

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
        ("sqlite:////a:b@c/b.db", "sqlite:////a:b@c/b.db"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("at 'https://TOKEN@h/x', at https://u:p@h", "at 'https://***@h/x', at https://***@h"),
        ("https://TOKEN:x-oauth-basic@h", "https://***@h"),
        ("mysql://TOKEN@u:p@h/d", "mysql://***@h/d"),
        ("postgresql://h/d?sslmode=require&sslpassword=p;q", "postgresql://h/d?sslmode=require&sslpassword=***"),
        ("mssql://?odbc_connect=SERVER%3Dh%3BPWD%3Dp&x=y", "mssql://?odbc_connect=***&x=y"),
        ("http://h?API_KEY=p&Client-Secret=q#access_token=r", "http://h?API_KEY=***&Client-Secret=***"),
    ],
)
def test_passwords_alone_are_hidden(text, shown):
    assert uris.hidden(text) == shown


@pytest.mark.parametrize(("usual", "chosen"), [("/var/tmp", "/var/tmp"), (f"/{'x' * 40}", "/tmp")])
def test_rays_scratch_lies_with_what_is_temporary_unless_its_path_is_too_long(usual, chosen, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", usual)
    assert cluster._temporary() == Path(chosen)


SECRETS = [
    "postgresql://u:hunter2@h/d",
    "https://hunter2@h",
    "postgresql://h/d?sslpassword=hunter2",
    "postgresql://h/d?p%61ssword=hunter2",
    "mssql+pyodbc://?odbc_connect=SERVER%3Dh%3BPWD%3Dhunter2",
    "mssql+pyodbc://h?x=y&options=SERVER%3Dh%3BPWD%3Dhunter2",
]


@pytest.mark.parametrize("uri", SECRETS)
def test_a_tracking_uri_with_a_secret_comes_from_the_environment_alone(uri, monkeypatch):
    with pytest.raises(ConfigError, match=r"^tracking-uri: .*set MLFLOW_TRACKING_URI in the environment") as refused:
        uris.tracking_uri(uri)
    assert "hunter2" not in str(refused.value)
    assert uris.tracking_uri(None) is None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert uris.tracking_uri(None) == uri
    assert uris.tracking_uri("http://h:1") == "http://h:1"
    assert "hunter2" not in run._ui(uri)


@pytest.mark.parametrize("uri", ["postgresql://u@h/d", "sqlite:////a@b/m.db", "http://h:5000/x?y=1"])
def test_a_tracking_uri_without_a_secret_is_an_options(uri):
    assert uris.tracking_uri(uri) == uri


@pytest.mark.parametrize(
    "uri",
    [
        "ftp://u:hunter2@h",
        "u:hunter2@h/d",
        "postgresql:u:hunter2@h/d",
        "postgresql://u:hunter2@h:port/d",
        "postgresql://u:hunter2/d",
        "postgresql://u:hunter2@h/d\r",
        "mssql://?odbc_connect=DRIVER={ODBC Driver 18};PWD={hunter2}",
    ],
)
def test_what_is_wrong_with_a_uri_is_said_without_it(uri, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    for given, name in ((uri, "tracking-uri"), (None, "MLFLOW_TRACKING_URI")):
        with pytest.raises(ConfigError, match=f"^{name}: ") as refused:
            uris.tracking_uri(given)
        assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("more", "kept"), [((), "postgresql://u:hunter2@h/d"), (("--tracking-uri", "http://h:1"), "http://h:1")]
)
def test_the_environment_names_mlflows_server_unless_the_option_does(more, kept, invoke, tmp_path, monkeypatch):
    given = []

    def ran(study, store, budget, places, say):
        given.append(places)
        say(f"at {places.tracking_uri}")
        (tmp_path / "table.md").write_text("table")
        return tmp_path, True

    monkeypatch.setattr(run, "run", ran)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://u:hunter2@h/d")
    result = invoke("--sweep", "encoder", "--store", tmp_path / "store", *more)
    assert result.exit_code == 0, result.output
    assert given == [Places(tracking_uri=kept)]
    assert "hunter2" not in result.output
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    invoke("--sweep", "encoder", "--store", tmp_path / "store")
    assert given[1].tracking_uri == f"sqlite:///{tmp_path}/store/mlflow.db"
