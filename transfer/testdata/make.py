# SPDX-License-Identifier: Apache-2.0
"""Makes a small content of a real MLflow server, for the tests of lastro import and export.

    VENV/bin/python make.py make OUT     starts a server of the installed MLflow on a new database, fills it through
                                         MLflow's own client, and writes OUT/VERSION.db.gz (the database),
                                         OUT/VERSION.artifacts.tar.gz and OUT/VERSION.json (what the client reads back)
    VENV/bin/python make.py dump URI     prints what the client reads from the server at URI
    VENV/bin/python make.py schema FILE  prints the tables of a new database, as ../mlflow-3.17.2.sql has them

The dump is what the Go tests hold an import against: it comes through MLflow's client and not through lastro.
"""
import gzip
import hashlib
import io
import json
import math
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.parse
import urllib.request

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["GIT_PYTHON_REFRESH"] = "quiet"
os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType

VERSION = tuple(int(p) for p in mlflow.__version__.split(".")[:2])
THREE = VERSION >= (3, 0)


def number(v):
    if v is None or not isinstance(v, float):
        return v
    if math.isnan(v):
        return "NaN"
    if math.isinf(v):
        return "Infinity" if v > 0 else "-Infinity"
    return v


def pages(fetch, **kw):
    token = None
    while True:
        page = fetch(page_token=token, **kw)
        yield from page
        token = page.token
        if not token:
            return


# ---- filling -------------------------------------------------------------------------------------------------------

def history(client, run, key, values, start=1_700_000_000_000):
    batch = [Metric(key, v, start + 1000 * i, i) for i, v in enumerate(values)]
    for i in range(0, len(batch), 500):
        client.log_batch(run, metrics=batch[i:i + 500])


def file(client, run, name, content):
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, os.path.basename(name))
        with open(path, "wb") as f:
            f.write(content)
        client.log_artifact(run, path, os.path.dirname(name) or None)


