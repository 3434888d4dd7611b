# SPDX-License-Identifier: Apache-2.0
"""The figures of lastro, each with its target; GNU make does the same work beside it. `make bench` runs it.

Medians, in milliseconds of wall time, with the machine otherwise idle. A benchmark, not a test: the exit status is 0
whether or not a target is met.
"""
import json
import os
import pathlib
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
LASTRO = os.environ.get("LASTRO", str(ROOT / "bin" / "lastro"))
RUNS = 9
ENV = dict(os.environ, GIT_AUTHOR_NAME="bench", GIT_AUTHOR_EMAIL="bench@example.com", GIT_COMMITTER_NAME="bench",
           GIT_COMMITTER_EMAIL="bench@example.com", CI="true")

CHAIN = """version: 1
name: bench
params: {n: 1}
data: {numbers: data/numbers.csv}
steps:
  double: {run: "sed s/1/2/ data/numbers.csv > doubled.csv", inputs: [numbers], outputs: {o: doubled.csv}}
  train: {run: "cat doubled.csv > model.txt", inputs: [double.o], outputs: {model: model.txt}}
  evaluate: {run: "echo '{\\"auc\\": 0.7}' > m.json", inputs: [train.model, double.o], metrics: m.json}
"""


def call(*args, cwd=None, ok=True):
    """Runs a command; returns seconds of wall time and its output."""
    began = time.perf_counter()
    p = subprocess.run(args, cwd=cwd, env=ENV, capture_output=True, text=True)
    took = time.perf_counter() - began
    if ok and p.returncode != 0:
        sys.exit(f"{' '.join(args)}: exit {p.returncode}\n{p.stdout}{p.stderr}")
    return took, p.stdout


def spread(seconds):
    """Median, least and most, in ms."""
    return tuple(1000 * f(seconds) for f in (statistics.median, min, max))


def project(folder, text):
    """A git repository with this pipeline and a table of 1,000 numbers."""
    (folder / "data").mkdir(parents=True)
    (folder / "lastro.yaml").write_text(text)
    (folder / "data/numbers.csv").write_text("n\n" + "1\n" * 1000)
    for args in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "bench"]):
        call("git", *args, cwd=folder)
    return folder


def version(scratch):
    return spread([call(LASTRO, "--version")[0] for _ in range(RUNS)])


def cached(scratch):
    """`lastro run` when nothing has changed, after the work was done once."""
    p = project(scratch / "cached", CHAIN)
    call(LASTRO, "run", cwd=p)
    times = []
    for _ in range(RUNS):
        took, out = call(LASTRO, "run", cwd=p)
        if "3 of 3 steps from the cache" not in out:
            sys.exit("bench: that run was not cached:\n" + out)
        times.append(took)
    return spread(times)


def status_kib(pid, field):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    return 0


def ready(scratch):
    """From the start of `lastro up` to its line with the address: pages and API answer then."""
    p = project(scratch / "up", CHAIN)
    call(LASTRO, "run", cwd=p)
    times, rss = [], 0
    for i in range(RUNS):
        began = time.perf_counter()
        up = subprocess.Popen([LASTRO, "up", "--listen", "127.0.0.1:0", "--json"], cwd=p, env=ENV, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True)
        text = ""
        while not text.rstrip().endswith("}"):
            line = up.stdout.readline()
            if not line:
                sys.exit("bench: lastro up ended before it was ready")
            text += line
        url = json.loads(text)["url"]
        urllib.request.urlopen(url + "/healthz", timeout=10).read()
        times.append(time.perf_counter() - began)
        if i == RUNS - 1:
            time.sleep(10)
            rss = status_kib(up.pid, "VmRSS") / 1024
        up.send_signal(signal.SIGINT)
        up.wait(30)
    return spread(times), rss


def steps(wide, deep):
    """The same 100 commands as a pipeline and as a makefile."""
    lines, rules = ["version: 1", "name: wide", "steps:"], ["SHELL := /bin/bash", "all: " + " ".join(f"s{w}-{deep - 1}" for w in range(wide))]
    for d in range(deep):
        for w in range(wide):
            before = f"inputs: [s{w}-{d - 1}.o], " if d else ""
            lines.append(f"  s{w}-{d}: {{run: 'echo x > out{w}-{d}', {before}outputs: {{o: out{w}-{d}}}, code: []}}")
            rules.append(f"s{w}-{d}: {f's{w}-{d - 1}' if d else ''}\n\t@echo x > $@")
    return "\n".join(lines) + "\n", "\n".join(rules) + "\n"


