# SPDX-License-Identifier: Apache-2.0
"""Flights that ask the endpoint, by the time they were to depart."""
import concurrent.futures
import http.client
import json
import threading
import time
import urllib.parse

import pandas as pd

INPUTS = ["carrier", "origin", "dest", "distance", "hour", "minute", "day_of_week"]
EXTRA = ["flight_id", "scheduled_departure"]  # join key and event time: logged by the endpoint, never seen by the model


class Client:
    """Sends rows over kept connections and keeps every answer."""

    def __init__(self, address: str, threads=4):
        self.host = urllib.parse.urlsplit(address).netloc
        self.threads = threads
        self.answers = []  # (flight_id, version, score, role)
        self.requests = self.lost = self.rescued = 0
        self._local, self._lock = threading.local(), threading.Lock()

    def send(self, rows: pd.DataFrame, batch=200, until=None):
        """Sends rows in time order, in requests of batch rows; until() true ends early. Returns the rows sent and the seconds."""
        rows = rows.sort_values("scheduled_departure", kind="stable")
        table = rows[INPUTS + EXTRA].copy()
        table["scheduled_departure"] = table.scheduled_departure.dt.strftime("%Y-%m-%dT%H:%M:%S")
        values = table.values.tolist()
        start, sent = time.time(), 0
        with concurrent.futures.ThreadPoolExecutor(self.threads) as pool:
            # A few at a time, so that the endpoint sees time pass in order.
            step = batch * self.threads * 4
            for first in range(0, len(values), step):
                if until and until():
                    break
                part = values[first:first + step]
                list(pool.map(self.ask, (part[i:i + batch] for i in range(0, len(part), batch))))
                sent += len(part)
        return sent, time.time() - start

    def ask(self, values):
        """One request; whatever is not a whole answer of status 200 counts as lost."""
        body = json.dumps({"dataframe_split": {"columns": INPUTS + EXTRA, "data": values}})
        try:
            status, head, document = self._post(body)
            scores = [p[-1] if isinstance(p, list) else p for p in document["predictions"]]
            good = status == 200 and len(scores) == len(values)
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
            good, head, scores = False, {}, []
            self.last_error = error
        with self._lock:
            self.requests += 1
            if not good:
                self.lost += 1
                return
            if head.get("X-Lastro-Failed"):
                self.rescued += 1
            version = head.get("X-Lastro-Revision", "").split("@")[-1]
            self.answers += [(row[-2], version, score, head.get("X-Lastro-Role", "")) for row, score in zip(values, scores)]

    def _post(self, body):
        for attempt in (1, 2):
            connection = getattr(self._local, "connection", None)
            if connection is None:
                connection = self._local.connection = http.client.HTTPConnection(self.host, timeout=60)
            try:
                connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                raw = answer.read()
                if answer.status != 200:
                    self.last_error = raw[:500]
                return answer.status, answer.headers, json.loads(raw)
            except (http.client.RemoteDisconnected, ConnectionError):
                # A kept connection may have been closed while it was idle; a new one decides.
                connection.close()
                self._local.connection = None
                if attempt == 2:
                    raise

    def write(self, path):
        pd.DataFrame(self.answers, columns=["flight_id", "version", "score", "role"]).to_csv(path, index=False)
