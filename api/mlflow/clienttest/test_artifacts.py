# SPDX-License-Identifier: Apache-2.0
import json
import os
import pathlib

import mlflow
import pytest

from conftest import files


def test_files_and_folders(client, run, tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "big.bin").write_bytes(os.urandom(3_000_000))
    (tmp_path / "sub dir").mkdir()
    (tmp_path / "sub dir" / "deep.json").write_text("{}")
    client.log_artifact(run, tmp_path / "notes.txt")
    client.log_artifacts(run, tmp_path, artifact_path="all")
    client.log_text(run, "olá", "texts/greeting.txt")
    client.log_dict(run, {"a": 1}, "texts/a.json")
    client.log_dict(run, {"a": 1}, "texts/a.yaml")
    assert [(f.path, f.is_dir, f.file_size) for f in client.list_artifacts(run)] == [("all", True, None), ("notes.txt", False, 5), ("texts", True, None)]
    assert files(client, run, "all") == ["all/big.bin", "all/notes.txt", "all/sub dir"]
    assert files(client, run, "notes.txt") == []
    local = pathlib.Path(client.download_artifacts(run, "", str(tmp_path / "sub dir")))
    assert (local / "all" / "big.bin").read_bytes() == (tmp_path / "big.bin").read_bytes()
    assert mlflow.artifacts.load_text(f"runs:/{run}/texts/greeting.txt") == "olá"
    assert mlflow.artifacts.load_dict(f"runs:/{run}/texts/a.json") == {"a": 1}
    client.log_text(run, "changed", "notes.txt")
    assert mlflow.artifacts.load_text(f"runs:/{run}/notes.txt") == "changed"
    uri = client.get_run(run).info.artifact_uri
    assert uri.startswith("mlflow-artifacts:/") and mlflow.artifacts.load_text(uri + "/notes.txt") == "changed"
    with pytest.raises(Exception):
        mlflow.artifacts.load_text(f"runs:/{run}/none.txt")


@pytest.mark.parametrize("filename", ["ação.txt", "数据.txt", "a+b=c.txt", "a(1).txt", "it's.txt", "100%.txt", "a,b;c.txt", "[x]{y}.txt", "a@b.txt", "x:y.txt", "&.txt", "~a.txt", "a'b.txt"])
def test_odd_names(client, run, tmp_path, filename):
    (tmp_path / filename).write_text(filename)
    client.log_artifact(run, tmp_path / filename, "odd")
    assert files(client, run, "odd") == ["odd/" + filename]
    out = tmp_path / "out"
    out.mkdir()
    local = pathlib.Path(client.download_artifacts(run, "odd", str(out)))
    assert (local / filename).read_text() == filename


def test_figures(client, experiment):
    plt = pytest.importorskip("matplotlib.pyplot")
    fig, ax = plt.subplots()
    ax.plot([1, 2, 3])
    with mlflow.start_run() as run:
        mlflow.log_figure(fig, "plots/line.png")
        mlflow.log_figure(fig, "line.svg")
    plt.close(fig)
    assert files(client, run.info.run_id) == ["line.svg", "plots"]
    assert pathlib.Path(client.download_artifacts(run.info.run_id, "plots/line.png")).read_bytes()[:4] == b"\x89PNG"


def test_images(client, experiment):
    np = pytest.importorskip("numpy")
    pytest.importorskip("PIL")
    image = np.random.randint(0, 255, (10, 12, 3), dtype=np.uint8)
    with mlflow.start_run() as run:
        mlflow.log_image(image, "pictures/x.png")
        for step in range(3):
            mlflow.log_image(image, key="dogs", step=step)  # names with % and + of the client's own
    rid = run.info.run_id
    assert mlflow.artifacts.load_image(f"runs:/{rid}/pictures/x.png").size == (12, 10)
    assert len(files(client, rid, "images")) == 6
    for path in files(client, rid, "images"):
        assert pathlib.Path(client.download_artifacts(rid, path)).stat().st_size > 0


def test_tables(client, experiment):
    with mlflow.start_run() as run:
        mlflow.log_table({"question": ["a", "b"], "score": [1.0, 2.0]}, "scores.json")
        mlflow.log_table({"question": ["c"], "score": [3.0]}, "scores.json")
    table = mlflow.load_table("scores.json", run_ids=[run.info.run_id], extra_columns=["run_id"])
    assert list(table["question"]) == ["a", "b", "c"] and set(table["run_id"]) == {run.info.run_id}
    assert json.loads(client.get_run(run.info.run_id).data.tags["mlflow.loggedArtifacts"]) == [{"path": "scores.json", "type": "table"}]


def test_delete(client, run):
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    client.log_text(run, "x", "a/b.txt")
    client.log_text(run, "x", "c.txt")
    get_artifact_repository(client.get_run(run).info.artifact_uri).delete_artifacts("a")
    assert files(client, run) == ["c.txt"]


def test_outside(client, run):
    with pytest.raises(Exception, match="400|INVALID_PARAMETER_VALUE"):
        client.list_artifacts(run, "../../etc")
