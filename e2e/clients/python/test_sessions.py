"""Checkout sessions with an unmodified client."""

import pytest
from plugipay import PlugipayError

from support import charge, client, eventually, open_session, paid_session

FIELDS = (
    "id arn accountId workspaceName customerId customer mode status amount currency methods "
    "paymentMethod adapter lineItems successUrl cancelUrl hostedUrl expiresAt completedAt paymentId "
    "metadata createdAt updatedAt"
).split()


def test_a_session_is_created_paid_and_refunded_by_both_ids(plugipay):
    items = [{"name": "Tea", "quantity": 2, "unitAmount": 500}]
    made = open_session(plugipay, 1_000, line_items=items, metadata={"order": "7"}, customer_id="c1")
    assert [field for field in FIELDS if field not in made.raw] == []
    assert (made["status"], made["mode"], made["amount"]) == ("open", "test", 1_000)
    assert made["hostedUrl"].endswith(f"/c/{made['id']}")
    assert made["metadata"] == {"order": "7"}
    charge(made["id"])
    paid = plugipay.checkout_sessions.get(made["id"])
    assert (paid["status"], paid["paymentMethod"]) == ("completed", "card")
    assert paid["paymentId"] and paid["completedAt"]
    first = plugipay.refunds.create(
        source_type="checkout_session", source_id=paid["id"], amount=400
    )
    rest = plugipay.api.refunds_create(charge_id=paid["paymentId"])
    assert (first["chargeId"], rest["chargeId"]) == (paid["paymentId"], paid["paymentId"])
    assert rest["amount"] == 600
    listed = plugipay.refunds.list(charge_id=paid["paymentId"]).data
    assert [refund["id"] for refund in listed] == [rest["id"], first["id"]]


def test_an_open_session_cannot_be_refunded(plugipay):
    session = open_session(plugipay)
    with pytest.raises(PlugipayError) as refused:
        plugipay.refunds.create(source_type="checkout_session", source_id=session["id"])
    assert (refused.value.status, refused.value.code) == (409, "state_conflict")


def test_lists_filter_and_page(plugipay):
    customer = open_session(plugipay)["id"]  # A name that no other customer has.
    made = [open_session(plugipay, customer_id=customer)["id"] for _ in range(3)]
    plugipay.checkout_sessions.cancel(made[1])
    seen, cursor = [], None
    while True:
        page = plugipay.checkout_sessions.list(
            customer_id=customer, limit=2, cursor=cursor, order="asc"
        )
        seen += [session["id"] for session in page.data]
        cursor = page.cursor
        if not page.has_more:
            break
    assert seen == made
    page = plugipay.checkout_sessions.list(customer_id=customer, status="canceled")
    assert [session["id"] for session in page.data] == [made[1]]
    created = plugipay.checkout_sessions.get(made[0])["createdAt"]
    page = plugipay.checkout_sessions.list(customer_id=customer, created_before=created)
    assert page.data == []


def test_a_session_is_canceled_once_and_a_paid_one_never(plugipay):
    session = open_session(plugipay)
    assert plugipay.checkout_sessions.cancel(session["id"])["status"] == "canceled"
    paid = paid_session(plugipay)
    for done in (session, paid):
        with pytest.raises(PlugipayError) as refused:
            plugipay.checkout_sessions.cancel(done["id"])
        assert refused.value.status == 409


def test_a_manual_transfer_is_confirmed(plugipay):
    session = open_session(plugipay)
    charged = charge(session["id"], "manual")
    assert charged["kind"] == "instructions" and charged["instructions"]["bankAccounts"]
    claimed = plugipay.api.public_checkout_sessions_buyer_claim(session["id"])
    assert claimed["session"]["status"] == "pending_review"
    assert plugipay.checkout_sessions.confirm(session["id"])["status"] == "completed"
    refund = plugipay.refunds.create(source_type="checkout_session", source_id=session["id"])
    # A payment by bank transfer has the session's id as its charge id.
    assert refund["chargeId"] == session["id"]


def test_a_session_is_deleted_and_gone(plugipay):
    session = open_session(plugipay)
    plugipay.api.checkout_sessions_delete(session["id"])
    with pytest.raises(PlugipayError) as refused:
        plugipay.checkout_sessions.get(session["id"])
    assert (refused.value.status, refused.value.code) == (404, "not_found")


def test_a_session_expires(plugipay):
    session = open_session(plugipay, expires_in_sec=1)

    def expired():
        return plugipay.checkout_sessions.get(session["id"])["status"] == "expired"

    eventually("the session to expire", expired)


def test_the_other_mode_does_not_see_it(plugipay):
    session = open_session(plugipay)
    with client(mode="live") as live, pytest.raises(PlugipayError) as refused:
        live.checkout_sessions.get(session["id"])
    assert refused.value.status == 404
