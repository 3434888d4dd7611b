# SPDX-License-Identifier: Apache-2.0
import mlflow
import pytest
from mlflow.entities import ViewType

from conftest import refused


def test_fluent(name):
    made = mlflow.set_experiment(name)
    assert mlflow.set_experiment(name).experiment_id == made.experiment_id
    assert mlflow.get_experiment(made.experiment_id).name == name
    assert mlflow.get_experiment_by_name(name).lifecycle_stage == "active"
    assert mlflow.get_experiment_by_name(name + "?") is None
    mlflow.set_experiment_tag("team", "flowers")
    mlflow.set_experiment_tags({"a": "1", "b": "2"})
    assert mlflow.get_experiment(made.experiment_id).tags == {"team": "flowers", "a": "1", "b": "2"}
    mlflow.delete_experiment(made.experiment_id)
    assert mlflow.get_experiment(made.experiment_id).lifecycle_stage == "deleted"


def test_names_are_taken_once(client, name):
    client.create_experiment(name, tags={"t": "1"})
    refused("RESOURCE_ALREADY_EXISTS", client.create_experiment, name)
    refused("INVALID_PARAMETER_VALUE", client.create_experiment, "x" * 501)
    refused("RESOURCE_DOES_NOT_EXIST", client.get_experiment, "987654321")


@pytest.mark.parametrize("extra", [" it's", " ação 数据", "/a/b", ' "q"'])
def test_odd_names(client, name, extra):
    eid = client.create_experiment(name + extra)
    assert client.get_experiment_by_name(name + extra).experiment_id == eid


def test_rename_delete_restore(client, name):
    eid = client.create_experiment(name)
    run = client.create_run(eid).info.run_id
    client.rename_experiment(eid, name + "2")
    assert client.get_experiment(eid).name == name + "2"
    client.delete_experiment(eid)
    assert client.get_run(run).info.lifecycle_stage == "deleted"
    refused("INVALID_PARAMETER_VALUE", client.create_run, eid)
    refused("RESOURCE_ALREADY_EXISTS", client.create_experiment, name + "2")
    assert eid in [e.experiment_id for e in client.search_experiments(ViewType.DELETED_ONLY)]
    client.restore_experiment(eid)
    assert client.get_run(run).info.lifecycle_stage == "active"


def test_search(client, name):
    for i in range(5):
        client.create_experiment(f"{name}-{i}", tags={"n": str(i), "of": name})
    mine = f"name LIKE '{name}%'"
    page = client.search_experiments(filter_string=mine, order_by=["name DESC"], max_results=2)
    assert [e.name[-1] for e in page] == ["4", "3"]
    page = client.search_experiments(filter_string=mine, order_by=["name DESC"], max_results=2, page_token=page.token)
    assert [e.name[-1] for e in page] == ["2", "1"]
    assert len(mlflow.search_experiments(filter_string=f"tags.of = '{name}' AND tags.n != '3'")) == 4
    assert len(client.search_experiments(filter_string=f"name ILIKE '{name.upper()}%'")) == 5
    refused("INVALID_PARAMETER_VALUE", client.search_experiments, filter_string="colour = 'red'")
