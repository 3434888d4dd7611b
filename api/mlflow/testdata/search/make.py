# SPDX-License-Identifier: Apache-2.0
"""Asks a real MLflow server what it finds, and keeps the answers in golden.json.

    python -m venv venv && venv/bin/pip install mlflow==3.17.2
    venv/bin/python make.py golden.json

It starts `mlflow server` on SQLite, writes the content below over REST, asks the questions below and keeps what came: the
names of what was found, in order, or the error's status and code. The Go test search_golden_test.go does the same with
lastro and compares. No client library takes part.
"""

import http.client
import json
import os
import subprocess
import sys
import tempfile
import time

BASE = 1_700_000_000_000  # ms


def content():
    """200 runs in two experiments, with ties (but of start times, which ids decide), NaN, infinities, missing values, odd names and deleted runs."""
    runs = []
    for i in range(200):
        status = ["FINISHED", "RUNNING", "FAILED", "KILLED", "SCHEDULED"][i % 5]
        run = {
            "experiment": "B" if i % 5 == 4 else "A",
            "name": ["run-%d" % (i % 50), "Run_%d" % i, "100%% sure %d" % i, "Ünï %d" % i][i % 4],
            "user": ["ana", "Ana", "bob", ""][i % 4],
            "start": BASE + (i * 37 % 200) * 1000 + (i % 3),
            "status": status,
            "end": None if status in ("RUNNING", "SCHEDULED") else BASE + 100_000 + (i * 13 % 40) * 1000,
            "deleted": i % 40 == 39,
            "metrics": {},
            "params": {"depth": str(i % 10), "a b": "v%d" % (i % 6), "case": ["abc", "ABC", "aBc", "äbc"][i % 4]},
            "tags": {"n": "%03d" % i},
            "datasets": [],
        }
        m, p, t = run["metrics"], run["params"], run["tags"]
        if i % 7:
            m["acc"] = (i * 11 % 20) / 20
        m["val loss"] = ["NaN", "Infinity", "-Infinity", -1.5, 0, 2.25, 1e-7, 1e30][i % 8]
        if i % 3 == 0:
            m["m.dot/slash"] = float(i)
        if i % 2 == 0:
            p["lr"] = ["0.1", "0.01", "1e-3"][i % 3]
        if i % 9 == 0:
            p["sp"] = "under_score%" if i % 18 else "underXscore!"
        if i % 4:
            t["team"] = ["red", "Red", "blue", "bl[u]e*?"][i * 7 % 4]
        t["mlflow.source.name"] = "train.py" if i % 6 else "Train.py"
        if i % 11 == 0:
            t["quote"] = "it's \"so\""
        if i % 10 == 3:
            run["datasets"].append({"name": "iris", "digest": "d%d" % (i % 20), "context": "training"})
        if i % 10 == 5:
            run["datasets"].append({"name": "Wine", "digest": "w1", "context": "eval"})
        runs.append(run)
    models = []
    for i in range(24):
        models.append({
            "name": ["churn-%d" % i, "Churn_%d" % i, "fraud %d" % i, "öl-%d" % i][i % 4],
            "tags": {k: v for k, v in {"tier": ["1", "2"][i % 2], "owner": ["ana", "Ana", ""][i % 3], "only": "x" if i == 5 else None,
                     "mlflow.prompt.is_prompt": "true" if i in (6, 17) else None}.items() if v is not None},
            "versions": [{"run": (i * 7 + v) % 30, "tags": {"v": str(v), "m": "%d" % (i % 2)}} for v in range(1 + i % 4)],
        })
    logged = []
    for i in range(30):
        logged.append({
            "experiment": "B" if i % 6 == 5 else "A", "run": 4 if i % 6 == 5 else 0,
            "name": ["lm-%d" % (i % 7), "LM_%d" % i][i % 2], "type": ["sklearn", "torch", ""][i % 3],
            "params": {"depth": str(i % 4)} if i % 5 else {}, "tags": {"team": ["red", "Red"][i % 2]} if i % 3 else {},
            "metrics": [{"key": "acc", "value": (i * 7 % 10) / 10, "dataset_name": "iris", "dataset_digest": "d1", "step": 0}] * (i % 4 > 0)
            + [{"key": "acc", "value": (i * 3 % 10) / 10, "dataset_name": "wine", "dataset_digest": "w%d" % (i % 2), "step": 1}] * (i % 4 > 1)
            + [{"key": "loss", "value": float(i % 4), "step": 0}] * (i % 2),
            "ready": i % 4 != 0,
        })
    experiments = [{"name": n, "tags": {k: v for k, v in t.items() if v is not None}} for n, t in (
        ("A", {"kind": "main", "owner": "ana"}), ("B", {"kind": "Main"}), ("exp one", {"owner": "Ana", "mlflow.x y": "1"}), ("EXP_two", {}),
        ("exp%three", {"kind": "side"}), ("gone", {"kind": "main"}), ("ünï", {"owner": "bob"}))]
    return {"experiments": experiments, "deleted_experiments": ["gone"], "runs": runs, "models": models, "logged_models": logged}


