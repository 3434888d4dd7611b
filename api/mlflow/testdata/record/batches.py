# SPDX-License-Identifier: Apache-2.0
"""log-batch with its limits, and histories of metrics."""


def play(c):
    b = "runs/log-batch"
    names = ("run", "other", "full", "limit", "text", "dup", "odd")  # odd: what MLflow takes in ways of its own
    for name in names:
        c.post(f"run {name}", "runs/create", {"experiment_id": "0", "start_time": 1, "run_name": name}, save={name: "run.info.run_id"})
    one = {"key": "m", "value": 1.5, "timestamp": 1000, "step": 1}
    c.post("a batch", b, {"run_id": "${run}", "metrics": [one], "params": [{"key": "p", "value": "1"}], "tags": [{"key": "t", "value": "1"}]})
    c.post("sent again", b, {"run_id": "${run}", "metrics": [one], "params": [{"key": "p", "value": "1"}], "tags": [{"key": "t", "value": "1"}]})
    c.post("empty", b, {"run_id": "${run}"})
    c.post("empty lists", b, {"run_id": "${run}", "metrics": [], "params": [], "tags": []})
    c.post("no run", b, {"metrics": [one]})
    c.post("run that is not there", b, {"run_id": "00000000000000000000000000000000", "metrics": [one]})
    c.post("empty batch of a run that is not there", b, {"run_id": "00000000000000000000000000000000"})
    c.post("a number as a run", b, {"run_id": 5, "metrics": [one]})
    c.post("by run_uuid", b, {"run_uuid": "${run}", "metrics": [one]})
    c.post("1000 metrics", b, {"run_id": "${limit}", "metrics": "${metrics*1000}"})
    c.post("1001 metrics", b, {"run_id": "${limit}", "metrics": "${metrics*1001}"})
    c.post("100 params", b, {"run_id": "${limit}", "params": "${params*100}"})
    c.post("101 params", b, {"run_id": "${limit}", "params": "${params*101}"})
    c.post("100 tags", b, {"run_id": "${limit}", "tags": "${tags*100}"})
    c.post("101 tags", b, {"run_id": "${limit}", "tags": "${tags*101}"})
    c.post("1000 metrics and a param", b, {"run_id": "${full}", "metrics": "${metrics*1000}", "params": [{"key": "x", "value": "1"}]})
    c.post("900 metrics, 100 params", b, {"run_id": "${full}", "metrics": "${metrics*900}", "params": "${params*100}"})
    c.post("901 metrics, 100 params", b, {"run_id": "${full}", "metrics": "${metrics*901}", "params": "${params*100}"})

    c.post("a param twice with one value", b, {"run_id": "${dup}", "params": [{"key": "same", "value": "1"}, {"key": "same", "value": "1"}]})
    c.post("a param twice with two values", b, {"run_id": "${dup}", "params": [{"key": "two", "value": "1"}, {"key": "two", "value": "2"}]})
    c.post("a param of before", b, {"run_id": "${dup}", "params": [{"key": "p", "value": "1"}]})
    c.post("a changed param refuses the batch", b, {"run_id": "${dup}", "metrics": [one], "params": [{"key": "p", "value": "2"}, {"key": "q", "value": "1"}], "tags": [{"key": "no", "value": "1"}]})
    c.post("a tag twice", b, {"run_id": "${dup}", "tags": [{"key": "t", "value": "1"}, {"key": "t", "value": "2"}]})
    c.post("a point twice", b, {"run_id": "${dup}", "metrics": [one, one]})
    c.post("points of one step", b, {"run_id": "${dup}", "metrics": [
        {"key": "s", "value": 1, "timestamp": 1, "step": 1}, {"key": "s", "value": 2, "timestamp": 1, "step": 1}, {"key": "s", "value": 3, "timestamp": 2, "step": 1}]})
    c.post("the latest by step", b, {"run_id": "${dup}", "metrics": [
        {"key": "l", "value": 1, "timestamp": 9, "step": 1}, {"key": "l", "value": 2, "timestamp": 1, "step": 2}]})
    c.post("the latest by time", b, {"run_id": "${dup}", "metrics": [
        {"key": "lt", "value": 1, "timestamp": 9, "step": 1}, {"key": "lt", "value": 2, "timestamp": 1, "step": 1}]})
    c.post("the latest by value", b, {"run_id": "${dup}", "metrics": [
        {"key": "lv", "value": 3, "timestamp": 1, "step": 1}, {"key": "lv", "value": 2, "timestamp": 1, "step": 1}]})
    c.post("nan and a number", b, {"run_id": "${dup}", "metrics": [
        {"key": "ln", "value": "NaN", "timestamp": 1, "step": 1}, {"key": "ln", "value": 2, "timestamp": 1, "step": 1}]})
    c.post("infinities", b, {"run_id": "${odd}", "metrics": [
        {"key": "inf", "value": "Infinity", "timestamp": 1, "step": 1}, {"key": "inf", "value": "-Infinity", "timestamp": 1, "step": 2}]})
    c.post("tokens", b, raw='{"run_id": "${odd}", "metrics": [{"key": "tok", "value": NaN, "timestamp": 1, "step": 1}, {"key": "tok", "value": -Infinity, "timestamp": 1, "step": 2}]}')
    c.get("after those", "runs/get", {"run_id": "${dup}"})
    for key in ("m", "s", "l", "lt", "lv", "ln"):
        c.get(f"history of {key}", "metrics/get-history", {"run_id": "${dup}", "metric_key": key})
    c.get("history of infinities", "metrics/get-history", {"run_id": "${odd}", "metric_key": "inf"})

    def bad(name, run="${other}", **lists):
        c.post("bad: " + name, b, {"run_id": run, "metrics": [{**one, "key": "kept out"}], **lists})

    bad("param without a key", params=[{"value": "1"}])
    bad("param without a value", "${odd}", params=[{"key": "1"}])
    bad("param that is a number", "${odd}", params=[{"key": "p", "value": 1}])
    bad("param that is null", "${odd}", params=[{"key": "p", "value": None}])
    bad("param of 6001", params=[{"key": "p", "value": "${v*6001}"}])
    bad("param with a key of 251", params=[{"key": "${k*251}", "value": "v"}])
    bad("param with a colon", params=[{"key": "a*b", "value": "v"}])
    bad("params that are no list", "${odd}", params={"p": 1})
    bad("params of text", "${odd}", params=["p"])
    bad("tag without a key", tags=[{"value": "1"}])
    bad("tag of 8001", "${odd}", tags=[{"key": "t", "value": "${v*8001}"}])
    bad("tag that is a number", "${odd}", tags=[{"key": "t", "value": 1}])
    bad("tags that are no list", "${odd}", tags="t")
    c.post("bad: metrics that are no list", b, {"run_id": "${odd}", "metrics": "m"})
    c.post("bad: metrics that are null", b, {"run_id": "${odd}", "metrics": None})
    c.post("bad: metric without a key", b, {"run_id": "${other}", "metrics": [{"value": 1, "timestamp": 1, "step": 1}]})
    c.post("bad: metric without a value", b, {"run_id": "${odd}", "metrics": [{"key": "k", "timestamp": 1, "step": 1}]})
    c.post("bad: metric without a time", b, {"run_id": "${odd}", "metrics": [{"key": "notime", "value": 1, "step": 1}]})
    c.post("bad: metric with a bad value", b, {"run_id": "${odd}", "metrics": [{"key": "k", "value": "x", "timestamp": 1, "step": 1}]})
    c.post("bad: the second of two metrics", b, {"run_id": "${other}", "metrics": [{**one, "key": "kept out"}, {"key": "a*b", "value": 1, "timestamp": 1, "step": 1}]})
    c.post("bad: metric with a step as a list", b, {"run_id": "${odd}", "metrics": [{**one, "step": [1]}]})
    c.get("nothing of the bad ones", "runs/get", {"run_id": "${other}"})

    h = "metrics/get-history"
    c.post("points", b, {"run_id": "${text}", "metrics": [{"key": "h", "value": i, "timestamp": 100 + i, "step": i} for i in (3, 1, 2, 0, 4)]})
    c.get("history", h, {"run_id": "${text}", "metric_key": "h"})
    c.get("history of two", h, {"run_id": "${text}", "metric_key": "h", "max_results": 2}, save={"token": "next_page_token"})
    c.get("history, the next two", h, {"run_id": "${text}", "metric_key": "h", "max_results": 2, "page_token": "${token}"})
    c.get("history with a token that is none", h, {"run_id": "${text}", "metric_key": "h", "max_results": 2, "page_token": "nonsense"})
    c.get("history by run_uuid", h, {"run_uuid": "${text}", "metric_key": "h"})
    c.get("history of a key that is not there", h, {"run_id": "${text}", "metric_key": "none"})
    c.get("history without a key", h, {"run_id": "${text}"})
    c.get("history without a run", h, {"metric_key": "h"})
    c.get("history of no run", h, {"run_id": "00000000000000000000000000000000", "metric_key": "h"})
    i = "metrics/get-history-bulk-interval"
    c.get("interval", i, {"run_ids": ["${text}"], "metric_key": "h"})
    c.get("interval of steps", i, {"run_ids": ["${text}"], "metric_key": "h", "start_step": 1, "end_step": 3})
    c.get("interval of few", i, {"run_ids": ["${text}"], "metric_key": "h", "max_results": 2})
    c.get("interval of two runs", i, {"run_ids": ["${text}", "${dup}"], "metric_key": "h"})
    c.get("interval without a run", i, {"metric_key": "h"})
    c.get("interval without a key", i, {"run_ids": ["${text}"]})
    c.get("interval with half of the steps", i, {"run_ids": ["${text}"], "metric_key": "h", "start_step": 1})
    c.get("interval that ends before it starts", i, {"run_ids": ["${text}"], "metric_key": "h", "start_step": 3, "end_step": 1})
    c.get("interval of too many", i, {"run_ids": ["${text}"], "metric_key": "h", "max_results": 2501})
    c.get("interval of none", i, {"run_ids": ["${text}"], "metric_key": "h", "max_results": 0})
    bulk = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"
    c.get("bulk", bulk, {"run_id": ["${text}", "${dup}"], "metric_key": "h"})
    c.get("bulk of few", bulk, {"run_id": ["${text}"], "metric_key": "h", "max_results": 2})
    c.get("bulk without a run", bulk, {"metric_key": "h"})
    c.get("bulk without a key", bulk, {"run_id": ["${text}"]})