def hundred(scratch):
    """100 steps, 10 wide and 10 deep, of `echo x > out`: first run and cached run, beside make -j."""
    pipeline, makefile = steps(10, 10)
    p, m = project(scratch / "hundred", pipeline), scratch / "make"
    m.mkdir()
    (m / "Makefile").write_text(makefile)
    jobs = f"-j{os.cpu_count()}"
    ours, theirs, ours_again, theirs_again = [], [], [], []
    for _ in range(5):
        took, out = call(LASTRO, "run", "--no-cache", cwd=p)
        if "0 of 100 steps from the cache" not in out:
            sys.exit("bench: not all steps ran:\n" + out)
        ours.append(took)
        took, out = call(LASTRO, "run", cwd=p)
        if "100 of 100 steps from the cache" not in out:
            sys.exit("bench: not all steps were cached:\n" + out)
        ours_again.append(took)
        for f in m.glob("s*"):
            f.unlink()
        theirs.append(call("make", jobs, cwd=m)[0])
        if len(list(m.glob("s*"))) != 100:
            sys.exit("bench: make did not make all")
        theirs_again.append(call("make", jobs, cwd=m)[0])
    return spread(ours), spread(theirs), spread(ours_again), spread(theirs_again)


SPLIT = """
import glob, os
import pandas as pd
flights = pd.concat(pd.read_parquet(f) for f in sorted(glob.glob("data/flights/*.parquet"))).sort_values(["scheduled_departure", "flight_id"])
flights = flights[flights.scheduled_departure > flights.scheduled_departure.max() - pd.Timedelta(days=90)]
cut = int(len(flights) * 0.8)
os.makedirs("work", exist_ok=True)
flights[:cut].to_parquet("work/train.parquet")
flights[cut:].to_parquet("work/test.parquet")
"""


def by_hand(scratch):
    """A new flights project, packages installed and no step cached, beside the same scripts called one after the other.

    Returns wall time of lastro and of the scripts, and the processor time of the scripts.
    """
    call(LASTRO, "init", "-t", "flights", str(scratch / "warm"))
    call(LASTRO, "run", cwd=scratch / "warm")  # packages, byte code and the files of both come from memory from here on
    ours, theirs, cpu = [], [], []
    for i in range(3):
        p, hand = scratch / f"flights{i}", scratch / f"hand{i}"
        call(LASTRO, "init", "-t", "flights", str(p))
        shutil.copy(scratch / "warm" / "lastro.lock", p)
        took, _ = call(LASTRO, "run", cwd=p)
        ours.append(took)
        call(LASTRO, "init", "-t", "flights", str(hand))
        env = dict(ENV, MLFLOW_TRACKING_URI=f"file://{hand}/mlruns", MLFLOW_ALLOW_FILE_STORE="true", PYTHONPATH=str(hand))
        commands = [["-c", SPLIT], ["-m", "pytest", "-q"]]
        commands += [["-m", "src.train", "--depth", d, "--rate", r, "--max-iter", "150", "--seed", "42"] for d in ("4", "8") for r in ("0.05", "0.1")]
        commands += [["-m", "src.evaluate"]]
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        for c in commands:
            if "src.train" in c:
                shutil.rmtree(hand / "work/model", ignore_errors=True)  # MLflow writes to an empty folder only
            done = subprocess.run([sys.executable, *c], cwd=hand, env=env, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"bench: by hand, {c}: {done.stderr}")
        theirs.append(time.perf_counter() - began)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return spread(ours), spread(theirs), spread(cpu)


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


def main():
    if not shutil.which(LASTRO):
        sys.exit(f"bench: no binary at {LASTRO}: make build")
    rows = []

    def row(what, figure, target="", unit="ms"):
        median, least, most = figure
        verdict = "" if target == "" else ("met" if median <= target else "MISSED")
        rows.append([what, f"{median:,.1f} {unit}", "" if least == most else f"{least:,.1f} to {most:,.1f}", "" if target == "" else f"{target:,} {unit}", verdict])

    with tempfile.TemporaryDirectory(prefix="lastro-bench-") as folder:
        scratch = pathlib.Path(folder)
        call(LASTRO, "--version")
        row("lastro --version", version(scratch), 50)
        row("lastro run, 3 steps, all cached", cached(scratch), 150)
        up, rss = ready(scratch)
        row("lastro up, until /healthz answers", up, 300)
        row("lastro up, memory after 10 s idle", (rss, rss, rss), 80, "MB")
        ours, theirs, ours_again, theirs_again = hundred(scratch)
        row("100 steps, 10 wide and 10 deep", ours)
        row("  the same with GNU make", theirs)
        row("  ratio to make", (ours[0] / theirs[0],) * 3, unit="x")
        row("  the same 100 steps, all cached", ours_again)
        row("  make with nothing to do", theirs_again)
        ours, theirs, cpu = by_hand(scratch)
        row("flights, a first run with packages there", ours)
        row("  the same scripts by hand, in a row", theirs)
        row("  ratio to by hand", (ours[0] / theirs[0],) * 3, 2.5, unit="x")
        row("  processor time of the scripts by hand", cpu)
        row("one write and fsync here", fsync_floor(scratch))
    widths = [max(len(r[i]) for r in rows) for i in range(5)]
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} processors, load {load:.1f}; medians of {RUNS} runs (100 steps: 5), with least and most")
    for r in rows:
        print("  " + r[0].ljust(widths[0]) + "  " + "  ".join(c.rjust(w) for c, w in zip(r[1:], widths[1:])))

if __name__ == "__main__":
    main()
