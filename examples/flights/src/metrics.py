"""Figures of a scored table."""
import math

import numpy as np
from scipy.stats import rankdata


def auc_interval(label: np.ndarray, score: np.ndarray) -> dict[str, float]:
    """ROC AUC with its 95% interval (DeLong, DeLong and Clarke-Pearson 1988; mid-ranks as in Sun and Xu 2014)."""
    late, rest = score[label == 1], score[label == 0]
    ranks = rankdata(np.concatenate([late, rest]))
    over_rest = (ranks[: len(late)] - rankdata(late)) / len(rest)  # for each late flight: share of the others it outranks
    under_late = 1 - (ranks[len(late):] - rankdata(rest)) / len(late)
    value = float(over_rest.mean())
    half = 1.959964 * math.sqrt(over_rest.var(ddof=1) / len(late) + under_late.var(ddof=1) / len(rest))
    return {"value": value, "ci_low": value - half, "ci_high": min(1.0, value + half)}
