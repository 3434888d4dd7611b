# SPDX-License-Identifier: Apache-2.0
"""Steps a second through the queue: engines that only claim and complete, on SQLite and on PostgreSQL."""
import contextlib
import glob
import json
import os
import pwd
import subprocess

from common import PROGRAMS, call, runs, single


@contextlib.contextmanager
def postgres(folder):
    """A private server on a socket in folder; yields its URL, or None without PostgreSQL."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    if not found:
        yield None
        return
    tools, data = os.path.dirname(found[-1]), folder / "pg"
    data.mkdir()
    kwargs = {}
    if os.geteuid() == 0:  # initdb refuses root
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam("postgres")
            os.chown(data, user.pw_uid, user.pw_gid)
            for parent in (folder, folder.parent):  # the temporary folder of this subject
                os.chmod(parent, 0o755)
            kwargs = {"user": user.pw_uid, "group": user.pw_gid}
    subprocess.run([f"{tools}/initdb", "-D", data / "db", "-A", "trust", "-U", "bench", "--no-sync"], check=True, capture_output=True, cwd="/", **kwargs)
    server = subprocess.Popen([f"{tools}/postgres", "-D", data / "db", "-k", data, "-c", "listen_addresses=", "-c", "max_connections=100"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **kwargs)
    try:
        subprocess.run([f"{tools}/pg_isready", "-h", data, "-U", "bench", "-t", "30"], check=False, capture_output=True)
        for _ in range(100):
            if subprocess.run([f"{tools}/pg_isready", "-h", data, "-q"], check=False).returncode == 0:
                break
        yield lambda name: (subprocess.run([f"{tools}/createdb", "-h", data, "-U", "bench", name], check=True), f"postgres://bench@/{name}?host={data}")[1]
    finally:
        server.terminate()
        server.wait(30)


def throughput(database, engines):
    return json.loads(call(PROGRAMS / "queue", "-db", database, "-engines", engines)[1])


def rows(scratch):
    folder = scratch / "queue"
    folder.mkdir()
    for engines in (1, 4):
        found = [throughput(folder / f"{engines}-{i}.db", engines)["steps_per_second"] for i in range(runs(3))]
        yield f"steps a second, {engines} engine{'s' if engines > 1 else ''} on SQLite", (sorted(found)[len(found) // 2], min(found), max(found)), "", "/s"
    with postgres(folder) as server:
        if server is None:
            yield "PostgreSQL is not here", single(0)
            return
        for engines in (1, 4):
            found = [throughput(server(f"b{engines}_{i}"), engines)["steps_per_second"] for i in range(runs(3))]
            yield f"steps a second, {engines} engine{'s' if engines > 1 else ''} on PostgreSQL", (sorted(found)[len(found) // 2], min(found), max(found)), "", "/s"