def fill():
    client = MlflowClient()
    churn = client.create_experiment("churn", tags={"team": "growth", "note": "line one\nline two"})
    odd = client.create_experiment("Größe 100% / naïve_'quoted'")
    gone = client.create_experiment("gone")
    client.set_experiment_tag(odd, "mlflow.note.content", "# Ünïcode ✓")

    # a run with everything
    a = client.create_run(churn, start_time=1_700_000_000_123, tags={"mlflow.user": "ana", "k": "v"}, run_name="first").info.run_id
    client.log_batch(a, params=[Param("lr", "0.01"), Param("depth", "4"), Param("long", "x" * 5000), Param("ünï", "ç")],
                     tags=[RunTag("mlflow.source.name", "train.py"), RunTag("empty", ""), RunTag("lastrolike", "1")])
    history(client, a, "loss", [1 / (i + 1) for i in range(1300)])
    history(client, a, "odd", [math.nan, math.inf, -math.inf, 1e308, -0.0, 5e-324, 0.1 + 0.2])
    client.log_metric(a, "same", 1.0, timestamp=1_700_000_000_000, step=7)
    client.log_metric(a, "same", 2.0, timestamp=1_700_000_000_000, step=7)
    client.log_metric(a, "same", 2.0, timestamp=1_700_000_000_000, step=7)
    client.log_metric(a, "back", 5.0, timestamp=1_700_000_001_000, step=10)
    client.log_metric(a, "back", 3.0, timestamp=1_700_000_002_000, step=-2)
    client.log_metric(a, "nan_last", 1.0, timestamp=1_700_000_000_000, step=0)
    client.log_metric(a, "nan_last", math.nan, timestamp=1_700_000_001_000, step=1)
    file(client, a, "notes.txt", b"hello\n")
    file(client, a, "empty.bin", b"")
    file(client, a, "plots/deep/er/curve 1.json", b'{"x": [1, 2, 3]}')
    file(client, a, "model/MLmodel", b"flavors:\n  python_function:\n    loader_module: mlflow.pyfunc.model\n")
    file(client, a, "model/weights.bin", bytes(range(256)) * 64)
    from mlflow.entities import Dataset, DatasetInput, InputTag
    client.log_inputs(a, [
        DatasetInput(Dataset("train", "abc123", "local", '{"uri": "/data/train.csv"}', schema='{"mlflow_colspec": []}', profile='{"num_rows": 3}'),
                     [InputTag("mlflow.data.context", "training")]),
        DatasetInput(Dataset("eval", "def456", "http", '{"url": "https://example.com/e.csv"}'), [InputTag("mlflow.data.context", "eval"), InputTag("x", "y")])])
    client.set_terminated(a, "FINISHED", end_time=1_700_000_100_456)

    child = client.create_run(churn, start_time=1_700_000_001_000, tags={"mlflow.parentRunId": a, "mlflow.user": "bob"}, run_name="child").info.run_id
    client.log_param(child, "lr", "0.02")
    client.log_metric(child, "loss", 0.5, timestamp=1_700_000_050_000, step=3)
    client.set_terminated(child, "FAILED", end_time=1_700_000_060_000)

    running = client.create_run(odd, start_time=1_700_000_200_000, run_name="ünï run").info.run_id
    client.log_metric(running, "größe/µ", 1.5, timestamp=1_700_000_200_001, step=0)
    client.log_param(running, "p/q.r s-t", "='\"%_;--")

    deleted = client.create_run(churn, start_time=1_700_000_300_000, run_name="bin").info.run_id
    client.log_metric(deleted, "loss", 9.0, timestamp=1_700_000_300_001, step=0)
    file(client, deleted, "kept.txt", b"still here")
    client.set_terminated(deleted, "KILLED", end_time=1_700_000_300_002)
    client.delete_run(deleted)

    default = client.create_run("0", start_time=1_700_000_400_000, run_name="in default").info.run_id
    client.set_terminated(default, "FINISHED", end_time=1_700_000_400_001)

    ingone = client.create_run(gone, start_time=1_700_000_500_000, run_name="went with its experiment").info.run_id
    client.log_param(ingone, "a", "b")
    client.delete_experiment(gone)

    # the registry
    client.create_registered_model("churn", tags={"owner": "growth"}, description="Who *leaves*.\n\nSecond paragraph.")
    for i in range(1, 5):
        client.create_model_version("churn", f"runs:/{a}/model" if THREE else f"{client.get_run(a).info.artifact_uri}/model", a,
                                    tags={"n": str(i)}, description=f"number {i}")
    client.transition_model_version_stage("churn", "1", "Archived")
    client.transition_model_version_stage("churn", "2", "Production")
    client.delete_model_version("churn", "3")
    client.set_registered_model_alias("churn", "champion", "2")
    client.set_registered_model_alias("churn", "try-me", "4")
    client.set_registered_model_alias("churn", "also", "4")
    client.create_registered_model("empty model")
    client.create_registered_model("before")
    client.create_model_version("before", f"{client.get_run(a).info.artifact_uri}/model", a)
    client.rename_registered_model("before", "after")

    prompt = getattr(getattr(mlflow, "genai", None), "register_prompt", None) if THREE else getattr(mlflow, "register_prompt", None)
    if prompt:
        prompt(name="greeting", template="Hello {{name}}", commit_message="first", tags={"lang": "en"})
        prompt(name="greeting", template="Good day, {{name}}", commit_message="politer")
        (mlflow.genai if THREE else mlflow).set_prompt_alias("greeting", "live", 1)

    if THREE:
        logged_models(client, churn, a, child)
    traces(client, churn, a)
    if THREE:
        datasets(churn)


def logged_models(client, experiment, run, child):
    from mlflow.entities import LoggedModelInput, LoggedModelOutput, LoggedModelParameter, LoggedModelStatus
    m = client.create_logged_model(experiment, name="forest", source_run_id=run, tags={"t": "1"},
                                   params={"trees": "100", "depth": "4"}, model_type="sklearn")
    with tempfile.TemporaryDirectory() as d:
        with open(os.path.join(d, "MLmodel"), "w") as f:
            f.write(f"flavors:\n  python_function:\n    loader_module: mlflow.pyfunc.model\nmodel_id: {m.model_id}\n")
        with open(os.path.join(d, "weights.bin"), "wb") as f:
            f.write(os.urandom(0) + b"w" * 3000)
        client.log_model_artifacts(m.model_id, d)
    client.finalize_logged_model(m.model_id, LoggedModelStatus.READY)
    client.set_logged_model_tags(m.model_id, {"später": "ja"})
    from mlflow.entities import Dataset
    client.log_metric(run, "auc", 0.91, timestamp=1_700_000_090_000, step=1, model_id=m.model_id, dataset_name="eval", dataset_digest="def456")
    client.log_metric(run, "auc", 0.93, timestamp=1_700_000_091_000, step=2, model_id=m.model_id, dataset_name="eval", dataset_digest="def456")
    client.log_metric(child, "auc", 0.5, timestamp=1_700_000_092_000, step=0, model_id=m.model_id)
    client.log_outputs(run, [LoggedModelOutput(m.model_id, 2)])
    client.log_inputs(child, models=[LoggedModelInput(m.model_id)])
    client.create_model_version("churn", f"models:/{m.model_id}", run, model_id=m.model_id)
    failed = client.create_logged_model(experiment, name="half", source_run_id=run)
    client.finalize_logged_model(failed.model_id, LoggedModelStatus.FAILED)
    dropped = client.create_logged_model(experiment, name="dropped")
    client.delete_logged_model(dropped.model_id)


