# SPDX-License-Identifier: Apache-2.0
import mlflow
import pytest

from conftest import since

pytestmark = since(3, 4)


def test_evaluation_datasets(experiment, name):
    from mlflow.genai.datasets import create_dataset, delete_dataset, get_dataset, search_datasets

    made = create_dataset(name=name, experiment_id=[experiment], tags={"k": "v"})
    made.merge_records([{"inputs": {"q": "a"}, "expectations": {"is": 1}}, {"inputs": {"q": "b"}, "tags": {"t": "1"}}])
    made.merge_records([{"inputs": {"q": "a"}, "expectations": {"is": 2}}])  # the same inputs: the same record
    got = get_dataset(dataset_id=made.dataset_id)
    frame = got.to_df()
    assert len(frame) == 2 and sorted(r["q"] for r in frame["inputs"]) == ["a", "b"] and {"is": 2} in list(frame["expectations"])
    assert got.tags["k"] == "v" and got.experiment_ids == [experiment]
    assert [d.dataset_id for d in search_datasets(experiment_ids=[experiment], filter_string=f"name = '{name}'")] == [made.dataset_id]
    mlflow.genai.datasets.set_dataset_tags(dataset_id=made.dataset_id, tags={"x": "y"})
    mlflow.genai.datasets.delete_dataset_tag(dataset_id=made.dataset_id, key="k")
    assert get_dataset(dataset_id=made.dataset_id).tags.get("x") == "y"
    delete_dataset(dataset_id=made.dataset_id)
    with pytest.raises(Exception):
        get_dataset(dataset_id=made.dataset_id)
