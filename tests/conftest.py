"""Object storage for tests: a stand-in for S3 on this machine."""

from __future__ import annotations

import logging
import os
import uuid

import pytest

os.environ.pop("MLFLOW_TRACKING_URI", None)  # this machine's own server is none of the tests'


@pytest.fixture(scope="module")
def storage():
    """The URI of a bucket of a server of moto's, which the environment leads to; given up after the module."""
    from moto.server import ThreadedMotoServer

    from trainables._objects import Objects

    bucket = f"bucket-{uuid.uuid4().hex[:8]}"  # servers of one process share what they hold
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        Objects(f"s3://{bucket}")._fs.mkdir(bucket)
        yield f"s3://{bucket}"
    server.stop()


@pytest.fixture
def uri(storage):
    """A prefix in the bucket that nobody else uses."""
    return f"{storage}/{uuid.uuid4().hex[:12]}/runs"
