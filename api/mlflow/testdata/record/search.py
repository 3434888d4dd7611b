# SPDX-License-Identifier: Apache-2.0
"""Search of tracked runs: the filter's words, NULLs in an order, pages."""


def play(c):
    c.post("an experiment", "experiments/create", {"name": "e"}, save={"e": "experiment_id"})
    c.post("another", "experiments/create", {"name": "f"}, save={"f": "experiment_id"})
    # name, metrics, params, tags, dataset
    runs = [
        ("a", {"auc": 0.9, "loss": 1}, {"depth": "3", "Kind": "Tree"}, {"team": "red"}, ("iris", "training")),
        ("b", {"auc": 0.8}, {"depth": "10", "its": "q"}, {"team": "Blue", "a.b": "dot"}, ("iris", "test")),
        ("c", {"loss": 2, "with space": 1}, {"depth": "2"}, {}, ("wine", "training")),
        ("d", {"auc": "NaN"}, {}, {"team": "100%"}, None),
        ("e", {"auc": "Infinity"}, {"long": "${v*3000}"}, {"empty": ""}, None),
        ("F", {}, {}, {}, None),
    ]
    for i, (name, metrics, params, tags, data) in enumerate(runs):
        c.post(f"run {name}", "runs/create", {"experiment_id": "${e}", "start_time": 1000 + i, "run_name": name, "user_id": "ana" if i % 2 else "bob",
                                              "tags": [{"key": "mlflow.user", "value": "ana" if i % 2 else "bob"}]}, save={f"r{name}": "run.info.run_id"})
        c.post(f"fill {name}", "runs/log-batch", {
            "run_id": "${r%s}" % name, "metrics": [{"key": k, "value": v, "timestamp": 1, "step": 0} for k, v in metrics.items()],
            "params": [{"key": k, "value": v} for k, v in params.items()], "tags": [{"key": k, "value": v} for k, v in tags.items()]})
        if data:
            c.post(f"data of {name}", "runs/log-inputs", {"run_id": "${r%s}" % name, "datasets": [
                {"tags": [{"key": "mlflow.data.context", "value": data[1]}], "dataset": {"name": data[0], "digest": data[0] + "1", "source_type": "local", "source": "s"}}]})
    c.post("finish a", "runs/update", {"run_id": "${ra}", "status": "FINISHED", "end_time": 5000})
    c.post("fail b", "runs/update", {"run_id": "${rb}", "status": "FAILED", "end_time": 4000})
    c.post("elsewhere", "runs/create", {"experiment_id": "${f}", "start_time": 2000, "run_name": "elsewhere"}, save={"else": "run.info.run_id"})
    c.post("gone", "runs/create", {"experiment_id": "${e}", "start_time": 900, "run_name": "gone"}, save={"gone": "run.info.run_id"})
    c.post("delete it", "runs/delete", {"run_id": "${gone}"})

    def search(name, filter=None, order=("attributes.start_time ASC",), ids=("${e}",), **more):
        body = {"experiment_ids": list(ids), **more}
        if filter is not None:
            body["filter"] = filter
        if order is not None:
            body["order_by"] = list(order)
        c.post(name, "runs/search", body, only=["runs", "info.run_name"])

    search("everything")
    search("without an order", order=None)
    search("no experiment", ids=())
    search("two experiments", ids=("${e}", "${f}"))
    search("an experiment that is not there", ids=("987654321",))
    search("deleted", run_view_type="DELETED_ONLY")
    search("all", run_view_type="ALL")
    search("a view type that is none", run_view_type="SOME")
    for i, f in enumerate([
        "metrics.auc > 0.85", "metrics.auc >= 0.8", "metrics.auc = 0.9", "metrics.auc != 0.9", "metrics.auc < 1", "metrics.auc <= 0.8", "metric.auc > 0.85",
        "metrics.`auc` > 0.85", 'metrics."auc" > 0.85', "metrics.`with space` = 1", "metrics.auc > -1", "metrics.auc > 1e-3", "metrics.auc > .5", "metrics.auc > 5.",
        "metrics.none > 0", "metrics.auc > '0.85'", "metrics.auc > x", "metrics.auc LIKE '0%'", "metrics.auc IS NULL", "metrics.auc IS NOT NULL", "metrics.auc IN (0.9)",
        "metrics.auc > 0.7 and metrics.loss < 2", "metrics.auc > 0.7 AND params.depth = '3' AND tags.team = 'red'",
        "metrics.auc > NaN", "metrics.auc = 'NaN'", "metrics.auc > 0 AND metrics.auc < 0.85", "metrics.loss==1", "metrics.loss = 1", "metrics.loss > 0x1",
        "params.depth = '3'", "params.depth = \"3\"", "param.depth = '3'", "parameters.depth = '3'", "parameter.depth = '3'", "params.depth != '3'", "params.depth > '2'", "params.depth = 3",
        "params.depth LIKE '1%'", "params.Kind LIKE 'tr%'", "params.Kind ILIKE 'tr%'", "params.kind = 'Tree'", "params.`it's` = 'q'", "params.\"it's\" = 'q'", "params.depth IS NULL",
        "params.depth IS NOT NULL", "params.depth IN ('3','2')", "params.depth = ''", "params.depth = 'it''s'", "params.none = 'x'", "params.none != 'x'",
        "tags.team = 'red'", "tag.team = 'red'", "tags.team != 'red'", "tags.team LIKE '%e%'", "tags.team ILIKE 'BLUE'", "tags.team LIKE '100\\%'", "tags.team LIKE '100%'", "tags.team = '100%'",
        "tags.a.b = 'dot'", "tags.`a.b` = 'dot'", "tags.'a.b' = 'dot'", "tags.empty = ''", "tags.team IS NULL", "tags.team IS NOT NULL", "tags.team > 'a'", "tags.team NOT LIKE 'r%'",
        "tags.`mlflow.user` = 'ana'", "tags.mlflow.user = 'ana'", "tags.mlflow.runName = 'a'",
        "attributes.status = 'FINISHED'", "attribute.status = 'FINISHED'", "attr.status = 'FINISHED'", "run.status = 'FINISHED'", "status = 'FINISHED'", "Status = 'FINISHED'", "status != 'RUNNING'",
        "status LIKE 'F%'", "status = 'finished'", "status ILIKE 'finished'", "status IN ('FAILED','FINISHED')", "status = 'NONE'",
        "run_name = 'a'", "run name = 'a'", "`run name` = 'a'", "`Run name` = 'a'", "run_name LIKE 'f%'", "run_name ILIKE 'f%'", "attributes.run_name IN ('a','b')", "attributes.run_name NOT IN ('a','b')",
        "run_id = '${ra}'", "run_id IN ('${ra}', '${rb}')", "attributes.run_id NOT IN ('${ra}', '${rb}')", "run_id LIKE '${ra}'", "run_id IN ()", "run_id IN ('${ra}'", "run_id IN '${ra}'", "run_id IN (1)",
        "start_time > 1002", "start_time = 1002", "start_time >= 1002 AND start_time <= 1003", "start_time != 1002", "start_time > '1002'", "start_time LIKE '1'", "end_time > 4500", "end_time < 4500", "created > 1002", "Created > 1002",
        "user_id = 'ana'", "attributes.user_id = 'bob'", "artifact_uri LIKE '%artifacts'", "artifact_uri = 'x'", "lifecycle_stage = 'active'", "experiment_id = '0'", "colour = 'red'", "attributes.colour = 'red'",
        "datasets.name = 'iris'", "dataset.name = 'iris'", "datasets.digest = 'iris1'", "datasets.context = 'training'", "datasets.name = 'iris' AND datasets.context = 'training'", "datasets.name LIKE 'w%'", "datasets.name ILIKE 'W%'",
        "datasets.name IN ('iris','wine')", "datasets.colour = 'x'", "datasets.name != 'iris'", "dataset.context = 'none'",
        "models.name = 'x'", "colour.red = '1'", "metrics = 1", "metrics. > 1", "metrics.auc", "> 1", "metrics.auc >", "metrics.auc > 0.5 OR metrics.auc < 0.1", "(metrics.auc > 0.5)", "NOT metrics.auc > 0.5",
        "metrics.auc > 0.5 AND", "AND metrics.auc > 0.5", "metrics.auc > 0.5,params.depth = '3'", "metrics.auc > 0.5;", "metrics.auc > 0.5 -- x", "metrics.auc > 0.5 UNION SELECT 1", "1 = 1", "'a' = 'a'",
        "params.depth = '3", "params.`depth = '3'", "params.depth = 3'", "", " ", "metrics.auc>0.85", "  metrics.auc   >   0.85  ", "metrics.auc > 0.85\nAND params.depth = '3'", "METRICS.auc > 0.85", "Params.depth = '3'",
        "params.depth = 'ação 数据'", "tags.`ação` = '1'", "params.depth Like '3'", "params.depth ilike '3'", "metrics.auc > 0.5 And params.depth = '3'", "params.depth RLIKE '3'", "params.depth = '3' AND params.depth = '3'",
        "param.depth = '${v*3000}'", "metrics.auc BETWEEN 0 AND 1", "metrics.auc > 99999999999999999999999999", "tags.team = 'red' tags.team = 'red'",
        "status = 'FINISHED' AND run_name = 'a' AND metrics.auc > 0.5 AND params.depth = '3' AND tags.team = 'red' AND datasets.name = 'iris'",
    ]):
        search(f"{i} {f.strip()[:80]}", f)
    for i, order in enumerate([
        ["metrics.auc"], ["metrics.auc ASC"], ["metrics.auc DESC"], ["metrics.auc asc"], ["metrics.auc desc"], ["metric.auc DESC"], ["metrics.`auc` DESC"], ["metrics.none"], ["metrics.`with space`"],
        ["params.depth"], ["params.depth DESC"], ["params.depth", "metrics.loss"], ["tags.team"], ["tags.team DESC"], ["tag.team"], ["start_time"], ["start_time DESC"], ["attributes.start_time DESC"], ["attribute.start_time DESC"],
        ["end_time"], ["end_time DESC"], ["status"], ["status", "start_time DESC"], ["run_name"], ["run_name DESC"], ["`Run name`"], ["Created DESC"], ["created"], ["user_id", "start_time"], ["run_id"], ["artifact_uri"],
        ["colour"], ["attributes.colour"], ["datasets.name"], ["metrics.auc UP"], ["metrics.auc DESC ASC"], ["metrics.auc, params.depth"], ["; DROP TABLE runs"], [""], ["metrics"], ["auc"], ["start_time; DROP TABLE runs"],
    ]):
        if order == ["run_id"] or order == ["artifact_uri"]:
            continue  # random
        c_order = order if any("start_time" in o for o in order) else order + ["start_time"]
        search(f"order {i} {', '.join(order)}", None, c_order)
    search("order that is text", None, None, order_by="start_time")
    search("filter that is a number", filter=5)
    search("experiments that are text", ids="0")
    for n in (0, -1, 1, 50000, 50001, "2", "x", 1.5):
        search(f"max_results {n}", max_results=n)
    c.post("first page", "runs/search", {"experiment_ids": ["${e}"], "order_by": ["metrics.auc DESC"], "max_results": 2}, save={"token": "next_page_token"})
    search("second page", None, ["metrics.auc DESC"], max_results=2, page_token="${token}")
    search("a token that is none", max_results=2, page_token="nonsense")
    search("an empty token", max_results=2, page_token="")
    search("a token that is a number", max_results=2, page_token=5)
    c.get("by GET", "runs/search", {"experiment_ids": ["${e}"]})
    data = "/api/2.0mlflow/experiments/search-datasets"
    c.post("datasets", data, {"experiment_ids": ["${e}"]})
    c.post("datasets under the pages' prefix", "/ajax-api/2.0/mlflow/experiments/search-datasets", {"experiment_ids": ["${e}"]})
    c.post("datasets of nothing", "/ajax-api/2.0/mlflow/experiments/search-datasets", {"experiment_ids": []})
    c.post("datasets of too many", "/ajax-api/2.0/mlflow/experiments/search-datasets", {"experiment_ids": [str(i) for i in range(21)]})
