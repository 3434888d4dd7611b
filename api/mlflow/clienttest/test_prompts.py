# SPDX-License-Identifier: Apache-2.0
import mlflow
import pytest

from conftest import since


@since(2, 22)
def test_prompts(client, name):
    home = mlflow.genai if hasattr(mlflow, "genai") else mlflow
    first = home.register_prompt(name=name, template="Say {{word}}.", commit_message="one", tags={"k": "v"})
    assert int(first.version) == 1
    home.register_prompt(name=name, template="Shout {{word}}!", commit_message="two")
    home.set_prompt_alias(name, "loud", 2)
    assert home.load_prompt(f"prompts:/{name}/1").template == "Say {{word}}."
    assert home.load_prompt(f"prompts:/{name}@loud").format(word="hello") == "Shout hello!"
    assert home.load_prompt(f"prompts:/{name}/1").variables == {"word"}
    home.delete_prompt_alias(name, "loud")
    assert name not in [m.name for m in client.search_registered_models()]  # prompts are no models
    with pytest.raises(Exception):
        home.load_prompt(f"prompts:/{name}@loud")


@since(3)
def test_search(client, name):
    mlflow.genai.register_prompt(name=name, template="x {{y}}", tags={"team": name[:20]})
    assert [p.name for p in mlflow.genai.search_prompts(filter_string=f"name = '{name}'")] == [name]
    mlflow.genai.set_prompt_tag(name, "a", "b") if hasattr(mlflow.genai, "set_prompt_tag") else client.set_prompt_tag(name, "a", "b")
    client.set_prompt_version_tag(name, "1", "c", "d")
    assert client.get_prompt_version(name, "1").tags["c"] == "d"
    assert client.get_prompt(name).tags["a"] == "b"
    assert [int(v.version) for v in client.search_prompt_versions(name)] == [1]
    client.delete_prompt_version(name, "1")
    client.delete_prompt(name)


@since(3)
def test_prompts_of_a_run(client, experiment, name):
    prompt = mlflow.genai.register_prompt(name=name, template="x {{y}}")
    with mlflow.start_run() as run:
        mlflow.genai.load_prompt(f"prompts:/{name}/1")
    client.link_prompt_version_to_run(run.info.run_id, prompt)
    assert name in client.get_run(run.info.run_id).data.tags["mlflow.linkedPrompts"]
