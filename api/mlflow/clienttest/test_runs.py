# SPDX-License-Identifier: Apache-2.0
import math
import time

import mlflow
import pytest
from mlflow.entities import Metric, Param, RunTag, ViewType

from conftest import refused


def test_fluent(client, experiment):
    with mlflow.start_run(run_name="first", description="words", tags={"kind": "good"}) as run:
        mlflow.log_param("depth", 3)
        mlflow.log_param("depth", 3)
        mlflow.log_params({"rate": 0.1, "long": "x" * 6000})
        mlflow.log_metric("auc", 0.91)
        mlflow.log_metrics({"nan": math.nan, "inf": math.inf, "minus": -math.inf}, step=4)
        mlflow.set_tags({"a": 1, "b": "2"})
        mlflow.delete_tag("b")
    got = client.get_run(run.info.run_id)
    assert got.info.status == "FINISHED" and got.info.run_name == "first" and got.info.end_time >= got.info.start_time
    assert got.data.params == {"depth": "3", "rate": "0.1", "long": "x" * 6000}
    m = got.data.metrics
    assert m["auc"] == 0.91 and math.isnan(m["nan"]) and m["inf"] == math.inf and m["minus"] == -math.inf
    assert got.data.tags["kind"] == "good" and got.data.tags["a"] == "1" and "b" not in got.data.tags
    assert got.data.tags["mlflow.note.content"] == "words" and got.data.tags["mlflow.runName"] == "first"
    assert mlflow.last_active_run().info.run_id == run.info.run_id


def test_failing_block_is_failed(client, experiment):
    with pytest.raises(ZeroDivisionError), mlflow.start_run() as run:
        1 / 0
    assert client.get_run(run.info.run_id).info.status == "FAILED"


def test_nested(client, experiment):
    with mlflow.start_run(run_name="parent") as parent:
        for i in range(3):
            with mlflow.start_run(run_name=f"child {i}", nested=True):
                mlflow.log_metric("i", i)
    children = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'", order_by=["metrics.i"])
    assert [c.info.run_name for c in children] == ["child 0", "child 1", "child 2"]
    assert mlflow.get_parent_run(children[0].info.run_id).info.run_id == parent.info.run_id


def test_resume(client, experiment):
    with mlflow.start_run() as run:
        mlflow.log_metric("m", 1, step=1)
    with mlflow.start_run(run_id=run.info.run_id):
        mlflow.log_metric("m", 2, step=2)
    assert client.get_run(run.info.run_id).data.metrics["m"] == 2


def test_params_do_not_change(client, run):
    client.log_param(run, "depth", 3)
    assert "depth" in refused("INVALID_PARAMETER_VALUE", client.log_param, run, "depth", 4)
    assert client.get_run(run).data.params == {"depth": "3"}


def test_batch_is_all_or_nothing(client, run):
    now = int(time.time() * 1000)
    points = [Metric("m", float(i), now + i, i) for i in reversed(range(900))]
    client.log_batch(run, metrics=points, params=[Param(f"p{i}", str(i)) for i in range(100)])
    client.log_batch(run, metrics=points)  # sent again: counted once
    assert client.get_run(run).data.metrics["m"] == 899 and len(client.get_metric_history(run, "m")) == 900
    refused("INVALID_PARAMETER_VALUE", client.log_batch, run, metrics=[Metric("n", 1.0, now, 0)], params=[Param("p1", "changed")])
    assert "n" not in client.get_run(run).data.metrics
    client.log_batch(run, tags=[RunTag("t", "1")])
    assert client.get_run(run).data.tags["t"] == "1"


def test_more_than_one_batch(client, experiment):
    with mlflow.start_run() as run:
        mlflow.log_params({f"p{i}": i for i in range(250)})
        mlflow.log_metrics({f"m{i}": i for i in range(1500)})
        mlflow.set_tags({f"t{i}": i for i in range(250)})
    got = client.get_run(run.info.run_id)
    assert len(got.data.params) == 250 and len(got.data.metrics) == 1500 and got.data.tags["t249"] == "249"


def test_asynchronous(client, experiment):
    with mlflow.start_run() as run:
        for step in range(50):
            mlflow.log_metric("m", step, step=step, synchronous=False)
        mlflow.log_param("p", 1, synchronous=False)
        mlflow.flush_async_logging()
    assert len(client.get_metric_history(run.info.run_id, "m")) == 50 and client.get_run(run.info.run_id).data.params == {"p": "1"}


def test_history(client, run):
    for step in range(10):
        client.log_metric(run, "loss", 1 / (step + 1), timestamp=1000 + step, step=step)
    assert [(p.step, p.value, p.timestamp) for p in client.get_metric_history(run, "loss")] == [(s, 1 / (s + 1), 1000 + s) for s in range(10)]
    assert client.get_metric_history(run, "none") == []


def test_long_history(client, run):
    for start in range(0, 30_000, 1000):
        client.log_batch(run, metrics=[Metric("m", float(i), i, i) for i in range(start, start + 1000)])
    history = client.get_metric_history(run, "m")  # more than a page of it
    assert [p.step for p in history] == list(range(30_000))


def test_update_delete_restore(client, run, experiment):
    client.update_run(run, status="FAILED", name="renamed")
    got = client.get_run(run)
    assert got.info.run_name == "renamed" and got.info.status == "FAILED" and got.data.tags["mlflow.runName"] == "renamed"
    client.set_terminated(run, "KILLED", end_time=5)
    assert client.get_run(run).info.end_time == 5
    client.delete_run(run)
    refused("INVALID_PARAMETER_VALUE", client.log_metric, run, "m", 1)
    assert client.search_runs([experiment]) == []
    assert [r.info.run_id for r in client.search_runs([experiment], run_view_type=ViewType.DELETED_ONLY)] == [run]
    client.restore_run(run)
    client.log_metric(run, "m", 1)
    refused("RESOURCE_DOES_NOT_EXIST", client.get_run, "0" * 32)


def test_system_metrics(client, experiment):
    mlflow.set_system_metrics_sampling_interval(0.2)
    mlflow.set_system_metrics_samples_before_logging(1)
    try:
        with mlflow.start_run(log_system_metrics=True) as run:
            deadline = time.time() + 30
            while time.time() < deadline and not any(k.startswith("system/") for k in client.get_run(run.info.run_id).data.metrics):
                time.sleep(0.2)
    finally:
        mlflow.set_system_metrics_sampling_interval(None)
        mlflow.set_system_metrics_samples_before_logging(None)
    metrics = client.get_run(run.info.run_id).data.metrics
    assert "system/cpu_utilization_percentage" in metrics and "system/system_memory_usage_megabytes" in metrics
