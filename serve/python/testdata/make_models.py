# SPDX-License-Identifier: Apache-2.0
"""Makes the MLflow folders that the tests load, and says what scikit-learn itself answers."""
import json
import sys
import warnings

warnings.filterwarnings("ignore")
import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

root = sys.argv[1]
rng = np.random.default_rng(7)
n = 400
frame = pd.DataFrame({
    "dep_hour": rng.integers(5, 23, n),
    "distance": rng.uniform(100, 2500, n).round(1),
    "carrier": rng.choice(["AA", "B6", "UA"], n),
    "holiday": rng.random(n) < 0.1,
})
late = (rng.random(n) < 1 / (1 + np.exp(3 - frame["dep_hour"] / 8))).astype(int)
encode = make_column_transformer((OneHotEncoder(handle_unknown="error"), ["carrier"]), remainder="passthrough")
model = make_pipeline(encode, LogisticRegression(max_iter=2000)).fit(frame, late)
signature = infer_signature(frame, model.predict_proba(frame))
# Cloudpickle rather than skops: what most folders in use hold.
mlflow.sklearn.save_model(model, root + "/flights", signature=signature, pyfunc_predict_fn="predict_proba", serialization_format="cloudpickle", pip_requirements=["mlflow"])


class Sick(mlflow.pyfunc.PythonModel):
    def __init__(self, how):
        self.how = how

    def load_context(self, context):
        if self.how == "load":
            print("about to fail", file=sys.stderr)
            raise FileNotFoundError("no vocabulary here")

    def predict(self, context, model_input, params=None):
        print("a library that prints to stdout")
        if self.how == "exit":
            import os
            os._exit(3)
        if self.how == "text":
            return ["late" if h > 12 else "on time" for h in model_input["dep_hour"]]
        return model_input[["dep_hour"]].rename(columns={"dep_hour": "hour"})


for how in ["load", "exit", "text", "frame"]:
    mlflow.pyfunc.save_model(root + "/" + how, python_model=Sick(how), signature=infer_signature(frame), pip_requirements=["mlflow"])

rows = frame.head(5)
print(json.dumps({"columns": {c: rows[c].tolist() for c in rows}, "scores": model.predict_proba(rows)[:, 1].tolist()}))
