# SPDX-License-Identifier: Apache-2.0
"""Record what a real MLflow server answers, for TestRecorded to hold lastro to.

    python -m venv /tmp/mlflow && /tmp/mlflow/bin/pip install mlflow==3.17.2
    /tmp/mlflow/bin/python api/mlflow/testdata/record/record.py [SUBJECT...]

Each module beside this file is a subject: play(c) sends requests with c, on a
server that is new. A file ../recorded/SUBJECT.json holds one call a line:
what was sent, the HTTP status, and the answer without what differs from one
server to the next.

In a request ${name} is a value that an earlier answer was saved as, and
${x*500}, ${metrics*1001}, ${params*101} and ${tags*101} are made long by whoever
sends it. In an answer a saved value is ${name} again; times of the server are
"<time>"; empty lists, empty texts and nulls are left out; lists that have no
order are sorted. "only" names what of the entries of a list is compared.
"""

import importlib
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

import mlflow

HERE = pathlib.Path(__file__).parent
SUBJECTS = sorted(p.stem for p in HERE.glob("*.py") if p.stem != "record")

# What the server decides; the Go side has the same list.
TIMES = {"creation_time", "last_update_time", "creation_timestamp", "last_updated_timestamp",
         "creation_timestamp_ms", "last_updated_timestamp_ms", "last_updated_time", "created_time"}
UNORDERED = {"tags", "params", "aliases", "files"}  # sorted by their JSON text
METRICS = {"metrics"}  # of a run: sorted by key; a history keeps its order
IGNORED = {"message", "sqlstate", "error_class", "user_id", "run_uuid", "next_page_token", "created_by", "last_updated_by", "storage_location",
           "status_message", "stack_trace", "workspace"}


def long_ones(kind, n):
    if kind == "metrics":
        return [{"key": f"m{i}", "value": i, "timestamp": i, "step": i} for i in range(n)]
    return [{"key": f"{kind[0]}{i}", "value": str(i)} for i in range(n)]


def shorten(answer, only):
    """Of an answer, only what is compared: ["runs", "info.run_name"] is the names of the runs, [] nothing at all."""
    if only is None:
        return answer
    return {only[0]: [" ".join(str(dig(x, path)) for path in only[1:]) for x in answer.get(only[0], [])]} if only else {}


def dig(value, path):
    for part in path.split("."):
        assert part in value, f"no {path} in {value}"
        value = value[part]
    return value


class Client:
    def __init__(self, base):
        self.base, self.vars, self.calls = base, {}, []

    def expand(self, v):
        """Put saved values and long lists in their places."""
        if isinstance(v, dict):
            return {self.expand(k): self.expand(x) for k, x in v.items()}
        if isinstance(v, list):
            return [self.expand(x) for x in v]
        if not isinstance(v, str):
            return v
        if m := re.fullmatch(r"\$\{(metrics|params|tags)\*(\d+)\}", v):
            return long_ones(m[1], int(m[2]))
        v = re.sub(r"\$\{(.)\*(\d+)\}", lambda m: m[1] * int(m[2]), v)
        return re.sub(r"\$\{(\w+)\}", lambda m: str(self.vars[m[1]]), v)

    def call(self, name, method, path, body=None, query=None, raw=None, headers=None, save=None, only=None):
        if not path.startswith("/"):
            path = "/api/2.0/mlflow/" + path
        url = self.base + self.expand(path)
        if query:
            url += "?" + urllib.parse.urlencode(self.expand(query), doseq=True)
        data = None
        if raw is not None:
            data = self.expand(raw).encode()
        elif body is not None:
            data = json.dumps(self.expand(body)).encode()
        request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": "application/json", **(headers or {})})
        try:
            with urllib.request.urlopen(request) as r:
                status, text = r.status, r.read()
        except urllib.error.HTTPError as e:
            status, text = e.code, e.read()
        try:
            answer = json.loads(text)
        except ValueError:
            answer = text.decode(errors="replace")
            if status >= 400:  # a framework's page: the status says enough
                answer = ""
        for variable, where in (save or {}).items():
            assert status < 300, f"{name!r} should save {where}, and the answer is {status} {text.decode()}"
            self.vars[variable] = dig(answer, where)
        call = {"name": name, "method": method, "path": path, "query": query, "body": body, "raw": raw, "headers": headers, "save": save,
                "only": only, "status": status, "answer": self.plain(shorten(answer, only) if status < 300 else answer)}
        assert name not in [c["name"] for c in self.calls], f"two calls are called {name!r}"
        self.calls.append({k: v for k, v in call.items() if v is not None})
        return answer

    def post(self, name, path, body=None, **more):
        return self.call(name, "POST", path, body=body, **more)

    def get(self, name, path, query=None, **more):
        return self.call(name, "GET", path, query=query, **more)

    def patch(self, name, path, body=None, **more):
        return self.call(name, "PATCH", path, body=body, **more)

    def delete(self, name, path, body=None, **more):
        return self.call(name, "DELETE", path, body=body, **more)

    def put(self, name, path, raw, **more):
        return self.call(name, "PUT", path, raw=raw, **more)

    def plain(self, v, key=""):
        """An answer as it is compared."""
        if isinstance(v, dict):
            out = {}
            for k, x in v.items():
                if k in IGNORED:
                    continue
                x = "<time>" if k in TIMES and x else self.plain(x, k)
                if x not in (None, "", [], {}):
                    out[k] = x
            return out
        if isinstance(v, list):
            out = [self.plain(x) for x in v]
            if key in UNORDERED:
                out.sort(key=lambda x: json.dumps(x, sort_keys=True))
            if key in METRICS and len({x.get("key") for x in out}) == len(out):
                out.sort(key=lambda x: x.get("key", ""))
            return out
        if isinstance(v, str):
            for name, value in sorted(self.vars.items(), key=lambda kv: -len(str(kv[1]))):
                if len(str(value)) >= 8:
                    v = v.replace(str(value), "${" + name + "}")
                elif key == "experiment_id" and v == str(value):  # MLflow's experiments have short numbers
                    v = "${" + name + "}"
                elif v.startswith("mlflow-artifacts:/"):
                    v = "/".join("${" + name + "}" if part == str(value) else part for part in v.split("/"))
            return v if len(v) < 300 else f"{len(v)} characters"
        return v


def serve(folder):
    """Start an MLflow server with an empty SQLite database; return it and its address."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/artifacts",
         "--host", "127.0.0.1", "--port", str(port), "--workers", "1"],
        cwd=folder, stdout=open(f"{folder}/log", "w"), stderr=subprocess.STDOUT,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"})
    base = f"http://127.0.0.1:{port}"
    for _ in range(3000):
        try:
            urllib.request.urlopen(base + "/health").read()
            return server, base
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"the server did not start: {open(folder + '/log').read()}")


def main():
    assert mlflow.__version__ == "3.17.2", mlflow.__version__
    for subject in sys.argv[1:] or SUBJECTS:
        with tempfile.TemporaryDirectory() as folder:
            server, base = serve(folder)
            try:
                client = Client(base)
                importlib.import_module(subject).play(client)
            finally:
                server.terminate()
                server.wait()
        lines = ",\n".join(json.dumps(c, ensure_ascii=False) for c in client.calls)
        (HERE.parent / "recorded" / f"{subject}.json").write_text(f"[\n{lines}\n]\n")
        print(f"{subject}: {len(client.calls)} calls")


if __name__ == "__main__":
    main()
