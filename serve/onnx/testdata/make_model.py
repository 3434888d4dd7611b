# SPDX-License-Identifier: Apache-2.0
"""Makes flights.onnx (columns) and matrix.onnx (one matrix), and says what scikit-learn itself answers.

Made once with scikit-learn, skl2onnx and onnx; the tests need only what it wrote.
"""
import json
import sys

import numpy as np
import onnx
import pandas as pd
import sklearn
import skl2onnx
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
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
})
late = (rng.random(n) < 1 / (1 + np.exp(3 - frame["dep_hour"] / 8))).astype(int)
encode = make_column_transformer((OneHotEncoder(), ["carrier"]), remainder="passthrough")
named = make_pipeline(encode, LogisticRegression(max_iter=2000)).fit(frame, late)
types = [("dep_hour", Int64TensorType([None, 1])), ("distance", FloatTensorType([None, 1])), ("carrier", StringTensorType([None, 1]))]
final = {id(named[-1]): {"zipmap": False}}
onnx.save(to_onnx(named, initial_types=types, options=final, target_opset=15), root + "/flights.onnx")

matrix = frame[["dep_hour", "distance"]].to_numpy("float32")
plain = LogisticRegression(max_iter=2000).fit(matrix, late)
onnx.save(to_onnx(plain, initial_types=[("x", FloatTensorType([None, 2]))], options={"zipmap": False}, target_opset=15), root + "/matrix.onnx")

rows = frame.head(5)
json.dump({
    "versions": {"scikit-learn": sklearn.__version__, "skl2onnx": skl2onnx.__version__, "onnx": onnx.__version__},
    "columns": {c: rows[c].tolist() for c in rows},
    "scores": named.predict_proba(rows)[:, 1].tolist(),
    "matrix": matrix[:5].tolist(),
    "matrix_scores": plain.predict_proba(matrix[:5])[:, 1].tolist(),
}, open(root + "/want.json", "w"), indent=1)
