// The samples of the page on refunds for Node.
import assert from "node:assert/strict";
import { createHmac, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import { ApiError, Client } from "./client.mjs";

const demo = JSON.parse(readFileSync(process.env.REFUNDRY_READY_FILE, "utf8"));
const plugipay = new Client({ ...demo.test, baseUrl: demo.baseUrl });

const openSession = (metadata) =>
  plugipay.post("/api/v1/checkout-sessions", {
    amount: 10_000,
    currency: "USD",
    methods: ["card"],
    lineItems: [{ name: "Thé & <biscuits>", quantity: 1, unitAmount: 10_000 }],
    successUrl: "https://shop.example/thanks",
    cancelUrl: "https://shop.example/cart",
    metadata,
  });

async function paidSession(metadata) {
  const { id } = await openSession(metadata);
  const reply = await fetch(`${demo.baseUrl}/api/v1/public/checkout/sessions/${id}/charge`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ method: "card" }),
    signal: AbortSignal.timeout(10_000),
  });
  assert.equal(reply.status, 200);
  return id;
}

async function paidInvoice() {
  const { id, hostedInvoiceUrl } = await plugipay.post("/api/v1/invoices", {
    customerId: "cus_1",
    currency: "USD",
    status: "open",
    lines: [{ description: "Socks", quantity: 3, unitAmount: 1_000 }],
  });
  const reply = await fetch(hostedInvoiceUrl, {
    method: "POST",
    body: new URLSearchParams({ do: "pay", method: "card" }),
    signal: AbortSignal.timeout(10_000),
  });
  assert.match(await reply.text(), /Paid/);
  return id;
}

async function waitForRefund(refundId, maxAttempts = 200) {
  for (let i = 0; i < maxAttempts; i++) {
    const refund = await plugipay.refunds.get(refundId);
    if (refund.status === "succeeded" || refund.status === "failed") return refund;
    await sleep(50);
  }
  throw new Error(`Refund ${refundId} still pending after ${maxAttempts} polls`);
}

const refused = (status, code) => (error) => {
  assert.ok(error instanceof ApiError, String(error));
  assert.deepEqual([error.status, error.code], [status, code]);
  assert.match(error.requestId, /^req_/);
  return true;
};

test("full refund of a checkout session", async () => {
  const sourceId = await paidSession();
  const reason = "Customer requested cancellation within 24 hours — très bien";
  const refund = await plugipay.refunds.create({ sourceType: "checkout_session", sourceId, reason });
  assert.match(refund.id, /^rfd_/);
  assert.ok(["pending", "succeeded"].includes(refund.status));
  const { amount, currency, sourceType } = refund;
  assert.deepEqual({ amount, currency, sourceType, sourceId: refund.sourceId, reason: refund.reason }, {
    amount: 10_000, currency: "USD", sourceType: "checkout_session", sourceId, reason,
  });
  assert.equal((await waitForRefund(refund.id)).status, "succeeded");
});

test("partial refunds of an invoice until all is refunded", async () => {
  const sourceId = await paidInvoice();
  const refund = (amount) => plugipay.refunds.create({ sourceType: "invoice", sourceId, amount });
  assert.equal((await refund(500)).amount, 500);
  assert.equal((await refund(1_500)).amount, 1_500);
  assert.equal((await refund(undefined)).amount, 1_000);
  await assert.rejects(refund(1), refused(422, "over_refund"));
  await assert.rejects(refund(undefined), refused(409, "state_conflict"));
});

test("list by source, by status, and page by page", async () => {
  const sourceId = await paidSession();
  const made = [];
  for (const amount of [1, 2, 3]) {
    const { id } = await plugipay.refunds.create({ sourceType: "checkout_session", sourceId, amount });
    await waitForRefund(id);
    made.unshift(id);
  }
  const seen = [];
  let cursor;
  do {
    const page = await plugipay.refunds.list({ sourceId, limit: 2, ...(cursor && { cursor }) });
    seen.push(...page.data.map((one) => one.id));
    assert.equal(page.hasMore, page.cursor !== null);
    cursor = page.cursor;
  } while (cursor);
  assert.deepEqual(seen, made);
  assert.deepEqual((await plugipay.refunds.list({ sourceId, status: "pending", limit: 100 })).data, []);
});

