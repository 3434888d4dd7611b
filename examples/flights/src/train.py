"""Train one model: will this flight arrive more than 15 minutes late?"""
import argparse
import json
import os
import warnings

# One thread: the variants run side by side, and threads that wait for each other on a busy machine cost ten times the work itself.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import mlflow
import mlflow.sklearn
import pandas as pd
import sklearn
from mlflow.models import infer_signature
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline

from src.features import COLUMNS, LABEL, encoder


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--depth", type=int, default=4)
    args.add_argument("--rate", type=float, default=0.05)
    args.add_argument("--max-iter", type=int, default=150)
    args.add_argument("--seed", type=int, default=42)
    args = args.parse_args()

    def model():
        # Early stopping would hold out a random tenth: another order of the same rows would then give another model.
        trees = HistGradientBoostingClassifier(max_depth=args.depth, learning_rate=args.rate, max_iter=args.max_iter, random_state=args.seed,
                                               early_stopping=False)
        return make_pipeline(encoder(), trees)

    flights = pd.read_parquet("work/train.parquet").sort_values(["scheduled_departure", "flight_id"])
    cut = int(len(flights) * 0.8)  # validate on the newest fifth: that is how the model will be used
    early, recent = flights[:cut], flights[cut:]
    scores = model().fit(early[COLUMNS], early[LABEL]).predict_proba(recent[COLUMNS])[:, 1]
    valid_auc = float(roc_auc_score(recent[LABEL], scores))

    mlflow.sklearn.autolog(log_models=False, log_datasets=False, log_post_training_metrics=False)
    with mlflow.start_run():
        final = model().fit(flights[COLUMNS], flights[LABEL])
        mlflow.log_metric("valid_auc", valid_auc)
        mlflow.log_metric("rows", len(flights))

    sample = flights[COLUMNS].head(100)
    warnings.filterwarnings("ignore", message="Hint: Inferred schema contains integer")  # a timetable has no gaps: the contract sees to it
    mlflow.sklearn.save_model(
        final, "work/model",
        pyfunc_predict_fn="predict_proba",  # the answer is a probability, not a class
        signature=infer_signature(sample, final.predict_proba(sample)),
        serialization_format="cloudpickle",
        pip_requirements=[f"scikit-learn=={sklearn.__version__}", f"pandas=={pd.__version__}"],
    )
    with open("work/train.json", "w") as out:
        json.dump({"valid_auc": valid_auc}, out)
    print(f"depth {args.depth}  rate {args.rate}  rows {len(flights):,}  valid_auc {valid_auc:.4f}")


if __name__ == "__main__":
    main()
