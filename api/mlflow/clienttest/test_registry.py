# SPDX-License-Identifier: Apache-2.0
import mlflow
import pytest

from conftest import own, refused

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


@pytest.fixture
def source(client, run):
    """A folder that versions can be made of."""
    client.log_text(run, "flavors: {}\n", "model/MLmodel")
    return f"runs:/{run}/model"


@pytest.fixture
def model(client, name, source, run):
    """A registered model with three versions."""
    client.create_registered_model(name, tags={"owner": "botany"}, description="Which flower?")
    for i in range(3):
        client.create_model_version(name, source, run, tags={"n": str(i)}, description=f"number {i}")
    return name


def test_models(client, model, name):
    m = client.get_registered_model(model)
    assert m.description == "Which flower?" and m.tags == {"owner": "botany"} and m.aliases == {}
    client.update_registered_model(model, description="words")
    client.set_registered_model_tag(model, "k", "v")
    client.delete_registered_model_tag(model, "owner")
    m = client.get_registered_model(model)
    assert m.description == "words" and m.tags == {"k": "v"}
    refused("RESOURCE_ALREADY_EXISTS", client.create_registered_model, model)
    refused("RESOURCE_DOES_NOT_EXIST", client.get_registered_model, name + "?")
    refused("INVALID_PARAMETER_VALUE", client.create_registered_model, "a/b")
    client.rename_registered_model(model, model + "2")
    assert int(client.get_model_version(model + "2", "1").version) == 1
    client.delete_registered_model(model + "2")
    refused("RESOURCE_DOES_NOT_EXIST", client.get_registered_model, model + "2")


def test_versions(client, model, run):
    v = client.get_model_version(model, "2")
    assert v.run_id == run and v.status == "READY" and own(v.tags) == {"n": "1"} and v.description == "number 1"
    client.update_model_version(model, "2", "new words")
    client.set_model_version_tag(model, "2", "checked", "yes")
    client.delete_model_version_tag(model, "2", "n")
    v = client.get_model_version(model, "2")
    assert v.description == "new words" and own(v.tags) == {"checked": "yes"}
    assert client.get_model_version_download_uri(model, "2").startswith("mlflow-artifacts:/")
    client.delete_model_version(model, "3")
    refused("RESOURCE_DOES_NOT_EXIST", client.get_model_version, model, "3")
    refused("RESOURCE_DOES_NOT_EXIST", client.get_model_version, model, "99")


def test_aliases(client, model):
    client.set_registered_model_alias(model, "best", "1")
    client.set_registered_model_alias(model, "best", "2")
    client.set_registered_model_alias(model, "other", "2")
    assert int(client.get_model_version_by_alias(model, "best").version) == 2
    assert {k: int(v) for k, v in client.get_registered_model(model).aliases.items()} == {"best": 2, "other": 2}
    assert sorted(client.get_model_version(model, "2").aliases) == ["best", "other"]
    client.delete_registered_model_alias(model, "best")
    refused("INVALID_PARAMETER_VALUE", client.get_model_version_by_alias, model, "best")
    refused("INVALID_PARAMETER_VALUE", client.set_registered_model_alias, model, "v1", "1")
    refused("INVALID_PARAMETER_VALUE", client.set_registered_model_alias, model, "latest", "1")
    refused("RESOURCE_DOES_NOT_EXIST", client.set_registered_model_alias, model, "best", "99")


def test_stages(client, model):
    assert client.transition_model_version_stage(model, "1", "Production").current_stage == "Production"
    client.transition_model_version_stage(model, "2", "production", archive_existing_versions=True)
    assert client.get_model_version(model, "1").current_stage == "Archived"
    assert [int(v.version) for v in client.get_latest_versions(model, ["Production"])] == [2]
    assert {v.current_stage: int(v.version) for v in client.get_latest_versions(model)} == {"Archived": 1, "Production": 2, "None": 3}
    assert mlflow.artifacts.load_text(f"models:/{model}/Production/MLmodel") == "flavors: {}\n"
    refused("INVALID_PARAMETER_VALUE", client.transition_model_version_stage, model, "1", "Live")


def test_copies(client, model, run):
    copy = client.copy_model_version(f"models:/{model}/2", model + "-copy")
    assert int(copy.version) == 1 and copy.run_id == run
    assert mlflow.artifacts.load_text(f"models:/{model}-copy/1/MLmodel") == "flavors: {}\n"


def test_search(client, model, run):
    def numbers(query, **more):
        return [int(v.version) for v in client.search_model_versions(query, **more)]

    mine = f"name = '{model}'"
    assert sorted(numbers(mine)) == [1, 2, 3] and sorted(numbers(f"run_id = '{run}'")) == [1, 2, 3]
    assert numbers(f"{mine} AND tags.n = '1'") == [2]
    assert numbers(f"{mine} AND version_number > 1", order_by=["version_number ASC"]) == [2, 3]
    page = client.search_model_versions(mine, max_results=2, order_by=["version_number ASC"])
    assert [int(v.version) for v in page] == [1, 2]
    assert numbers(mine, max_results=2, order_by=["version_number ASC"], page_token=page.token) == [3]
    assert [m.name for m in client.search_registered_models(f"name ILIKE '{model.upper()}%'")] == [model]
    assert [m.name for m in mlflow.search_registered_models(filter_string=f"name = '{model}' AND tags.owner = 'botany'")] == [model]
    refused("INVALID_PARAMETER_VALUE", client.search_model_versions, "colour = 'red'")
    refused("INVALID_PARAMETER_VALUE", client.search_registered_models, "name = 'a' OR name = 'b'")


@pytest.mark.parametrize("outside", ["file:///etc", "/etc", "../x", "http://127.0.0.1/x", "s3://bucket/x", "dbfs:/x", "mlflow-artifacts:/../../etc", "mlflow-artifacts://host/x", "FILE:///etc", "mlflow-artifacts:/0?x=../.."])
def test_sources_outside(client, model, outside):
    refused("INVALID_PARAMETER_VALUE", client.create_model_version, model, outside)
