"""The samples of the two pages on refunds (`seeds/000_*`, `seeds/001_*`), in Python."""

import threading
import time
import uuid

import pytest
from plugipay import PlugipayError

from support import BASE_URL, eventually, open_invoice, paid_invoice, paid_session, raw


def await_refund(plugipay, refund_id, limit=15.0):
    """Polls as the Go page does: with growing pauses, until the refund is final."""
    end, backoff = time.monotonic() + limit, 0.02
    while time.monotonic() < end:
        refund = plugipay.refunds.get(refund_id)
        if refund["status"] in ("succeeded", "failed", "canceled"):
            return refund
        time.sleep(backoff)
        backoff = min(backoff * 2, 1.0)
    raise AssertionError(f"{refund_id} is still pending")


@pytest.fixture
def go_page():
    """A client whose key gets the error table of the Go page."""
    from plugipay import PlugipayClient

    key = raw("POST", "/api/v1/api-keys", {"name": "go", "errorProfile": "go"})
    with PlugipayClient(key_id=key["id"], secret=key["secret"], base_url=BASE_URL) as client:
        yield client


def test_full_refund_of_a_session(plugipay):
    session = paid_session(plugipay)
    refund = plugipay.refunds.create(
        source_type="checkout_session",
        source_id=session["id"],
        reason="Customer requested cancellation within 24 hours",
    )
    assert (refund["status"], refund["amount"]) == ("pending", 10_000)
    assert (refund["sourceType"], refund["sourceId"]) == ("checkout_session", session["id"])
    assert refund["reason"] == "Customer requested cancellation within 24 hours"
    assert await_refund(plugipay, refund["id"])["status"] == "succeeded"


def test_partial_refund_of_an_invoice_and_later_the_remainder(plugipay):
    invoice = paid_invoice(plugipay)
    part = plugipay.refunds.create(
        source_type="invoice", source_id=invoice["id"], amount=1_000, reason="goodwill credit"
    )
    rest = plugipay.refunds.create(source_type="invoice", source_id=invoice["id"])
    assert (part["amount"], rest["amount"]) == (1_000, 2_000)
    for amount, status, code in ((1, 422, "over_refund"), (None, 409, "state_conflict")):
        with pytest.raises(PlugipayError) as refused:
            plugipay.refunds.create(
                source_type="invoice", source_id=invoice["id"], amount=amount
            )
        assert (refused.value.status, refused.value.code) == (status, code)


def test_a_refund_and_an_invoice_are_found_under_both_ids(plugipay):
    invoice = paid_invoice(plugipay)
    refund = plugipay.refunds.create(
        source_type="invoice", source_id=invoice["id"].replace("inv_", "in_"), amount=1
    )
    for prefix in ("rfd_", "rf_"):
        assert plugipay.refunds.get(refund["id"].replace("rfd_", prefix))["id"] == refund["id"]


def test_lists_by_source_and_by_status(plugipay):
    session = paid_session(plugipay)
    refund = plugipay.refunds.create(
        source_type="checkout_session", source_id=session["id"], amount=7
    )
    await_refund(plugipay, refund["id"])
    path = f"/api/v1/refunds?sourceId={session['id']}&status=succeeded&limit=50"
    assert [one["id"] for one in raw("GET", path)] == [refund["id"]]
    assert raw("GET", f"/api/v1/refunds?sourceId={session['id']}&status=pending&limit=100") == []


def test_two_clicks_on_one_ticket_refund_once(plugipay):
    session = paid_session(plugipay)
    ticket = f"ticket_{uuid.uuid4().hex}"

    def refund(amount):
        return plugipay.request(
            method="POST",
            path="/api/v1/refunds",
            body={"sourceType": "checkout_session", "sourceId": session["id"], "amount": amount},
            idempotency_key=ticket,
        )

    assert refund(100)["id"] == refund(100)["id"]
    with pytest.raises(PlugipayError) as refused:
        refund(200)
    assert (refused.value.status, refused.value.code) == (409, "conflict")


def test_the_refused_one_of_two_concurrent_requests_finds_the_other_refund(go_page):
    session = paid_session(go_page)
    outcomes = []

    def full():
        try:
            outcomes.append(
                go_page.refunds.create(source_type="checkout_session", source_id=session["id"])
            )
        except PlugipayError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=full) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    lost = [one for one in outcomes if isinstance(one, PlugipayError)]
    won = [one for one in outcomes if not isinstance(one, PlugipayError)]
    assert (len(won), len(lost)) == (1, 1)
    assert (lost[0].status, lost[0].code) == (400, "validation_error")
    assert "refundable" in lost[0].message
    page = go_page.refunds.list(charge_id=session["paymentId"])
    assert [refund["id"] for refund in page.data] == [won[0]["id"]]


def test_a_refund_reconciles_against_the_ledger(plugipay):
    session = paid_session(plugipay)
    refund = plugipay.refunds.create(
        source_type="checkout_session", source_id=session["id"], amount=700
    )
    await_refund(plugipay, refund["id"])
    entries = plugipay.ledger.list(source_type="refund", source_id=refund["id"]).data
    legs = sorted(f"{one['code']} {one['direction']} {one['amount']}" for one in entries)
    assert legs == ["cash credit 700", "revenue_refund debit 700"]


def test_a_failed_refund_has_a_reason_and_can_be_replaced_by_a_credit(plugipay):
    session = paid_session(plugipay, metadata={"simulate": "refuse:card_closed"})
    refund = plugipay.refunds.create(source_type="checkout_session", source_id=session["id"])
    refund = await_refund(plugipay, refund["id"])
    assert refund["status"] == "failed"
    assert refund["failureCode"] == "card_closed" and refund["failureReason"]
    assert plugipay.ledger.list(source_type="refund", source_id=refund["id"]).data == []
    assert open_invoice(plugipay, "draft")["id"], "a manual credit"


def test_a_refund_that_fails_late_is_reversed_in_the_books(plugipay):
    session = paid_session(plugipay, metadata={"simulate": "late_failure:100"})
    refund = plugipay.refunds.create(source_type="checkout_session", source_id=session["id"])

    def bounced():
        return plugipay.refunds.get(refund["id"])["status"] == "failed"

    eventually("the refund to bounce", bounced)
    entries = plugipay.ledger.list(source_type="refund", source_id=refund["id"]).data
    assert sum(
        one["amount"] * (1 if one["direction"] == "debit" else -1)
        for one in entries
        if one["code"] == "cash"
    ) == 0


def test_errors_have_the_codes_of_both_pages(plugipay, go_page):
    paid, unpaid = paid_session(plugipay)["id"], open_invoice(plugipay)["id"]
    for arguments, node, go in (
        ({"source_id": paid, "amount": 10_001}, (422, "over_refund"), (400, "validation_error")),
        ({"source_id": paid, "amount": 0}, (400, "validation_error"), (400, "validation_error")),
        ({"source_id": paid, "amount": -5}, (400, "validation_error"), (400, "validation_error")),
        ({"source_id": paid, "source_type": "order"}, *2 * ((400, "validation_error"),)),
        (
            {"source_id": unpaid, "source_type": "invoice"},
            (409, "state_conflict"),
            (404, "not_found"),
        ),
        ({"source_id": "cs_01HX0000000000000000000000"}, (404, "not_found"), (404, "not_found")),
    ):
        for client, expected in ((plugipay, node), (go_page, go)):
            with pytest.raises(PlugipayError) as refused:
                client.refunds.create(**{"source_type": "checkout_session", **arguments})
            assert (refused.value.status, refused.value.code) == expected, arguments
