"""Invoices with an unmodified client."""

import pytest
from plugipay import PlugipayError

from support import open_invoice, paid_invoice, settled

FIELDS = (
    "id arn accountId customerId subscriptionId status number currency subtotal discount tax total "
    "amountPaid amountDue dueAt issuedAt paidAt voidedAt hostedInvoiceUrl chargeId "
    "collectionAttempts lines metadata createdAt updatedAt"
).split()


def test_a_draft_is_finalized_paid_on_its_page_and_refunded(plugipay):
    draft = open_invoice(plugipay, "draft", discount=500, tax=250, memo="Thanks")
    assert [field for field in FIELDS if field not in draft.raw] == []
    assert (draft["status"], draft["issuedAt"], draft["chargeId"]) == ("draft", None, None)
    assert (draft["subtotal"], draft["total"], draft["amountDue"]) == (3_000, 2_750, 2_750)
    line = draft["lines"][0]
    assert (line["description"], line["quantity"], line["amount"]) == ("Socks", 2, 2_000)
    issued = plugipay.invoices.finalize(draft["id"])
    assert issued["status"] == "open" and issued["issuedAt"]
    paid = paid_invoice(plugipay)
    assert (paid["status"], paid["amountPaid"], paid["amountDue"]) == ("paid", 3_000, 0)
    assert paid["chargeId"], "an invoice read by itself names its charge"
    refund = plugipay.refunds.create(source_type="invoice", source_id=paid["id"], amount=1_000)
    refund = settled(plugipay, refund["id"])
    assert (refund["status"], refund["invoiceId"]) == ("succeeded", paid["id"])
    # The other prefix names the same invoice.
    old = paid["id"].replace("inv_", "in_")
    assert plugipay.refunds.create(source_type="invoice", source_id=old)["amount"] == 2_000


def test_an_invoice_marked_paid_outside_cannot_be_refunded(plugipay):
    invoice = open_invoice(plugipay)
    assert plugipay.invoices.pay(invoice["id"])["status"] == "paid"
    assert plugipay.invoices.get(invoice["id"])["chargeId"] is None
    with pytest.raises(PlugipayError) as refused:
        plugipay.refunds.create(source_type="invoice", source_id=invoice["id"])
    assert (refused.value.status, refused.value.code) == (409, "state_conflict")


def test_an_invoice_is_voided_and_then_neither_paid_nor_refunded(plugipay):
    invoice = open_invoice(plugipay)
    voided = plugipay.invoices.void(invoice["id"])
    assert voided["status"] == "void" and voided["voidedAt"]
    for act in (
        lambda: plugipay.invoices.pay(invoice["id"]),
        lambda: plugipay.refunds.create(source_type="invoice", source_id=invoice["id"]),
    ):
        with pytest.raises(PlugipayError) as refused:
            act()
        assert refused.value.status == 409


def test_lists_filter_and_page(plugipay):
    older = open_invoice(plugipay, "draft")["id"]
    made = [open_invoice(plugipay, "draft")["id"] for _ in range(3)]
    plugipay.invoices.void(made[0])
    page = plugipay.invoices.list(limit=2, status="draft", customer_id="cus_1")
    assert {invoice["id"] for invoice in page.data} == {made[1], made[2]}
    ids = {invoice["id"] for invoice in plugipay.invoices.list(status="void", limit=100).data}
    assert made[0] in ids and made[1] not in ids
    after = plugipay.invoices.list(limit=2, cursor=page.cursor, status="draft", customer_id="cus_1")
    assert older in {invoice["id"] for invoice in after.data}
    assert not {invoice["id"] for invoice in after.data} & set(made)


def test_sending_an_invoice_returns_the_recipient(plugipay):
    invoice = open_invoice(plugipay)
    sent = plugipay.invoices.send_email(invoice["id"], to="buyer@shop.example")
    assert sent["to"] == "buyer@shop.example" and isinstance(sent["sent"], bool)
