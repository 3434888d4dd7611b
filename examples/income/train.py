"""Who earns more than 50,000 dollars a year?  Sex and race are never an input of the model.

With --weights sex every training row counts by sex and label together, so that both are as if independent (reweighing: Kamiran and Calders 2012).
The step then looks the column up in the census by person_id, which lastro.yaml must say: `inputs: [..., census]` and `sees: [sex]`.
"""
import argparse
import json
import os
import warnings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads that wait for each other on a busy machine cost more than they save

import mlflow.sklearn
import numpy as np
import pandas as pd
import sklearn
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

LABEL = "income_gt_50k"
NO_INPUT = ["person_id", "sex", "race", LABEL]


def build(columns: pd.DataFrame):
    names = [c for c in columns if not pd.api.types.is_numeric_dtype(columns[c])]
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2, dtype=np.float64)
    return make_pipeline(
        make_column_transformer((encoder, names), remainder="passthrough"),
        HistGradientBoostingClassifier(random_state=42),
    )


def reweigh(people: pd.DataFrame, group: str) -> np.ndarray:
    """Expected share of each group and label, were they independent, over the share seen."""
    known = pd.read_parquet("data/census", columns=["person_id", group])
    people = people[["person_id", LABEL]].merge(known, on="person_id", how="left", validate="one_to_one")

    def count(*by: str) -> pd.Series:
        return people.groupby(list(by))[LABEL].transform("size")
    return (count(group) * count(LABEL) / (len(people) * count(group, LABEL))).to_numpy()


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--weights", choices=["none", "sex"], default="none")
    args = args.parse_args()

    people = pd.read_parquet("work/train.parquet")
    features = people.drop(columns=[c for c in NO_INPUT if c in people])
    weights = None if args.weights == "none" else reweigh(people, args.weights)

    final = build(features).fit(features, people[LABEL], histgradientboostingclassifier__sample_weight=weights)

    sample = features.head(100)
    warnings.filterwarnings("ignore", message="Hint: Inferred schema contains integer")  # the contract lets no gap through
    mlflow.sklearn.save_model(
        final, "work/model",
        pyfunc_predict_fn="predict_proba",  # the answer is a probability, not a class
        signature=infer_signature(sample, final.predict_proba(sample)),
        serialization_format="cloudpickle",
        pip_requirements=[f"scikit-learn=={sklearn.__version__}", f"pandas=={pd.__version__}"],
    )
    with open("work/train.json", "w") as out:
        json.dump({"train_rows": len(people), "inputs": features.shape[1]}, out)
    print(f"weights {args.weights}  rows {len(people):,}  inputs {features.shape[1]}")


if __name__ == "__main__":
    main()
