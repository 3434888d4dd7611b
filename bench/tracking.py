# SPDX-License-Identifier: Apache-2.0
"""Tracking: lastro beside MLflow's server and FastTrackML, and beside a server that decodes the same requests and discards them."""
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request

import common
from common import ENV, LASTRO, PROGRAMS, peer, single
from start import status_kib

LOAD = PROGRAMS / "tracking"


class Server:
    """A server with a fresh store; ends with the block."""

    def __init__(self, name, folder, args, env=()):
        self.name, self.folder, self.args, self.env = name, folder, args, dict(ENV, **dict(env))

    def __enter__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        began = time.perf_counter()
        log = open(self.folder / "log", "wb")
        self.process = subprocess.Popen([str(a).format(port=port, dir=self.folder) for a in self.args], cwd=self.folder, env=self.env,
                                        stdout=log, stderr=log, start_new_session=True)
        while True:
            try:
                urllib.request.urlopen(self.url + "/health", timeout=5).read()
                break
            except OSError:
                if self.process.poll() is not None or time.perf_counter() - began > 120:
                    sys.exit(f"bench: {self.name} did not start:\n{(self.folder / 'log').read_text()[-2000:]}")
                time.sleep(0.005)
        self.ready = time.perf_counter() - began
        return self

    def __exit__(self, *_):
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def memory(self, field="VmRSS"):
        """MiB of the server and the processes below it."""
        total = 0
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                if int(stat.read_text().rsplit(")", 1)[1].split()[2]) == self.process.pid:  # its process group
                    total += status_kib(stat.parent.name, field)
            except (OSError, IndexError):
                pass
        return total / 1024

    def load(self, what, requests, clients=1, **more):
        args = [LOAD, "load", "--url", self.url, "--what", what, "--requests", requests, "--clients", clients]
        for k, v in more.items():
            args += ["--" + k, v]
        p = subprocess.run([str(a) for a in args], capture_output=True, text=True)
        if p.returncode != 0:
            sys.exit(f"bench: {self.name}, {what}: {p.stderr}")
        return json.loads(p.stdout)


def lastro(folder, name="lastro", env=(), db=None):
    if db:
        env = dict(env, LASTRO_DB=db)
    return Server(name, folder / name.replace(" ", "-"), [LASTRO, "up", "--listen", "127.0.0.1:{port}", "--endpoints", "127.0.0.1:0", "--data", "{dir}/data", "--auth", "none"], env)


def mlflow(folder):
    return Server("MLflow", folder / "mlflow", [peer("mlflow"), "server", "--host", "127.0.0.1", "--port", "{port}", "--backend-store-uri", "sqlite:///{dir}/mlflow.db",
                                                "--artifacts-destination", "{dir}/artifacts"])


def fasttrackml(folder):
    return Server("FastTrackML", folder / "fml", [peer("fml"), "server", "--listen-address", "127.0.0.1:{port}", "--database-uri", "sqlite://{dir}/fml.db",
                                                  "--default-artifact-root", "{dir}/artifacts"])


def ceiling(folder):
    return Server("ceiling", folder / "ceiling", [LOAD, "ceiling", "--listen", "127.0.0.1:{port}"])


# What, label, clients, requests at full length, requests of the slow peers, milliseconds times this a unit.
WORKS = [("create", "runs/create", 1, 4000), ("create", "runs/create", 16, 16000), ("metric", "log-metric", 1, 6000), ("metric", "log-metric", 16, 24000),
         ("metric", "log-metric", 64, 24000), ("batch", "log-batch of 1,000", 1, 300)]


