"""Refunds with an unmodified client, and the samples of its documentation."""

import threading
import unittest
import uuid

from plugipay import PlugipayClient, PlugipayError

from support import BASE_URL, KIT, client, pay, settled


class Refunds(unittest.TestCase):
    def setUp(self):
        self.plugipay = client()
        self.addCleanup(self.plugipay.close)

    def test_full_refund_takes_the_remaining_balance(self):
        payment = pay(10_000)
        part = self.plugipay.refunds.create(
            source_type="payment", source_id=payment["id"], amount=2_500, reason="customer_request"
        )
        self.assertEqual((part["status"], part["amount"]), ("pending", 2_500))
        rest = self.plugipay.refunds.create(source_type="payment", source_id=payment["id"])
        self.assertEqual(rest["amount"], 7_500)
        for refund in (part, rest):
            self.assertEqual(settled(self.plugipay, refund["id"])["status"], "succeeded")

    def test_both_kinds_of_key_work(self):
        payment = pay(1_000)
        with client("bearer") as plugipay:
            refund = plugipay.refunds.create(source_type="payment", source_id=payment["id"], amount=1)
        self.assertEqual(self.plugipay.refunds.get(refund["id"])["id"], refund["id"])

    def test_every_field_that_the_client_names_is_there(self):
        payment = pay(1_000)
        refund = self.plugipay.refunds.create(source_type="payment", source_id=payment["id"], amount=7)
        for field in (
            "id arn accountId chargeId invoiceId amount currency reason status failureCode "
            "failureMessage metadata createdAt updatedAt sourceType sourceId failureReason"
        ).split():
            self.assertIn(field, refund.raw, field)
        self.assertEqual(refund["chargeId"], payment["providerPaymentId"])

    def test_lists_filter_by_charge_and_status_and_page(self):
        payment = pay(1_000)
        made = [
            self.plugipay.refunds.create(source_type="payment", source_id=payment["id"], amount=n)["id"]
            for n in (1, 2, 3)
        ]
        for refund in made:
            settled(self.plugipay, refund)
        seen, cursor = [], None
        while True:
            page = self.plugipay.refunds.list(
                charge_id=payment["providerPaymentId"], limit=2, cursor=cursor, order="asc"
            )
            seen += [refund["id"] for refund in page.data]
            cursor = page.cursor
            if not page.has_more:
                break
        self.assertEqual(seen, made)
        page = self.plugipay.refunds.list(charge_id=payment["providerPaymentId"], status="failed")
        self.assertEqual((page.data, page.has_more), ([], False))

    def test_of_two_concurrent_full_refunds_one_succeeds(self):
        payment = pay(5_000)
        results = []

        def refund():
            with client() as plugipay:
                try:
                    results.append(
                        plugipay.refunds.create(source_type="payment", source_id=payment["id"])
                    )
                except PlugipayError as error:
                    results.append(error)

        threads = [threading.Thread(target=refund) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        losers = [result for result in results if isinstance(result, PlugipayError)]
        self.assertEqual(len(losers), 7)
        for error in losers:
            self.assertEqual((error.status, error.code), (409, "state_conflict"))
            self.assertIn("refundable", error.message)
            self.assertTrue(error.request_id.startswith("req_"))
        # The page's recovery: read the refunds that exist.
        page = self.plugipay.refunds.list(charge_id=payment["providerPaymentId"])
        self.assertEqual(len(page.data), 1)

    def test_two_clicks_under_one_key_make_one_refund(self):
        payment = pay(5_000)
        body = {"sourceType": "payment", "sourceId": payment["id"], "amount": 100}
        key = f"ticket_{uuid.uuid4().hex}"
        send = lambda amount: self.plugipay.request(
            method="POST", path="/api/v1/refunds", body={**body, "amount": amount}, idempotency_key=key
        )
        self.assertEqual(send(100)["id"], send(100)["id"])
        with self.assertRaises(PlugipayError) as refused:
            send(101)
        self.assertEqual((refused.exception.status, refused.exception.code), (409, "conflict"))

    def test_a_refund_reconciles_against_the_ledger(self):
        payment = pay(5_000)
        refund = self.plugipay.refunds.create(source_type="payment", source_id=payment["id"], amount=700)
        settled(self.plugipay, refund["id"])
        entries = self.plugipay.ledger.list(source_type="refund", source_id=refund["id"]).data
        legs = sorted((entry["code"], entry["direction"], entry["amount"]) for entry in entries)
        self.assertEqual(legs, [("cash", "credit", 700), ("revenue_refund", "debit", 700)])
        codes = {balance["code"] for balance in self.plugipay.ledger.balances()}
        self.assertTrue({"cash", "revenue", "revenue_refund"} <= codes)

    def test_a_failed_refund_has_a_reason_and_releases_the_money(self):
        payment = pay(5_000)
        refund = self.plugipay.api.refunds_create(
            charge_id=payment["providerPaymentId"], amount=700, metadata={"simulate": "refuse"}
        )
        refund = settled(self.plugipay, refund["id"])
        self.assertEqual(refund["status"], "failed")
        self.assertTrue(refund["failureCode"] and refund["failureMessage"] and refund["failureReason"])
        self.assertEqual(self.plugipay.ledger.list(source_type="refund", source_id=refund["id"]).data, [])
        again = self.plugipay.refunds.create(source_type="payment", source_id=payment["id"])
        self.assertEqual(again["amount"], 5_000)

    def test_errors_have_the_codes_of_the_page(self):
        payment = pay(1_000)
        for arguments, status, code in (
            ({"source_type": "payment", "source_id": payment["id"], "amount": 1_001}, 422, "over_refund"),
            ({"source_type": "payment", "source_id": payment["id"], "amount": 0}, 400, "validation_error"),
            ({"source_type": "payment", "source_id": "pay_01HX0000000000000000000000"}, 404, "not_found"),
        ):
            with self.assertRaises(PlugipayError) as refused:
                self.plugipay.refunds.create(**arguments)
            self.assertEqual((refused.exception.status, refused.exception.code), (status, code))
        wrong = PlugipayClient(key_id=KIT["test"]["keyId"], secret="sk_test_wrong", base_url=BASE_URL)
        with self.assertRaises(PlugipayError) as refused:
            wrong.refunds.list()
        self.assertEqual(refused.exception.status, 401)

    def test_a_platform_key_acts_for_a_merchant(self):
        payment = pay(1_000)
        platform = PlugipayClient(
            key_id=KIT["platform"]["keyId"], secret=KIT["platform"]["secret"], base_url=BASE_URL
        )
        merchant = platform.for_merchant(KIT["accountId"])
        refund = merchant.refunds.create(source_type="payment", source_id=payment["id"], amount=1)
        self.assertEqual(refund["accountId"], KIT["accountId"])

    def test_the_refund_has_its_events(self):
        payment = pay(1_000)
        refund = self.plugipay.refunds.create(source_type="payment", source_id=payment["id"], amount=1)
        settled(self.plugipay, refund["id"])
        events = self.plugipay.events.list(limit=100).data
        types = [event["type"] for event in events if event["data"]["aggregateId"] == refund["id"]]
        self.assertEqual(types, ["refund.succeeded", "refund.created"])
        self.assertEqual(self.plugipay.events.get(events[0]["id"])["id"], events[0]["id"])


if __name__ == "__main__":
    unittest.main()
