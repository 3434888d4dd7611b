# SPDX-License-Identifier: Apache-2.0
"""What the tests of MLflow's client share.

client_suite_test.go starts lastro and pytest with MLFLOW_TRACKING_URI set; every
test asserts what MLflow's documentation promises, and nothing here knows lastro.
Each test has an experiment of its own, so that tests need no order.
"""

import os
import re
import uuid

import mlflow
import pytest
from mlflow.exceptions import MlflowException

VERSION = tuple(int(x) for x in re.findall(r"\d+", mlflow.__version__)[:3])


def since(*version):
    """Mark a test of what clients before a version do not have."""
    return pytest.mark.skipif(VERSION < version, reason=f"mlflow {mlflow.__version__} does not have it")


def until(*version):
    """Mark a test of what clients from a version on do not have any more."""
    return pytest.mark.skipif(VERSION >= version, reason=f"mlflow {mlflow.__version__} no longer has it")


@pytest.fixture(scope="session", autouse=True)
def right_client():
    want = os.environ.get("LASTRO_CLIENT_VERSION")
    assert want in (None, mlflow.__version__), f"these are the tests of {want}"


@pytest.fixture
def client():
    return mlflow.MlflowClient()


@pytest.fixture
def name(request):
    """A name that no other test uses."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", request.node.name[:60]) + "-" + uuid.uuid4().hex[:8]


@pytest.fixture
def experiment(name):
    """A new experiment, which is the active one."""
    eid = mlflow.create_experiment(name)
    mlflow.set_experiment(experiment_id=eid)
    yield eid
    while mlflow.active_run():
        mlflow.end_run()


@pytest.fixture
def run(client, experiment):
    """The id of a run that goes on."""
    return client.create_run(experiment).info.run_id


def refused(code, call, *args, **kwargs):
    """Assert that the server answers one error code, and return its message."""
    with pytest.raises(MlflowException) as e:
        call(*args, **kwargs)
    assert e.value.error_code == code, e.value
    return str(e.value)


def own(tags):
    """The tags that the test has written: lastro adds the digest of a version and what it is made of."""
    return {k: v for k, v in tags.items() if not k.startswith("lastro.")}


def files(client, run, path=None):
    return [f.path for f in client.list_artifacts(run, path)]
