# SPDX-License-Identifier: Apache-2.0
"""Make the data of the examples from the public tables. Kept so that the copies can be made again; nothing runs it.

    python prepare.py --flights nycflights.parquet --census census_income_train.parquet census_income_test.parquet --to .

Sources, licences and every change are in NOTICE.md. Needs pandas, pyarrow and scikit-learn (for wine.csv).
"""
import argparse
import pathlib

import numpy as np
import pandas as pd


def write(frame: pd.DataFrame, path: pathlib.Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(path, index=False, compression="zstd", compression_level=19)
    print(f"{path}  {len(frame):,} rows  {path.stat().st_size / 1024:,.0f} KiB")


def flights(source: pathlib.Path, to: pathlib.Path) -> None:
    """One file a month: what the timetable says before departure, and how it ended."""
    raw = pd.read_parquet(source)
    # A flight without an arrival delay was cancelled or diverted: it was neither on time nor late, so it has no label.
    raw = raw[raw.arr_delay.notna()]
    departure = pd.to_datetime(raw[["year", "month", "day", "hour", "minute"]])
    frame = pd.DataFrame({
        "flight_id": departure.dt.strftime("%Y-%m-%d") + "-" + raw.carrier + raw.flight.astype(str) + "-" + raw.origin,
        "scheduled_departure": departure.astype("datetime64[us]"),  # local time in New York, without a zone
        "carrier": raw.carrier,
        "origin": raw.origin,
        "dest": raw.dest,
        "distance": raw.distance.astype("int64"),  # miles
        "hour": raw.hour.astype("int64"),
        "minute": raw.minute.astype("int64"),
        "day_of_week": departure.dt.day_of_week.astype("int64"),  # 0 is Monday
        "late": (raw.arr_delay > 15).astype("int64"),
    }).sort_values(["scheduled_departure", "flight_id"])
    if frame.flight_id.duplicated().any():
        raise SystemExit("flight_id is not unique")
    for month, part in frame.groupby(frame.scheduled_departure.dt.strftime("%Y-%m")):
        folder = "flights/data/flights" if month <= "2013-03" else "flights-later"
        write(part, to / folder / f"{month}.parquet")


def census(sources: list[pathlib.Path], to: pathlib.Path) -> None:
    """One file a year; the year itself is left out, it would give the answer to what changed."""
    raw = pd.concat([pd.read_parquet(source) for source in sources])
    raw = raw[raw.age >= 16]
    for year, folder in ((94, "income/data/census"), (95, "income-later")):
        part = raw[raw.year == year].drop(columns=["year", "instance_weight"]).reset_index(drop=True)
        part.insert(0, "person_id", [f"{1900 + year}-{i:06d}" for i in range(len(part))])
        write(part, to / folder / f"{1900 + year}.parquet")


def wine(to: pathlib.Path) -> None:
    """scikit-learn's copy of UCI Wine as a regression: how much alcohol, from the other twelve measurements."""
    from sklearn.datasets import load_wine

    bunch = load_wine(as_frame=True)
    frame = bunch.data.rename(columns={"od280/od315_of_diluted_wines": "od280_od315"})
    frame["cultivar"] = bunch.target.astype(np.int64)
    path = to / "minimal/data/wine.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False, lineterminator="\n")
    print(f"{path}  {len(frame)} rows")


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--flights", type=pathlib.Path)
    args.add_argument("--census", type=pathlib.Path, nargs="+")
    args.add_argument("--to", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    args = args.parse_args()
    if args.flights:
        flights(args.flights, args.to)
    if args.census:
        census(args.census, args.to)
    wine(args.to)


if __name__ == "__main__":
    main()
