# SPDX-License-Identifier: Apache-2.0
import mlflow
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from conftest import VERSION, files, until

X, y = load_iris(return_X_y=True, as_frame=True)


def logged(client, run):
    """The run, and whether it has a model, wherever the client's version keeps it."""
    got = client.get_run(run.info.run_id)
    outputs = got.outputs.model_outputs if VERSION >= (3,) else "model" in files(client, run.info.run_id)
    return got, bool(outputs)


def test_sklearn(client, experiment):
    mlflow.sklearn.autolog()
    try:
        with mlflow.start_run() as run:
            model = LogisticRegression(max_iter=200, C=0.5).fit(X, y)
            model.score(X, y)
    finally:
        mlflow.sklearn.autolog(disable=True)
    got, has_model = logged(client, run)
    assert got.data.params["C"] == "0.5" and got.data.metrics["training_accuracy_score"] > 0.9 and has_model
    assert got.inputs.dataset_inputs
    assert (mlflow.sklearn.load_model(f"runs:/{run.info.run_id}/model").predict(X) == model.predict(X)).all()


def test_sklearn_search(client, experiment):
    mlflow.sklearn.autolog(log_models=False)
    try:
        with mlflow.start_run() as run:
            GridSearchCV(LogisticRegression(max_iter=500), {"C": [0.1, 1.0]}, cv=2).fit(X, y)
    finally:
        mlflow.sklearn.autolog(disable=True)
    children = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{run.info.run_id}'")
    assert sorted(c.data.params["C"] for c in children) == ["0.1", "1.0"]
    assert client.get_run(run.info.run_id).data.params["best_C"] in ("0.1", "1.0")


def test_lightgbm(client, experiment):
    lightgbm = pytest.importorskip("lightgbm")
    mlflow.lightgbm.autolog()
    try:
        with mlflow.start_run() as run:
            data = lightgbm.Dataset(X, y)
            model = lightgbm.train({"objective": "multiclass", "num_class": 3, "verbose": -1, "num_threads": 1}, data, num_boost_round=5, valid_sets=[data])
    finally:
        mlflow.lightgbm.autolog(disable=True)
    got, has_model = logged(client, run)
    assert got.data.params["num_class"] == "3" and got.data.params["num_boost_round"] == "5" and has_model
    assert len(client.get_metric_history(run.info.run_id, "training-multi_logloss")) == 5
    assert (mlflow.lightgbm.load_model(f"runs:/{run.info.run_id}/model").predict(X) == model.predict(X)).all()


def test_xgboost(client, experiment):
    xgboost = pytest.importorskip("xgboost")
    mlflow.xgboost.autolog()
    try:
        with mlflow.start_run() as run:
            data = xgboost.DMatrix(X, y)
            xgboost.train({"objective": "multi:softprob", "num_class": 3, "nthread": 1}, data, num_boost_round=5, evals=[(data, "train")], verbose_eval=False)
    finally:
        mlflow.xgboost.autolog(disable=True)
    got, has_model = logged(client, run)
    assert got.data.params["num_class"] == "3" and has_model
    assert len(client.get_metric_history(run.info.run_id, "train-mlogloss")) == 5


def test_lightning(client, experiment):
    lightning = pytest.importorskip("pytorch_lightning")
    torch = pytest.importorskip("torch")

    class Line(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(4, 3)

        def training_step(self, batch, _):
            loss = torch.nn.functional.cross_entropy(self.layer(batch[0]), batch[1])
            self.log("loss", loss, on_epoch=True)
            return loss

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    data = torch.utils.data.TensorDataset(torch.tensor(X.values, dtype=torch.float32), torch.tensor(y.values))
    mlflow.pytorch.autolog(log_models=False)
    try:
        with mlflow.start_run() as run:
            trainer = lightning.Trainer(max_epochs=3, logger=False, enable_progress_bar=False, enable_checkpointing=False, accelerator="cpu")
            trainer.fit(Line(), torch.utils.data.DataLoader(data, batch_size=50))
    finally:
        mlflow.pytorch.autolog(disable=True)
    assert len(client.get_metric_history(run.info.run_id, "loss_epoch")) == 3
    assert client.get_run(run.info.run_id).data.params["epochs"] == "3"


@until(4)
def test_evaluate(client, experiment):
    pytest.importorskip("matplotlib")
    model = LogisticRegression(max_iter=300).fit(X, y)
    named = {"name": "model"} if VERSION >= (3,) else {"artifact_path": "model"}
    evaluate = mlflow.models.evaluate if hasattr(mlflow.models, "evaluate") else mlflow.evaluate
    with mlflow.start_run() as run:
        info = mlflow.sklearn.log_model(model, **named, input_example=X.head(1))
        result = evaluate(info.model_uri, X.assign(target=y), targets="target", model_type="classifier", evaluators=["default"], evaluator_config={"default": {"log_explainer": False}})
    assert result.metrics["accuracy_score"] > 0.9
    got = client.get_run(run.info.run_id)
    assert got.data.metrics["accuracy_score"] == result.metrics["accuracy_score"] and files(client, run.info.run_id)
