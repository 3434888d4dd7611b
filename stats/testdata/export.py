# SPDX-License-Identifier: Apache-2.0
"""Writes the raw inputs and the extra expected numbers of the tests in this folder.

  python export.py DATA     DATA holds the Parquet files (german_credit, nycflights) and golden/inputs

The *.json files named drift_*, cbpe_* and classification_* are golden files made by Evidently 0.7.23, NannyML 0.13.1,
scikit-learn 1.9.1 and Fairlearn 0.15.0; each says so in "produced_by". Everything else here is written by this script
with NumPy 2.4.6, SciPy 1.17.1, scikit-learn 1.9.1 and pandas 3.1.1, never by lastro.
"""
import gzip
import json
import sys

import numpy as np
import pandas as pd
import scipy
import sklearn
from scipy import stats
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, mean_absolute_error, mean_squared_error, r2_score, roc_auc_score

data = sys.argv[1]
versions = f"numpy {np.__version__} scipy {scipy.__version__} scikit-learn {sklearn.__version__}"


def value_counts(path, ref, cur, columns):
    """One line per column and distinct value: how often it occurs in the reference and in the window."""
    with open(path, "w") as f:
        f.write("column,value,reference,window\n")
        for c in columns:
            a, b = ref[c].dropna().value_counts(), cur[c].dropna().value_counts()
            for v in sorted(set(a.index) | set(b.index)):
                f.write(f"{c},{v:g},{a.get(v, 0)},{b.get(v, 0)}\n")


def delong(y, p):
    """AUC and its variance straight from the definition: mean and variance of the placements."""
    x, z = p[y == 1], p[y == 0]
    psi = (x[:, None] > z[None, :]) + 0.5 * (x[:, None] == z[None, :])
    return psi, psi.mean(), np.var(psi.mean(1), ddof=1) / len(x) + np.var(psi.mean(0), ddof=1) / len(z)


def delong_difference(y, a, b):
    pa, auc_a, _ = delong(y, a)
    pb, auc_b, _ = delong(y, b)
    d = pa - pb
    return auc_a - auc_b, np.sqrt(np.var(d.mean(1), ddof=1) / len(d) + np.var(d.mean(0), ddof=1) / d.shape[1])


g = pd.read_parquet(f"{data}/german_credit.parquet")
value_counts("drift_german_credit.csv", g[g.age_in_years < 35], g[g.age_in_years >= 35],
             ["credit_amount", "duration_in_month", "installment_rate_in_percentage_of_disposable_income"])
n = pd.read_parquet(f"{data}/nycflights.parquet")
value_counts("drift_nycflights.csv", n[n.month == 1], n[n.month == 7],
             ["dep_delay", "arr_delay", "distance", "air_time", "sched_dep_time"])

p = pd.read_parquet(f"{data}/golden/inputs/pred_german_credit.parquet")
p.drop(columns="row").to_csv("pred_german_credit.csv", index=False)
y, s = p.y.to_numpy(), p.p.to_numpy()
psi, auc, var = delong(y, s)
rng = np.random.default_rng(7)
worse = np.clip(s + rng.normal(0, 0.15, len(s)), 0, 1).round(4)
diff, se = delong_difference(y, worse, s)
brier_rows = (worse - y) ** 2 - (s - y) ** 2
expected = {
    "produced_by": versions,
    "auc": roc_auc_score(y, s), "auc_se_by_definition": float(np.sqrt(var)),
    "brier": brier_score_loss(y, s), "log_loss": log_loss(y, s), "accuracy": accuracy_score(y, s >= 0.5),
    "brier_se": float(np.std((s - y) ** 2, ddof=1) / np.sqrt(len(y))),
    "candidate": worse.tolist(),
    "auc_diff": float(diff), "auc_diff_se": float(se),
    "brier_diff": float(brier_rows.mean()), "brier_diff_se": float(brier_rows.std(ddof=1) / np.sqrt(len(y))),
    "isotonic": IsotonicRegression(out_of_bounds="clip").fit(s, y).predict([0, 0.05, 0.111, 0.2345, 0.4, 0.61, 0.9, 1]).tolist(),
}
r = pd.read_parquet(f"{data}/golden/inputs/reg_nycflights_arr_delay.parquet").iloc[:1500]
r[["y", "yhat"]].to_csv("regression.csv", index=False)
err = r.y - r.yhat
boot = np.random.default_rng(1)
r2s = [r2_score(r.y.iloc[i], r.yhat.iloc[i]) for i in (boot.integers(0, len(r), len(r)) for _ in range(4000))]
expected["regression"] = {
    "rmse": float(np.sqrt(mean_squared_error(r.y, r.yhat))), "mae": mean_absolute_error(r.y, r.yhat), "r2": r2_score(r.y, r.yhat),
    "mae_se": float(np.std(np.abs(err), ddof=1) / np.sqrt(len(err))), "r2_se_bootstrap_4000": float(np.std(r2s)),
}
expected["ks_exact"] = []
for a, b in (([1, 2, 3, 4], [3, 4, 5, 6, 7]), (list(range(50)), [v + 9.5 for v in range(40)]), ([1, 1, 2], [1, 2, 2, 2])):
    k = stats.ks_2samp(a, b)
    expected["ks_exact"].append({"a": a, "b": b, "stat": k.statistic, "p": k.pvalue})
shift = np.random.default_rng(3)
big = []
for delta in (0.0, 0.008, 0.016, 0.03):
    a = np.round(shift.normal(0, 1, 12000), 3)
    b = np.round(shift.normal(delta, 1, 15000), 3)
    k = stats.ks_2samp(a, b)
    big.append({"n": 12000, "m": 15000, "stat": k.statistic, "p": k.pvalue})
expected["ks_large"] = big
expected["chi2_quantile_95"] = {str(k): stats.chi2.ppf(0.95, k) for k in (1, 9, 100)}
expected["wilson"] = [{"count": c, "n": m, "low": ci.low, "high": ci.high} for c, m in ((0, 10), (3, 10), (81, 263), (10, 10))
                      for ci in [stats.binomtest(c, m).proportion_ci(method="wilson")]]
json.dump(expected, open("expected.json", "w"), indent=1)

c = pd.read_parquet(f"{data}/golden/inputs/pred_census_income.parquet").sort_values("row")
with gzip.GzipFile("pred_census_income.csv.gz", "w", mtime=0) as f:
    f.write(b"y,p_billionths,sex\n")
    for y, p, sex in zip(c.y, (c.p * 1e9).round().astype(int), c.sex):
        f.write(f"{y},{p},{sex[0]}\n".encode())
