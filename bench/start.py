# SPDX-License-Identifier: Apache-2.0
"""How fast lastro starts, answers and finds that nothing has changed."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import urllib.request

from common import ENV, LASTRO, cached, call, project, runs, single, spread

CHAIN = """version: 1
name: bench
params: {n: 1}
data: {numbers: data/numbers.csv}
steps:
  double: {run: "sed s/1/2/ data/numbers.csv > doubled.csv", inputs: [numbers], outputs: {o: doubled.csv}}
  train: {run: "cat doubled.csv > model.txt", inputs: [double.o], outputs: {model: model.txt}}
  evaluate: {run: "echo '{\\"auc\\": 0.7}' > m.json", inputs: [train.model, double.o], metrics: m.json}
"""


def status_kib(pid, field):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    return 0


def unchanged(scratch):
    """`lastro run` when nothing has changed, after the work was done once."""
    p = project(scratch / "cached", CHAIN)
    call(LASTRO, "run", cwd=p)
    times = []
    for _ in range(runs(9)):
        took, out = call(LASTRO, "run", cwd=p)
        cached(out, (3, 3))
        times.append(took)
    return spread(times)


def ready(scratch):
    """From the start of `lastro up` to its line with the address: pages and API answer then."""
    p = project(scratch / "up", CHAIN)
    call(LASTRO, "run", cwd=p)
    times, rss, n = [], 0, runs(9)
    for i in range(n):
        began = time.perf_counter()
        up = subprocess.Popen([LASTRO, "up", "--listen", "127.0.0.1:0", "--json"], cwd=p, env=ENV, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True)
        text = ""
        while not text.rstrip().endswith("}"):
            line = up.stdout.readline()
            if not line:
                sys.exit("bench: lastro up ended before it was ready")
            text += line
        urllib.request.urlopen(json.loads(text)["url"] + "/healthz", timeout=10).read()
        times.append(time.perf_counter() - began)
        if i == n - 1:
            time.sleep(10)
            rss = status_kib(up.pid, "VmRSS") / 1024
        up.send_signal(signal.SIGINT)
        up.wait(30)
    return spread(times), rss


def fsync_floor(scratch):
    """What one durable write costs here: 4 KiB and fsync."""
    times = []
    with open(scratch / "fsync", "wb") as f:
        for _ in range(50):
            f.write(b"x" * 4096)
            f.flush()
            began = time.perf_counter()
            os.fsync(f.fileno())
            times.append(time.perf_counter() - began)
    return spread(times)


def rows(scratch):
    call(LASTRO, "--version")
    yield "lastro --version", spread([call(LASTRO, "--version")[0] for _ in range(runs(9))]), 50
    yield "lastro run, 3 steps, all cached", unchanged(scratch), 150
    up, rss = ready(scratch)
    yield "lastro up, until /healthz answers", up, 300
    yield "lastro up, memory after 10 s idle", single(rss), 80, "MB"
    yield "one write and fsync here", fsync_floor(scratch)
