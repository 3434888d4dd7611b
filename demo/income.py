# SPDX-License-Identifier: Apache-2.0
"""Acts 3 and 4: income, for data quality and fairness."""
import datetime
import json
import os
import shutil
import subprocess

from flights import ask_oracle
from product import Project
from stage import Missed

RECODED = {"full_or_part_time_employment_stat", "region_of_previous_residence", "state_of_previous_residence", "migration_code_change_in_msa",
           "migration_code_change_in_reg", "migration_code_move_within_reg", "live_in_this_house_1_year_ago", "migration_prev_res_in_sunbelt"}
MODEL = "income-outreach"


class Income:
    def __init__(self, stage, scratch, root):
        self.stage, self.scratch, self.root = stage, scratch, root
        self.project = Project(scratch / "income", scratch / "income-up.log")

    # ---- act 3 -------------------------------------------------------------------------------------------------------------------------

    def changed_upstream(self):
        s, p = self.stage, self.project
        subprocess.run(["git", "init", "-q", str(p.folder)], check=True)
        p.lastro("init", "--template", "income").ok()
        p.commit("income: start")
        first = p.lastro("run", "--json").ok(0, 3, 4)
        s.must(all(x["state"] == "succeeded" for x in first.json()["steps"]), "1994: the contract holds, the pipeline runs")
        if p.git("status", "--porcelain").strip():
            p.commit("income: lock the Python packages")
        self.start = p.git("rev-parse", "HEAD").strip()

        shutil.copy(self.root / "examples/income-later/1995.parquet", p.folder / "data/census/")
        s.seen("the file of 1995 arrives")
        refused = p.lastro("run")
        s.quote(refused.err or refused.out, 24)
        s.must(refused.code == 1, "the run stops before any step reads it (exit 1)")
        report = p.lastro("data", "check", "census", "--json").ok(1).json()
        failed = [c for c in report["checks"] if not c["passed"]]
        s.table([["check", "rows", "seen"]] + [[c["name"], f"{c['rows']:,}", ", ".join(repr(b["value"]) for b in (c.get("bad") or [])[:2])[:60] or f"{c['value']:.1f}, must be {c['threshold']}"] for c in failed])
        s.must({c["column"] for c in failed} == RECODED, "it names exactly the eight recoded columns", len(failed))
        s.must(all(c["rows"] > 100_000 for c in failed if c["rule"] == "invalidValues") and any(b["value"] == "?" for c in failed for b in c.get("bad") or []),
               "with rows counted and the first bad values")

        told = p.lastro("data", "propose", "census").ok()
        s.quote(told.out, 30)
        branch = next((line.split("git merge ")[1].split()[0] for line in told.out.splitlines() if "git merge " in line), None)
        s.must(branch and p.git("status", "--porcelain", "contracts").strip() == "", "the change is proposed on a branch; nothing here has changed", branch)
        p.git("merge", "-q", "--no-edit", branch)
        s.seen("read and accepted: git merge")
        again = p.lastro("run", "--json").ok(0, 3, 4).json()
        s.must(again["state"] == "succeeded" and all(x["state"] in ("succeeded", "cached") for x in again["steps"]), "it runs, on both years",
               f"auc {again['decision']['facts']['metrics.auc']:.3f}")

    # ---- act 4 -------------------------------------------------------------------------------------------------------------------------

    def unequal(self):
        s, p = self.stage, self.project
        (p.folder / "data/census/1995.parquet").unlink()
        p.git("checkout", "-q", self.start, "--", "contracts", "lastro.yaml")
        if p.git("status", "--porcelain").strip():
            p.commit("income: back to 1994")
        plain = p.lastro("run", "--json").ok(3, 4)
        result = plain.json()
        s.must({x["state"] for x in result["steps"]} == {"cached"}, "1994 alone again: all from the cache")
        s.table([["rule", "outcome", ""]] + [[r["rule"]["name"], r["outcome"], r["message"]] for r in result["decision"]["results"]])
        s.must(plain.code == 4 and result["decision"]["verdict"] == "waiting", "the gate does not let it pass; a person is waited for (exit 4)")
        version, decision = result["version"]["version"], result["decision"]["id"]

        shutil.copy(p.folder / "lastro.mitigated.yaml", p.folder / "lastro.yaml")
        p.commit("income: weigh the training rows by sex and label")
        better = p.lastro("run", "--json").ok()
        weighed = better.json()
        s.must(weighed["decision"]["verdict"] == "passed", "with weights by sex and label in training, sex still no input, it passes (exit 0)")
        p.start()
        self.seen = {"plain": self._figures(result), "mitigated": self._figures(weighed)}
        self._price()

        mitigated = weighed["version"]["version"]
        self._doors(version, mitigated)
        self._waiver(version, decision)
        folder = self.scratch / "seen-income"
        folder.mkdir(exist_ok=True)
        (folder / "collected.json").write_text(json.dumps({"census": [str(p.folder / "data/census/1994.parquet")], "threshold": 0.2, "runs": self.seen}))
        ask_oracle(s, self.root, "income", folder)

    def _figures(self, result):
        """The figures of one run, from the run's own document."""
        facts = result["decision"]["facts"]
        run = self.project.run(result["run"])
        step = next(x for x in run["steps"] if x["step"] == "fairness")
        report = step["report"] if isinstance(step["report"], dict) else json.loads(step["report"])
        groups = next(g for g in report["groups"] if g["name"] == "sex")["groups"]
        gap = "fairness.sex.equal_opportunity.max_gap"
        return {"auc": facts["metrics.auc"], "offers": facts["metrics.offers"], "gap": facts[gap], "ci_low": facts[gap + ".ci_low"], "ci_high": facts[gap + ".ci_high"],
                "tpr": {g["group"]: g["tpr"]["value"] for g in groups}}

    def _price(self):
        s, a, b = self.stage, self.seen["plain"], self.seen["mitigated"]
        s.table([["", "AUC", "offers", "TPR women", "TPR men", "gap", "95% interval"]] +
                [[name, f"{x['auc']:.4f}", f"{x['offers']:.1%}", f"{x['tpr']['Female']:.3f}", f"{x['tpr']['Male']:.3f}", f"{x['gap']:.3f}", f"[{x['ci_low']:.3f}, {x['ci_high']:.3f}]"]
                 for name, x in (("plain", a), ("weighed", b))])
        s.must(a["gap"] > 0.10 and a["ci_low"] > 0.05 and a["tpr"]["Male"] > a["tpr"]["Female"], "at 0.2, men with a high income are offered far more often than women with one", f"gap {a['gap']:.3f}")
        s.must(b["gap"] <= 0.10 and a["auc"] - b["auc"] < 0.02, "the weights close most of the gap", f"at a price of {a['auc'] - b['auc']:.4f} AUC; TPR of women {b['tpr']['Female'] - a['tpr']['Female']:+.3f}, of men {b['tpr']['Male'] - a['tpr']['Male']:+.3f}")

    def _doors(self, plain, mitigated):
        """Promotion through the unmodified MLflow client."""
        s, p = self.stage, self.project
        os.environ["MLFLOW_TRACKING_TOKEN"] = p.token
        import mlflow
        from mlflow.exceptions import MlflowException
        mlflow.set_tracking_uri(p.url)
        mlflow.set_registry_uri(p.url)
        client = mlflow.MlflowClient(p.url, p.url)
        try:
            client.set_registered_model_alias(MODEL, "champion", str(plain))
            raise Missed("the MLflow client promoted a version that the gate had not let pass")
        except MlflowException as error:
            s.must(error.error_code == "PERMISSION_DENIED", f"mlflow {mlflow.__version__}: champion -> version {plain} is answered PERMISSION_DENIED", str(error)[:140])
        client.set_registered_model_alias(MODEL, "champion", str(mitigated))
        s.seen(f"champion -> version {mitigated} is let through")
        import mlflow.pyfunc
        model = mlflow.pyfunc.load_model(f"models:/{MODEL}@champion")
        inputs = model.metadata.get_input_schema().input_names()
        s.must("sex" not in inputs and "race" not in inputs and len(inputs) > 30, "load_model brings it back: sex and race are no inputs", f"{len(inputs)} columns")
        self.client = client

    def _waiver(self, version, decision):
        """A person with a name may waive the rule until a date."""
        s, p = self.stage, self.project
        shown = p.lastro("approve", decision, "--json").ok().json()
        digest = shown["decision"]["digest"]
        until = (datetime.date.today() + datetime.timedelta(days=90)).isoformat()
        sign = ["approve", decision, "--bundle", digest, "--waive", "equal-opportunity", "--until", until, "--reason", "pilot of one quarter, offers are reviewed by hand"]
        nobody = p.lastro(*sign)
        s.must(nobody.code == 5, "without a name nobody can waive (exit 5)", (nobody.err or nobody.out).strip().splitlines()[0][:120])
        p.lastro("user", "add", "ana", "--role", "approver").ok()
        token = p.lastro("token", "create", "--user", "ana", "--json").ok().json()["token"]
        done = p.lastro(*sign, env={"LASTRO_TOKEN": token}).ok()
        s.quote(done.out, 4)
        self.client.set_registered_model_alias(MODEL, "champion", str(version))
        s.seen(f"now the same MLflow call for version {version} is let through")
        told = p.lastro("why", f"{MODEL}@{version}").ok()
        s.quote(told.out, 14)
        s.must("ana" in told.out and until in told.out, "why says who waived what, until when, and the reason")
        p.stop()