def run_questions():
    filters = """
        metrics.acc > 0.5 | metrics.acc >= 0.5 | metrics.acc = 0.5 | metrics.acc != 0.5 | metrics.acc < 0.1 | metrics.acc <= 0
        metric.acc > 0.9 | metrics.`val loss` > 1 | metrics."val loss" > 1 | metrics.'val loss' > 1 | metrics.`val loss` = 0 | metrics.`val loss` != 0
        metrics.`val loss` < -1e300 | metrics.`val loss` >= 1e30 | metrics.`val loss` < 1e-6 | metrics.`val loss` > 1e400
        metrics.m.dot/slash > 50 | metrics.`m.dot/slash` > 150 | metrics.acc > -1 | metrics.acc > .5 | metrics.acc > 5. | metrics.acc > 1E-1 | metrics.acc > +0.5
        metrics.missing > 0 | metrics.acc > '0.5' | metrics.acc > "0.5" | metrics.acc > inf | metrics.acc > NaN | metrics.acc LIKE '0%' | metrics.acc IN (0.5)
        metrics.acc IS NULL | metrics.acc IS NOT NULL | metrics.acc == 0.5 | metrics.acc <> 0.5 | metrics.acc BETWEEN 0 AND 1 | metrics.acc > 0x10 | metrics.acc > 1_000
        METRICS.acc > 0.5 | Metrics.acc > 0.5 | `metrics`.acc > 0.9 | metrics.acc > 0.5 AND metrics.acc < 0.8 | metrics.acc > 0.5 and metrics.acc < 0.8
        metrics.acc > 0.5 && metrics.acc < 0.8 | metrics.acc > 0.5 OR metrics.acc < 0.1 | (metrics.acc > 0.5) | NOT metrics.acc > 0.5
        metrics.acc > 0.5, metrics.acc < 0.8 | metrics.acc > 0.5; | metrics.acc > 0.5 AND | AND metrics.acc > 0.5 | metrics.acc > 0.5 metrics.acc < 0.8
        metrics.acc>0.5AND metrics.acc<0.8 | metrics.acc>0.5 | metrics . acc > 0.5 | metrics.acc   >    0.5 | 0.5 < metrics.acc | metrics.acc > metrics.acc
        metrics.acc | metrics.acc > | > 0.5 | metrics. > 0.5 | .acc > 0.5 | metrics.`acc > 0.5 | metrics.acc > 0.5 -- comment | metrics.acc > /* c */ 0.5
        params.depth = '3' | param.depth = '3' | parameter.depth = '3' | parameters.depth = '3' | params.depth = "3" | params.depth = 3 | params.depth != '3'
        params.depth > '3' | params.depth LIKE '3' | params.depth = `3` | params.depth = three | params.depth IN ('1', '2') | params.depth NOT IN ('1')
        params.lr IS NULL | params.lr IS NOT NULL | params.lr is null | params.lr is not null | params.lr IS NULL AND metrics.acc > 0.9 | params.LR = '0.1'
        params.`a b` = 'v3' | params."a b" = 'v3' | params.'a b' = 'v3' | params.a b = 'v3' | params.case = 'abc' | params.case LIKE 'ab%' | params.case ILIKE 'AB%'
        params.case like 'ab%' | params.case ilike 'ab%' | params.case ILIKE 'Ä%' | params.case ILIKE 'äBC' | params.case LIKE '_bc' | params.case LIKE 'a_c' | params.case LIKE 'ABC'
        params.sp LIKE 'under_score%' | params.sp LIKE 'under%' | params.sp = 'under_score%' | params.lr LIKE '0.%' | params.lr LIKE '%1%' | params.case LIKE '' | params.case = ''
        params.lr = '0.1' AND params.depth = '4' | params.lr = '0.1' AND metrics.acc > 0.5 AND tags.team = 'red' | params.lr != '0.1'
        tags.team = 'red' | tag.team = 'red' | tags.team != 'red' | tags.team ILIKE 'red' | tags.team ILIKE '%E%' | tags.team LIKE '%e%' | tags.team LIKE 'bl[u]e*?'
        tags.team LIKE 'bl[u]e%' | tags.team LIKE '%*%' | tags.team LIKE '%?' | tags.team IS NULL | tags.team IS NOT NULL | tags.missing IS NULL | tags.missing = 'x'
        tags.mlflow.source.name = 'train.py' | tags.`mlflow.source.name` = 'Train.py' | tags."mlflow.source.name" != 'train.py' | tags.mlflow.source.name ILIKE 'TRAIN.%'
        tags.n < '010' | tags.n = '007' | tags.n IN ('001','002') | tags.quote = "it's" | tags.quote LIKE "it's%" | tags.quote LIKE 'it%' | tags.team = red | tags.team = 'red
        tags.team = 'red' AND tags.team = 'red' | tags.team = 'red' AND tags.team = 'blue' | tags.quote IS NOT NULL AND params.lr IS NULL
        tags.`mlflow.runName` LIKE 'run-1%' | tags.mlflow.runName = 'run-4' | attributes.run_name = 'run-4' | attributes.run_name LIKE 'run-1%' | run_name ILIKE 'RUN%'
        attributes.`run name` = 'run-4' | attributes.`Run name` = 'run-4' | attributes.`Run Name` = 'run-4' | attributes."run name" = 'run-4' | run_name = 'run-4' | run_name != 'run-4'
        run_name IN ('run-4', 'run-8') | attributes.run_name NOT IN ('run-4') | run_name LIKE '100\\%%' | run_name LIKE '100%' | run_name LIKE 'Ü%' | run_name ILIKE 'ü%' | run_name LIKE 'Run\\_%' | run_name LIKE '%\\%%'
        status = 'RUNNING' | attributes.status = 'FAILED' | attribute.status != 'FINISHED' | attr.status = 'KILLED' | run.status = 'KILLED' | attributes.status = 'running' | status ILIKE 'f%'
        status LIKE 'F%' | status IN ('FAILED', 'KILLED') | status NOT IN ('FAILED') | status = 3 | attributes.STATUS = 'FAILED' | status > 'A' | status IS NULL | status = "FAILED"
        user_id = 'ana' | attributes.user_id != 'ana' | user_id ILIKE 'ana' | user_id = '' | user_id LIKE '%'
        start_time > 1700000020000 | attributes.start_time <= 1700000005001 | created > 1700000040000 | attributes.Created > 1700000040000 | start_time = 1700000037001 | start_time != 1700000037001
        start_time > '1700000020000' | start_time > 1700000020000.5 | start_time > 1.7e12 | start_time LIKE '17%' | start_time IN (1700000037001) | attributes.created >= 1700000040000 | CREATED > 0
        end_time > 1700000120000 | start_time > 1700000150000 | attributes.end_time < 1700000105000 | end_time != 1700000101000 | end_time IS NULL | end_time = 0
        experiment_id = '{exp:A}' | attributes.experiment_id = '{exp:B}' | run_id = '{run:3}' | attributes.run_id != '{run:3}' | run_id IN ('{run:3}', '{run:7}', 'x') | run_id NOT IN ('{run:3}','{run:7}')
        attributes.run_id IN ('{run:3}') | run_id IN ('{run:3}',) | run_id IN () | run_id IN '{run:3}' | run_id IN ({run:3}) | run_id IN (3) | run_id IN ("{run:3}", '{run:8}') | run_id in ('{run:3}') | run_id not in ('{run:3}') | run_id LIKE '%' | run_id ILIKE '{run:3}'
        lifecycle_stage = 'active' | attributes.lifecycle_stage = 'active' | artifact_uri LIKE '%artifacts' | attributes.artifact_uri ILIKE '%ARTIFACTS' | source_name = 'x' | attributes.nope = 'x' | nope = 'x' | run_uuid = 'x' | name = 'x'
        dataset.name = 'iris' | datasets.name = 'iris' | dataset.name != 'iris' | dataset.name LIKE 'I%' | dataset.name ILIKE 'I%' | dataset.name IN ('iris', 'x') | dataset.name NOT IN ('iris') | dataset.digest = 'd3'
        dataset.digest IN ('d3', 'w1') | dataset.context = 'training' | dataset.context != 'training' | dataset.context IN ('eval') | dataset.context ILIKE 'EV%' | dataset.profile = 'x' | dataset.name > 'a' | dataset.name = 3 | dataset.name IS NULL
        dataset.name = 'iris' AND dataset.digest = 'd13' | dataset.name = 'iris' AND dataset.context = 'eval' | dataset.name = 'iris' AND metrics.acc > 0.5
        foo.bar = 'x' | foo.bar > 1 | models.x = 'y' | 'status' = 'FAILED' | "status" = 'FAILED' | `status` = 'FAILED' | trace.x = 'y' | x
        1 = 1 | true | '' | "" | ; | metrics.acc > 0.5 AND params.depth = '4' AND tags.team ILIKE 'r%' AND status != 'FAILED' AND start_time > 1700000010000
        params.depth = '3'; DROP TABLE runs | tags.team = 'red' UNION SELECT * FROM runs | params.depth='3'AND tags.team='red' | params.depth RLIKE '3' | params.depth REGEXP '3'
        params.depth = NULL | params.depth IS 'x' | params.depth IS NOT 'x' | params.depth NOT LIKE '3' | params.depth NOT ILIKE '3' | params.depth = '3' OR params.depth = '4' | params.depth in ('3')
        tags.`team` = 'red' | tags.``team`` = 'red' | tags.team`` = 'red' | attributes.`status` = 'FAILED' | attributes."status" = 'FAILED' | attributes.'status' = 'FAILED'
    """
    out = []
    for f in [f.strip() for line in filters.splitlines() if line.strip() for f in line.split(" | ")]:
        out.append({"filter": f})
    orders = """
        metrics.acc | metrics.acc ASC | metrics.acc DESC | metrics.acc desc | metrics.`val loss` | metrics.`val loss` DESC | metrics."val loss" DESC | metric.acc DESC | metrics.missing
        metrics.missing DESC | metrics.m.dot/slash DESC | metrics.`m.dot/slash` | params.depth | params.depth DESC | params.lr | params.lr DESC | params.`a b` DESC | param.case | params.case DESC
        tags.team | tags.team DESC | tags.n DESC | tags.mlflow.source.name | tags.quote | tag.team ASC | start_time | start_time DESC | attributes.start_time ASC | attribute.start_time DESC
        Created DESC | created | attributes.Created | end_time | end_time DESC | attributes.end_time DESC | status | attributes.status DESC | run_name | attributes.run_name DESC | user_id | run_id
        attributes.run_id DESC | experiment_id | artifact_uri | Run Name | attributes.`Run Name` DESC | `Run Name` | run name DESC | lifecycle_stage | dataset.name | nope | foo.bar DESC | metrics.acc UP | metrics.acc ASC DESC
        metrics.acc, params.depth | metrics.acc NULLS FIRST | 1 | '' | metrics. | `metrics`.acc | metrics.acc  DESC | metrics.acc;
    """
    for o in [o.strip() for line in orders.splitlines() if line.strip() for o in line.split(" | ")]:
        out.append({"order_by": [o]})
    for o in (["metrics.acc DESC", "params.depth"], ["params.lr", "metrics.acc"], ["tags.team", "status DESC", "metrics.`val loss`"], ["status", "start_time"],
              ["metrics.acc", "metrics.acc DESC"], ["start_time", "start_time"], ["run_name DESC", "end_time"], ["metrics.`val loss` DESC", "metrics.acc DESC", "run_name"],
              ["params.depth", "params.lr", "params.case", "tags.n"], [], [""]):
        out.append({"order_by": o})
    for f, o in (("metrics.acc > 0.5", ["metrics.acc DESC"]), ("params.depth = '4'", ["metrics.`val loss` DESC"]), ("tags.team ILIKE 'r%'", ["params.lr DESC", "tags.n"]),
                 ("metrics.acc >= 0.25 AND params.lr = '0.1'", ["metrics.acc"]), ("status = 'RUNNING'", ["end_time"]), ("params.lr IS NULL", ["params.lr"])):
        out.append({"filter": f, "order_by": o})
    for q in out:
        q["experiment_ids"] = ["{exp:A}", "{exp:B}"]
        q["max_results"] = 30 if "filter" in q else 120
    out += [
        {"experiment_ids": ["{exp:A}"]}, {"experiment_ids": ["{exp:B}"], "run_view_type": "DELETED_ONLY"}, {"experiment_ids": ["{exp:B}"], "run_view_type": "ALL"},
        {"experiment_ids": ["{exp:B}"], "run_view_type": "ACTIVE_ONLY"}, {"experiment_ids": []}, {}, {"experiment_ids": ["{exp:A}"], "run_view_type": "SOME"},
        {"experiment_ids": ["987654321"]}, {"experiment_ids": ["{exp:A}"], "max_results": 0}, {"experiment_ids": ["{exp:A}"], "max_results": 50000},
        {"experiment_ids": ["{exp:A}"], "max_results": 50001}, {"experiment_ids": ["{exp:A}"], "max_results": -1}, {"experiment_ids": ["{exp:A}"], "max_results": "x"},
        {"experiment_ids": ["{exp:A}"], "max_results": "3"}, {"experiment_ids": ["{exp:A}"], "page_token": "nonsense"}, {"experiment_ids": ["{exp:A}"], "page_token": "e30="},
        {"experiment_ids": ["{exp:A}", "{exp:A}"], "max_results": 5}, {"experiment_ids": "{exp:A}", "max_results": 5}, {"experiment_ids": [""], "max_results": 5},
    ]
    return [{"search": "runs", "body": b} for b in out]


