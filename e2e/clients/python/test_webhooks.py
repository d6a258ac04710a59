"""Webhooks: endpoints with an unmodified client, and deliveries checked by independent verifiers:
the client package's own, and that of Standard Webhooks from PyPI."""

import time

import pytest
from plugipay import PlugipayError, PlugipaySignatureError, verify_webhook
from standardwebhooks import Webhook, WebhookVerificationError

from support import eventually, pay, raw, settled


def refunded(plugipay):
    payment = pay(1_000)
    refund = plugipay.refunds.create(source_type="payment", source_id=payment["id"], amount=100)
    return settled(plugipay, refund["id"])


def webhooks_of(receiver, refund, count):
    """Waits for `count` webhooks of a refund and returns their headers and bodies."""

    def enough():
        mine = [one for one in list(receiver.received) if refund["id"].encode() in one[1]]
        return mine if len(mine) >= count else None

    return eventually(f"{count} deliveries of {refund['id']}", enough)


def header(headers, name):
    return next(value for key, value in headers.items() if key.lower() == name)


@pytest.fixture
def endpoint(plugipay, receiver):
    made = plugipay.webhook_endpoints.create(url=receiver.url, description="test")
    yield made
    plugipay.webhook_endpoints.delete(made["id"])


def test_endpoints_are_created_listed_changed_and_deleted(plugipay):
    made = plugipay.webhook_endpoints.create(
        url="https://shop.example/hooks", events=["plugipay.refund.issued.v1"], description="one"
    )
    assert made["secret"].startswith("whsec_")
    for field in (
        "id accountId mode url events description active consecutiveFailures failingSince disabledAt "
        "disabledReason createdAt updatedAt"
    ).split():
        assert field in made.raw, field
    listed = {one["id"]: one for one in plugipay.webhook_endpoints.list()}
    assert listed[made["id"]].get("secret") is None, "shown once"
    changed = plugipay.webhook_endpoints.update(
        made["id"], url="https://shop.example/other", events=["*"], active=False
    )
    assert (changed["url"], changed["events"], changed["active"]) == (
        "https://shop.example/other",
        ["*"],
        False,
    )
    assert changed["disabledAt"] is None, "paused by hand"
    plugipay.webhook_endpoints.delete(made["id"])
    assert made["id"] not in {one["id"] for one in plugipay.webhook_endpoints.list()}
    with pytest.raises(PlugipayError) as refused:
        plugipay.webhook_endpoints.update(made["id"], active=True)
    assert refused.value.status == 404


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest", "http://10.0.0.1/", "http://2130706433/", "ftp://a.b/"]
)
def test_endpoints_cannot_have_private_addresses(plugipay, url):
    with pytest.raises(PlugipayError) as refused:
        plugipay.webhook_endpoints.create(url=url)
    assert (refused.value.status, refused.value.code) == (400, "validation_error")


def test_a_delivered_webhook_passes_the_package_s_own_verifier(plugipay, receiver, endpoint):
    refund = refunded(plugipay)
    (headers, body), (late_headers, late_body) = webhooks_of(receiver, refund, 2)[:2]
    event = verify_webhook(body, header(headers, "x-plugipay-signature"), endpoint["secret"])
    assert event.type == "plugipay.refund.issued.v1"
    assert event.id.startswith("evt_") and event.account_id == refund["accountId"]
    assert (event.object["id"], event.object["status"]) == (refund["id"], "pending")
    event = verify_webhook(
        late_body, header(late_headers, "x-plugipay-signature"), endpoint["secret"]
    )
    assert event.type == "plugipay.refund.succeeded.v1"
    assert event.object["status"] == "succeeded"
    assert plugipay.refunds.get(refund["id"])["status"] == "succeeded"
    signature = header(headers, "x-plugipay-signature")
    for changed in (
        (body + b" ", signature, endpoint["secret"]),
        (body, signature, "whsec_" + "A" * 44),
        (body, signature.replace("t=", "t=1"), endpoint["secret"]),
    ):
        with pytest.raises(PlugipaySignatureError):
            verify_webhook(*changed)
    with pytest.raises(PlugipaySignatureError):
        verify_webhook(body, signature, endpoint["secret"], now=time.time() + 301)


def test_a_delivered_webhook_passes_standard_webhooks(plugipay, receiver):
    made = raw("POST", "/api/v1/webhooks", {"url": receiver.url, "format": "refundry"})
    refund = refunded(plugipay)
    received = webhooks_of(receiver, refund, 2)
    verified = [Webhook(made["secret"]).verify(body, headers) for headers, body in received]
    mine = [event for event in verified if event["data"]["aggregateId"] == refund["id"]]
    assert [(event["type"], event["seq"]) for event in mine] == [
        ("refund.created", 1),
        ("refund.succeeded", 2),
    ]
    headers, body = received[0]
    assert header(headers, "webhook-id") == verified[0]["id"]
    for secret, changed in ((made["secret"], body + b" "), ("whsec_" + "A" * 44, body)):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(changed, headers)
    plugipay.webhook_endpoints.delete(made["id"])


def test_a_failed_delivery_is_logged_and_retried_by_schedule_and_on_request(
    plugipay, receiver, endpoint
):
    receiver.answers.append(503)
    refund = refunded(plugipay)
    # The second event waits for the first one, which is retried after five seconds.
    sent = webhooks_of(receiver, refund, 3)
    assert sent[0][1] == sent[1][1], "the same text on every attempt"

    def done():
        page = plugipay.webhook_endpoints.list_deliveries(
            endpoint_id=endpoint["id"], status="succeeded", type="plugipay.refund.issued.v1"
        )
        return page.data

    listed = eventually("the delivery to be noted", done)
    assert len(listed) == 1
    delivery = plugipay.webhook_endpoints.get_delivery(listed[0]["id"])
    assert delivery["body"].encode() == sent[0][1]
    assert (delivery["attempts"], delivery["responseCode"]) == (2, 204)
    log = [(one["attemptNumber"], one["status"], one["responseCode"], one["error"])
           for one in delivery["attemptLog"]]
    assert log == [(1, "failed", 503, "HTTP 503"), (2, "succeeded", 204, None)]
    plugipay.webhook_endpoints.retry_delivery(delivery["id"])
    assert webhooks_of(receiver, refund, 4)[3][1] == sent[0][1]


def test_after_a_change_of_the_secret_both_pass_the_package_s_own_verifier(
    plugipay, receiver, endpoint
):
    """That verifier reads one signature only, so the other secret verifies on the next attempt."""
    new = raw("POST", f"/api/v1/webhooks/{endpoint['id']}/rotate-secret", {})["secret"]
    receiver.answers.append(400)
    refund = refunded(plugipay)
    first, second = webhooks_of(receiver, refund, 2)[:2]
    assert first[1] == second[1]
    for (headers, body), secret in ((first, endpoint["secret"]), (second, new)):
        verify_webhook(body, header(headers, "x-plugipay-signature"), secret)


def test_an_endpoint_that_answers_410_is_disabled(plugipay, receiver, endpoint):
    receiver.answers.append(410)
    refunded(plugipay)

    def disabled():
        listed = {one["id"]: one for one in plugipay.webhook_endpoints.list()}
        return listed[endpoint["id"]] if not listed[endpoint["id"]]["active"] else None

    gone = eventually("the endpoint to be disabled", disabled)
    assert gone["disabledAt"] and "410" in gone["disabledReason"]
    again = plugipay.webhook_endpoints.update(endpoint["id"], active=True)
    assert (again["active"], again["disabledAt"], again["consecutiveFailures"]) == (True, None, 0)