def traces(client, experiment, run):
    mlflow.set_experiment(experiment_id=experiment)
    with mlflow.start_span("answer") as root:
        root.set_inputs({"q": "how much?"})
        with mlflow.start_span("look up", span_type="RETRIEVER") as inner:
            inner.set_attribute("k", 3)
            inner.set_outputs(["a", "b"])
        root.set_outputs({"a": "42"})
    try:
        with mlflow.start_span("breaks"):
            raise ValueError("ünï")
    except ValueError:
        pass
    flush = getattr(mlflow, "flush_trace_async_logging", None)
    if flush:
        try:
            flush()
        except Exception as e:
            print("flush:", e, file=sys.stderr)
    time.sleep(1 if THREE else 10)  # before 3.0 the spans come after the trace
    for _ in range(60):
        found = client.search_traces(experiment_ids=[experiment], order_by=["timestamp_ms ASC"])
        if len(found) == 2:
            break
        time.sleep(0.5)
    if not found and not THREE:
        return  # its client has lost the spans, and then tells of no trace
    assert len(found) == 2, found
    first = found[0].info
    client.set_trace_tag(getattr(first, "trace_id", None) or first.request_id, "colour", "blau")
    if THREE:
        mlflow.log_feedback(trace_id=first.trace_id, name="correct", value=True, rationale="it is 42")
        mlflow.log_expectation(trace_id=first.trace_id, name="expected", value="42")


def datasets(experiment):
    try:
        from mlflow.genai.datasets import create_dataset
    except ImportError:
        return
    d = create_dataset(name="golden", experiment_id=[experiment], tags={"v": "1"})
    d.merge_records([{"inputs": {"q": "1+1"}, "expectations": {"a": 2}}, {"inputs": {"q": "2+2"}}])


# ---- reading back --------------------------------------------------------------------------------------------------

def artifacts(client, listing, fetch):
    out = {}

    def walk(path):
        for f in listing(path):
            if f.is_dir:
                walk(f.path)
            else:
                with open(fetch(f.path), "rb") as h:
                    data = h.read()
                out[f.path] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    walk(None)
    return out


def a_run(client, r):
    i, d = r.info, r.data
    points = {}
    for key in sorted(d.metrics):
        points[key] = sorted(([m.timestamp, m.step, number(m.value)] for m in client.get_metric_history(i.run_id, key)), key=repr)
    out = {
        "id": i.run_id, "experiment": i.experiment_id, "name": i.run_name, "user": i.user_id, "status": str(i.status), "lifecycle": i.lifecycle_stage,
        "start": i.start_time, "end": i.end_time, "params": d.params, "tags": d.tags,
        "latest": {k: number(v) for k, v in d.metrics.items()}, "history": points,
        "datasets": sorted(({"name": x.dataset.name, "digest": x.dataset.digest, "source_type": x.dataset.source_type, "source": x.dataset.source,
                             "schema": x.dataset.schema, "profile": x.dataset.profile, "tags": {t.key: t.value for t in x.tags}}
                            for x in r.inputs.dataset_inputs), key=lambda x: x["name"]),
        "model_inputs": sorted(m.model_id for m in getattr(r.inputs, "model_inputs", None) or []),
        "model_outputs": sorted([m.model_id, m.step] for m in getattr(getattr(r, "outputs", None), "model_outputs", None) or []),
    }
    out["artifacts"] = artifacts(client, lambda p: client.list_artifacts(i.run_id, p),
                                 lambda p: mlflow.artifacts.download_artifacts(artifact_uri=f"{i.artifact_uri}/{p}"))
    return out


