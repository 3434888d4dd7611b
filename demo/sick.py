# SPDX-License-Identifier: Apache-2.0
"""Act 6: two candidates that pass every gate and are sick on live requests."""
import time

import pandas as pd

from stage import Missed, wait_for
from traffic import Client

ENV = "/environments/local"

# The score becomes its rank in the batch: the same AUC on a table of rows, and always 1 for a request of one row.
RANKS = ("    def model():\n", '''    class Percentile(sklearn.base.ClassifierMixin, sklearn.base.BaseEstimator):
        """Scores spread evenly from 0 to 1."""

        def __init__(self, model=None):
            self.model = model

        def fit(self, X, y):
            self.model.fit(X, y)
            self.classes_ = self.model.classes_
            return self

        def predict_proba(self, X):
            rank = pd.Series(self.model.predict_proba(X)[:, 1]).rank(pct=True)
            return pd.DataFrame({0: 1 - rank, 1: rank}).to_numpy()

    def model():
        return Percentile(plain())

    def plain():
''')

# The encoder is written out once more, and forgets what to do with a name that training never saw.
RAISES = ("        return make_pipeline(encoder(), trees)", '''        from sklearn.compose import ColumnTransformer
        from sklearn.preprocessing import OrdinalEncoder
        from src.features import CATEGORIES, NUMBERS
        names = ColumnTransformer([("names", OrdinalEncoder(), CATEGORIES), ("numbers", "passthrough", NUMBERS)])
        return make_pipeline(names, trees)''')


class Sick:
    def __init__(self, stage, flights):
        self.stage, self.flights = stage, flights

    def play(self):
        p = self.flights.project
        if not p.up:
            p.start()
        december = pd.read_parquet(self.flights.later / "2013-12.parquet")
        self._sick("a score that is constant on live input", RANKS, december, batch=1, signs=("score",))
        holidays = december[december.scheduled_departure >= "2013-12-14"]  # the first flights to the ski resorts
        self._sick("an error on an airport that training never saw", RAISES, holidays, batch=25, signs=("errors.rate",))

    def _sick(self, what, edit, rows, batch, signs):
        s, p = self.stage, self.flights.project
        champion = p.environment()["champion"]["version"]
        file = p.folder / "src/train.py"
        healthy = file.read_text()
        if edit[0] not in healthy:
            raise Missed("src/train.py is not as this act expects it")
        file.write_text(healthy.replace(edit[0], edit[1]))
        p.commit(f"flights: {what}")
        try:
            result = p.lastro("run", "--json").ok().json()
        finally:
            file.write_text(healthy)
            p.commit("flights: take it back")
        made = wait_for("the decision", lambda: next((v for v in p.run(result["run"]).get("versions") or [] if v.get("decision")), None), 30)
        version, decision = made["version"], made["decision"]
        s.must(decision["verdict"] == "passed", f"{what}: flight-delay@{version} passes every gate", f"auc {decision['facts']['metrics.auc']:.3f}")
        view = wait_for("its canary", lambda: (lambda v: v if v.get("candidate") and v["candidate"]["version"] == version and v["rollout"]["state"] == "running" else None)(p.environment()), 60)
        number = view["rollout"]["number"]

        def over():
            rollout = p.environment()["rollout"]
            return rollout["number"] != number or rollout["state"] in ("rolled_back", "succeeded", "superseded")
        client, start = Client(p.inference()), time.time()
        for _ in range(8):  # the canary ends by what it sees, not by the end of the month
            if not over():
                client.send(rows, batch=batch, until=over)
        rollout = wait_for("the end of the canary", lambda: p.environment()["rollout"] if over() else None, 30)
        s.must(rollout["number"] == number and rollout["state"] == "rolled_back", "it was rolled back by itself", rollout["reason"])
        s.must(any(sign in rollout["reason"] for sign in signs), "for what was wrong with it", f"after {client.requests:,} requests and {time.time() - start:.1f} s")
        by = pd.DataFrame(client.answers, columns=["flight_id", "version", "score", "role"]).groupby("version").score.agg(["size", "mean", "std"])
        s.table([["answered by", "rows", "mean score", "sd"]] + [[f"flight-delay@{v}", f"{int(r['size']):,}", f"{r['mean']:.3f}", f"{r['std']:.3f}"] for v, r in by.iterrows()])
        s.must(client.lost == 0, "no request was lost", f"{client.requests:,} requests, {client.rescued} answered by the champion after the candidate failed")
        s.must(p.environment()["champion"]["version"] == champion and p.api("/models/flight-delay")["aliases"].get("champion") == champion, f"flight-delay@{champion} serves as before")
        told = p.lastro("why", f"flight-delay@{version}").ok()
        s.must("rolled back" in told.out, "why says so", told.out.splitlines()[0])
        if batch > 1:
            s.must(client.rescued > 0, "requests that the candidate failed were answered by the champion", client.rescued)
