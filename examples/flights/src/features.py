"""What the model sees of a flight: only what the timetable says before departure."""
import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import OrdinalEncoder

CATEGORIES = ["carrier", "origin", "dest"]
NUMBERS = ["distance", "hour", "minute", "day_of_week"]
COLUMNS = CATEGORIES + NUMBERS
LABEL = "late"


def encoder() -> ColumnTransformer:
    """Names become numbers. Airlines start new routes in every season, so an airport that training never saw is -1 and not an error."""
    names = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2, dtype=np.float64)
    return ColumnTransformer([("names", names, CATEGORIES), ("numbers", "passthrough", NUMBERS)])