def experiment_questions():
    filters = """
        name = 'A' | attribute.name = 'A' | attributes.name = 'A' | attr.name = 'A' | name != 'A' | name LIKE 'exp%' | name ILIKE 'exp%' | name ILIKE 'EXP_TWO' | name LIKE 'exp\\%%' | name ilike 'exp%'
        name IN ('A', 'B') | name NOT IN ('A') | name > 'A' | name = A | name = "exp one" | `name` = 'A' | tags.kind = 'main' | tag.kind = 'main' | tags.kind != 'main' | tags.kind ILIKE 'MAIN'
        tags.kind LIKE 'm%' | tags.`mlflow.x y` = '1' | tags."mlflow.x y" = '1' | tags.kind IS NULL | tags.kind IS NOT NULL | tags.kind IN ('main') | tags.kind > 'a' | tags.kind = 3
        name IS NULL | experiment_id = '{exp:A}' | experiment_id != '{exp:A}' | experiment_id IN ('{exp:A}', '{exp:B}') | experiment_id NOT IN ('{exp:A}') | experiment_id LIKE '1%' | experiment_id > '0'
        experiment_id = 'x' | creation_time > 0 | creation_time >= 1.5 | creation_time = '5' | last_update_time > 0 | creation_time < 5 | creation_time LIKE '1%' | creation_time IN (1) | created > 0
        name = 'A' AND tags.kind = 'main' | name = 'A' OR name = 'B' | metrics.x > 1 | foo = 'x' | name = 'ünï' | name ILIKE 'ÜNÏ' | name LIKE '%n%' | name = '' | lifecycle_stage = 'active' | name | name =
    """
    out = [{"filter": f.strip(), "order_by": ["name"], "view_type": "ALL"} for line in filters.splitlines() if line.strip() for f in line.split(" | ")]
    orders = "name|name ASC|name DESC|experiment_id|experiment_id DESC|creation_time|creation_time DESC|last_update_time|attribute.name|attributes.name DESC|tags.kind|tags.kind DESC|nope|name UP|`name` DESC|lifecycle_stage"
    out += [{"order_by": [o], "max_results": 50} for o in orders.split("|")]
    out += [{"max_results": n} for n in (1, 0, -1, 50000, 50001)] + [{"view_type": v, "max_results": 50} for v in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL", "NONE")] + [
        {"order_by": ["name", "name DESC"], "max_results": 50}, {"page_token": "x", "max_results": 5}, {}]
    for q in out:
        q.setdefault("max_results", 50)
    return [{"search": "experiments", "body": b} for b in out]


