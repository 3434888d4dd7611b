# SPDX-License-Identifier: Apache-2.0
"""Compute the demo's figures again, with pandas, scikit-learn and SciPy alone.

    python oracle.py flights FOLDER [--json]
    python oracle.py income  FOLDER [--json]

FOLDER/collected.json holds what the demo saw from outside: what it sent, what was answered, and the figures that lastro reported. Those
figures are read for one purpose only: to be compared. Models are trained here again from the data files. Exit code 1 when one figure differs
by more than its tolerance. The layouts of collected.json are described at the functions `flights` and `income`.
"""
import argparse
import json
import math
import os
import pathlib
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from scipy.stats import norm, rankdata
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

Z = norm.ppf(0.975)


# ---- figures ---------------------------------------------------------------------------------------------------------------------------

def auc_delong(label, score):
    """ROC AUC and its 95% interval (DeLong, DeLong and Clarke-Pearson 1988)."""
    label, score = np.asarray(label), np.asarray(score, dtype=float)
    positive, negative = score[label == 1], score[label == 0]
    ranks = rankdata(np.r_[positive, negative])
    above = (ranks[: len(positive)] - rankdata(positive)) / len(negative)
    below = 1 - (ranks[len(positive):] - rankdata(negative)) / len(positive)
    value = roc_auc_score(label, score)
    half = Z * math.sqrt(above.var(ddof=1) / len(positive) + below.var(ddof=1) / len(negative))
    return value, value - half, value + half


def paired_bootstrap(label, candidate, champion, metric, resamples=300, seed=7):
    """metric(candidate) - metric(champion) on the same rows, with the 95% percentile interval over resampled rows."""
    label, candidate, champion = (np.asarray(x, dtype=float) for x in (label, candidate, champion))
    rng = np.random.default_rng(seed)
    differences = []
    for _ in range(resamples):
        rows = rng.integers(0, len(label), len(label))
        differences.append(metric(label[rows], candidate[rows]) - metric(label[rows], champion[rows]))
    low, high = np.quantile(differences, [0.025, 0.975])
    return metric(label, candidate) - metric(label, champion), low, high


def psi(reference: pd.Series, window: pd.Series) -> float:
    """Population stability index: categories by their shares, numbers by value when there are 20 or fewer, else by the reference's deciles.

    Half a count is added to every bin, so that an empty one stays finite."""
    reference, window = reference.dropna(), window.dropna()
    if pd.api.types.is_numeric_dtype(reference) and reference.nunique() > 20:
        edges = np.unique(np.quantile(reference, np.linspace(0, 1, 11)))
        edges[0], edges[-1] = -np.inf, np.inf
        counts = [np.histogram(side, edges)[0] for side in (reference, window)]
        p, q = (pd.Series(c, dtype=float) for c in counts)
    else:
        p, q = reference.value_counts().align(window.value_counts(), fill_value=0)
    used = (p > 0) | (q > 0)
    p, q = p[used] + 0.5, q[used] + 0.5
    p, q = p / p.sum(), q / q.sum()
    return float(((q - p) * np.log(q / p)).sum())


def calibration_error(label, score) -> float:
    order = np.argsort(score, kind="stable")
    return float(np.mean([abs(label[b].mean() - score[b].mean()) for b in np.array_split(order, 10)]))


def cbpe_auc(label, reference, window) -> tuple[float, float]:
    """Expected AUC of a window from scores alone, as it is and with scores calibrated on the reference rows (NannyML's confidence-based estimate)."""
    label, reference, window = np.asarray(label), np.asarray(reference), np.asarray(window)
    isotonic = IsotonicRegression(out_of_bounds="clip").fit(reference, label)

    def expected(probability):
        order = np.lexsort((window,))
        s, p = window[order], probability[order]
        table = pd.DataFrame({"s": s, "pos": p, "neg": 1 - p}).groupby("s").sum()
        below = table.neg.cumsum() - table.neg / 2
        return float((table.pos * below).sum() / table.pos.sum() / table.neg.sum())

    return expected(window), expected(isotonic.predict(window))


def newcombe(k1, n1, k2, n2):
    """Difference of two shares, first minus second, with Newcombe's hybrid score interval (1998, method 10)."""
    def wilson(k, n):
        p = k / n
        centre = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
        half = Z * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n)) / (1 + Z * Z / n)
        return p, centre - half, centre + half
    p1, l1, u1 = wilson(k1, n1)
    p2, l2, u2 = wilson(k2, n2)
    d = p1 - p2
    return d, d - math.hypot(p1 - l1, u2 - p2), d + math.hypot(u1 - p1, p2 - l2)


# ---- what is compared ------------------------------------------------------------------------------------------------------------------

