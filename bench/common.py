# SPDX-License-Identifier: Apache-2.0
"""What the subjects of the benchmark share: calling a program, projects, figures."""
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LASTRO = os.environ.get("LASTRO", str(ROOT / "bin" / "lastro"))
# Where the Makefile built the Go programs of this folder, and installed the peers.
PROGRAMS = pathlib.Path(os.environ.get("BENCH_PROGRAMS", str(ROOT / "build" / "bench")))
PEERS = pathlib.Path(os.environ.get("BENCH_PEERS", "/nonexistent"))
SHORT = False  # fewer runs, smaller work: to see that it works, not to quote
ENV = dict(os.environ, GIT_AUTHOR_NAME="bench", GIT_AUTHOR_EMAIL="bench@example.com", GIT_COMMITTER_NAME="bench",
           GIT_COMMITTER_EMAIL="bench@example.com", CI="true", DVC_NO_ANALYTICS="true", DO_NOT_TRACK="1")


def runs(n):
    """How often to repeat."""
    return max(1, n // 3) if SHORT else n


def call(*args, cwd=None, ok=True):
    """Runs a command; returns seconds of wall time and its output."""
    began = time.perf_counter()
    p = subprocess.run([str(a) for a in args], cwd=cwd, env=ENV, capture_output=True, text=True)
    took = time.perf_counter() - began
    if ok and p.returncode != 0:
        sys.exit(f"{' '.join(map(str, args))}: exit {p.returncode}\n{p.stdout}{p.stderr}")
    return took, p.stdout + p.stderr


def spread(seconds):
    """Median, least and most, in ms."""
    return tuple(1000 * f(seconds) for f in (statistics.median, min, max))


def ratio(ours, theirs):
    """Of two medians."""
    return (ours[0] / theirs[0],) * 3


def single(value):
    return (value,) * 3


def peer(name):
    """The path of another tool, or None."""
    found = PEERS / "bin" / name
    return str(found) if found.exists() else shutil.which(name)


def git(folder):
    for args in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "bench"]):
        call("git", *args, cwd=folder)


def project(folder, text):
    """A git repository with this pipeline and a table of 1,000 numbers."""
    (folder / "data").mkdir(parents=True)
    (folder / "lastro.yaml").write_text(text)
    (folder / "data/numbers.csv").write_text("n\n" + "1\n" * 1000)
    git(folder)
    return folder


def cached(out, steps):
    """Stops when a run did not find so many steps in the cache."""
    if f"{steps[0]} of {steps[1]} steps from the cache" not in out:
        sys.exit(f"bench: expected {steps[0]} of {steps[1]} steps from the cache:\n{out}")
