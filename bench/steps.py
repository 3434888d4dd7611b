# SPDX-License-Identifier: Apache-2.0
"""Graphs of `echo x > out`: lastro beside make, ninja and DVC."""
import json
import os
import shutil
import subprocess
import sys
import time

from common import ENV, LASTRO, cached, call, git, peer, project, ratio, runs, single, spread


def graph(wide, deep):
    """Name, name of the step before ('' = none) and output of each step."""
    for d in range(deep):
        for w in range(wide):
            yield f"s{w}-{d}", f"s{w}-{d - 1}" if d else "", f"out{w}-{d}"


def pipeline(wide, deep):
    lines = ["version: 1", "name: wide", "steps:"]
    for name, before, out in graph(wide, deep):
        needs = f"inputs: [{before}.o], " if before else ""
        lines.append(f"  {name}: {{run: 'echo x > {out}', {needs}outputs: {{o: {out}}}, code: []}}")
    return "\n".join(lines) + "\n"


class Strict:
    """lastro with every transition synced before it goes on."""

    def __init__(self, folder, wide, deep):
        self.inner = Lastro(folder, wide, deep)
        self.clear = self.inner.clear

    def run(self):
        ENV["LASTRO_SYNC"] = "all"
        try:
            return self.inner.run()
        finally:
            del ENV["LASTRO_SYNC"]


class Make:
    jobs = f"-j{os.cpu_count()}"

    def __init__(self, folder, wide, deep):
        self.folder, self.steps = folder, wide * deep
        folder.mkdir()
        last = " ".join(out for name, _, out in graph(wide, deep) if name.endswith(f"-{deep - 1}"))
        rules = ["SHELL := /bin/sh", "all: " + last]
        outs = {name: out for name, _, out in graph(wide, deep)}
        rules += [f"{out}: {outs.get(before, '')}\n\t@echo x > $@" for _, before, out in graph(wide, deep)]
        (folder / "Makefile").write_text("\n".join(rules) + "\n")

    def clear(self):
        for f in self.folder.glob("out*"):
            f.unlink()

    def run(self):
        took, _ = call("make", self.jobs, cwd=self.folder)
        if len(list(self.folder.glob("out*"))) != self.steps:
            sys.exit("bench: make did not make all")
        return took


class Ninja(Make):
    def __init__(self, folder, wide, deep):
        super().__init__(folder, wide, deep)
        outs = {name: out for name, _, out in graph(wide, deep)}
        lines = ["rule echo", "  command = echo x > $out"]
        lines += [f"build {out}: echo {outs.get(before, '')}" for _, before, out in graph(wide, deep)]
        (folder / "build.ninja").write_text("\n".join(lines) + "\n")

    def clear(self):
        super().clear()
        (self.folder / ".ninja_log").unlink(missing_ok=True)

    def run(self):
        return call(peer("ninja"), self.jobs, cwd=self.folder)[0]


class Dvc:
    def __init__(self, folder, wide, deep):
        self.folder = folder
        folder.mkdir()
        outs = {name: out for name, _, out in graph(wide, deep)}
        stages = {name: {"cmd": f"echo x > {out}", "deps": [outs[before]] if before else [], "outs": [out]} for name, before, out in graph(wide, deep)}
        (folder / "dvc.yaml").write_text(json.dumps({"stages": stages}))  # YAML reads JSON
        git(folder)
        call(peer("dvc"), "init", "-q", cwd=folder)

    def clear(self):
        for f in self.folder.glob("out*"):
            f.unlink()
        (self.folder / "dvc.lock").unlink(missing_ok=True)
        shutil.rmtree(self.folder / ".dvc/cache", ignore_errors=True)

    def run(self):
        return call(peer("dvc"), "repro", "-q", cwd=self.folder)[0]


class Lastro:
    def __init__(self, folder, wide, deep):
        self.folder, self.steps, self.known = project(folder, pipeline(wide, deep)), wide * deep, False

    def clear(self):
        self.known = False

    def run(self):
        took, out = call(LASTRO, "run", *([] if self.known else ["--no-cache"]), cwd=self.folder)
        cached(out, (self.steps if self.known else 0, self.steps))
        self.known = True
        return took


def beside(scratch, wide, deep, n, target_again, peers):
    """First and unchanged runs, the tools in turn, so that other work on the machine meets all of them."""
    steps, tools = wide * deep, {"lastro": Lastro, "strict": Strict} | {name: tool for name, tool in peers if peer(name)}
    tools = {name: tool(scratch / f"{name}-{wide}x{deep}", wide, deep) for name, tool in tools.items()}
    first, again, start = {name: [] for name in tools}, {name: [] for name in tools}, []
    for i in range(n):
        start.append(call(LASTRO, "--version")[0])
        for name, tool in tools.items():
            if name == "dvc" and i > 0:
                continue  # half a minute each
            tool.clear()
            first[name].append(tool.run())
            again[name].append(tool.run())
    first, again = ({name: spread(times) for name, times in all.items()} for all in (first, again))
    yield f"{steps:,} steps, {wide} wide and {deep} deep", first["lastro"]
    yield "  the same with LASTRO_SYNC=all", first["strict"]
    yield f"  the same {steps:,} steps, all cached", again["lastro"]
    yield "  that without the start of the program", tuple(max(a - s, 0) for a, s in zip(again["lastro"], spread(start))), target_again
    for name, _ in peers:
        if name not in tools:
            yield f"  {name} is not here", single(0)
            continue
        yield f"  the same with {name}", first[name]
        yield f"  ratio to {name}", ratio(first["lastro"], first[name]), 3 if name == "make" else "", "x"
        yield f"  {name} with nothing to do", again[name]
        yield f"  ratio to {name} with nothing to do", ratio(again["lastro"], again[name]), "", "x"


MATRIX = """version: 1
name: matrix
steps:
  train:
    run: "true"
    code: []
    matrix: {a: %s, b: %s}
"""


def matrix(scratch, side):
    """Planning side x side cells: wall time and peak memory of `lastro run --dry-run`."""
    values = json.dumps(list(range(side)))
    p = project(scratch / "matrix", MATRIX % (values, values))
    times, rss = [], 0
    for _ in range(runs(3)):
        began = time.perf_counter()
        with open(os.devnull, "w") as null:
            child = subprocess.Popen([LASTRO, "run", "--dry-run", "--json"], cwd=p, env=ENV, stdout=null, stderr=subprocess.PIPE)
            problems = child.stderr.read()
            _, status, usage = os.wait4(child.pid, 0)
        times.append(time.perf_counter() - began)
        if status != 0:
            sys.exit(f"bench: plan of a matrix: {problems.decode()}")
        rss = max(rss, usage.ru_maxrss / 1024)
    return spread(times), rss


def rows(scratch):
    n = runs(5)
    yield from beside(scratch, 10, 10, n, 30, [("make", Make), ("ninja", Ninja), ("dvc", Dvc)])
    yield from beside(scratch, 25, 40, runs(3), 150, [("make", Make), ("ninja", Ninja)])
    took, rss = matrix(scratch, 100)
    yield "10,000 cells of a matrix, planned", took, 1000
    yield "  memory at its peak", single(rss), 300, "MB"