def a_logged_model(client, m):
    return {
        "id": m.model_id, "experiment": m.experiment_id, "name": m.name, "type": m.model_type, "run": m.source_run_id, "status": str(m.status),
        "created": m.creation_timestamp, "params": m.params, "tags": m.tags,
        "metrics": sorted(([x.key, number(x.value), x.timestamp, x.step, x.dataset_name, x.dataset_digest, x.run_id] for x in m.metrics or []), key=repr),
        "artifacts": artifacts(client, lambda p: client.list_logged_model_artifacts(m.model_id, p),
                               lambda p: mlflow.artifacts.download_artifacts(artifact_uri=f"{m.artifact_location}/{p}")),
    }


PROMPTS = "tags.`mlflow.prompt.is_prompt` = 'true'"


def asked(route, what, filter):
    """The client hides prompts from its searches, and aliases from some of them: the server tells both."""
    q = urllib.parse.urlencode({"filter": filter, "max_results": 100} if filter else {"max_results": 100})
    with urllib.request.urlopen(f"{mlflow.get_tracking_uri()}/api/2.0/mlflow/{route}?{q}") as r:
        return json.load(r).get(what, [])


def a_model(client, m):
    name, tags = m["name"], {t["key"]: t.get("value", "") for t in m.get("tags", [])}
    if "mlflow.prompt.is_prompt" in tags:
        found = asked("model-versions/search", "model_versions", f"name='{name}' AND {PROMPTS}")
        versions = [{"number": str(v["version"]), "description": v.get("description", ""), "stage": v["current_stage"], "aliases": v.get("aliases", []),
                     "tags": {t["key"]: t.get("value", "") for t in v.get("tags", [])}, "run": v.get("run_id", ""), "source": v["source"],
                     "created": v["creation_timestamp"]} for v in found]
    else:
        found = pages(client.search_model_versions, filter_string=f"name='{name}'")
        versions = [a_version(client, client.get_model_version(name, v.version)) for v in found]
    return {"name": name, "description": m.get("description", ""), "tags": tags, "created": m["creation_timestamp"],
            "aliases": {a["alias"]: str(a["version"]) for a in m.get("aliases", [])}, "versions": sorted(versions, key=lambda v: int(v["number"]))}


def a_version(client, v):
    out = {"number": v.version, "description": v.description, "stage": v.current_stage, "tags": v.tags, "aliases": sorted(v.aliases), "run": v.run_id,
           "source": v.source, "status": v.status, "created": v.creation_timestamp, "user": v.user_id, "model_id": getattr(v, "model_id", None) or None}
    root = mlflow.artifacts.download_artifacts(artifact_uri=f"models:/{v.name}/{v.version}")
    files = {}
    for dir, _, names in os.walk(root):
        for n in names:
            p = os.path.join(dir, n)
            if n == "registered_model_meta":
                continue  # the client writes it beside what it downloads
            with open(p, "rb") as h:
                data = h.read()
            files[os.path.relpath(p, root)] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    out["files"] = files
    return out


def a_trace(t):
    i = t.info
    out = {"id": getattr(i, "trace_id", None) or i.request_id, "status": str(getattr(i, "state", None) or i.status), "tags": dict(i.tags),
           "time": i.timestamp_ms, "spans": sorted(({"name": s.name, "id": s.span_id, "parent": s.parent_id, "inputs": s.inputs, "outputs": s.outputs,
                                                    "start": s.start_time_ns, "end": s.end_time_ns, "status": str(s.status.status_code)} for s in t.data.spans),
                                                   key=lambda s: (s["start"], s["id"]))}
    out["metadata"] = dict(getattr(i, "trace_metadata", None) or getattr(i, "request_metadata", None) or {})
    out["assessments"] = sorted(({"name": x.name, "value": getattr(x.feedback or x.expectation, "value", None), "rationale": x.rationale,
                                  "id": x.assessment_id} for x in getattr(i, "assessments", None) or []), key=lambda x: x["name"])
    return out


def dump():
    client = MlflowClient()
    experiments = list(pages(client.search_experiments, view_type=ViewType.ALL, max_results=3))
    ids = [e.experiment_id for e in experiments]
    out = {"mlflow": mlflow.__version__}
    out["experiments"] = sorted(({"id": e.experiment_id, "name": e.name, "lifecycle": e.lifecycle_stage, "tags": e.tags,
                                  "created": e.creation_time} for e in experiments), key=lambda e: e["id"])
    runs = [client.get_run(r.info.run_id) for r in pages(client.search_runs, experiment_ids=ids, run_view_type=ViewType.ALL, max_results=2)]
    out["runs"] = sorted((a_run(client, r) for r in runs), key=lambda r: r["id"])
    out["logged_models"] = []
    if THREE:
        live = [e.experiment_id for e in experiments if e.lifecycle_stage == "active"]
        found = client.search_logged_models(experiment_ids=live)
        out["logged_models"] = sorted((a_logged_model(client, client.get_logged_model(m.model_id)) for m in found), key=lambda m: m["id"])
    models = {m["name"]: m for m in asked("registered-models/search", "registered_models", "")}
    for m in asked("registered-models/search", "registered_models", PROMPTS):
        models[m["name"]] = m
    out["models"] = [a_model(client, models[name]) for name in sorted(models)]
    out["traces"] = sorted((a_trace(t) for t in client.search_traces(experiment_ids=ids, max_results=500)), key=lambda t: t["id"])
    return out


