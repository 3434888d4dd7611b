# SPDX-License-Identifier: Apache-2.0
"""lastro as a user has it: the binary, its server and the server's JSON API."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

from stage import Missed, wait_for

BINARY = os.environ.get("LASTRO") or str(pathlib.Path(__file__).resolve().parent.parent / "bin" / "lastro")


class Answer:
    """What a command printed, and its exit code."""

    def __init__(self, args, done, seconds):
        self.args, self.code, self.out, self.err, self.seconds = args, done.returncode, done.stdout, done.stderr, seconds

    def json(self):
        try:
            return json.loads(self.out)
        except ValueError:
            raise Missed(f"lastro {' '.join(self.args)} printed no JSON (exit {self.code}): {self.out[:300]} {self.err[-600:]}")

    def ok(self, *codes):
        """Returns itself when the exit code is one of codes (0 when none is named)."""
        if self.code not in (codes or (0,)):
            raise Missed(f"lastro {' '.join(self.args)}: exit {self.code}\n{self.out[-800:]}\n{self.err[-1500:]}")
        return self


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Project:
    """A project folder with, at times, a living server. It ends what it started, by process id."""

    def __init__(self, folder: pathlib.Path, log: pathlib.Path):
        self.folder, self.log = folder, log
        self.up, self.url, self.token, self.planes = None, "", "", set()
        self.port = free_port()  # where models answer; the same one after a restart

    # -- commands ------------------------------------------------------------------------------------------------------------------------

    def lastro(self, *args, env=None, timeout=900) -> Answer:
        start = time.time()
        done = subprocess.run([BINARY, "-C", str(self.folder), *args], capture_output=True, text=True, timeout=timeout, env={**os.environ, **(env or {})})
        return Answer(args, done, time.time() - start)

    def git(self, *args) -> str:
        who = ["-c", "user.name=demo", "-c", "user.email=demo@example.org", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", "-C", str(self.folder), *who, *args], capture_output=True, text=True)
        if done.returncode:
            raise Missed(f"git {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout

    def commit(self, message):
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)

    # -- the server ----------------------------------------------------------------------------------------------------------------------

    def start(self, *more) -> float:
        """Starts `lastro up` and returns the seconds until it was ready."""
        port = free_port()
        start = time.time()
        with open(self.log, "ab") as log:
            self.up = subprocess.Popen([BINARY, "-C", str(self.folder), "up", "--listen", f"127.0.0.1:{port}", "--endpoints", f"127.0.0.1:{self.port}", *more],
                                       stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        self.url = f"http://127.0.0.1:{port}"

        def ready():
            if self.up.poll() is not None:
                raise Missed(f"lastro up ended with exit code {self.up.returncode}; see {self.log}:\n{self.log.read_text()[-1500:]}")
            with urllib.request.urlopen(self.url + "/readyz", timeout=2) as answer:
                return answer.status == 200
        wait_for("lastro up", ready, 30, 0.01)
        took = time.time() - start
        if not self.token:
            self.token = self.lastro("token", "create", "--user", "local", "--json").ok().json()["token"]
        return took

    def stop(self, how=signal.SIGTERM):
        """Ends the server; what answers requests goes on."""
        if self.up and self.up.poll() is None:
            self.up.send_signal(how)
            try:
                self.up.wait(15)
            except subprocess.TimeoutExpired:
                self.up.kill()
                self.up.wait()
        self.up = None

    def end(self):
        """Ends everything that was started here."""
        try:
            if self.up and self.up.poll() is None:
                self.remember_planes()
        except Exception:
            pass
        self.stop()
        for pid in self.planes:
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                pass

    # -- the JSON API --------------------------------------------------------------------------------------------------------------------

    def api(self, path, body=None, token=None, method=None):
        """Calls /api/v1 and returns the document; an HTTP error is Missed with the problem's title."""
        request = urllib.request.Request(self.url + "/api/v1" + path, method=method or ("POST" if body is not None else "GET"),
                                         data=None if body is None else json.dumps(body).encode(),
                                         headers={"Authorization": "Bearer " + (token or self.token), "Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise Missed(f"{request.method} {path}: {error.code} {error.read().decode()[:400]}")

    def environment(self):
        return self.api("/environments/local")

    def inference(self) -> str:
        """The address of the endpoint, once it is there."""
        address = wait_for("the endpoint's address", lambda: self.api("/status").get("inference"), 60)

        def ready():
            with urllib.request.urlopen(address + "/v2/health/ready", timeout=5) as answer:
                return answer.status == 200
        wait_for("the endpoint", ready, 60)
        self.remember_planes()
        return address

    def remember_planes(self):
        """Notes the process that answers requests: it outlives the server, and is ours to end."""
        if not self.up:
            return
        pid = self.environment()["status"].get("Pid") or self.environment()["status"].get("pid")
        if pid:
            self.planes.add(pid)

    def run(self, number):
        return self.api(f"/runs/{number}")

    def newest_run(self):
        runs = self.api("/runs?limit=1")["runs"]
        return runs[0] if runs else None
