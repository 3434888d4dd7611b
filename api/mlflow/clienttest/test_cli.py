# SPDX-License-Identifier: Apache-2.0
"""The mlflow command: once as people start it, else in this process, which has imported it already."""
import json
import subprocess
import sys

import mlflow
from click.testing import CliRunner
from mlflow.cli import cli


def run_mlflow(*args):
    done = CliRunner().invoke(cli, args, catch_exceptions=False)
    assert done.exit_code == 0, f"mlflow {' '.join(args)}\n{done.output}"
    return getattr(done, "stdout", done.output)


def test_process():
    done = subprocess.run([sys.executable, "-m", "mlflow", "experiments", "search"], capture_output=True, text=True)
    assert done.returncode == 0 and "Default" in done.stdout, done.stderr


def test_commands(client, name, tmp_path):
    out = run_mlflow("experiments", "create", "-n", name)
    eid = client.get_experiment_by_name(name).experiment_id
    assert eid in out
    assert name in run_mlflow("experiments", "search", "--view", "all")
    run_mlflow("experiments", "rename", "-x", eid, "--new-name", name + "2")
    run = client.create_run(eid, run_name="by command").info.run_id
    client.log_metric(run, "m", 1)
    assert "by command" in run_mlflow("runs", "list", "--experiment-id", eid)
    assert json.loads(run_mlflow("runs", "describe", "--run-id", run))["data"]["metrics"]["m"] == 1
    (tmp_path / "a.txt").write_text("hello")
    run_mlflow("artifacts", "log-artifact", "-l", str(tmp_path / "a.txt"), "-r", run)
    assert json.loads(run_mlflow("artifacts", "list", "-r", run)) == [{"path": "a.txt", "is_dir": False, "file_size": 5}]
    run_mlflow("artifacts", "download", "-r", run, "-a", "a.txt", "-d", str(tmp_path / "out"))
    assert (tmp_path / "out" / "a.txt").read_text() == "hello"
    run_mlflow("runs", "delete", "--run-id", run)
    run_mlflow("runs", "restore", "--run-id", run)
    run_mlflow("experiments", "delete", "-x", eid)
    run_mlflow("experiments", "restore", "-x", eid)
    assert mlflow.get_experiment(eid).name == name + "2"
    run_mlflow("experiments", "csv", "-x", eid, "-o", str(tmp_path / "runs.csv"))
    assert run in (tmp_path / "runs.csv").read_text()
