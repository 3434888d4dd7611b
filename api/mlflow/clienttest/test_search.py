# SPDX-License-Identifier: Apache-2.0
import mlflow
import pytest

from conftest import refused


@pytest.fixture
def three(client, experiment):
    """Runs a, b and c, oldest first."""
    for i, (name, metrics, params, tags) in enumerate([
        ("a", {"auc": 0.9}, {"depth": "3"}, {"team": "Red"}), ("b", {"auc": 0.8, "loss": 1}, {"depth": "10"}, {}), ("c", {}, {}, {"team": "blue", "a.b": "x"}),
    ]):
        run = client.create_run(experiment, run_name=name, start_time=1000 + i, tags=tags).info.run_id
        for k, v in metrics.items():
            client.log_metric(run, k, v)
        for k, v in params.items():
            client.log_param(run, k, v)
    client.set_terminated(client.search_runs([experiment], "run_name = 'a'")[0].info.run_id)
    return experiment


@pytest.mark.parametrize("query, want", [
    ("", "abc"), ("metrics.auc > 0.85", "a"), ("metrics.auc <= 0.8 and params.depth = '10'", "b"), ("params.depth != '3'", "b"), ("tags.team ILIKE 'r%'", "a"),
    ("tags.team LIKE 'r%'", ""), ("tags.`a.b` = 'x'", "c"), ("attributes.status = 'FINISHED'", "a"), ("status != 'FINISHED'", "bc"), ("run_name ILIKE 'A'", "a"),
    ("attributes.start_time > 1000", "bc"), ("params.depth IS NULL", "c"), ("tags.team IS NOT NULL", "ac"), ("metrics.`loss` = 1", "b"),
])
def test_filter(client, three, query, want):
    assert "".join(r.info.run_name for r in client.search_runs([three], query, order_by=["start_time ASC"])) == want


@pytest.mark.parametrize("order, want", [
    ("metrics.auc DESC", "abc"), ("metrics.auc ASC", "bac"), ("params.depth ASC", "bac"), ("start_time DESC", "cba"), ("tags.team DESC", "cab"), ("attributes.run_name", "abc"),
])
def test_order(client, three, order, want):
    """A run without the value comes last, either way."""
    assert "".join(r.info.run_name for r in client.search_runs([three], order_by=[order])) == want


@pytest.mark.parametrize("query", ["metrics.auc > 'x'", "params.depth = 3", "metrics.auc > 0.9 OR metrics.auc < 0.1", "colour.red = '1'", "metrics.auc >", "name"])
def test_bad_filter(client, three, query):
    refused("INVALID_PARAMETER_VALUE", client.search_runs, [three], query)


def test_pages(client, three):
    seen, token = [], None
    while True:
        page = client.search_runs([three], order_by=["metrics.auc DESC"], max_results=1, page_token=token)
        seen += [r.info.run_name for r in page]
        if client.create_run(three, start_time=1).info.run_id and not (token := page.token) or len(seen) > 10:
            break
    assert seen[:3] == ["a", "b", "c"] and len(seen) == len(set(seen))


def test_frame(three):
    frame = mlflow.search_runs([three], "metrics.auc > 0.5", order_by=["metrics.auc"])
    assert list(frame["params.depth"]) == ["10", "3"] and list(frame["metrics.auc"]) == [0.8, 0.9]
    assert len(mlflow.search_runs([three], output_format="list")) == 3
