# SPDX-License-Identifier: Apache-2.0
"""Act 7: the server is killed in mid-run, a byte of a stored model is flipped, and what is live explains itself."""
import json
import pathlib
import signal

import pandas as pd

from stage import wait_for
from traffic import Client

ENV = "/environments/local"


class Crash:
    def __init__(self, stage, flights):
        self.stage, self.flights = stage, flights

    def play(self):
        if not self.flights.project.up:
            self.flights.project.start()
        self._killed()
        self._flipped()
        self._why()

    def _killed(self):
        s, p = self.stage, self.flights.project
        rows = pd.read_parquet(self.flights.later / "2013-12.parquet").tail(400)
        client = Client(p.inference(), threads=2)
        models = p.api("/models/flight-delay")["versions"]
        measured = len(p.api(ENV + "/measurements?limit=1000")["measurements"] or [])
        number = p.api("/runs", {"params": {"max_iter": 140 + len(models)}})["run"]  # a value that no run had

        def training():
            steps = p.run(number)["steps"]
            return [x for x in steps if x["step"] == "train" and x["state"] == "running"] and any(x["state"] in ("succeeded", "cached") for x in steps)
        wait_for("the training", training, 120, 0.05)
        before = {(x["step"], x.get("cell", 0)): x for x in p.run(number)["steps"]}
        p.remember_planes()
        p.up.send_signal(signal.SIGKILL)
        p.up.wait()
        s.seen(f"kill -9 of the server, with run #{number} in training", f"pid {p.up.pid}")
        client.send(rows, batch=10)
        s.must(client.lost == 0 and len(client.answers) == len(rows), "while it is dead, the endpoint answers", f"{client.requests} requests")
        p.up = None
        s.say(f"    lastro up again: ready in {p.start() * 1000:.0f} ms")
        done = wait_for("the run's end", lambda: (lambda d: d if d["run"]["state"] not in ("pending", "running") else None)(p.run(number)), 180, 0.5)
        s.must(done["run"]["state"] == "succeeded", f"run #{number} was taken over and succeeded", done["run"].get("reason", ""))
        steps = done["steps"]
        attempts = max(x["attempt"] for x in steps)
        s.must(attempts == 1, "no step was started twice: steps that were running went on under their supervisor", f"{len(steps)} steps, highest attempt {attempts}")
        ended = [k for k, x in before.items() if x["state"] in ("succeeded", "cached")]
        after = {(x["step"], x.get("cell", 0)): x for x in steps}
        s.must(ended and all(after[k]["ended_at"] == before[k]["ended_at"] for k in ended), "what had ended before is as it was", f"{len(ended)} steps")
        s.must(p.newest_run()["number"] == number, "and no second run was made")
        now = p.api("/models/flight-delay")["versions"]
        s.must({v["version"]: v["digest"] for v in models}.items() <= {v["version"]: v["digest"] for v in now}.items() and
               len(p.api(ENV + "/measurements?limit=1000")["measurements"] or []) >= measured, "versions, measurements, alerts: nothing is lost")

    def _flipped(self):
        """One bit of a model that has served before, flipped in the store and then in the endpoint's own copy: each place refuses by itself."""
        s, p = self.stage, self.flights.project
        wait_for("a moment without a canary's start", lambda: p.environment()["rollout"]["state"] not in ("starting", "promoting", "rolling_back"), 30)
        document = p.api("/models/flight-delay/versions/1")
        stored = self._largest_file(p.folder / ".lastro" / "blobs", document["digest"])
        whole, flipped = stored.read_bytes(), bytearray(stored.read_bytes())
        flipped[len(flipped) // 2] ^= 1
        copies = [f for f in (p.folder / ".lastro/serve/models").glob("**/*") if f.is_file() and f.read_bytes() == whole]
        s.must(copies, "the endpoint has a copy of flight-delay@1, which served before", stored.name[:16] + "…")
        self._refused([stored], bytes(flipped), whole, 8, "one bit flipped in the store: no release")
        self._refused(copies, bytes(flipped), whole, 1, "one bit flipped in the endpoint's copy: it is not loaded")
        client = Client(p.inference(), threads=1)
        client.send(pd.read_parquet(self.flights.later / "2013-12.parquet").tail(50), batch=10)
        s.must(client.lost == 0 and "1" not in {a[1] for a in client.answers}, "requests were answered all the while, none by it")

    def _refused(self, files, flipped, whole, code, what):
        s, p = self.stage, self.flights.project
        self._write(files, flipped)
        try:
            refused = p.lastro("deploy", "local", "--model", "flight-delay@1", timeout=120)
            said = refused.out + refused.err
            s.quote(said, 6)
            s.must(refused.code == code, what, f"exit {refused.code}")
            s.must(any(w in said.lower() for w in ("bytes", "tamper", "digest", "verify")), "and it says that the bytes are others")
            if code == 8:
                s.must("NOT" in p.lastro("why", "flight-delay@1").ok().out, "why says the same")
        finally:
            self._write(files, whole)

    def _write(self, files, content):
        for file in files:
            mode = file.stat().st_mode
            file.chmod(0o600)
            file.write_bytes(content)
            file.chmod(mode)

    def _largest_file(self, blobs: pathlib.Path, tree: str) -> pathlib.Path:
        """The file in the content-addressed store that holds the model itself."""
        def place(digest):
            name = digest.split(":")[-1]
            return blobs / name[:2] / name[2:]
        entries = json.loads(place(tree).read_bytes().split(b"\n", 1)[1])  # the first line says that it is a folder
        return max((place(e["digest"]) for e in entries), key=lambda f: f.stat().st_size)

    def _why(self):
        s, p = self.stage, self.flights.project
        told = p.lastro("why", "flight-delay").ok()
        s.quote(told.out, 20)
        live = p.environment()["champion"]["version"]
        s.must(f"flight-delay@{live} serves" in told.out, "why says what is live")
        s.must("run #" in told.out and "alert" in told.out, "and that an alert, not a person, asked for it")
        s.quote(p.lastro("ls", "live").ok().out, 8)
