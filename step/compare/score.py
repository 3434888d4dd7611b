# SPDX-License-Identifier: Apache-2.0
"""Scores the same rows with several MLflow models, for lastro/compare.

usage: score.py TABLE TARGET OUT NAME=MODEL_DIR [NAME=MODEL_DIR ...]

TABLE is a Parquet or CSV file. OUT becomes a CSV with one row per row of TABLE
whose TARGET is known: the target, then one score per model. The score of a
classifier that answers two probabilities is the last one, that of the positive
class in scikit-learn's order.
"""
import csv
import sys

import mlflow.pyfunc
import numpy as np
import pandas as pd


def scores(model_dir, table, target):
    """Return one float per row of table, as the endpoint would answer."""
    model = mlflow.pyfunc.load_model(model_dir)
    schema = model.metadata.get_input_schema()
    names = schema.input_names() if schema is not None and schema.has_input_names() else None
    if names:
        required = set(schema.required_input_names())
        missing = [n for n in names if n not in table.columns and n in required]
        if missing:
            sys.exit(f"the rows lack the column(s) {', '.join(missing)} that {model_dir} asks for")
        frame = widened(table[[n for n in names if n in table.columns]], schema)
    else:
        frame = table.drop(columns=[target])
    answer = np.asarray(model.predict(frame))
    if answer.ndim == 2:
        answer = answer[:, -1]
    return answer.astype(float)


def widened(frame, schema):
    """Whole numbers where the model asks for fractions, as a file without a decimal point gives them, are made fractions:
    MLflow refuses to, and the endpoint does it too."""
    asked = {c.name: getattr(c.type, "name", "") for c in schema.inputs}
    types = {n: {"double": "float64", "float": "float32"}[asked[n]] for n in frame.columns
             if asked.get(n) in ("double", "float") and pd.api.types.is_integer_dtype(frame[n])}
    return frame.astype(types)


def main(argv):
    table_path, target, out_path, *models = argv
    table = pd.read_csv(table_path) if table_path.endswith(".csv") else pd.read_parquet(table_path)
    if target not in table.columns:
        sys.exit(f"{table_path} has no column {target}; it has {', '.join(table.columns)}")
    table = table[table[target].notna()]
    named = [m.split("=", 1) for m in models]
    columns = [scores(path, table, target) for _, path in named]
    with open(out_path, "w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow([target] + [name for name, _ in named])
        rows.writerows(zip(table[target].astype(float), *columns))


if __name__ == "__main__":
    main(sys.argv[1:])
