# SPDX-License-Identifier: Apache-2.0
"""The unmodified MLflow client against lastro, with the token of a step.

TestClient in client_test.go starts the server and this script. Every block
asserts what MLflow's documentation promises; nothing here knows lastro.
"""

import json
import math
import os
import pathlib
import tempfile
import time

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

client = mlflow.MlflowClient()
X, y = load_iris(return_X_y=True, as_frame=True)


def refused(code, call, *args, **kwargs):
    """Assert that the server answers one error code, and return its message."""
    try:
        call(*args, **kwargs)
    except MlflowException as e:
        assert e.error_code == code, f"{e.error_code}, not {code}: {e}"
        return str(e)
    raise AssertionError(f"{code} expected, and nothing was refused")


def experiments():
    eid = client.create_experiment("iris", tags={"team": "flowers"})
    assert client.get_experiment(eid).name == "iris"
    e = client.get_experiment_by_name("iris")
    assert e.experiment_id == eid and e.tags == {"team": "flowers"} and e.lifecycle_stage == "active"
    assert e.artifact_location.startswith("mlflow-artifacts:/")
    assert client.get_experiment_by_name("nowhere") is None
    refused("RESOURCE_ALREADY_EXISTS", client.create_experiment, "iris")
    refused("RESOURCE_DOES_NOT_EXIST", client.get_experiment, "123")
    refused("INVALID_PARAMETER_VALUE", client.create_experiment, "x", artifact_location="file:///etc")
    client.set_experiment_tag(eid, "season", "spring")
    client.delete_experiment_tag(eid, "team")
    assert client.get_experiment(eid).tags == {"season": "spring"}
    # A step does not remove what others share.
    refused("PERMISSION_DENIED", client.delete_experiment, eid)
    for i in range(5):
        client.create_experiment(f"many {i}")
    page = client.search_experiments(filter_string="name LIKE 'many%'", order_by=["name DESC"], max_results=2)
    assert [e.name for e in page] == ["many 4", "many 3"] and page.token
    page = client.search_experiments(filter_string="name LIKE 'many%'", order_by=["name DESC"], max_results=4, page_token=None)
    assert len(page) == 4
    assert [e.name for e in client.search_experiments(filter_string="tags.season = 'spring'")] == ["iris"]
    mlflow.set_experiment("iris")
    return eid


def runs(eid):
    with mlflow.start_run(run_name="first") as run:
        mlflow.log_param("depth", 3)
        mlflow.log_param("depth", 3)  # the same value again is fine
        refused("INVALID_PARAMETER_VALUE", client.log_param, run.info.run_id, "depth", 4)
        mlflow.log_params({"rate": 0.1, "long": "x" * 6000})
        for step in range(10):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.log_metrics({"auc": 0.91, "nan": math.nan, "inf": math.inf, "minus": -math.inf})
        mlflow.set_tag("kind", "good one")
        mlflow.set_tags({"a": "1", "b": "2"})
        mlflow.delete_tag("b")
        # Only lastro writes where a run comes from.
        refused("INVALID_PARAMETER_VALUE", client.set_tag, run.info.run_id, "lastro.run", "9")
        mlflow.log_input(mlflow.data.from_pandas(X, name="flowers", source="iris.csv"), context="training")
    rid = run.info.run_id
    got = client.get_run(rid)
    assert got.info.status == "FINISHED" and got.info.end_time >= got.info.start_time and got.info.run_name == "first"
    assert got.data.params == {"depth": "3", "rate": "0.1", "long": "x" * 6000}
    m = got.data.metrics
    assert m["auc"] == 0.91 and m["loss"] == 0.1 and math.isnan(m["nan"]) and m["inf"] == math.inf and m["minus"] == -math.inf
    assert got.data.tags["kind"] == "good one" and "b" not in got.data.tags
    assert got.inputs.dataset_inputs[0].dataset.name == "flowers"
    assert got.info.artifact_uri == f"mlflow-artifacts:/{eid}/{rid}/artifacts"
    history = client.get_metric_history(rid, "loss")
    assert [(p.step, p.value) for p in history] == [(s, 1 / (s + 1)) for s in range(10)]
    assert client.get_metric_history(rid, "none") == []

    # One batch, all or nothing; the latest point is the one with the highest step.
    now = int(time.time() * 1000)
    other = client.create_run(eid, run_name="second").info.run_id
    points = [Metric("m", float(i), now + i, i) for i in reversed(range(900))]
    client.log_batch(other, metrics=points, params=[Param(f"p{i}", str(i)) for i in range(100)])
    client.log_batch(other, metrics=points)  # sent again: counted once
    assert client.get_run(other).data.metrics["m"] == 899 and len(client.get_metric_history(other, "m")) == 900
    refused("INVALID_PARAMETER_VALUE", client.log_batch, other,
            metrics=[Metric("n", 1.0, now, 0)], params=[Param("p1", "changed")])
    assert "n" not in client.get_run(other).data.metrics
    client.log_batch(other, tags=[RunTag("t", "1")])
    client.update_run(other, status="FAILED", name="renamed")
    assert client.get_run(other).info.run_name == "renamed" and client.get_run(other).info.status == "FAILED"
    client.delete_run(other)
    assert client.get_run(other).info.lifecycle_stage == "deleted"
    refused("INVALID_PARAMETER_VALUE", client.log_metric, other, "m", 1)
    client.restore_run(other)
    refused("RESOURCE_DOES_NOT_EXIST", client.get_run, "0" * 32)
    return rid, other


