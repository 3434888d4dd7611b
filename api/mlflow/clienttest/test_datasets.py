# SPDX-License-Identifier: Apache-2.0
import mlflow
import numpy as np
import pandas as pd


def test_inputs(client, experiment):
    frame = mlflow.data.from_pandas(pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), source="iris.csv", name="flowers", targets="a")
    array = mlflow.data.from_numpy(np.arange(6).reshape(2, 3), name="numbers")
    with mlflow.start_run() as run:
        mlflow.log_input(frame, context="training", tags={"k": "v"})
        mlflow.log_input(array, context="test")
        mlflow.log_input(frame, context="training", tags={"k": "v"})  # again
    inputs = {i.dataset.name: i for i in client.get_run(run.info.run_id).inputs.dataset_inputs}
    assert set(inputs) == {"flowers", "numbers"}
    got = inputs["flowers"]
    assert got.dataset.digest == frame.digest and got.dataset.source_type == "local" and {t.key: t.value for t in got.tags} == {"k": "v", "mlflow.data.context": "training"}
    assert mlflow.data.get_source(got.dataset).uri == "iris.csv"
    assert [r.info.run_id for r in client.search_runs([experiment], "datasets.name = 'flowers' AND datasets.context = 'training'")] == [run.info.run_id]
    assert client.search_runs([experiment], "dataset.digest = 'none'") == []
