# SPDX-License-Identifier: Apache-2.0
"""The whole loop on two real projects, in seven acts. Everything is done as a user does it: by the binary, by HTTP, by copying files.

    LASTRO=bin/lastro python demo/demo.py [--acts 1,2,5] [--keep] [--stay] [--dir DIR]

Exit code 0 only if every act was seen. Needs what the flights example needs (pandas, pyarrow, scikit-learn, SciPy, mlflow).
"""
import argparse
import pathlib
import shutil
import signal
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from crash import Crash
from flights import Flights
from income import Income
from sick import Sick
from stage import Stage

ROOT = pathlib.Path(__file__).resolve().parent.parent


def main() -> int:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--acts", default="1,2,3,4,5,6,7", help="which acts to play (1 comes before 2, 5, 6 and 7; 3 before 4; 5 before 6 and 7)")
    args.add_argument("--keep", action="store_true", help="keep the two projects after the end")
    args.add_argument("--stay", action="store_true", help="leave the last server running, for its pages")
    args.add_argument("--dir", type=pathlib.Path, help="where the projects are made; default: a new temporary folder")
    args = args.parse_args()
    scratch = args.dir or pathlib.Path(tempfile.mkdtemp(prefix="lastro-demo-"))
    scratch.mkdir(parents=True, exist_ok=True)

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # through the clean-up below
    stage = Stage()
    flights, income = Flights(stage, scratch, ROOT), Income(stage, scratch, ROOT)
    acts = {
        "1": ("from an empty folder to an endpoint", flights.first_run),
        "2": ("again, in a blink; and exactly what a change runs again", flights.cached),
        "3": ("data that changed upstream is refused, and why", income.changed_upstream),
        "4": ("a model that is unequal: refused, priced, waived by a name", income.unequal),
        "5": ("eight months: drift, labels, an alert, a retrain that helps", flights.months),
        "6": ("two sick candidates, no request lost", Sick(stage, flights).play),
        "7": ("kill -9, a flipped byte, and why", Crash(stage, flights).play),
    }
    stage.say(f"lastro demo in {scratch}")
    try:
        for number in args.acts.split(","):
            title, play = acts[number]
            if not stage.act(number, title, play):
                break  # what follows builds on it
        for number, (title, _) in acts.items():
            if number in args.acts.split(",") and number not in [a[0] for a in stage.acts]:
                stage.acts.append((number, title, False, "not played: an act before it was not seen", 0.0))
        code = stage.close()
        if flights.project.up and code == 0:
            stage.say(f"\nThe pages: {flights.project.url}" + ("" if args.stay else "   (while it lasts; --stay leaves it running)"))
        return code
    except KeyboardInterrupt:
        return 130
    finally:
        income.project.end()
        if not args.stay:
            flights.project.end()
        if args.keep or args.stay or args.dir or sys.exc_info()[0] or stage.acts and not all(a[2] for a in stage.acts):
            stage.say(f"the projects are in {scratch}")
        else:
            time.sleep(0.5)  # what was ended may be writing its last line
            shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