def search(eid, rid, other):
    def ids(query="", **kwargs):
        return [r.info.run_id for r in client.search_runs([eid], query, **kwargs)]

    assert set(ids()) == {rid, other}
    assert ids("metrics.auc > 0.9") == [rid] and ids("metrics.auc < 0.9") == []
    assert ids("metric.auc >= 0.91 and params.depth = '3'") == [rid]
    assert ids("params.depth != '4' AND tags.kind LIKE '%one'") == [rid]
    assert ids("tags.kind ILIKE 'GOOD%'") == [rid] and ids("tags.kind LIKE 'GOOD%'") == []
    assert ids("attributes.status = 'FAILED'") == [other]
    assert ids(f"attributes.run_id IN ('{rid}', 'x')") == [rid]
    assert ids("run_name = 'first'") == [rid] and ids("tags.`mlflow.runName` = 'renamed'") == [other]
    assert ids("params.depth IS NULL") == [other]
    assert ids("datasets.name = 'flowers'") == [rid] and ids("datasets.context = 'training'") == [rid] and ids("dataset.context = 'test'") == []
    assert ids(f"start_time > {int(time.time() * 1000) + 60_000}") == []
    assert ids(order_by=["metrics.auc DESC"]) == [rid, other]  # a run without the metric comes last ...
    assert ids(order_by=["metrics.auc ASC"]) == [rid, other]  # ... either way
    assert ids(order_by=["params.p1 DESC", "start_time ASC"]) == [other, rid]
    refused("INVALID_PARAMETER_VALUE", ids, "metrics.auc > 'x'")
    refused("INVALID_PARAMETER_VALUE", ids, "params.depth = 3")
    refused("INVALID_PARAMETER_VALUE", ids, "metrics.auc > 0.9 OR metrics.auc < 0.1")
    refused("INVALID_PARAMETER_VALUE", ids, "colour.red = '1'")
    first = client.search_runs([eid], order_by=["start_time ASC"], max_results=1)
    second = client.search_runs([eid], order_by=["start_time ASC"], max_results=1, page_token=first.token)
    assert [first[0].info.run_id, second[0].info.run_id] == [rid, other] and not second.token
    assert client.search_runs([eid], run_view_type=ViewType.DELETED_ONLY) == []
    frame = mlflow.search_runs([eid], "metrics.auc > 0.5")
    assert frame.loc[0, "params.depth"] == "3" and frame.loc[0, "metrics.auc"] == 0.91


def artifacts(rid):
    with tempfile.TemporaryDirectory() as tmp:
        tmp = pathlib.Path(tmp)
        (tmp / "notes.txt").write_text("hello")
        (tmp / "big.bin").write_bytes(os.urandom(3_000_000))
        (tmp / "sub dir").mkdir()
        (tmp / "sub dir" / "deep.json").write_text("{}")
        client.log_artifact(rid, tmp / "notes.txt")
        client.log_artifacts(rid, tmp, artifact_path="all")
        client.log_text(rid, "olá", "texts/greeting.txt")
        client.log_dict(rid, {"a": 1}, "texts/a.json")
        assert [(f.path, f.is_dir, f.file_size) for f in client.list_artifacts(rid)] == \
            [("all", True, None), ("notes.txt", False, 5), ("texts", True, None)]
        assert [f.path for f in client.list_artifacts(rid, "all")] == ["all/big.bin", "all/notes.txt", "all/sub dir"]
        assert client.list_artifacts(rid, "notes.txt") == []
        local = pathlib.Path(client.download_artifacts(rid, "", str(tmp / "sub dir")))
        assert (local / "all" / "big.bin").read_bytes() == (tmp / "big.bin").read_bytes()
        assert mlflow.artifacts.load_text(f"runs:/{rid}/texts/greeting.txt") == "olá"
        assert mlflow.artifacts.load_dict(f"runs:/{rid}/texts/a.json") == {"a": 1}
        # Written again, the name has the new bytes.
        client.log_text(rid, "changed", "notes.txt")
        assert mlflow.artifacts.load_text(f"runs:/{rid}/notes.txt") == "changed"


