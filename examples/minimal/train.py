"""How much alcohol is in the wine, judged by its other measurements?"""
import argparse
import pathlib

import joblib
import pandas as pd
from sklearn.ensemble import RandomForestRegressor

args = argparse.ArgumentParser()
args.add_argument("--max-depth", type=int, default=6)
args.add_argument("--seed", type=int, default=42)
args = args.parse_args()

wine = pd.read_csv("work/train.csv")
model = RandomForestRegressor(n_estimators=100, max_depth=args.max_depth, random_state=args.seed)
model.fit(wine.drop(columns="alcohol"), wine["alcohol"])

folder = pathlib.Path("work/model")
folder.mkdir(parents=True, exist_ok=True)
joblib.dump(model, folder / "model.joblib")
print(f"trained on {len(wine)} wines, depth {args.max_depth}")
