# SPDX-License-Identifier: Apache-2.0
"""A whole project beside the same scripts called by hand."""
import resource
import shutil
import subprocess
import sys
import time

from common import ENV, LASTRO, call, ratio, spread

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


def rows(scratch):
    ours, theirs, cpu = by_hand(scratch)
    yield "flights, a first run with packages there", ours
    yield "  the same scripts by hand, in a row", theirs
    yield "  ratio to by hand", ratio(ours, theirs), 2.5, "x"
    yield "  processor time of the scripts by hand", cpu
