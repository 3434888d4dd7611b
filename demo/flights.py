# SPDX-License-Identifier: Apache-2.0
"""Acts 1, 2 and 5: flights, from an empty folder to a model that replaced itself."""
import json
import shutil
import subprocess
import sys
import time
import urllib.request

import pandas as pd

from product import Project
from stage import Missed, wait_for
from traffic import INPUTS, Client

ENV = "/environments/local"


class Flights:
    def __init__(self, stage, scratch, root):
        self.stage, self.root = stage, root
        self.scratch = scratch
        self.project = Project(scratch / "flights", scratch / "flights-up.log")
        self.later = root / "examples" / "flights-later"
        self.client = None
        self.retrained = None

    # ---- act 1 -------------------------------------------------------------------------------------------------------------------------

    def first_run(self):
        s, p = self.stage, self.project
        p.folder.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "init", "-q", str(p.folder)], check=True)
        done = p.lastro("init", "--template", "flights").ok()
        s.quote(done.out, 12)
        p.commit("flights: start")
        s.must((p.folder / "lastro.yaml").exists(), "init wrote a project")
        told = p.lastro("explain").ok()
        s.quote(told.out, 45)
        s.must("lastro/compare" not in told.out and len(told.out.splitlines()) > 10, "explain says it in plain words")

        start = time.time()
        done = p.lastro("run", "--json").ok()
        s.figure("first run of flights, Python packages included", f"{time.time() - start:.1f} s")
        result = done.json()
        steps = [(x["step"], x["state"], x.get("selected")) for x in result["steps"]]
        ran = {name for name, state, _ in steps if state == "succeeded"}
        s.must({"tests", "split", "train", "evaluate", "compare"} <= ran, "tests, split, train, evaluate and compare succeeded", sorted(ran))
        cells = [x for x in result["steps"] if x["step"] == "train"]
        s.must(len(cells) == 4 and sum(bool(x["selected"]) for x in cells) == 1, "4 variants were trained, one goes on")
        s.table([["variant", "valid_auc", ""]] + [[" ".join(f"{k}={v}" for k, v in x["values"].items()), f"{x['facts']['metrics.valid_auc' if 'metrics.valid_auc' in x['facts'] else 'valid_auc']:.4f}",
                                                   "goes on" if x["selected"] else ""] for x in cells])
        decision = result["decision"]
        s.table([["rule", "outcome", ""]] + [[r["rule"]["name"], r["outcome"], r["message"]] for r in decision["results"]])
        s.must(decision["verdict"] == "passed" and len(decision["results"]) == 4, "the gate passed on 4 conditions", decision["id"])
        s.must(result["version"]["version"] == 1, "flight-delay@1 is registered", result["version"]["digest"][:19])
        facts = decision["facts"]
        s.must(0.60 < facts["metrics.auc"] < 0.66, "the test AUC is what it is by hand, about 0.63", f"{facts['metrics.auc']:.4f}")
        if p.git("status", "--porcelain").strip():
            p.commit("flights: lock the Python packages")

        s.figure("lastro up ready in", f"{p.start() * 1000:.0f} ms")
        p.lastro("deploy", "local", "--json").ok()
        live = p.environment()
        s.must(live["champion"]["version"] == 1, "lastro deploy: flight-delay@1 serves", live["status"].get("Address") or live["status"].get("address"))
        self.client = Client(p.inference())
        month = pd.read_parquet(self.later / "2013-04.parquet").head(5)  # the first day that is to be watched
        probe = Client(p.inference(), threads=1)
        probe.send(month.assign(flight_id="probe"), batch=5)
        s.must(probe.lost == 0 and len(probe.answers) == 5 and all(0 < a[2] < 1 for a in probe.answers), "the endpoint answers with probabilities",
               " ".join(f"{a[2]:.3f}" for a in probe.answers))
        self._open_inference(month)

    def _open_inference(self, rows):
        """The other protocol: Open Inference v2."""
        kinds = {"carrier": "BYTES", "origin": "BYTES", "dest": "BYTES"}
        tensors = [{"name": c, "shape": [len(rows), 1], "datatype": kinds.get(c, "INT64"), "data": rows[c].tolist()} for c in INPUTS]
        request = urllib.request.Request(self.project.inference() + "/v2/models/flight-delay/infer", data=json.dumps({"inputs": tensors}).encode(), headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            document = json.load(answer)
        data = document["outputs"][0]["data"]
        self.stage.must(len(data) >= len(rows), "the same by Open Inference v2", document["outputs"][0]["shape"])

    # ---- act 2 -------------------------------------------------------------------------------------------------------------------------

    def cached(self):
        s, p = self.stage, self.project
        p.remember_planes()
        p.stop()  # a command without a server; what answers requests goes on
        took = []
        for _ in range(3):
            again = p.lastro("run", "--json").ok()
            took.append(again.seconds)
        states = {x["state"] for x in again.json()["steps"]}
        s.must(states == {"cached"}, "run again: every step is cached", f"{min(took) * 1000:.0f} ms in all")
        s.figure("cached lastro run (best of 3)", f"{min(took) * 1000:.0f} ms")
        s.must(again.json()["version"]["version"] == 1, "and the version is the one that is there")

        file = p.folder / "lastro.yaml"
        text = file.read_text()
        file.write_text(text + "\n# a remark changes nothing\n")
        states = {x["state"] for x in p.lastro("run", "--json").ok().json()["steps"]}
        s.must(states == {"cached"}, "a comment in lastro.yaml: still all cached")

        file.write_text(text.replace("max_iter: 150", "max_iter: 120"))
        plan = p.lastro("run", "--dry-run").ok()
        s.quote(plan.out, 20)
        result = p.lastro("run", "--json").ok(0, 3, 4).json()
        by_step = {}
        for x in result["steps"]:
            by_step.setdefault(x["step"], set()).add(x["state"])
        s.must(by_step["tests"] == {"cached"} and by_step["split"] == {"cached"}, "one parameter: tests and split stay cached")
        s.must(all(by_step[x] == {"succeeded"} for x in ("train", "evaluate", "compare")), "train (4), evaluate and compare ran again")
        reasons = {x["reason"] for x in result["steps"] if x["step"] == "train"}
        s.must(any("max_iter" in r for r in reasons), "because of max_iter", "; ".join(sorted(reasons))[:150])
        s.quote(p.lastro("why", "train").ok().out, 6)
        file.write_text(text)
        again = p.lastro("run", "--json").ok().json()
        s.must({x["state"] for x in again["steps"]} == {"cached"} and again["version"]["version"] == 1, "the parameter put back: version 1 again, from the cache")
        s.figure("lastro --version", f"{min(p.lastro('--version').ok().seconds for _ in range(3)) * 1000:.0f} ms")

    # ---- act 5 -------------------------------------------------------------------------------------------------------------------------

    def months(self):
        s, p = self.stage, self.project
        if not p.up:
            p.start()
        self.client = Client(p.inference())
        self.story = []
        for month in ["2013-04", "2013-05", "2013-06", "2013-07", "2013-08"]:
            self._month(month)
        self._no_retrain_for_drift()
        self._retrain()
        self._canary("2013-09")
        for month in ["2013-10", "2013-11"]:
            self._month(month)
        self._settled()
        self._after()

    def _month(self, month):
        """A month asks; the month before becomes known."""
        rows = pd.read_parquet(self.later / f"{month}.parquet")
        lost = self.client.lost
        sent, seconds = self.client.send(rows)
        if self.client.lost > lost:
            raise Missed(f"{self.client.lost - lost} requests of {month} were lost: {getattr(self.client, 'last_error', '')}")
        arrived = self._labels_of(month)
        self.project.remember_planes()
        self._settled()
        self.stage.seen(f"{month}: {sent:,} flights asked" + (f", labels of {arrived} arrived" if arrived else ""), f"{sent / seconds:,.0f} rows/s")

    def _labels_of(self, month):
        """The labels that are there at the end of a month: those of the month before."""
        before = (pd.Period(month) - 1).strftime("%Y-%m")
        source = self.later / f"{before}.parquet"
        if not source.exists() or (self.project.folder / "data/flights" / source.name).exists():
            return None
        shutil.copy(source, self.project.folder / "data/flights" / (source.name + ".part"))
        (self.project.folder / "data/flights" / (source.name + ".part")).rename(self.project.folder / "data/flights" / source.name)
        return before

    def _settled(self):
        """Waits until the monitor has nothing more to say."""
        self.project.api(ENV + "/evaluate", {})

    def measurements(self, kind):
        got = self.project.api(ENV + f"/measurements?kind={kind}&limit=1000")["measurements"] or []
        return sorted(got, key=lambda m: (m["start"], m["name"]))

    def _no_retrain_for_drift(self):
        s = self.stage
        drift = [m for m in self.measurements("drift") if m["state"] != "unknown"]
        windows = sorted({m["start"] for m in drift})
        s.must(len(windows) >= 4, f"drift by column in {len(windows)} windows by event time", f"{len(drift)} figures")
        columns = sorted({m["name"] for m in drift})
        s.table([["drift (PSI)"] + [w[:10] for w in windows]] + [[c] + [next((f"{m['value']:.3f}" for m in drift if m["start"] == w and m["name"] == c), "") for w in windows] for c in columns])
        estimated = [m for m in self.measurements("estimated") if m["state"] != "unknown"]
        s.must(len(estimated) >= 4, "and what the scores let one expect (CBPE)", " ".join(f"{m['value']:.3f}" for m in estimated))
        moved = {m["name"] for m in drift if m["state"] in ("warn", "alert")}
        s.must("dest" in moved, "the column that moved most is dest: summer routes", sorted(moved))
        harm = [m["harm"] for m in estimated if m.get("harm") is not None]
        s.must(harm and max(harm) < 0.02, "the estimated harm of that is small", f"at most {max(harm):+.4f} AUC")
        alerts = self.project.api(ENV + "/alerts")["alerts"] or []
        for a in alerts:
            if a["kind"] == "drift":
                s.quote(f"{a['state']}: {a['title']}\n{a.get('harm', '')}\n{a['action']}", 4)
        s.must(any(a["kind"] == "drift" for a in alerts), "a drift alert names the columns and the harm")
        s.must(not [r for r in self.retrains() if "drift" in r["alert"]], "no retrain because of drift")

    def retrains(self):
        return self.project.api(ENV + "/retrains")["retrains"] or []

    def _performance_table(self):
        figures = [m for m in self.measurements("performance") if m["state"] != "unknown"]
        self.stage.table([["window", "version", "AUC", "95% interval", "best before", "rows", "state"]] +
                         [[f"{m['start'][:10]}..{m['end'][:10]}", m["model"].split(":")[-1], f"{m['value']:.4f}", f"[{m['ci_low']:.4f}, {m['ci_high']:.4f}]",
                           f"{m['best']:.4f}" if m.get("best") is not None else "", f"{m['rows']:,}", m["state"]] for m in figures])
        return figures

    def _retrain(self):
        s, p = self.stage, self.project
        alert = wait_for("the performance alert", lambda: next((a for a in p.api(ENV + "/alerts")["alerts"] or [] if a["kind"] == "performance" and a["state"] != "pending"), None), 60)
        figures = self._performance_table()
        s.quote(f"{alert['title']}\n{alert['detail']}\n{alert['action']}", 6)
        fired = [m for m in figures if m["state"] == "alert"]
        s.must(fired and fired[0]["month"] == "2013-07", "once July's labels are in, the performance rule fires, and not before", fired[0]["month"] if fired else "")
        asked = wait_for("the retrain", lambda: next((r for r in self.retrains() if r.get("run")), None), 60)
        number = int(asked["run"].split(":")[1].split("@")[0])
        s.seen(f"the retrain started by itself: run #{number}", asked["reason"])
        done = wait_for("the retrain's end", lambda: (lambda d: d if d["run"]["state"] not in ("pending", "running") else None)(p.run(number)), 300, 1)
        s.must(done["run"]["state"] == "succeeded", f"run #{number} succeeded", done["run"].get("reason", ""))
        s.must(done["run"]["event"]["kind"] == "alert", "its cause is on record", done["run"]["event"].get("reason", ""))
        version = wait_for("the new version", lambda: (p.run(number).get("versions") or [None])[0], 30)
        decision = version["decision"]
        s.table([["rule", "outcome", ""]] + [[r["rule"]["name"], r["outcome"], r["message"]] for r in decision["results"]])
        s.must(decision["verdict"] == "passed", f"flight-delay@{version['version']} passed the same gate", decision["id"])
        f = decision["facts"]
        s.must(f["compare.auc.diff_ci_low"] > 0.05, "the challenger beats the champion on the same rows",
               f"+{f['compare.auc.diff']:.3f} [{f['compare.auc.diff_ci_low']:.3f}, {f['compare.auc.diff_ci_high']:.3f}] AUC")
        self.retrained, self.retrain_run, self.compare = version["version"], number, f

    def _canary(self, month):
        """The month goes through the canary: small requests while it is open, larger ones after."""
        s, p = self.stage, self.project
        opened = wait_for("the rollout", lambda: (lambda v: v if v.get("candidate") and v["candidate"]["version"] == self.retrained and v["rollout"]["state"] == "running" else None)(p.environment()), 60)
        s.seen("its canary began by itself", f"{opened['rollout']['strategy']}")
        rows = pd.read_parquet(self.later / f"{month}.parquet").sort_values("scheduled_departure", kind="stable")
        rollout = opened["rollout"]["number"]

        def over():
            view = p.environment()
            return view["rollout"]["number"] == rollout and view["rollout"]["state"] in ("succeeded", "rolled_back", "superseded")
        lost, before, start = self.client.lost, self.client.requests, time.time()
        sent, _ = self.client.send(rows, batch=4, until=over)
        s.say(f"    {self.client.requests - before:,} requests in {time.time() - start:.1f} s")
        view = wait_for("the canary's end", lambda: p.environment() if over() else None, 30)
        for step in view["rollout"].get("history") or []:
            c = step["evidence"]["candidate"]
            s.say(f"    {step['share']:.0%}: {c['requests']} requests, {c['errors']} errors, score {c['score_mean']:.3f} ± {c['score_sd']:.3f}, {'held' if step['held'] else 'did not hold'}")
        s.must(view["rollout"]["state"] == "succeeded" and view["champion"]["version"] == self.retrained, f"the canary held; flight-delay@{self.retrained} is promoted", view["rollout"].get("reason", ""))
        self.client.send(rows.iloc[sent:])
        s.must(self.client.lost == lost, "no request was lost", f"{self.client.requests:,} so far")
        alias = p.api("/models/flight-delay")["aliases"]
        s.must(alias.get("champion") == self.retrained, "the alias champion moved", alias)
        self._labels_of(month)
        self._settled()

    def _after(self):
        """The months after, with the retrained model and as they would have been; computed by the oracle from data files."""
        s = self.stage
        self._performance_table()
        figures = self.oracle()
        rows = [f for f in figures if "without" in f]
        s.table([["month", "with the retrain", "without", "difference", "95%"]] + [[f["name"][:7], f["computed"], f["without"], f"{f['difference']:+.4f}", f["interval"]] for f in rows])
        s.must(rows and all(f["interval"][0] > 0 for f in rows), "the months after are better than they would have been")

    def oracle(self):
        """Hands what was seen from outside to the independent script."""
        s, p = self.stage, self.project
        folder = self.scratch / "seen-flights"
        folder.mkdir(exist_ok=True)
        self.client.write(folder / "answers.csv")
        files = {f.stem: str(f) for f in [*sorted((p.folder / "data/flights").glob("2013-0[123].parquet")), *sorted(self.later.glob("*.parquet"))]}
        versions = {}
        for version, last in ((1, "2013-03"), (self.retrained, "2013-07")):
            document = p.api(f"/models/flight-delay/versions/{version}")
            cell = next(x for x in p.run(int(document["run"]))["steps"] if x["step"] == "train" and x.get("selected"))
            versions[str(version)] = {"last": last, "depth": cell["values"]["depth"], "rate": cell["values"]["rate"], "max_iter": 150, "seed": 42}
        facts = {m: {k: self.compare.get(f"compare.{m}.{k}") for k in ("diff", "diff_ci_low", "diff_ci_high")} for m in ("auc", "brier")}
        measured = [m for kind in ("performance", "drift", "estimated") for m in self.measurements(kind)]
        seen = {"files": files, "answers": "answers.csv", "versions": versions, "measurements": measured, "after": ["2013-09", "2013-10", "2013-11"],
                "compare": {"candidate": str(self.retrained), "champion": "1", "facts": facts}}
        (folder / "collected.json").write_text(json.dumps(seen, indent=1))
        return ask_oracle(s, self.root, "flights", folder)


def ask_oracle(stage, root, what, folder):
    """Runs examples/oracle.py; an unequal figure ends the act."""
    done = subprocess.run([sys.executable, str(root / "examples" / "oracle.py"), what, str(folder), "--json"], capture_output=True, text=True)
    if not done.stdout:
        raise Missed(f"the oracle said nothing: {done.stderr[-1000:]}")
    book = json.loads(done.stdout)
    for f in book["figures"]:
        if not f["ok"]:
            stage.say(f"    ✗ {f['name']}: lastro {f['reported']}, recomputed {f['computed']}, tolerance {f['tolerance']}")
    compared = [f for f in book["figures"] if "reported" in f]
    stage.must(book["ok"] and compared, f"{len(compared)} figures were computed again with pandas, scikit-learn and SciPy, and agree")
    return book["figures"]