def model_questions():
    filters = """
        name = 'churn-0' | name != 'churn-0' | name LIKE 'churn%' | name ILIKE 'churn%' | name like 'churn%' | name LIKE 'Churn\\_%' | name LIKE '%_1%' | attribute.name = 'churn-0' | attributes.name = 'churn-0'
        name IN ('churn-0', 'churn-4') | name NOT IN ('churn-0') | name > 'c' | name = churn | name = "churn-0" | `name` = 'churn-0' | tags.tier = '1' | tag.tier = '1' | tags.tier != '1' | tags.tier LIKE '%'
        tags.owner ILIKE 'ana' | tags.owner = '' | tags.only = 'x' | tags.only != 'x' | tags.only IS NULL | tags.only IS NOT NULL | tags.tier = 1 | tags.tier IN ('1') | tags.`tier` = '1' | tags."tier" = '1'
        tags.tier = '1' AND tags.owner = 'ana' | tags.tier = '1' AND tags.tier = '2' | name LIKE 'c%' AND tags.tier = '2' | name LIKE 'c%' OR name LIKE 'f%' | foo = 'x' | tags.nope = 'x' | creation_timestamp > 0 | run_id = 'x'
        tags.`mlflow.prompt.is_prompt` = 'true' | tags.`mlflow.prompt.is_prompt` != 'true' | tags.`mlflow.prompt.is_prompt` = 'false' | tags.`mlflow.prompt.is_prompt` ILIKE 'true' | name = 'öl-3' | name ILIKE 'ÖL%' | name IS NULL | name | ;
    """
    out = [{"filter": f.strip()} for line in filters.splitlines() if line.strip() for f in line.split(" | ")]
    orders = "name|name ASC|name DESC|last_updated_timestamp|last_updated_timestamp DESC|timestamp|timestamp DESC|creation_timestamp|creation_timestamp DESC|attribute.name|tags.tier|nope|name UP|`name` DESC"
    out += [{"order_by": o} for o in orders.split("|")] + [{"order_by": ["name", "name DESC"]}, {"order_by": ["timestamp", "name"]}, {}]
    for q in out:
        q["max_results"] = "100"
    out += [{"max_results": n} for n in ("1", "0", "-1", "1000", "1001", "x")] + [{"page_token": "x"}]
    return [{"search": "models", "body": b} for b in out]


