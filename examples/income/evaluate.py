"""Evaluate on people that training never saw, and write down who would receive an offer."""
import json
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import mlflow.pyfunc
import pandas as pd
from sklearn.metrics import brier_score_loss, roc_auc_score

LABEL = "income_gt_50k"
THRESHOLD = 0.2  # an offer goes to everyone with at least this probability


def main() -> None:
    people = pd.read_parquet("work/test.parquet")
    model = mlflow.pyfunc.load_model("work/model")
    score = model.predict(people[model.metadata.get_input_schema().input_names()])[:, -1]
    offer = (score >= THRESHOLD).astype("int64")
    metrics = {
        "auc": float(roc_auc_score(people[LABEL], score)),
        "brier": float(brier_score_loss(people[LABEL], score)),
        "offers": float(offer.mean()),
        "rows": len(people),
    }
    with open("work/metrics.json", "w") as out:
        json.dump(metrics, out, indent=1)
    predictions = people[["person_id", LABEL]].assign(score=score, offer=offer)
    predictions.to_parquet("work/predictions.parquet", index=False)
    print(f"auc {metrics['auc']:.4f}  brier {metrics['brier']:.4f}  offers {metrics['offers']:.1%} of {len(people):,}")


if __name__ == "__main__":
    main()