def count(n, slow):
    return max(20, n // (40 if slow else 1) // (20 if common.SHORT else 1))


def writes(server, slow=False):
    """Microseconds a request, of each work."""
    out = {}
    for what, label, clients, n in WORKS:
        if slow and clients > 16:  # MLflow's server runs out of connections to its own database
            continue
        got = server.load(what, count(n, slow), clients, warm=5)
        out[f"{label}, {clients} client" + ("s" if clients > 1 else "")] = 1e6 * got["seconds"] / got["requests"]
    return out


def history(server, slow=False):
    return server.load("history", 2 if slow else common.runs(5), points=100_000, warm=0)["p50_ms"]


SEARCH = {"filter": "metrics.`metric-0` > 0.9 and params.`param-1` = '4'", "order": "metrics.`metric-1` DESC"}


def searches(server, sizes):
    """p50 of a search with so many runs."""
    out, have = {}, 0
    for size in sizes:
        server.load("runs", size - have, 8, warm=0)
        have = size
        out[size] = server.load("search", common.runs(30), 1, warm=2, **SEARCH)["p50_ms"]
    return out


def artifact(server, folder, gigabytes):
    """Seconds up and down of a large file, and how much the server's memory grew, in MiB."""
    run = json.loads(post(server, "runs/create", {"experiment_id": "0"}))["run"]["info"]
    url = f"{server.url}/api/2.0/mlflow-artifacts/artifacts/0/{run['run_id']}/artifacts/large.bin"
    file = folder / "large.bin"
    block = os.urandom(1 << 20)
    with open(file, "wb") as f:
        for i in range(int(gigabytes * 1024)):
            f.write(i.to_bytes(8, "big") + block[8:])
    before, took = server.memory(), {}
    for way, args in {"up": ["-T", file], "down": ["-o", "/dev/null"]}.items():
        began = time.perf_counter()
        subprocess.run(["curl", "-sSf", *map(str, args), url], check=True, stdout=subprocess.DEVNULL)
        took[way] = time.perf_counter() - began
    file.unlink()
    return took["up"], took["down"], server.memory("VmHWM") - before


def post(server, path, body):
    request = urllib.request.Request(f"{server.url}/api/2.0/mlflow/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    return urllib.request.urlopen(request, timeout=60).read()


def rows(scratch):
    sizes = (500, 1000) if common.SHORT else (5_000, 20_000, 100_000)
    with ceiling(scratch) as server:
        floor, floor_history = writes(server), history(server)
    ready = []
    for i in range(common.runs(5)):
        with lastro(scratch, f"ready {i}") as server:
            ready.append(1000 * server.ready)
    yield "ready", (statistics.median(ready), min(ready), max(ready)), 300
    with lastro(scratch) as server:
        time.sleep(2 if common.SHORT else 10)
        yield "memory, idle", single(server.memory()), 80, "MiB"
        ours, ours_history = writes(server), history(server)
        yield "memory, most under 64 clients", single(server.memory("VmHWM")), 200, "MiB"
    for what, t in ours.items():
        yield what, single(t), "", "us"
        yield "  of the ceiling's time", single(t / floor[what]), "" if "64" in what or "batch" in what else 2, "x"
    yield "log-batch, a metric", single(ours["log-batch of 1,000, 1 client"] / 1000), 10, "us"
    yield "get-history, 100,000 points", single(ours_history), 300
    yield "  of the ceiling's time", single(ours_history / floor_history), "", "x"
    with lastro(scratch, "lastro search") as server:
        found = searches(server, sizes)
    for size, ms in found.items():
        yield f"search among {size:,} runs, p50", single(ms), {5_000: 5, 20_000: 15, 100_000: 60}.get(size, "")
    with lastro(scratch, "lastro artifact") as server:
        up, down, grown = artifact(server, scratch, 0.25 if common.SHORT else 5)
    yield "artifact, up", single(up), "", "s"
    yield "artifact, down", single(down), "", "s"
    yield "artifact, memory more", single(grown), 64, "MiB"
    yield from ours_elsewhere(scratch)
    yield from peers(scratch, ours, ours_history, found, sizes)


def ours_elsewhere(scratch):
    """With every answer synced to the disk, and on PostgreSQL."""
    with lastro(scratch, "lastro synced", {"LASTRO_SYNC": "all"}) as server:
        yield from ((f"{what}, LASTRO_SYNC=all", single(t), "", "us") for what, t in writes(server).items())
    if db := os.environ.get("LASTRO_TEST_POSTGRES"):
        with lastro(scratch, "lastro postgres", db=db) as server:
            yield from ((f"{what}, PostgreSQL", single(t), "", "us") for what, t in writes(server).items())
            yield "get-history, PostgreSQL", single(history(server)), 300


def peers(scratch, ours, ours_history, found, sizes):
    """lastro's time in that of its peers, in the same run."""
    for make, program, least in ((fasttrackml, "fml", {"log-batch": 0.2}), (mlflow, "mlflow", {})):
        if not peer(program):
            yield f"{program} is not installed", single(0), "", "x"
            continue
        with make(scratch) as server:
            time.sleep(2)
            idle, slow = server.memory(), program == "mlflow"
            theirs = writes(server, slow)
            times = {f"{what} of {server.name}'s time": (ours[what], t) for what, t in theirs.items()}
            times[f"get-history of {server.name}'s time"] = ours_history, history(server, slow)
            size = sizes[0]
            with make(scratch / "search") as fresh:
                times[f"search among {size:,} of {server.name}'s time"] = found[size], searches(fresh, (size,))[size]
            yield f"{server.name}: ready", single(1000 * server.ready)
            yield f"{server.name}: memory, idle", single(idle), "", "MiB"
        for what, (a, b) in times.items():
            target = next((v for k, v in least.items() if what.startswith(k)), "")
            yield what, (a / b,) * 3, target, "x"