def version_questions():
    filters = """
        name = 'churn-8' | name != 'churn-8' | name LIKE 'churn%' | name ILIKE 'churn%' | name IN ('churn-0', 'Churn_1') | name NOT IN ('churn-0') | run_id = '{run:1}' | run_id != '{run:1}' | run_id LIKE '%'
        run_id IN ('{run:1}', '{run:2}') | run_id NOT IN ('{run:1}') | run_id IN () | run_id ILIKE '{run:1}' | version_number = 2 | version_number > 2 | version_number >= 2 | version_number != 1 | version_number < 2 | version_number <= 1
        version_number = '2' | version_number = 2.0 | version_number LIKE '2' | version_number IN (1, 2) | version = 2 | source_path = 'runs:/{run:1}/model' | source_path LIKE '%model' | source_path ILIKE '%MODEL' | source_path IN ('x')
        tags.v = '1' | tag.v = '1' | tags.v != '1' | tags.v LIKE '_' | tags.m = '1' AND tags.v = '2' | tags.v IS NULL | tags.v IS NOT NULL | tags.`v` = '0' | name = 'churn-8' AND tags.v = '0' | name = 'churn-8' OR name = 'x'
        attribute.name = 'churn-8' | attributes.name = 'churn-8' | current_stage = 'None' | status = 'READY' | foo = 'x' | name = 'fraud 6' | name = 3 | creation_timestamp > 0 | name LIKE 'churn%' AND version_number > 1 | name = "churn-8" | name ilike 'CHURN-8'
        tags.`mlflow.prompt.is_prompt` = 'true' | name = 'nope'
    """
    out = [{"filter": f.strip(), "order_by": ["name", "version_number"]} for line in filters.splitlines() if line.strip() for f in line.split(" | ")]
    orders = "name|name DESC|version_number|version_number DESC|last_updated_timestamp|last_updated_timestamp DESC|creation_timestamp|creation_timestamp DESC|timestamp|run_id|attribute.name|tags.v|nope|version_number UP|source_path"
    out += [{"order_by": o} for o in orders.split("|")] + [{"order_by": ["version_number DESC", "name DESC"]}, {"order_by": ["name", "name"]}, {}]
    for q in out:
        q["max_results"] = "100"
    out += [{"max_results": n} for n in ("1", "0", "-1", "200000", "200001")] + [{"page_token": "x"}]
    return [{"search": "versions", "body": b} for b in out]