class Book:
    """The figures side by side."""

    def __init__(self):
        self.rows = []

    def check(self, name, reported, computed, tolerance):
        ok = reported is not None and computed is not None and abs(reported - computed) <= tolerance
        self.rows.append({"name": name, "reported": reported, "computed": None if computed is None else float(computed), "tolerance": tolerance, "ok": bool(ok)})

    def say(self, name, computed, **more):
        self.rows.append({"name": name, "computed": computed, "ok": True, **more})

    def close(self, as_json: bool) -> int:
        bad = [r for r in self.rows if not r["ok"]]
        if as_json:
            json.dump({"ok": not bad, "figures": self.rows}, sys.stdout, indent=1)
        else:
            for r in self.rows:
                mark = "✓" if r["ok"] else "✗"
                text = " ".join(f"{k}={v}" for k, v in r.items() if k not in ("name", "ok") and v is not None)
                print(f"{mark} {r['name']:<44} {text}")
            print(f"{len(self.rows) - len(bad)} of {len(self.rows)} figures agree")
        return 1 if bad else 0


# ---- flights ---------------------------------------------------------------------------------------------------------------------------

CATEGORIES, NUMBERS = ["carrier", "origin", "dest"], ["distance", "hour", "minute", "day_of_week"]
INPUTS = CATEGORIES + NUMBERS


def flights_until(files: dict[str, pathlib.Path], last: str) -> pd.DataFrame:
    """All flights of the months up to last, such as 2013-07."""
    return pd.concat([pd.read_parquet(path) for month, path in sorted(files.items()) if month <= last], ignore_index=True)


