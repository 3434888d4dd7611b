"""Every fourth wine goes to the test."""
import pandas as pd

wine = pd.read_csv("data/wine.csv").sample(frac=1, random_state=42)
test = wine[::4]
test.to_csv("work/test.csv", index=False)
wine.drop(test.index).to_csv("work/train.csv", index=False)
print(f"{len(wine) - len(test)} to learn from, {len(test)} to test")