def logged_questions():
    filters = """
        metrics.acc > 0.5 | metrics.acc >= 0.5 | metrics.acc = 0.6 | metrics.acc != 0.6 | metrics.loss < 2 | metric.acc > 0.5 | metrics.`acc` > 0.5 | metrics.nope > 0 | metrics.acc > '0.5' | metrics.acc LIKE '0'
        params.depth = '2' | params.depth != '2' | params.depth LIKE '%' | params.depth ILIKE '2' | params.depth IN ('1', '2') | params.depth NOT IN ('1') | params.depth = 2 | params.`depth` = '2' | param.depth = '2' | params.depth > '1'
        params.depth IS NULL | tags.team = 'red' | tags.team ILIKE 'RED' | tags.team like 'r%' | tags.team != 'red' | tags.nope = 'x' | tag.team = 'red' | name = 'lm-0' | name LIKE 'lm%' | name ILIKE 'lm%' | name != 'lm-0' | name IN ('lm-0', 'lm-2')
        attributes.name = 'lm-0' | attribute.name = 'lm-0' | model_type = 'sklearn' | model_type != 'sklearn' | model_type IN ('torch') | source_run_id = '{run:0}' | model_id = '{logged:3}' | model_id IN ('{logged:3}', '{logged:4}') | creation_timestamp > 0
        creation_time > 0 | creation_timestamp_ms > 0 | last_updated_timestamp > 0 | last_updated_timestamp_ms > 5 | creation_timestamp < 5 | creation_timestamp = 'x' | attributes.creation_timestamp > 0 | attributes.creation_time > 0 | experiment_id = '{exp:A}' | nope = 'x'
        name = 'lm-0' AND metrics.acc > 0.1 | name = 'lm-0' OR name = 'lm-1' | metrics.acc > 0.5 AND metrics.loss < 3 | metrics.acc > 0.5 AND params.depth = '2' AND tags.team = 'Red' | (name = 'lm-0') | name | name = "lm-0" | foo.bar = 'x' | METRICS.acc > 1
    """
    out = [{"filter": f.strip()} for line in filters.splitlines() if line.strip() for f in line.split(" | ")]
    out += [{"filter": "metrics.acc > 0.5", "datasets": d} for d in ([{"dataset_name": "iris"}], [{"dataset_name": "wine"}], [{"dataset_name": "wine", "dataset_digest": "w1"}],
            [{"dataset_name": "iris"}, {"dataset_name": "wine", "dataset_digest": "w0"}], [{"dataset_name": "nope"}], [{"dataset_digest": "w1"}], [])]
    out += [{"datasets": [{"dataset_name": "wine", "dataset_digest": "w1"}]}, {"datasets": [{"dataset_name": "iris"}], "filter": "params.depth = '2'"}]
    orders = [{"field_name": "metrics.acc"}, {"field_name": "metrics.acc", "ascending": False}, {"field_name": "metrics.acc", "ascending": False, "dataset_name": "wine"},
              {"field_name": "metrics.acc", "dataset_name": "wine", "dataset_digest": "w1"}, {"field_name": "metrics.acc", "dataset_digest": "w1"}, {"field_name": "metrics.nope"},
              {"field_name": "name"}, {"field_name": "name", "ascending": False}, {"field_name": "model_id"}, {"field_name": "creation_timestamp"}, {"field_name": "creation_timestamp", "ascending": False},
              {"field_name": "creation_time"}, {"field_name": "last_updated_timestamp", "ascending": True}, {"field_name": "params.depth"}, {"field_name": "tags.team"}, {"field_name": "nope"},
              {"field_name": "model_type"}, {"field_name": "attributes.name"}, {"field_name": "source_run_id"}, {"field_name": "metrics.loss", "ascending": False}]
    out += [{"order_by": [o]} for o in orders] + [{"order_by": [{"field_name": "model_type", "ascending": False}, {"field_name": "metrics.acc"}]}]
    for q in out:
        q["experiment_ids"], q["max_results"] = ["{exp:A}", "{exp:B}"], 50
    out += [{"experiment_ids": ["{exp:B}"]}, {"experiment_ids": []}, {}, {"experiment_ids": ["{exp:A}"], "max_results": 50}, {"experiment_ids": ["{exp:A}"], "max_results": 51},
            {"experiment_ids": ["{exp:A}"], "max_results": 1001}, {"experiment_ids": ["{exp:A}"], "max_results": -1}, {"experiment_ids": ["{exp:A}"], "page_token": "x"}]
    return [{"search": "logged", "body": b} for b in out]


