"""Root mean squared error and explained variance on wines that training never saw."""
import json

import joblib
import pandas as pd
from sklearn.metrics import r2_score, root_mean_squared_error

wine = pd.read_csv("work/test.csv")
answer = joblib.load("work/model/model.joblib").predict(wine.drop(columns="alcohol"))
metrics = {
    "rmse": float(root_mean_squared_error(wine["alcohol"], answer)),
    "r2": float(r2_score(wine["alcohol"], answer)),
}
with open("work/metrics.json", "w") as out:
    json.dump(metrics, out)
print(f"rmse {metrics['rmse']:.3f}  r2 {metrics['r2']:.3f}")
