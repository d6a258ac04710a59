"""Shared by the client tests: the demo's keys, a receiver of webhooks, and waiting with a limit."""

import http.server
import json
import os
import threading
import time
import uuid

import httpx
from plugipay import PlugipayClient

with open(os.environ["REFUNDRY_READY_FILE"], encoding="utf-8") as file:
    KIT = json.load(file)

BASE_URL = KIT["baseUrl"]


def client(kind="hmac", mode="test", **options):
    """The unmodified client, pointed at the demo by its base URL."""
    key = KIT[mode]
    if kind == "bearer":
        return PlugipayClient(api_key=key["bearer"], base_url=BASE_URL, **options)
    return PlugipayClient(key_id=key["keyId"], secret=key["secret"], base_url=BASE_URL, **options)


def pay(amount, currency="USD", charge=None):
    """Registers a paid payment at the simulated provider; returns its id."""
    body = {
        "amount": amount,
        "currency": currency,
        "provider": "simulator",
        "providerPaymentId": charge or f"ch_{uuid.uuid4().hex}",
    }
    headers = {"Authorization": f"Bearer {KIT['test']['bearer']}"}
    reply = httpx.post(f"{BASE_URL}/api/v1/payments", json=body, headers=headers)
    reply.raise_for_status()
    return reply.json()["data"]


def raw(method, path, body=None, headers=None, kind="test"):
    """Sends a request that the client has no method for, and returns the answer's data."""
    auth = {"Authorization": f"Bearer {KIT[kind]['bearer']}", **(headers or {})}
    reply = httpx.request(method, f"{BASE_URL}{path}", json=body, headers=auth)
    reply.raise_for_status()
    return reply.json()["data"] if reply.content else None


def open_session(plugipay, amount=10_000, **options):
    """Opens a checkout session with the client."""
    defaults = {
        "amount": amount,
        "currency": "USD",
        "methods": ["card", "manual"],
        "success_url": "https://shop.example/thanks",
        "cancel_url": "https://shop.example/cart",
    }
    return plugipay.checkout_sessions.create(**{**defaults, **options})


def charge(session_id, method="card"):
    """Pays a session as a buyer does: without any key."""
    path = f"/api/v1/public/checkout/sessions/{session_id}/charge"
    reply = httpx.post(f"{BASE_URL}{path}", json={"method": method})
    reply.raise_for_status()
    return reply.json()["data"]


def paid_session(plugipay, amount=10_000, **options):
    """Opens and pays a session, and returns the paid session."""
    session = open_session(plugipay, amount, **options)
    charge(session["id"])
    return plugipay.checkout_sessions.get(session["id"])


def open_invoice(plugipay, status="open", **options):
    """Creates an invoice over 30.00 with the client."""
    lines = [
        {"description": "Socks", "quantity": 2, "unitAmount": 1_000},
        {"description": "Shipping", "quantity": 1, "unitAmount": 1_000},
    ]
    return plugipay.invoices.create(
        customer_id="cus_1", currency="USD", lines=lines, status=status, **options
    )


def paid_invoice(plugipay):
    """Creates an invoice and pays it on its page."""
    invoice = open_invoice(plugipay)
    form = {"do": "pay", "method": "card", "outcome": ""}
    reply = httpx.post(invoice["hostedInvoiceUrl"], data=form)
    assert reply.status_code == 303, reply.text
    return plugipay.invoices.get(invoice["id"])


def eventually(what, ready, limit=15.0):
    """Returns the first truthy answer of `ready`, or fails after `limit` seconds."""
    end = time.monotonic() + limit
    while True:
        value = ready()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {limit} s for {what}")
        time.sleep(0.02)


def settled(plugipay, refund_id):
    """Polls a refund until it is decided, as the page on refunds shows."""

    def decided():
        refund = plugipay.refunds.get(refund_id)
        return refund if refund["status"] in ("succeeded", "failed", "canceled") else None

    return eventually(f"{refund_id} to settle", decided)


class Receiver:
    """A web server on the loopback that records requests. It answers with the statuses in
    `answers`, one after another, and then with 204."""

    def __init__(self):
        received = self.received = []
        answers = self.answers = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                received.append((dict(self.headers.items()), body))
                self.send_response(answers.pop(0) if answers else 204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