def autolog():
    mlflow.sklearn.autolog(log_datasets=False)
    with mlflow.start_run(run_name="autologged") as run:
        model = LogisticRegression(max_iter=200, C=0.5).fit(X, y)
        model.score(X, y)
    mlflow.sklearn.autolog(disable=True)
    got = client.get_run(run.info.run_id)
    assert got.data.params["C"] == "0.5" and got.data.params["max_iter"] == "200"
    assert got.data.metrics["training_accuracy_score"] > 0.9
    assert got.outputs.model_outputs, "autolog should have logged a model"
    loaded = mlflow.sklearn.load_model(f"runs:/{run.info.run_id}/model")
    assert (loaded.predict(X) == model.predict(X)).all()


def models():
    model = LogisticRegression(max_iter=300).fit(X, y)
    want = model.predict(X)
    with mlflow.start_run(run_name="logged") as run:
        info = mlflow.sklearn.log_model(model, name="model", signature=infer_signature(X, want), input_example=X.head(2),
                                        registered_model_name="iris", params={"flavour": "plain"}, tags={"colour": "blue"})
        mlflow.log_metric("f1", 0.97, model_id=info.model_id)
    logged = mlflow.get_logged_model(info.model_id)
    assert str(logged.status) == "READY" and logged.params == {"flavour": "plain"} and logged.tags["colour"] == "blue"
    assert logged.source_run_id == run.info.run_id and logged.metrics[0].value == 0.97
    assert [o.model_id for o in client.get_run(run.info.run_id).outputs.model_outputs] == [info.model_id]
    found = mlflow.search_logged_models(experiment_ids=[run.info.experiment_id], output_format="list",
                                        filter_string="metrics.f1 > 0.9 AND tags.colour = 'blue' AND params.flavour = 'plain'",
                                        order_by=[{"field_name": "metrics.f1", "ascending": False}])
    assert [m.model_id for m in found] == [info.model_id]
    assert "MLmodel" in [f.path for f in client.list_logged_model_artifacts(info.model_id)]
    client.set_logged_model_tags(info.model_id, {"extra": "1"})
    client.delete_logged_model_tag(info.model_id, "colour")
    assert "colour" not in client.get_logged_model(info.model_id).tags

    version = client.get_model_version("iris", "1")
    assert version.run_id == run.info.run_id and version.status == "READY"
    second = mlflow.register_model(f"runs:/{run.info.run_id}/model", "iris", tags={"why": "again"})
    third = mlflow.register_model(f"models:/{info.model_id}", "iris")
    assert (second.version, third.version) in ((2, 3), ("2", "3"))

    client.set_registered_model_alias("iris", "champion", "3")
    assert client.get_model_version_by_alias("iris", "champion").version in (3, "3")
    assert client.get_registered_model("iris").aliases in ({"champion": 3}, {"champion": "3"})
    uris = [f"runs:/{run.info.run_id}/model", "models:/iris/3", "models:/iris@champion", f"models:/{info.model_id}", "models:/iris/latest"]
    for uri in uris:
        assert (mlflow.sklearn.load_model(uri).predict(X) == want).all(), uri
        assert (mlflow.pyfunc.load_model(uri).predict(X) == want).all(), uri
    client.set_registered_model_alias("iris", "champion", "2")
    client.delete_registered_model_alias("iris", "champion")
    refused("INVALID_PARAMETER_VALUE", client.get_model_version_by_alias, "iris", "champion")
    return run.info.run_id, info.model_id


