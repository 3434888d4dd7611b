# SPDX-License-Identifier: Apache-2.0
"""Artifacts: listing, download, upload, deletion, of runs and of logged models."""


def play(c):
    c.post("run", "runs/create", {"experiment_id": "0", "start_time": 1, "run_name": "r"}, save={"run": "run.info.run_id"})
    a = "/api/2.0/mlflow-artifacts/artifacts"
    root = "0/${run}/artifacts"
    binary = {"Content-Type": "application/octet-stream"}
    c.get("list nothing", "artifacts/list", {"run_id": "${run}"})
    c.put("upload", f"{a}/{root}/a.txt", "hello", headers=binary)
    c.put("upload deeper", f"{a}/{root}/dir/b.txt", "more", headers=binary)
    c.put("upload deeper still", f"{a}/{root}/dir/sub/c.txt", "most", headers=binary)
    c.put("upload nothing", f"{a}/{root}/empty", "", headers=binary)
    c.put("upload a name with a space", f"{a}/{root}/a%20b.txt", "space", headers=binary)
    c.put("upload again", f"{a}/{root}/a.txt", "changed", headers=binary)
    c.get("download", f"{a}/{root}/a.txt")
    c.get("download with a space", f"{a}/{root}/a%20b.txt")
    c.get("download nothing", f"{a}/{root}/empty")
    c.get("download what is not there", f"{a}/{root}/none.txt")
    c.get("download a folder", f"{a}/{root}/dir")
    c.get("download from no run", f"{a}/0/00000000000000000000000000000000/artifacts/a.txt")
    c.get("list", a, {"path": root})
    c.get("list a folder", a, {"path": f"{root}/dir"})
    c.get("list a file", a, {"path": f"{root}/a.txt"})
    c.get("list what is not there", a, {"path": f"{root}/none"})
    c.get("list a run", "artifacts/list", {"run_id": "${run}"})
    c.get("list a run by run_uuid", "artifacts/list", {"run_uuid": "${run}"})
    c.get("list a folder of a run", "artifacts/list", {"run_id": "${run}", "path": "dir"})
    c.get("list a file of a run", "artifacts/list", {"run_id": "${run}", "path": "a.txt"})
    c.get("list what a run does not have", "artifacts/list", {"run_id": "${run}", "path": "none"})
    c.get("list no run", "artifacts/list")
    c.get("list a run that is not there", "artifacts/list", {"run_id": "00000000000000000000000000000000"})
    for path in ("..", "../..", "/etc", "a/../..", "..\\", "%2e%2e", "~", "file:///etc", "C:/x", "a?b", "a#b", "./x", "a//b"):
        c.get(f"list {path}", a, {"path": path})
        c.get(f"list {path} of a run", "artifacts/list", {"run_id": "${run}", "path": path})
    c.delete("delete", f"{a}/{root}/a.txt")
    c.get("download what is deleted", f"{a}/{root}/a.txt")
    c.delete("delete a folder", f"{a}/{root}/dir")
    c.get("list after", a, {"path": root})
    c.get("get-artifact", "/get-artifact", {"run_id": "${run}", "path": "a b.txt"})
    c.get("get-artifact of nothing", "/get-artifact", {"run_id": "${run}", "path": "none"})
    c.get("get-artifact without a path", "/get-artifact", {"run_id": "${run}"})
    c.get("get-artifact of no run", "/get-artifact", {"path": "a"})
    c.get("get-artifact by run_uuid", "/get-artifact", {"run_uuid": "${run}", "path": "a b.txt"})
    c.get("get-artifact outside", "/get-artifact", {"run_id": "${run}", "path": "../../../etc/passwd"})
    c.get("health", "/health")
    c.get("version", "/version")