test("reconcile a refund against the ledger", async () => {
  const sourceId = await paidSession();
  const refund = await plugipay.refunds.create({ sourceType: "checkout_session", sourceId, amount: 700 });
  await waitForRefund(refund.id);
  const { data } = await plugipay.ledger.list({ sourceType: "refund", sourceId: refund.id });
  const legs = data.map((entry) => `${entry.code} ${entry.direction} ${entry.amount}`).sort();
  assert.deepEqual(legs, ["cash credit 700", "revenue_refund debit 700"]);
});

test("a failed refund has a reason and releases the money", async () => {
  const sourceId = await paidSession({ simulate: "refuse" });
  const refund = await plugipay.refunds.create({ sourceType: "checkout_session", sourceId });
  const failed = await waitForRefund(refund.id);
  assert.equal(failed.status, "failed");
  assert.ok(failed.failureReason);
  const again = await plugipay.refunds.create({ sourceType: "checkout_session", sourceId });
  assert.equal(again.amount, 10_000);
});

test("of two concurrent full refunds, one succeeds", async () => {
  const sourceId = await paidSession();
  const create = () => plugipay.refunds.create({ sourceType: "checkout_session", sourceId });
  const results = await Promise.allSettled(Array.from({ length: 8 }, create));
  const lost = results.filter((one) => one.status === "rejected");
  assert.equal(lost.length, 7);
  for (const { reason } of lost) refused(409, "state_conflict")(reason);
  assert.equal((await plugipay.refunds.list({ sourceId })).data.length, 1);
});

test("two clicks under one key make one refund", async () => {
  const body = { sourceType: "checkout_session", sourceId: await paidSession(), amount: 100 };
  const key = `ticket_${body.sourceId}`;
  const click = (change) => plugipay.request("POST", "/api/v1/refunds", { ...body, ...change }, key);
  const [one, two] = await Promise.all([click(), click()]);
  assert.equal(one.data.id, two.data.id);
  await assert.rejects(click({ amount: 101 }), refused(409, "conflict"));
});

test("the errors of the page", async () => {
  const paid = { sourceType: "checkout_session", sourceId: await paidSession() };
  const open = { sourceType: "checkout_session", sourceId: (await openSession()).id };
  for (const [input, status, code] of [
    [{ ...paid, amount: 10_001 }, 422, "over_refund"],
    [{ ...paid, amount: 0 }, 400, "validation_error"],
    [{ ...paid, amount: -1 }, 400, "validation_error"],
    [{ ...paid, sourceType: "order" }, 400, "validation_error"],
    [{ sourceType: "checkout_session" }, 400, "validation_error"],
    [open, 409, "state_conflict"],
    [{ ...paid, sourceId: "cs_01HX0000000000000000000000" }, 404, "not_found"],
  ]) {
    await assert.rejects(plugipay.refunds.create(input), refused(status, code), JSON.stringify(input));
  }
});

test("a webhook is delivered with a valid signature", async () => {
  const received = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    received.push({ signature: request.headers["x-plugipay-signature"], body });
    response.writeHead(204).end();
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  const url = `http://127.0.0.1:${server.address().port}/hooks`;
  const events = ["plugipay.refund.succeeded.v1"];
  const endpoint = await plugipay.post("/api/v1/webhooks", { url, events });
  const sourceId = await paidSession();
  const refund = await plugipay.refunds.create({ sourceType: "checkout_session", sourceId });
  let mine;
  for (let i = 0; i < 200 && !mine; i++) {
    mine = received.find((one) => one.body.includes(refund.id));
    if (!mine) await sleep(50);
  }
  server.close();
  assert.ok(mine, "the webhook arrived");
  const { t, v1 } = Object.fromEntries(mine.signature.split(",").map((part) => part.split("=")));
  const expected = createHmac("sha256", endpoint.secret).update(`${t}.${mine.body}`).digest();
  assert.ok(timingSafeEqual(Buffer.from(v1, "hex"), expected));
  const event = JSON.parse(mine.body);
  assert.equal(event.type, "plugipay.refund.succeeded.v1");
  assert.equal(event.data.object.status, "succeeded");
  await plugipay.request("DELETE", `/api/v1/webhooks/${endpoint.id}`);
});