def registry(rid, model_id):
    client.update_registered_model("iris", description="Which flower?")
    client.set_registered_model_tag("iris", "owner", "botany")
    m = client.get_registered_model("iris")
    assert m.description == "Which flower?" and m.tags == {"owner": "botany"}
    client.delete_registered_model_tag("iris", "owner")
    client.update_model_version("iris", "1", "the first")
    client.set_model_version_tag("iris", "1", "checked", "yes")
    v = client.get_model_version("iris", "1")
    assert v.description == "the first" and v.tags["checked"] == "yes"
    client.delete_model_version_tag("iris", "1", "checked")
    assert sorted(int(v.version) for v in client.search_model_versions("name = 'iris'")) == [1, 2, 3]
    assert len(client.search_model_versions(f"run_id = '{rid}'")) == 3
    assert len(client.search_model_versions("tags.why = 'again'")) == 1
    assert len(client.search_model_versions("name = 'iris'", max_results=2, order_by=["version_number ASC"])) == 2
    assert client.search_model_versions("name = 'nothing'") == []
    assert [m.name for m in client.search_registered_models("name ILIKE 'IRIS%'")] == ["iris"]
    assert [m.name for m in client.search_registered_models(order_by=["name DESC"])] == ["piped", "iris", "guarded"]

    for source in ("file:///etc", "/etc", "../x", "http://127.0.0.1/x", "s3://bucket/x", "dbfs:/x", "mlflow-artifacts:/../../etc",
                   "mlflow-artifacts://host/x", "runs:/../x", "models:/iris/../x", "FILE:///etc", "mlflow-artifacts:/0?x=../.."):
        refused("INVALID_PARAMETER_VALUE", client.create_model_version, "iris", source)
    refused("RESOURCE_DOES_NOT_EXIST", client.create_model_version, "nowhere", f"models:/{model_id}")
    refused("RESOURCE_DOES_NOT_EXIST", client.create_model_version, "iris", "models:/m-" + "0" * 32)
    half = mlflow.initialize_logged_model("half")
    refused("INVALID_PARAMETER_VALUE", client.create_model_version, "iris", f"models:/{half.model_id}")
    refused("RESOURCE_ALREADY_EXISTS", client.create_registered_model, "iris")
    refused("INVALID_PARAMETER_VALUE", client.create_registered_model, "a/b")
    refused("RESOURCE_DOES_NOT_EXIST", client.get_model_version, "iris", "99")
    refused("INVALID_PARAMETER_VALUE", client.set_registered_model_alias, "iris", "v1", "1")

    assert client.transition_model_version_stage("iris", "1", "Production").current_stage == "Production"
    client.transition_model_version_stage("iris", "2", "production", archive_existing_versions=True)
    assert client.get_model_version("iris", "1").current_stage == "Archived"
    assert [int(v.version) for v in client.get_latest_versions("iris", ["Production"])] == [2]
    copy = client.copy_model_version("models:/iris/2", "copied")
    assert int(copy.version) == 1 and copy.run_id == rid
    client.delete_model_version("iris", "3")
    refused("RESOURCE_DOES_NOT_EXIST", client.get_model_version, "iris", "3")
    assert int(mlflow.register_model(f"models:/{model_id}", "iris").version) == 4  # a number is never used again
    client.rename_registered_model("copied", "renamed")
    assert int(client.get_model_version("renamed", "1").version) == 1
    client.delete_registered_model("renamed")
    refused("RESOURCE_DOES_NOT_EXIST", client.get_registered_model, "renamed")

    # A version that a pipeline made, of files that no client logged.
    piped = mlflow.pyfunc.load_model("models:/piped/1")
    assert piped.predict(pd.DataFrame({"a": [1, 2, 3]})) == [3, 3, 3]


def protected(model_id):
    """A model that a lastro.yaml declares: versions are free, promotion is not."""
    v = mlflow.register_model(f"models:/{model_id}", "guarded").version
    for alias in ("champion", "candidate", "challenger"):
        message = refused("PERMISSION_DENIED", client.set_registered_model_alias, "guarded", alias, v)
        assert "no passing decision" in message and "lastro run" in message, message
    client.set_registered_model_alias("guarded", "playground", v)  # any other alias is free
    client.delete_registered_model_alias("guarded", "playground")
    refused("PERMISSION_DENIED", client.transition_model_version_stage, "guarded", v, "Production")
    refused("PERMISSION_DENIED", client.rename_registered_model, "guarded", "mine")
    refused("PERMISSION_DENIED", client.delete_registered_model, "guarded")
    assert client.get_registered_model("guarded").aliases == {}


def person(eid, rid):
    """What a step may not do, by a person: with a token of their own, here as the password of basic authentication."""
    del os.environ["MLFLOW_TRACKING_TOKEN"]
    os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"] = "ana", os.environ["PERSON_TOKEN"]
    client.rename_experiment(eid, "flowers")
    assert client.get_experiment_by_name("flowers").experiment_id == eid
    client.delete_experiment(eid)
    assert client.get_experiment(eid).lifecycle_stage == "deleted"
    assert [e.name for e in client.search_experiments(ViewType.DELETED_ONLY)] == ["flowers"]
    assert client.search_runs([eid]) == [] and client.search_runs([eid], run_view_type=ViewType.ALL) != []
    client.restore_experiment(eid)
    assert client.get_run(rid).info.lifecycle_stage == "active"
    client.delete_logged_model(mlflow.create_external_model(name="elsewhere", experiment_id=eid).model_id)
    os.environ["MLFLOW_TRACKING_PASSWORD"] = "password1234"
    refused("UNAUTHENTICATED", client.get_experiment, eid)


def unbuilt():
    """This server is made without webhooks."""
    refused("ENDPOINT_NOT_FOUND", client.list_webhooks)


eid = experiments()
rid, other = runs(eid)
search(eid, rid, other)
artifacts(rid)
autolog()
rid, model_id = models()
registry(rid, model_id)
protected(model_id)
unbuilt()
person(eid, rid)
print(json.dumps({"mlflow": mlflow.__version__, "numpy": np.__version__, "pandas": pd.__version__}))