def schema(path):
    db = sqlite3.connect(path)
    order = "CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 ELSE 2 END, name"
    for (sql,) in db.execute(f"SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY {order}"):
        print(" ".join(sql.split()) + ";")
    (number,) = db.execute("SELECT version_num FROM alembic_version").fetchone()
    print(f"INSERT INTO alembic_version VALUES ('{number}');")


# ---- the server ----------------------------------------------------------------------------------------------------

def serve(folder, port):
    os.makedirs(f"{folder}/mlartifacts", exist_ok=True)
    args = [os.path.join(os.path.dirname(sys.executable), "mlflow"), "server", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db",
            "--artifacts-destination", f"{folder}/mlartifacts", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with open(f"{folder}/server.log", "wb") as log:
        p = subprocess.Popen(args, stdout=log, stderr=log, start_new_session=True, cwd=folder)
    for _ in range(1200):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).read()
            return p
        except OSError:
            if p.poll() is not None:
                break
            time.sleep(0.5)
    raise SystemExit(open(f"{folder}/server.log").read()[-4000:])


PLACES = [os.path.dirname(os.path.abspath(__file__)) + "/", sys.prefix + "/"]


def placeless(text):
    for place in PLACES:
        text = text.replace(place, "") if isinstance(text, str) else text.replace(place.encode(), b"")
    return text


def forget(db):
    """Takes the places of this script and of MLflow out of every text: traces tell where they were made."""
    db.create_function("placeless", 1, placeless)
    for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        for column, kind, hidden in db.execute(f'SELECT name, type, hidden FROM pragma_table_xinfo("{table}")').fetchall():
            if not hidden and ("CHAR" in kind or "TEXT" in kind):
                db.execute(f'UPDATE "{table}" SET "{column}" = placeless("{column}") WHERE instr("{column}", ?) OR instr("{column}", ?)', PLACES)
    db.commit()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def make(out):
    os.makedirs(out, exist_ok=True)
    base = f"{out}/mlflow-{mlflow.__version__}"
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        p = serve(folder, port)
        try:
            mlflow.set_tracking_uri(f"http://127.0.0.1:{port}")
            fill()
            content = dump()
        finally:
            os.killpg(p.pid, signal.SIGTERM)
            try:
                p.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(p.pid, signal.SIGKILL)
                p.wait()
        with open(base + ".json", "w") as f:
            f.write(placeless(json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)) + "\n")
        db = sqlite3.connect(f"{folder}/mlflow.db")
        db.execute("PRAGMA journal_mode = DELETE")
        forget(db)
        db.execute("VACUUM")
        db.close()
        with open(f"{folder}/mlflow.db", "rb") as f, open(base + ".db.gz", "wb") as g:
            with gzip.GzipFile("", "wb", 9, g, mtime=0) as z:
                z.write(f.read())
        with open(base + ".artifacts.tar.gz", "wb") as g, gzip.GzipFile("", "wb", 9, g, mtime=0) as z:
            with tarfile.open(fileobj=z, mode="w") as t:
                for dir, dirs, names in os.walk(f"{folder}/mlartifacts"):
                    dirs.sort()
                    for n in sorted(names):
                        p = os.path.join(dir, n)
                        info = tarfile.TarInfo(os.path.relpath(p, f"{folder}/mlartifacts"))
                        with open(p, "rb") as f:
                            data = placeless(f.read())
                        info.size = len(data)
                        t.addfile(info, io.BytesIO(data))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(os.path.abspath(sys.argv[2]))
        os._exit(0)  # the client's own threads would wait for a server that is gone
    elif sys.argv[1] == "schema":
        schema(sys.argv[2])
    else:
        mlflow.set_tracking_uri(sys.argv[2])
        json.dump(dump(), sys.stdout, indent=1, sort_keys=True, ensure_ascii=False)