def newest(table: pd.DataFrame, days=90, test=0.2) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The newest days of a table in two parts, the later one with the given share of the rows."""
    time = table.scheduled_departure
    table = table[time >= time.max() - pd.Timedelta(days=days)].sort_values(["scheduled_departure", "flight_id"])
    # Flights of one moment stay together: the cut is at the moment from which on the share of the rows comes nearest.
    tail = table.groupby("scheduled_departure").size()[::-1].cumsum() / len(table)
    moment = (tail - test).abs().idxmin()
    return table[table.scheduled_departure < moment], table[table.scheduled_departure >= moment]


def train_flights(rows: pd.DataFrame, depth: int, rate: float, max_iter: int, seed: int):
    names = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2, dtype=np.float64)
    encode = ColumnTransformer([("names", names, CATEGORIES), ("numbers", "passthrough", NUMBERS)])
    trees = HistGradientBoostingClassifier(max_depth=depth, learning_rate=rate, max_iter=max_iter, random_state=seed, early_stopping=False)
    return make_pipeline(encode, trees).fit(rows[INPUTS], rows.late)


def score(model, rows: pd.DataFrame) -> np.ndarray:
    return model.predict_proba(rows[INPUTS])[:, 1]


def flights(folder: pathlib.Path, seen: dict, book: Book) -> None:
    """collected.json: {
      "files": {"2013-01": PATH, ...}                     every month, those of the project and those that arrived
      "answers": "answers.csv"                            flight_id, version, score: one line for each answer that was received
      "versions": {"1": {"last": "2013-03", "depth": 8, "rate": 0.1, "max_iter": 150, "seed": 42}, ...}
      "measurements": [...]                               as GET /api/v1/environments/local/measurements lists them
      "compare": {"candidate": "2", "champion": "1", "facts": {"auc": {"diff": .., "diff_ci_low": .., "diff_ci_high": ..}, ...}}
      "after": ["2013-09", ...]                           months in which the retrained model served
    }"""
    files = {month: pathlib.Path(path) for month, path in seen["files"].items()}
    everything = flights_until(files, "9999").set_index("flight_id", drop=False)
    answers = pd.read_csv(folder / seen["answers"], dtype={"version": str})
    answers = answers.join(everything.drop(columns="flight_id"), on="flight_id")

    models, parts = {}, {}
    for version, how in seen["versions"].items():
        parts[version] = newest(flights_until(files, how["last"]))
        models[version] = train_flights(parts[version][0], how["depth"], how["rate"], how["max_iter"], how["seed"])
        mine = answers[answers.version == version]
        if len(mine):
            # The same bytes in, the same trees: every answer of the endpoint must be the model's own.
            book.check(f"version {version}: {len(mine):,} answers, largest difference", 0.0, np.abs(score(models[version], mine) - mine.score).max(), 1e-6)

    for m in seen.get("measurements", []):
        version = m["model"].split("@")[-1]
        start, end = (pd.Timestamp(m[k]).tz_localize(None) for k in ("start", "end"))
        rows = answers[(answers.version == version) & (answers.scheduled_departure >= start) & (answers.scheduled_departure < end)]
        name = f"{m['kind']} {m['name']} v{version} {start:%d %b}..{end:%d %b}"
        if m["state"] == "unknown" or not len(rows):
            book.say(name + ": not measured", None, note=m.get("note", ""))
        elif m["kind"] == "performance":
            value, low, high = auc_delong(rows.late, rows.score)
            book.check(name, m["value"], value, 0.0005)
            book.check(name + " low", m["ci_low"], low, 0.001)
            book.check(name + " high", m["ci_high"], high, 0.001)
        elif m["kind"] == "drift":
            book.check(name, m["value"], psi(parts[version][0][m["name"]], rows[m["name"]]), 0.0005)
        elif m["kind"] == "estimated" and m["name"] == "auc":
            test = parts[version][1]
            plain, calibrated = cbpe_auc(test.late, score(models[version], test), rows.score)
            closer = min((plain, calibrated), key=lambda v: abs(v - m["value"]))
            book.check(name, m["value"], closer, 0.0005)

    if compare := seen.get("compare"):
        rows = parts[compare["candidate"]][1]
        new, old = (score(models[compare[side]], rows) for side in ("candidate", "champion"))
        for metric, function in (("auc", roc_auc_score), ("brier", brier_score_loss)):
            if metric not in compare["facts"]:
                continue
            value, low, high = paired_bootstrap(rows.late, new, old, function)
            fact = compare["facts"][metric]
            book.check(f"compare {metric} v{compare['candidate']} - v{compare['champion']}", fact["diff"], value, 1e-6)
            book.check(f"compare {metric} low", fact["diff_ci_low"], low, 0.004)
            book.check(f"compare {metric} high", fact["diff_ci_high"], high, 0.004)
        for month in seen.get("after", []):
            rows = everything[everything.scheduled_departure.dt.strftime("%Y-%m") == month]
            new, old = (score(models[compare[side]], rows) for side in ("candidate", "champion"))
            value, low, high = paired_bootstrap(rows.late, new, old, roc_auc_score, resamples=100)
            book.say(f"{month}: with the retrained model, without it", round(float(roc_auc_score(rows.late, new)), 4),
                     without=round(float(roc_auc_score(rows.late, old)), 4), difference=round(float(value), 4), interval=[round(float(low), 4), round(float(high), 4)])


# ---- income ----------------------------------------------------------------------------------------------------------------------------

def train_income(rows: pd.DataFrame, weights):
    inputs = rows.drop(columns=["person_id", "sex", "race", "income_gt_50k"])
    names = [c for c in inputs if not pd.api.types.is_numeric_dtype(inputs[c])]
    encode = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2, dtype=np.float64)
    model = make_pipeline(make_column_transformer((encode, names), remainder="passthrough"), HistGradientBoostingClassifier(random_state=42))
    return model.fit(inputs, rows.income_gt_50k, histgradientboostingclassifier__sample_weight=weights), list(inputs)


def reweigh(rows: pd.DataFrame) -> np.ndarray:
    cells = pd.crosstab(rows.sex, rows.income_gt_50k)
    independent = np.outer(cells.sum(axis=1), cells.sum(axis=0)) / len(rows)
    ratio = (independent / cells).stack()
    return ratio.loc[list(zip(rows.sex, rows.income_gt_50k))].to_numpy()


def income(folder: pathlib.Path, seen: dict, book: Book) -> None:
    """collected.json: {
      "census": [PATH, ...]
      "threshold": 0.2
      "runs": {"plain": {"auc": .., "gap": .., "ci_low": .., "ci_high": .., "tpr": {"Female": .., "Male": ..}}, "mitigated": {...}}
    }
    The rows that a random split takes for the test are lastro's own choice, so the figures are computed on another random split, and must
    agree within what two samples of this size can differ by."""
    people = pd.concat([pd.read_parquet(path) for path in seen["census"]], ignore_index=True)
    train, test = train_test_split(people, test_size=0.25, stratify=people.income_gt_50k, random_state=1)
    for name, reported in seen["runs"].items():
        model, inputs = train_income(train, reweigh(train) if name == "mitigated" else None)
        p = model.predict_proba(test[inputs])[:, 1]
        offer, positive = p >= seen["threshold"], test.income_gt_50k.to_numpy() == 1
        woman = (test.sex == "Female").to_numpy()
        k = {s: int(offer[positive & g].sum()) for s, g in (("Female", woman), ("Male", ~woman))}
        n = {s: int((positive & g).sum()) for s, g in (("Female", woman), ("Male", ~woman))}
        gap, low, high = newcombe(k["Male"], n["Male"], k["Female"], n["Female"])
        book.check(f"{name}: auc", reported["auc"], roc_auc_score(positive, p), 0.012)
        for sex in ("Female", "Male"):
            # Two independent samples: the difference has sqrt(2) times the standard error of one; 2.6 of those in 99% of cases.
            share = k[sex] / n[sex]
            book.check(f"{name}: true positive rate, {sex}", reported["tpr"][sex], share, 2.6 * math.sqrt(2 * share * (1 - share) / n[sex]))
        width = (high - low) / 2 / Z * 2.6 * math.sqrt(2)
        book.check(f"{name}: gap (men over women)", reported["gap"], abs(gap), width)
        book.say(f"{name}: gap computed here", round(float(gap), 4), interval=[round(float(low), 4), round(float(high), 4)])


def main() -> int:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("what", choices=["flights", "income"])
    args.add_argument("folder", type=pathlib.Path)
    args.add_argument("--json", action="store_true")
    args = args.parse_args()
    with open(args.folder / "collected.json") as text:
        seen = json.load(text)
    book = Book()
    {"flights": flights, "income": income}[args.what](args.folder, seen, book)
    return book.close(args.json)


if __name__ == "__main__":
    sys.exit(main())
