"""Evaluate the chosen model on flights that are newer than all it was trained on."""
import json
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import mlflow.pyfunc
import pandas as pd
from sklearn.metrics import brier_score_loss

from src.features import COLUMNS, LABEL
from src.metrics import auc_interval


def main() -> None:
    flights = pd.read_parquet("work/test.parquet")
    flights["score"] = mlflow.pyfunc.load_model("work/model").predict(flights[COLUMNS])[:, -1]
    label, score = flights[LABEL].to_numpy(), flights["score"].to_numpy()
    metrics = {"auc": auc_interval(label, score), "brier": float(brier_score_loss(label, score)), "rows": len(flights)}
    with open("work/metrics.json", "w") as out:
        json.dump(metrics, out, indent=1)
    flights[["flight_id", "scheduled_departure", LABEL, "score"]].to_parquet("work/predictions.parquet", index=False)
    auc = metrics["auc"]
    print(f"auc {auc['value']:.4f} [{auc['ci_low']:.4f}, {auc['ci_high']:.4f}]  brier {metrics['brier']:.4f}  rows {len(flights):,}")


if __name__ == "__main__":
    main()
