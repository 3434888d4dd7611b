# SPDX-License-Identifier: Apache-2.0
"""Models with signatures and input examples, and every way to load them."""
import os
import pathlib

import mlflow
import pandas as pd
import pytest
from mlflow.models import infer_signature
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from conftest import VERSION, own, refused, since

X, y = load_iris(return_X_y=True, as_frame=True)


def log_sklearn(model, **more):
    """Log with the argument that the client's version has for the name."""
    named = {"name": "model"} if VERSION >= (3,) else {"artifact_path": "model"}
    return mlflow.sklearn.log_model(model, **named, **more)


@pytest.fixture(scope="module")
def fitted():
    return LogisticRegression(max_iter=300).fit(X, y)


def test_load_by_every_uri(client, experiment, name, fitted):
    want = fitted.predict(X)
    with mlflow.start_run() as run:
        info = log_sklearn(fitted, signature=infer_signature(X, want), input_example=X.head(2), registered_model_name=name)
    client.set_registered_model_alias(name, "best", "1")
    uris = [f"runs:/{run.info.run_id}/model", f"models:/{name}/1", f"models:/{name}@best", f"models:/{name}/latest", info.model_uri]
    if VERSION >= (3,):
        uris.append(f"models:/{info.model_id}")
    for uri in uris:
        assert (mlflow.sklearn.load_model(uri).predict(X) == want).all(), uri
        loaded = mlflow.pyfunc.load_model(uri)
        assert (loaded.predict(X) == want).all(), uri
        assert loaded.metadata.signature.inputs.input_names() == list(X.columns)
    assert list(mlflow.models.Model.load(uris[1]).load_input_example().columns) == list(X.columns)
    assert mlflow.models.get_model_info(uris[1]).signature is not None
    assert os.path.exists(pathlib.Path(mlflow.artifacts.download_artifacts(uris[1])) / "MLmodel")


def test_custom_pyfunc(client, experiment, tmp_path):
    class Adder(mlflow.pyfunc.PythonModel):
        def load_context(self, context):
            self.n = int(pathlib.Path(context.artifacts["n"]).read_text())

        def predict(self, context, model_input: pd.DataFrame, params=None):
            return model_input + self.n

    (tmp_path / "n.txt").write_text("5")
    named = {"name": "adder"} if VERSION >= (3,) else {"artifact_path": "adder"}
    with mlflow.start_run():
        info = mlflow.pyfunc.log_model(**named, python_model=Adder(), artifacts={"n": str(tmp_path / "n.txt")}, pip_requirements=[])
    assert mlflow.pyfunc.load_model(info.model_uri).predict(pd.DataFrame({"a": [1]}))["a"][0] == 6


def test_register_model(client, experiment, name, fitted):
    with mlflow.start_run() as run:
        info = log_sklearn(fitted)
    v = mlflow.register_model(f"runs:/{run.info.run_id}/model", name, tags={"why": "test"})
    assert int(v.version) == 1 and v.run_id == run.info.run_id
    got = client.get_model_version(name, "1")
    assert got.status == "READY" and own(got.tags) == {"why": "test"}
    assert int(mlflow.register_model(info.model_uri, name).version) == 2
    refused("RESOURCE_DOES_NOT_EXIST", mlflow.sklearn.load_model, f"models:/{name}/9")
    refused("INVALID_PARAMETER_VALUE", client.get_model_version_by_alias, name, "none")


@since(3)
def test_logged_models(client, experiment, fitted):
    with mlflow.start_run() as run:
        info = log_sklearn(fitted, params={"flavour": "plain"}, tags={"colour": "blue"})
        mlflow.log_metric("f1", 0.97, model_id=info.model_id)
    got = mlflow.get_logged_model(info.model_id)
    assert str(got.status) == "READY" and got.params["flavour"] == "plain" and got.tags["colour"] == "blue"
    assert got.source_run_id == run.info.run_id and got.metrics[0].value == 0.97 and got.name == "model"
    assert [o.model_id for o in client.get_run(run.info.run_id).outputs.model_outputs] == [info.model_id]
    found = mlflow.search_logged_models(experiment_ids=[experiment], output_format="list", filter_string="metrics.f1 > 0.9 AND tags.colour = 'blue' AND params.flavour = 'plain'",
                                        order_by=[{"field_name": "metrics.f1", "ascending": False}])
    assert [m.model_id for m in found] == [info.model_id]
    assert "MLmodel" in [f.path for f in client.list_logged_model_artifacts(info.model_id)]
    client.set_logged_model_tags(info.model_id, {"extra": "1"})
    client.delete_logged_model_tag(info.model_id, "colour")
    tags = client.get_logged_model(info.model_id).tags
    assert tags["extra"] == "1" and "colour" not in tags
    assert mlflow.last_logged_model().model_id == info.model_id
    client.delete_logged_model(info.model_id)
    refused("RESOURCE_DOES_NOT_EXIST", client.get_logged_model, info.model_id)


@since(3)
def test_logged_models_without_bytes(client, experiment):
    outside = mlflow.create_external_model(name="elsewhere", params={"a": "1"}, model_type="agent")
    assert client.get_logged_model(outside.model_id).model_type == "agent"
    half = mlflow.initialize_logged_model("half")
    assert str(client.get_logged_model(half.model_id).status) == "PENDING"
    assert str(mlflow.finalize_logged_model(half.model_id, "FAILED").status) == "FAILED"
    mlflow.set_active_model(name="agent")
    with mlflow.start_run():
        mlflow.log_model_params({"k": "v"})
    active = mlflow.get_active_model_id()
    assert client.get_logged_model(active).params == {"k": "v"}
    mlflow.clear_active_model()


@since(3)
def test_metrics_by_dataset(client, experiment, fitted):
    data = mlflow.data.from_pandas(X, name="iris")
    with mlflow.start_run():
        info = log_sklearn(fitted)
        mlflow.log_metrics({"acc": 0.9}, dataset=data, model_id=info.model_id)
    m = client.get_logged_model(info.model_id).metrics[0]
    assert (m.key, m.value, m.dataset_name, m.dataset_digest) == ("acc", 0.9, "iris", data.digest)
    found = mlflow.search_logged_models([experiment], "metrics.acc > 0.8", datasets=[{"dataset_name": "iris", "dataset_digest": data.digest}], output_format="list")
    assert [m.model_id for m in found] == [info.model_id]
