# SPDX-License-Identifier: Apache-2.0
"""The figures of lastro, each with its target, beside its peers in the same run. `make bench` runs it.

    bench.py [--short] [--json FILE] [SUBJECT ...]     start steps snapshots engines by_hand tracking

Medians with least and most, wall time, with the machine otherwise idle. A benchmark, not a test: the exit status is 0
whether or not a target is met. --short shows that everything works; its figures are not to be quoted.
"""
import argparse
import importlib
import json
import os
import pathlib
import shutil
import sys
import tempfile

import common

SUBJECTS = ["start", "steps", "snapshots", "engines", "by_hand", "tracking"]


def number(value):
    return f"{value:,.1f}" if value >= 10 else f"{value:,.2f}" if value >= 0.1 else f"{value:.4f}"


def line(what, figure, target="", unit="ms"):
    median, least, most = figure
    found = {"what": what.strip(), "median": median, "least": least, "most": most, "unit": unit}
    if target != "":
        found |= {"target": target, "met": median <= target}
    cells = [what, f"{number(median)} {unit}", "" if least == most else f"{number(least)} to {number(most)}",
             "" if target == "" else f"{target:,} {unit}", "" if target == "" else ("met" if median <= target else "MISSED")]
    print("  " + cells[0].ljust(46) + "  " + "  ".join(c.rjust(w) for c, w in zip(cells[1:], (16, 24, 10, 6))), flush=True)
    return found


def main():
    parser = argparse.ArgumentParser(prog="bench.py")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", default=SUBJECTS)
    args = parser.parse_args()
    if unknown := set(args.subjects) - set(SUBJECTS):
        parser.error(f"{', '.join(sorted(unknown))}: not one of {' '.join(SUBJECTS)}")
    if not shutil.which(common.LASTRO):
        sys.exit(f"bench: no binary at {common.LASTRO}: make build")
    common.SHORT = args.short
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}; medians, with least and most")
    found = {}
    for subject in args.subjects or SUBJECTS:
        with tempfile.TemporaryDirectory(prefix="lastro-bench-") as folder:
            print(subject)
            found[subject] = [line(*row) for row in importlib.import_module(subject).rows(pathlib.Path(folder))]
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps({"processors": os.cpu_count(), "short": args.short, "figures": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
