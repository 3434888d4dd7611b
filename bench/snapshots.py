# SPDX-License-Identifier: Apache-2.0
"""Storing 2 GiB in one file and in 20,000: beside hashing while copying and one syncfs, and beside `dvc add`."""
import json
import shutil
import statistics

import common
from common import PROGRAMS, call, git, peer, ratio, runs, single, spread


def ms(values):
    return (statistics.median(values), min(values), max(values))


def measure(scratch, files, size, n):
    folder = scratch / f"snapshot-{files}"
    folder.mkdir()
    program = [PROGRAMS / "snapshot", "-folder", folder, "-bytes", size, "-files", files]
    call(*program, "-prepare")
    plain, found = [], []
    for _ in range(n):  # in turn, so that other work on the machine meets both
        plain.append(json.loads(call(*program, "-plain")[1])["plain"])
        found.append(json.loads(call(*program)[1]))
    return folder, ms(plain), {k: ms([f[k] for f in found]) for k in found[0]}


def dvc(folder):
    """`dvc add` the first time and with nothing changed."""
    repository = folder / "dvc"
    repository.mkdir()
    (repository / "x").write_text("x")
    git(repository)
    call(peer("dvc"), "init", "-q", cwd=repository)
    shutil.move(folder / "data", repository / "data")
    first = call(peer("dvc"), "add", "-q", "data", cwd=repository)[0]
    again = call(peer("dvc"), "add", "-q", "data", cwd=repository)[0]
    return spread([first]), spread([again])


def rows(scratch):
    size = (256 << 20) if common.SHORT else (2 << 30)
    for files, target, unchanged in ((1, 1.3, 20), (20_000, 2, 200)):
        folder, plain, ours = measure(scratch, files, size, runs(3))
        what = f"snapshot of {size / (1 << 30):g} GiB in {files:,} file{'s' if files > 1 else ''}"
        yield what, ours["cold"]
        yield "  hashing while copying, and one syncfs", plain
        yield "  ratio to that", ratio(ours["cold"], plain), target, "x"
        yield "  nothing changed", ours["unchanged"], unchanged
        yield "  memory at its peak", ours["rss_mb"], "", "MB"
        if peer("dvc"):
            theirs, theirs_again = dvc(folder)
            yield "  dvc add", theirs
            yield "  ratio to dvc add", ratio(ours["cold"], theirs), "", "x"
            yield "  dvc add, nothing changed", theirs_again
            yield "  ratio to that", ratio(ours["unchanged"], theirs_again), "", "x"
        else:
            yield "  dvc is not here", single(0)
        shutil.rmtree(folder)