class Server:
    """MLflow's REST, without its client."""

    def __init__(self, port):
        self.conn = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def call(self, method, path, body=None):
        if method == "GET":
            from urllib.parse import urlencode
            pairs = [(k, v) for k, vs in (body or {}).items() for v in (vs if isinstance(vs, list) else [vs])]
            path, body = path + "?" + urlencode(pairs), None
        self.conn.request(method, "/api/2.0/mlflow/" + path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"})
        answer = self.conn.getresponse()
        text = answer.read().decode()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, {"text": text[:200]}

    def must(self, method, path, body=None):
        status, answer = self.call(method, path, body)
        assert status == 200, (method, path, body, status, answer)
        return answer


def pairs(d):
    return [{"key": k, "value": v} for k, v in d.items()]


def write(s, c):
    """Writes the content; returns the ids that questions name."""
    ids = {"exp": {}, "run": {}, "logged": {}}
    for e in c["experiments"]:
        ids["exp"][e["name"]] = s.must("POST", "experiments/create", {"name": e["name"], "tags": pairs(e["tags"])})["experiment_id"]
        time.sleep(0.005)
    for name in c["deleted_experiments"]:
        s.must("POST", "experiments/delete", {"experiment_id": ids["exp"][name]})
    for i, r in enumerate(c["runs"]):
        run = s.must("POST", "runs/create", {"experiment_id": ids["exp"][r["experiment"]], "run_name": r["name"], "user_id": r["user"], "start_time": r["start"], "tags": pairs(r["tags"])})
        rid = ids["run"][i] = run["run"]["info"]["run_id"]
        s.must("POST", "runs/log-batch", {"run_id": rid, "params": pairs(r["params"]),
               "metrics": [{"key": k, "value": v, "timestamp": r["start"], "step": 0} for k, v in r["metrics"].items()]})
        if r["datasets"]:
            s.must("POST", "runs/log-inputs", {"run_id": rid, "datasets": [{"dataset": {"name": d["name"], "digest": d["digest"], "source_type": "local", "source": "{}"},
                   "tags": [{"key": "mlflow.data.context", "value": d["context"]}]} for d in r["datasets"]]})
        if r["status"] != "RUNNING":
            s.must("POST", "runs/update", {"run_id": rid, "status": r["status"], **({"end_time": r["end"]} if r["end"] else {})})
        if r["deleted"]:
            s.must("POST", "runs/delete", {"run_id": rid})
    for m in c["models"]:
        s.must("POST", "registered-models/create", {"name": m["name"], "tags": pairs(m["tags"])})
        for v in m["versions"]:
            rid = ids["run"][v["run"]]
            s.must("POST", "model-versions/create", {"name": m["name"], "source": "runs:/%s/model" % rid, "run_id": rid, "tags": pairs(v["tags"])})
            time.sleep(0.003)
    for i, m in enumerate(c["logged_models"]):
        rid = ids["run"][m["run"]]
        lid = ids["logged"][i] = s.must("POST", "logged-models", {"experiment_id": ids["exp"][m["experiment"]], "name": m["name"], "model_type": m["type"],
                                        "source_run_id": rid, "params": pairs(m["params"]), "tags": pairs(m["tags"])})["model"]["info"]["model_id"]
        for x in m["metrics"]:
            s.must("POST", "runs/log-metric", {"run_id": rid, "model_id": lid, "timestamp": BASE, **x})
        if m["ready"]:
            s.must("PATCH", "logged-models/" + lid, {"model_id": lid, "status": "LOGGED_MODEL_READY"})
        time.sleep(0.003)
    return ids


ENDPOINTS = {"runs": ("POST", "runs/search"), "experiments": ("POST", "experiments/search"), "models": ("GET", "registered-models/search"),
             "versions": ("GET", "model-versions/search"), "logged": ("POST", "logged-models/search")}


def ask(s, ids, q):
    text = json.dumps(q["body"])
    for kind, known in ids.items():
        for name, value in known.items():
            text = text.replace("{%s:%s}" % (kind, name), value)
    status, answer = s.call(*ENDPOINTS[q["search"]], json.loads(text))
    if status != 200:
        return {"status": status, "error": answer.get("error_code", answer.get("text", ""))}
    back = {kind: {v: k for k, v in known.items()} for kind, known in ids.items()}
    if q["search"] == "runs":
        found = [back["run"][r["info"]["run_id"]] for r in answer.get("runs", [])]
    elif q["search"] == "experiments":
        found = [e["name"] for e in answer.get("experiments", [])]
    elif q["search"] == "models":
        found = [m["name"] for m in answer.get("registered_models", [])]
    elif q["search"] == "versions":
        found = ["%s/%s" % (v["name"], v["version"]) for v in answer.get("model_versions", [])]
    else:
        found = [back["logged"][m["info"]["model_id"]] for m in answer.get("models", [])]
    return {"found": found, "more": bool(answer.get("next_page_token"))}


def main(out):
    port = 5700 + os.getpid() % 200
    with tempfile.TemporaryDirectory() as d:
        server = subprocess.Popen([os.path.join(os.path.dirname(sys.executable), "mlflow"), "server", "--backend-store-uri", "sqlite:///%s/mlflow.db" % d,
                                   "--artifacts-destination", d + "/artifacts", "--port", str(port), "--workers", "1"], stdout=subprocess.DEVNULL, stderr=open(out + ".log", "w"),
                                  env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"})
        try:
            for _ in range(600):
                try:
                    if Server(port).call("POST", "experiments/search", {"max_results": 1})[0] == 200:
                        break
                except OSError:
                    time.sleep(0.2)
            s = Server(port)
            c = content()
            ids = write(s, c)
            questions = run_questions() + experiment_questions() + model_questions() + version_questions() + logged_questions()
            for q in questions:
                q["want"] = ask(s, ids, q)
                if any(word in json.dumps(q["body"].get("order_by", "")) for word in ("run_id", "artifact_uri", "model_id", "experiment_id", "source_run")):
                    q["any_order"] = True  # ids are random
                    q["want"].get("found", []).sort()
        finally:
            server.terminate()
            server.wait()
    from importlib.metadata import version
    with open(out, "w") as f:
        f.write('{"made_by": "MLflow %s",\n "content": %s,\n "questions": [\n' % (version("mlflow"), json.dumps(c, ensure_ascii=False)))
        f.write(",\n".join("  " + json.dumps(q, ensure_ascii=False) for q in questions))
        f.write("\n]}\n")
    os.remove(out + ".log")


if __name__ == "__main__":
    main(sys.argv[1])
