# SPDX-License-Identifier: Apache-2.0
from conftest import refused, since

pytestmark = since(3, 3)


def test_webhooks(client, name):
    made = client.create_webhook(name=name, url="https://example.com/hook", events=["registered_model.created"], description="words", secret="not shown again")
    got = client.get_webhook(made.webhook_id)
    assert got.name == name and got.url == "https://example.com/hook" and [str(e) for e in got.events] == ["registered_model.created"]
    assert "not shown again" not in str(got.__dict__)
    assert made.webhook_id in [w.webhook_id for w in client.list_webhooks()]
    client.update_webhook(made.webhook_id, description="more words", status="DISABLED")
    assert client.get_webhook(made.webhook_id).description == "more words"
    refused("INVALID_PARAMETER_VALUE", client.create_webhook, name=name, url="file:///etc/passwd", events=["registered_model.created"])
    client.delete_webhook(made.webhook_id)
    refused("RESOURCE_DOES_NOT_EXIST", client.get_webhook, made.webhook_id)
