"""The Yoco door as a shop uses it, and its webhooks under the independent verifier."""

import unittest
import uuid

import httpx
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from support import BASE_URL, KIT, Receiver, eventually


class Yoco(unittest.TestCase):
    def setUp(self):
        headers = {"Authorization": f"Bearer {KIT['test']['secret']}"}
        self.yoco = httpx.Client(base_url=f"{BASE_URL}/api", headers=headers, timeout=20)
        self.addCleanup(self.yoco.close)
        self.receiver = Receiver()
        self.addCleanup(self.receiver.close)

    def pay(self, amount, **fields):
        body = {"amount": amount, "currency": "ZAR", **fields}
        checkout = self.yoco.post("/checkouts", json=body).raise_for_status().json()
        charge = f"/v1/public/checkout/sessions/{checkout['id']}/charge"
        self.yoco.post(charge, json={"method": "card"}).raise_for_status()
        return checkout["id"]

    def events(self, count):
        return eventually(f"{count} webhooks", lambda: self.receiver.received[count - 1 :] and self.receiver.received)

    def test_webhooks_verify_with_an_independent_library(self):
        body = {"name": "shop", "url": self.receiver.url}
        made = self.yoco.post("/webhooks", json=body).raise_for_status().json()
        self.addCleanup(lambda: self.yoco.delete(f"/webhooks/{made['id']}"))
        checkout = self.pay(900, metadata={"order": "7"})
        path = f"/checkouts/{checkout}/refund"
        refused = self.yoco.post(path, json={"amount": 1, "metadata": {"simulate": "refuse"}})
        self.assertEqual(refused.status_code, 400)
        accepted = self.yoco.post(path, headers={"Idempotency-Key": str(uuid.uuid4())})
        self.assertEqual(accepted.status_code, 202)
        self.events(3)
        webhook, payloads = Webhook(made["secret"]), {}
        for headers, raw in self.receiver.received:
            event = webhook.verify(raw, {name.lower(): value for name, value in headers.items()})
            self.assertEqual(event["payload"]["metadata"]["checkoutId"], checkout)
            payloads[event["type"]] = event["payload"]
            with self.assertRaises(WebhookVerificationError):
                webhook.verify(raw + b" ", {name.lower(): value for name, value in headers.items()})
        self.assertEqual(set(payloads), {"payment.succeeded", "refund.failed", "refund.succeeded"})
        self.assertEqual(payloads["refund.succeeded"]["id"], accepted.json()["refundId"])
        self.assertEqual(payloads["payment.succeeded"]["metadata"]["order"], "7")

    def test_a_refund_follows_the_steps_of_the_page(self):
        checkout = self.pay(900)
        accepted = self.yoco.post(f"/checkouts/{checkout}/refund").raise_for_status().json()
        self.assertEqual((accepted["id"], accepted["status"]), (checkout, "succeeded"))
        status = lambda: self.yoco.get(f"/checkouts/{checkout}").json()["status"]
        eventually("the checkout to be refunded", lambda: status() in ("refunded", "reversed"))
        again = self.yoco.post(f"/checkouts/{checkout}/refund")
        self.assertEqual(again.json()["description"], "Payment has already been refunded.")

    def test_an_unknown_key_gets_the_error_of_the_page(self):
        for headers in ({"Authorization": ""}, {"Authorization": "Bearer sk_test_nobody"}):
            reply = self.yoco.get("/checkouts/ch_01KREAEM40E8TXW4VNC0XM1R2P", headers=headers)
            self.assertEqual(reply.status_code, 403)
            self.assertEqual(
                reply.json()["description"], "A key is required, but has not been specified."
            )


if __name__ == "__main__":
    unittest.main()
