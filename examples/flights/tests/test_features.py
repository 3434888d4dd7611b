import numpy as np
import pandas as pd

from src.features import COLUMNS, LABEL, encoder
from src.metrics import auc_interval

FLIGHTS = pd.DataFrame({
    "carrier": ["UA", "B6", "DL"], "origin": ["EWR", "JFK", "LGA"], "dest": ["IAH", "BQN", "ATL"],
    "distance": [1400, 1576, 762], "hour": [5, 5, 6], "minute": [15, 45, 0], "day_of_week": [1, 1, 1],
})


def test_features_are_known_before_departure():
    assert LABEL not in COLUMNS
    assert not [c for c in COLUMNS if c in ("flight_id", "scheduled_departure") or "delay" in c]


def test_an_airport_never_seen_is_not_an_error():
    fitted = encoder().fit(FLIGHTS)
    new = fitted.transform(FLIGHTS.assign(dest="ANC"))
    assert (new[:, 2] == -1).all()
    assert np.isfinite(new).all()


def test_the_order_of_columns_does_not_matter():
    fitted = encoder().fit(FLIGHTS)
    assert np.array_equal(fitted.transform(FLIGHTS), fitted.transform(FLIGHTS[FLIGHTS.columns[::-1]]))


def test_auc_counts_pairs_by_hand():
    # Late 0.9 and 0.4 against on time 0.4 and 0.1: of four pairs three are won and one is a tie.
    got = auc_interval(np.array([1, 1, 0, 0]), np.array([0.9, 0.4, 0.4, 0.1]))
    assert got["value"] == 0.875
    assert got["ci_low"] < 0.875 <= got["ci_high"] <= 1
