# SPDX-License-Identifier: Apache-2.0
"""Logged models of MLflow 3."""


def play(c):
    lm = "logged-models"
    c.post("run", "runs/create", {"experiment_id": "0", "start_time": 1, "run_name": "r"}, save={"run": "run.info.run_id"})
    c.post("create", lm, {"experiment_id": "0", "name": "one", "model_type": "sklearn", "source_run_id": "${run}",
                          "params": [{"key": "p", "value": "1"}], "tags": [{"key": "t", "value": "x"}]}, save={"one": "model.info.model_id"})
    c.post("create with little", lm, {"experiment_id": "0", "name": "two"}, save={"two": "model.info.model_id"})
    c.post("create in no experiment", lm, {"experiment_id": "987654321", "name": "x"})
    c.post("create without an experiment", lm, {"name": "x"})
    c.post("create with an empty name", lm, {"experiment_id": "0", "name": ""}, only=[])
    c.post("create with a number as a name", lm, {"experiment_id": "0", "name": 5}, only=[])
    for name in ("a/b", "a:b", "a.b", "a%b", "a b", "ação", "it's", "\"q\"", "${n*250}", "${n*251}", "${n*501}"):
        c.post(f"create {name}", lm, {"experiment_id": "0", "name": name}, only=[])
    c.post("create of a run that is not there", lm, {"experiment_id": "0", "name": "x", "source_run_id": "00000000000000000000000000000000"}, only=[])
    c.get("get", lm + "/${one}")
    c.get("get what is not there", lm + "/m-00000000000000000000000000000000")
    c.patch("ready", lm + "/${one}", {"model_id": "${one}", "status": "LOGGED_MODEL_READY"})
    c.patch("ready by number", lm + "/${two}", {"model_id": "${two}", "status": 2})
    c.patch("a status that is none", lm + "/${two}", {"model_id": "${two}", "status": "DONE"})
    c.patch("no status", lm + "/${two}", {"model_id": "${two}" })
    c.patch("failed", lm + "/${two}", {"model_id": "${two}", "status": "LOGGED_MODEL_UPLOAD_FAILED"})
    c.patch("ready, not there", lm + "/m-00000000000000000000000000000000", {"model_id": "m-00000000000000000000000000000000", "status": "LOGGED_MODEL_READY"})
    c.patch("tags", lm + "/${one}/tags", {"model_id": "${one}", "tags": [{"key": "a", "value": "1"}, {"key": "t", "value": "y"}]})
    c.patch("tags that are none", lm + "/${one}/tags", {"model_id": "${one}", "tags": []})
    c.patch("tags without a key", lm + "/${two}/tags", {"model_id": "${two}", "tags": [{"value": "1"}]})
    c.patch("tags of nothing", lm + "/m-00000000000000000000000000000000/tags", {"model_id": "m-00000000000000000000000000000000", "tags": [{"key": "a", "value": "1"}]})
    c.delete("delete a tag", lm + "/${one}/tags/a")
    c.delete("delete it again", lm + "/${one}/tags/a")
    c.post("params", lm + "/${one}/params", {"model_id": "${one}", "params": [{"key": "q", "value": "2"}]})
    c.post("params again", lm + "/${one}/params", {"model_id": "${one}", "params": [{"key": "q", "value": "2"}]})
    c.post("params with another value", lm + "/${one}/params", {"model_id": "${one}", "params": [{"key": "q", "value": "3"}]})
    c.post("params of nothing", lm + "/m-00000000000000000000000000000000/params", {"model_id": "m-00000000000000000000000000000000", "params": [{"key": "q", "value": "2"}]})
    c.post("metric of it", "runs/log-metric", {"run_id": "${run}", "key": "auc", "value": 0.9, "timestamp": 5, "step": 1, "model_id": "${one}", "dataset_name": "iris", "dataset_digest": "d1"})
    c.post("metric of a model that is not there", "runs/log-metric", {"run_id": "${run}", "key": "auc2", "value": 0.9, "timestamp": 5, "step": 1, "model_id": "m-00000000000000000000000000000000"})
    c.post("metric of the other", "runs/log-batch", {"run_id": "${run}", "metrics": [{"key": "auc", "value": 0.8, "timestamp": 5, "step": 1, "model_id": "${two}"}]})
    c.get("with all that", lm + "/${one}")
    c.get("files", lm + "/${one}/artifacts/directories")
    c.get("files of nothing", lm + "/m-00000000000000000000000000000000/artifacts/directories")
    c.post("outputs", "runs/outputs", {"run_id": "${run}", "models": [{"model_id": "${one}", "step": 0}]})

    def search(name, filter=None, order=None, ids=("0",), **more):
        body = {"experiment_ids": list(ids), **more}
        if filter is not None:
            body["filter"] = filter
        if order is not None:
            body["order_by"] = order
        c.post("search: " + name, lm + "/search", body, only=["models", "info.name"])

    for f in ("name = 'one'", "name LIKE 't%'", "name ILIKE 'T%'", "name != 'one' AND name IN ('one','two')", "attributes.name = 'one'", "model_id = '${one}'", "model_type = 'sklearn'", "status = 'READY'",
              "status = 'LOGGED_MODEL_READY'", "source_run_id = '${run}'", "creation_timestamp > 0 AND name = 'one'", "creation_time > 0 AND name = 'one'", "last_updated_timestamp > 0 AND name = 'one'",
              "params.p = '1'", "params.q = '2'", "params.p = 1", "params.p LIKE '1%'", "params.p ILIKE '1%'", "tags.t = 'y'", "tags.t != 'y'", "tags.t IS NULL", "metrics.auc > 0.85", "metrics.auc >= 0.8", "metrics.auc = 'x'",
              "metrics.auc > 0.5 OR metrics.auc < 0.1", "colour = 'x'", "colour.x = 'x'", "name =", "name = one", "", "name = 'one' AND params.p = '1' AND tags.t = 'y' AND metrics.auc > 0.5"):
        search(f, f, [{"field_name": "name"}])
    search("by dataset", "metrics.auc > 0.5", datasets=[{"dataset_name": "iris", "dataset_digest": "d1"}])
    search("by another digest", "metrics.auc > 0.5", datasets=[{"dataset_name": "iris", "dataset_digest": "d2"}])
    search("by a dataset without a digest", "metrics.auc > 0.5", datasets=[{"dataset_name": "iris"}])
    search("by a dataset without a name", "metrics.auc > 0.5", datasets=[{"dataset_digest": "d1"}])
    for o in ([{"field_name": "metrics.auc", "ascending": True}], [{"field_name": "metrics.auc", "ascending": False}], [{"field_name": "metrics.auc", "dataset_name": "iris", "dataset_digest": "d1"}],
              [{"field_name": "metrics.auc", "dataset_name": "iris"}], [{"field_name": "creation_timestamp"}], [{"field_name": "creation_time", "ascending": True}], [{"field_name": "colour"}], [{}], [{"field_name": "params.p"}]):
        search(f"order by {o}", "name IN ('one','two')", o + [{"field_name": "name"}] if o != [{}] else o)
    search("no experiments", ids=())
    search("max_results 1", "name IN ('one','two')", [{"field_name": "name"}], max_results=1)
    search("max_results 0", max_results=0)
    search("max_results 1001", max_results=1001)
    search("a token that is none", page_token="nonsense")
    c.delete("delete", lm + "/${two}")
    c.delete("delete twice", lm + "/${two}")
    c.delete("delete what is not there", lm + "/m-00000000000000000000000000000000")
    c.get("get what is deleted", lm + "/${two}")
    c.patch("ready, deleted", lm + "/${two}", {"model_id": "${two}", "status": "LOGGED_MODEL_READY"})
    search("after", "name IN ('one','two')")
