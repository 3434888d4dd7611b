# SPDX-License-Identifier: Apache-2.0
"""Writes oracle.json: the numbers that the tests expect, computed from the
same files with pandas and numpy, without lastro. Run it in this folder:
python oracle.py > oracle.json   (pandas 3.1.1, numpy 2.4.6)"""
import glob
import json

import numpy as np
import pandas as pd

flights = pd.concat([pd.read_parquet(f) for f in sorted(glob.glob("flights_*.parquet"))])
newest = flights.scheduled_departure.max()
window = flights[flights.scheduled_departure >= newest - pd.Timedelta(days=60)]
tails = window.scheduled_departure.value_counts().sort_index()
tails = tails[::-1].cumsum()[::-1].iloc[1:]
cut = (tails - 0.2 * len(window)).abs().sort_index(ascending=False).idxmin()
test = window[window.scheduled_departure >= cut]
train = window[window.scheduled_departure < cut]

delay = flights.dep_delay.dropna()
edges = np.unique(np.quantile(delay, np.linspace(0.1, 0.9, 9)))
bins, _ = np.histogram(delay, bins=[-np.inf, *edges, np.inf])

old, new = pd.read_parquet("census_94.parquet"), pd.read_parquet("census_95.parquet")
recoded = [c for c in old.columns if old[c].dtype == "str" and c not in ("sex", "race", "education")]
groups = {}
for sex, g in old.assign(offer=old.age >= 40, good=old.income_gt_50k == 1).groupby("sex"):
    groups[sex] = [int((g.offer & g.good).sum()), int((g.offer & ~g.good).sum()), int((~g.offer & ~g.good).sum()), int((~g.offer & g.good).sum())]

print(json.dumps({
    "flights": len(flights),
    "split": {"train": len(train), "test": len(test), "outside": len(flights) - len(window), "cut": cut.strftime("%Y-%m-%dT%H:%M:%SZ")},
    "dep_delay": {"rows": len(delay), "nulls": int(flights.dep_delay.isna().sum()), "distinct": int(delay.nunique()), "mean": delay.mean(), "sd": delay.std(ddof=0),
                  "edges": edges.tolist(), "counts": bins.tolist()},
    "carrier": flights.carrier.value_counts().to_dict(),
    "tailnum": {"null": int(flights.tailnum.isna().sum()), "recurring": int((flights.tailnum.value_counts() > 1).sum()),
                "rows": int(flights.tailnum.value_counts()[lambda v: v > 1].sum())},
    "late": {"march_labeled": int(flights[(flights.month == 3)].late.notna().sum()), "march_late": int(flights[flights.month == 3].late.sum())},
    "recoded": {c: {v: int(n) for v, n in new[~new[c].isin(old[c].unique())][c].value_counts().items()} for c in recoded},
    "fairness": groups,
    "stratified": {str(k): int(v) for k, v in old.income_gt_50k.value_counts().items()},
}, indent=1))
