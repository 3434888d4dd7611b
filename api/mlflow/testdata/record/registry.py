# SPDX-License-Identifier: Apache-2.0
"""The model registry: models, versions, aliases, stages, tags, search."""


def play(c):
    rm, mv = "registered-models/", "model-versions/"
    # Something to make versions of.
    c.post("run", "runs/create", {"experiment_id": "0", "start_time": 1, "run_name": "r"}, save={"run": "run.info.run_id"})
    c.put("its model", "/api/2.0/mlflow-artifacts/artifacts/0/${run}/artifacts/model/MLmodel", "flavors: {}\nrun_id: x\n", headers={"Content-Type": "application/octet-stream"})
    c.post("logged model", "logged-models", {"experiment_id": "0", "name": "lm", "source_run_id": "${run}"}, save={"lm": "model.info.model_id"})
    c.put("its file", "/api/2.0/mlflow-artifacts/artifacts/0/models/${lm}/artifacts/MLmodel", "flavors: {}\n", headers={"Content-Type": "application/octet-stream"})
    c.patch("ready", "logged-models/${lm}", {"model_id": "${lm}", "status": "LOGGED_MODEL_READY"})

    c.post("create", rm + "create", {"name": "m"})
    c.post("create again", rm + "create", {"name": "m"})
    c.post("create with all", rm + "create", {"name": "n", "description": "words", "tags": [{"key": "t", "value": "1"}]})
    c.post("create without a name", rm + "create", {})
    c.post("create with an empty name", rm + "create", {"name": ""})
    c.post("create with a number", rm + "create", {"name": 5})
    c.post("create with null", rm + "create", {"name": None})
    for name in ("a/b", "a:b", "a b", "a.b", "ação", "it's", "\"q\"", "a%b", "../x", "${x*256}", "${x*257}"):
        c.post(f"create {name}", rm + "create", {"name": name})
    c.post("create with a tag of 251", rm + "create", {"name": "tag251", "tags": [{"key": "${k*251}", "value": "1"}]})
    c.post("create with a tag without a value", rm + "create", {"name": "tagnone", "tags": [{"key": "k"}]})
    c.post("create with tags that are no list", rm + "create", {"name": "taglist", "tags": "k"})
    c.get("get", rm + "get", {"name": "m"})
    c.get("get with all", rm + "get", {"name": "n"})
    c.get("get what is not there", rm + "get", {"name": "none"})
    c.get("get nothing", rm + "get")
    c.get("get another case", rm + "get", {"name": "M"})
    c.patch("describe", rm + "update", {"name": "m", "description": "about"})
    c.patch("describe with nothing", rm + "update", {"name": "n", "description": ""})
    c.patch("update without a description", rm + "update", {"name": "m"})
    c.patch("update what is not there", rm + "update", {"name": "none", "description": "x"})
    c.patch("update without a name", rm + "update", {"description": "x"})
    c.patch("describe with a number", rm + "update", {"name": "m", "description": 5})
    t = rm + "set-tag"
    c.post("tag", t, {"name": "m", "key": "k", "value": "v"})
    c.post("tag again", t, {"name": "m", "key": "k", "value": "w"})
    c.post("tag without a key", t, {"name": "m", "value": "w"})
    c.post("tag without a value", t, {"name": "m", "key": "none"})
    c.post("tag of nothing", t, {"name": "none", "key": "k", "value": "w"})
    c.post("tag without a name", t, {"key": "k", "value": "w"})
    c.post("tag with a key of 251", t, {"name": "m", "key": "${k*251}", "value": "w"})
    c.post("tag with a value of 100000", t, {"name": "m", "key": "big", "value": "${v*100000}"})
    c.post("tag with a value of 100001", t, {"name": "m", "key": "bigger", "value": "${v*100001}"})
    c.delete("untag big", rm + "delete-tag", {"name": "m", "key": "big"})
    c.delete("untag", rm + "delete-tag", {"name": "m", "key": "k"})
    c.delete("untag again", rm + "delete-tag", {"name": "m", "key": "k"})
    c.delete("untag without a key", rm + "delete-tag", {"name": "m"})
    c.delete("untag nothing", rm + "delete-tag", {"name": "none", "key": "k"})

    v = mv + "create"
    c.post("version of a run", v, {"name": "m", "source": "runs:/${run}/model", "run_id": "${run}"})
    c.post("version of a logged model", v, {"name": "m", "source": "models:/${lm}", "model_id": "${lm}"})
    c.post("version of artifacts", v, {"name": "m", "source": "mlflow-artifacts:/0/${run}/artifacts/model", "run_id": "${run}", "description": "third", "tags": [{"key": "a", "value": "1"}]})
    c.post("version of a version", v, {"name": "n", "source": "models:/m/1"})
    c.post("version of no model", v, {"name": "none", "source": "runs:/${run}/model", "run_id": "${run}"})
    c.post("version without a source", v, {"name": "m"})
    c.post("version with an empty source", v, {"name": "m", "source": ""})
    c.post("version without a name", v, {"source": "runs:/${run}/model"})
    c.post("version with a number as a source", v, {"name": "m", "source": 5})
    c.post("version of a run that is not there", v, {"name": "m", "source": "mlflow-artifacts:/0/00000000000000000000000000000000/artifacts/model", "run_id": "00000000000000000000000000000000"})
    for source in ("file:///etc", "/etc", "../x", "file:", "file://localhost/", "FILE:///etc", "mlflow-artifacts:/../../etc", "mlflow-artifacts://host/../x", "mlflow-artifacts:/0/%2e%2e/x", "mlflow-artifacts:/0?x=../..",
                   "mlflow-artifacts:/0#/../..", "runs:/../x", "models:/m/../x", "http://127.0.0.1:1/x?../..", "dbfs:/../x", "s3://bucket/../x", "mlflow-artifacts:/..\\..\\etc"):
        c.post(f"version of {source}", v, {"name": "m", "source": source})
    c.post("version of a file, a prompt", v, {"name": "m", "source": "file:///etc", "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}]})

    c.get("get version", mv + "get", {"name": "m", "version": "1"})
    c.get("get version 3", mv + "get", {"name": "m", "version": "3"})
    c.get("get version 99", mv + "get", {"name": "m", "version": "99"})
    c.get("get version x", mv + "get", {"name": "m", "version": "x"})
    c.get("get version -1", mv + "get", {"name": "m", "version": "-1"})
    c.get("get version of nothing", mv + "get", {"name": "none", "version": "1"})
    c.get("get no version", mv + "get", {"name": "m"})
    c.patch("describe version", mv + "update", {"name": "m", "version": "1", "description": "first"})
    c.patch("describe version 99", mv + "update", {"name": "m", "version": "99", "description": "x"})
    c.patch("describe version x", mv + "update", {"name": "m", "version": "x", "description": "x"})
    c.patch("update version with nothing", mv + "update", {"name": "m", "version": "1"})
    c.post("tag version", mv + "set-tag", {"name": "m", "version": "1", "key": "k", "value": "v"})
    c.post("tag version 99", mv + "set-tag", {"name": "m", "version": "99", "key": "k", "value": "v"})
    c.post("tag version without a key", mv + "set-tag", {"name": "m", "version": "1", "value": "v"})
    c.post("tag version x", mv + "set-tag", {"name": "m", "version": "x", "key": "k", "value": "v"})
    c.delete("untag version", mv + "delete-tag", {"name": "m", "version": "1", "key": "k"})
    c.delete("untag version again", mv + "delete-tag", {"name": "m", "version": "1", "key": "k"})
    c.delete("untag version 99", mv + "delete-tag", {"name": "m", "version": "99", "key": "k"})
    c.get("download uri", mv + "get-download-uri", {"name": "m", "version": "3"}, only=[])
    c.get("download uri of nothing", mv + "get-download-uri", {"name": "m", "version": "99"})

    a = rm + "alias"
    c.post("alias", a, {"name": "m", "alias": "best", "version": "1"})
    c.get("by alias", a, {"name": "m", "alias": "best"})
    c.post("alias again", a, {"name": "m", "alias": "best", "version": "1"})
    c.post("alias moved", a, {"name": "m", "alias": "best", "version": "2"})
    c.post("second alias", a, {"name": "m", "alias": "Other_1", "version": "2"})
    for alias in ("v1", "V12", "latest", "Latest", "a b", "a/b", "a:b", "a.b", "a-b", "ação", "", "${a*255}", "${a*256}", "it's"):
        c.post(f"alias {alias!r}", a, {"name": "m", "alias": alias, "version": "1"})
    c.post("alias on version 99", a, {"name": "m", "alias": "x", "version": "99"})
    c.post("alias on version x", a, {"name": "m", "alias": "x", "version": "x"})
    c.post("alias of nothing", a, {"name": "none", "alias": "x", "version": "1"})
    c.post("alias without a version", a, {"name": "m", "alias": "x"})
    c.post("alias without a name", a, {"alias": "x", "version": "1"})
    c.post("no alias", a, {"name": "m", "version": "1"})
    c.post("alias with a number as a version", a, {"name": "m", "alias": "number", "version": 1})
    c.get("by an alias that is not there", a, {"name": "m", "alias": "none"})
    c.get("by an alias of another case", a, {"name": "m", "alias": "BEST"})
    c.get("by the alias latest", a, {"name": "m", "alias": "latest"})
    c.get("by an alias of nothing", a, {"name": "none", "alias": "best"})
    c.get("by no alias", a, {"name": "m"})
    c.get("model with aliases", rm + "get", {"name": "m"})
    c.delete("delete alias", a, {"name": "m", "alias": "best"})
    c.delete("delete it again", a, {"name": "m", "alias": "best"})
    c.delete("delete alias of nothing", a, {"name": "none", "alias": "best"})
    c.delete("delete no alias", a, {"name": "m"})

    s = mv + "transition-stage"
    c.post("stage", s, {"name": "m", "version": "1", "stage": "Production", "archive_existing_versions": False})
    c.post("stage in lower case", s, {"name": "m", "version": "2", "stage": "production", "archive_existing_versions": True})
    c.get("archived", mv + "get", {"name": "m", "version": "1"})
    c.post("stage that is none", s, {"name": "m", "version": "1", "stage": "Live", "archive_existing_versions": False})
    c.post("no stage", s, {"name": "m", "version": "1"})
    c.post("stage of version 99", s, {"name": "m", "version": "99", "stage": "Staging", "archive_existing_versions": False})
    c.post("stage of nothing", s, {"name": "none", "version": "1", "stage": "Staging", "archive_existing_versions": False})
    c.post("archive with archived", s, {"name": "m", "version": "1", "stage": "Archived", "archive_existing_versions": True})
    c.post("stage without archive", s, {"name": "m", "version": "3", "stage": "Staging"})
    c.get("latest", rm + "get-latest-versions", {"name": "m"})
    c.post("latest by POST", rm + "get-latest-versions", {"name": "m", "stages": ["Production"]})
    c.post("latest of a stage in lower case", rm + "get-latest-versions", {"name": "m", "stages": ["production"]})
    c.post("latest of a stage that is none", rm + "get-latest-versions", {"name": "m", "stages": ["Live"]})
    c.post("latest of nothing", rm + "get-latest-versions", {"name": "none"})

    def versions(name, filter=None, order=("name ASC", "version_number ASC"), **more):
        q = {**more}
        if filter is not None:
            q["filter"] = filter
        if order is not None:
            q["order_by"] = list(order)
        c.get("versions: " + name, mv + "search", q, only=["model_versions", "name", "version"])

    for f in ("name = 'm'", "name='m'", "name LIKE 'm%'", "name ILIKE 'M'", "name != 'm'", "name IN ('m')", "run_id = '${run}'", "run_id IN ('${run}')", "run_id IN ('${run}', 'x') AND name = 'm'", "run_id IN ()", "run_id = ''",
              "source_path = 'runs:/${run}/model'", "source_path LIKE 'runs:%'", "version_number = 1", "version_number > 1", "version_number <= 2", "version_number = '1'", "version_number != 2", "version_number > 1 AND name = 'm'",
              "tags.a = '1'", "tags.`a` = '1'", "tag.a = '1'", "tags.a LIKE '%'", "tags.a ILIKE '%'", "tags.a != '1'", "tags.a IS NULL", "current_stage = 'Production'", "creation_timestamp > 0", "colour = 'x'",
              "name = 'm' OR name = 'n'", "name = m", "", "name = 'none'", "name > 'a'", "attributes.name = 'm'", "aliases = 'x'", "model_id = '${lm}'"):
        versions(f, f)
    versions("no filter")
    versions("max_results 1", "name = 'm'", max_results=1)
    versions("max_results 0", "name = 'm'", max_results=0)
    versions("max_results 200000", "name = 'm'", max_results=200000)
    versions("max_results 200001", "name = 'm'", max_results=200001)
    versions("a token that is none", "name = 'm'", page_token="nonsense")
    for o in ("version_number DESC", "version_number", "name DESC", "colour", "version_number UP"):
        versions(f"order by {o}", "name = 'm'", [o, "version_number"])

    def models(name, filter=None, order=("name ASC",), **more):
        q = {**more}
        if filter is not None:
            q["filter"] = filter
        if order is not None:
            q["order_by"] = list(order)
        c.get("models: " + name, rm + "search", q, only=["registered_models", "name"])

    for f in ("name = 'm'", "name LIKE 'm%'", "name ILIKE 'M%'", "name LIKE 'M%'", "name != 'm' AND name LIKE '_'", "tags.t = '1'", "tag.t = '1'", "tags.t != '1'", "tags.t LIKE '1%'", "name = 5", "colour = 'x'", "name = 'm' OR name = 'n'",
              "name IN ('m')", "tags.t IS NULL", "version_number > 1", "last_updated_timestamp > 0", "name = 'm' AND tags.t = '1'", "name > 'a'", "attributes.name = 'm'"):
        models(f, f)
    for n in (0, 1, 1000, 1001, "x"):
        models(f"max_results {n}", "name LIKE '_'", max_results=n)
    models("a token that is none", page_token="nonsense")
    models("order by colour", order=["colour"])
    models("order by name descending", "name LIKE '_'", order=["name DESC"])
    c.post("models: search by POST", rm + "search", {})

    c.post("rename", rm + "rename", {"name": "n", "new_name": "nn"})
    c.post("rename to the same", rm + "rename", {"name": "nn", "new_name": "nn"})
    c.post("rename to one that is there", rm + "rename", {"name": "nn", "new_name": "m"})
    c.post("rename to nothing", rm + "rename", {"name": "nn", "new_name": ""})
    c.post("rename without a name", rm + "rename", {"name": "nn"})
    c.post("rename to a slash", rm + "rename", {"name": "nn", "new_name": "a/b/c"})
    c.post("rename what is not there", rm + "rename", {"name": "none", "new_name": "x"})
    c.get("renamed version", mv + "get", {"name": "nn", "version": "1"})
    c.get("the old name", rm + "get", {"name": "n"})
    c.delete("delete version", mv + "delete", {"name": "m", "version": "3"})
    c.delete("delete version again", mv + "delete", {"name": "m", "version": "3"})
    c.delete("delete version x", mv + "delete", {"name": "m", "version": "x"})
    c.delete("delete version of nothing", mv + "delete", {"name": "none", "version": "1"})
    c.get("get deleted version", mv + "get", {"name": "m", "version": "3"})
    c.post("alias on a deleted version", a, {"name": "m", "alias": "x", "version": "3"})
    c.delete("delete", rm + "delete", {"name": "nn"})
    c.delete("delete again", rm + "delete", {"name": "nn"})
    c.delete("delete nothing", rm + "delete", {})
    c.get("versions of what is deleted", mv + "get", {"name": "nn", "version": "1"})
    c.post("create again after deletion", rm + "create", {"name": "nn"})
    for alias in ("1", "12"):
        c.post(f"alias {alias!r}", a, {"name": "m", "alias": alias, "version": "1"})
