// Tests of the hosted pages in a real browser: every state, by mouse, by keyboard, and without
// scripts.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { api, inspect, invoice, launch, refund, session, showsStatus, visit } from "./shop.mjs";

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

const choose = async (page, label, outcome) => {
  await page.getByRole("radio", { name: label, exact: true }).check();
  if (outcome) await page.getByLabel("What should happen").selectOption(outcome);
};
const press = (page, name) => page.getByRole("button", { name }).click();
const statusOf = async (id) => (await api("GET", `/api/v1/checkout-sessions/${id}`)).status;

test("a session is paid, partly refunded, refunded", async () => {
  const made = await session();
  await visit(browser, made.hostedUrl, async (page) => {
    assert.match(await page.title(), /Pay/);
    await page.getByRole("cell", { name: "USD 36.00" }).waitFor();
    await inspect(page, "session-open");
    await choose(page, "Card");
    await press(page, "Pay USD 45.00");
    await showsStatus(page, "Paid");
    assert.equal(await page.getByRole("button").count(), 0, "no button is left");
    await inspect(page, "session-paid");
    assert.equal(await statusOf(made.id), "completed");
    await refund("checkout_session", made.id, 1_500);
    await page.reload();
    await showsStatus(page, "Partially refunded");
    await page.getByText("USD 15.00 was paid back to you.").waitFor();
    await inspect(page, "session-partially-refunded");
    await refund("checkout_session", made.id);
    await page.reload();
    await showsStatus(page, "Refunded");
    await inspect(page, "session-refunded");
    await page.getByRole("link", { name: "Return to the shop" }).click();
    await page.waitForURL(/health\?thanks/);
  });
});

test("a card is declined and another payment method succeeds", async () => {
  const made = await session();
  await visit(browser, made.hostedUrl, async (page) => {
    await choose(page, "Card", "declined");
    await press(page, /^Pay/);
    await showsStatus(page, "did not go through");
    await inspect(page, "session-declined");
    assert.equal(await statusOf(made.id), "failed");
    await choose(page, "PayPal");
    await press(page, /^Pay/);
    await showsStatus(page, "Paid");
  });
});

test("a payment that needs approval is declined and then approved", async () => {
  const made = await session();
  await visit(browser, made.hostedUrl, async (page) => {
    await choose(page, "Card", "action");
    await press(page, /^Pay/);
    await showsStatus(page, "Approve this payment");
    await inspect(page, "session-action");
    await press(page, "Decline");
    await showsStatus(page, "did not go through");
    await choose(page, "Card", "action");
    await press(page, /^Pay/);
    await press(page, "Approve");
    await showsStatus(page, "Paid");
  });
});

test("the page follows a payment in processing until it is paid", async () => {
  const made = await session();
  await visit(browser, made.hostedUrl, async (page) => {
    await choose(page, "Card", "processing");
    await press(page, /^Pay/);
    // The test does not reload the page; its script shows the change.
    await showsStatus(page, "Paid");
    assert.equal(await statusOf(made.id), "completed");
  });
});

test("a manual transfer is reported and then confirmed while the page is open", async () => {
  const made = await session();
  await visit(browser, made.hostedUrl, async (page) => {
    await choose(page, "Bank transfer");
    await press(page, /^Pay/);
    await page.getByRole("heading", { name: "Bank transfer" }).waitFor();
    await inspect(page, "session-transfer");
    await press(page, "I have sent the money");
    await showsStatus(page, "Waiting for confirmation");
    await inspect(page, "session-review");
    await api("POST", `/api/v1/checkout-sessions/${made.id}/confirm`, {});
    await showsStatus(page, "Paid");
  });
});

test("a session expires and another is canceled", async () => {
  const late = await session({ expiresInSec: 1 });
  await new Promise((ready) => setTimeout(ready, 1_100));
  await visit(browser, late.hostedUrl, async (page) => {
    await showsStatus(page, "Expired");
    assert.equal(await page.getByRole("button").count(), 0);
    await inspect(page, "session-expired");
  });
  const gone = await session();
  await api("POST", `/api/v1/checkout-sessions/${gone.id}/cancel`, {});
  await visit(browser, gone.hostedUrl, async (page) => {
    await showsStatus(page, "Canceled");
    await inspect(page, "session-canceled");
  });
  await visit(browser, gone.hostedUrl.replace(/.{6}$/, "000000"), async (page) => {
    await page.getByRole("heading", { name: "There is nothing to pay here" }).waitFor();
    await inspect(page, "unknown");
  });
});

test("an invoice is paid and refunded, and another is voided", async () => {
  const made = await invoice();
  await visit(browser, made.hostedInvoiceUrl, async (page) => {
    await page.getByText(made.number).waitFor();
    await page.getByRole("row", { name: /Total.*USD 30\.20/ }).waitFor();
    await inspect(page, "invoice-open");
    await choose(page, "Card", "declined");
    await press(page, "Pay USD 30.20");
    await showsStatus(page, "did not go through");
    await inspect(page, "invoice-declined");
    await choose(page, "Card");
    await press(page, /^Pay/);
    await showsStatus(page, "Paid");
    await inspect(page, "invoice-paid");
    await refund("invoice", made.id);
    await page.reload();
    await showsStatus(page, "Refunded");
    await inspect(page, "invoice-refunded");
  });
  const gone = await invoice();
  await api("POST", `/api/v1/invoices/${gone.id}/void`, {});
  await visit(browser, gone.hostedInvoiceUrl, async (page) => {
    await showsStatus(page, "Withdrawn");
    await inspect(page, "invoice-void");
  });
});

test("a session can be paid with the keyboard alone", async () => {
  const made = await session({ methods: ["card", "paypal"] });
  await visit(browser, made.hostedUrl, async (page) => {
    const focused = () => page.evaluate(() => {
      const at = document.activeElement;
      const { outlineStyle } = getComputedStyle(at.closest(".choice") ?? at);
      return { name: at.value || at.textContent.trim(), tag: at.tagName, ring: outlineStyle !== "none" };
    });
    await page.keyboard.press("Tab");
    assert.deepEqual(await focused(), { name: "card", tag: "INPUT", ring: true });
    await page.keyboard.press("ArrowDown");
    assert.equal((await focused()).name, "paypal");
    await page.keyboard.press("ArrowUp");
    assert.equal((await focused()).name, "card");
    await page.keyboard.press("Space");
    await page.keyboard.press("Tab");
    assert.equal((await focused()).tag, "SELECT");
    await page.keyboard.press("Tab");
    assert.deepEqual(await focused(), { name: "Pay USD 45.00", tag: "BUTTON", ring: true });
    await page.keyboard.press("Enter");
    await showsStatus(page, "Paid");
    await page.keyboard.press("Tab");
    assert.equal((await focused()).tag, "A");
  });
});

test("a double click pays once", async () => {
  const made = await session();
  await visit(browser, made.hostedUrl, async (page) => {
    await choose(page, "Card");
    await page.getByRole("button", { name: /^Pay/ }).dblclick();
    await showsStatus(page, "Paid");
    const paid = await api("GET", `/api/v1/checkout-sessions/${made.id}`);
    assert.equal(paid.status, "completed");
    const query = `sourceType=checkout_session&sourceId=${made.id}`;
    const booked = await api("GET", `/api/v1/ledger?${query}`);
    assert.deepEqual(booked.map(({ amount }) => amount), [4_500, 4_500], "one debit, one credit");
  });
});

test("sessions and invoices can be paid without scripts", async () => {
  const noScripts = { javaScriptEnabled: false };
  const made = await session();
  await visit(browser, made.hostedUrl, async (page) => {
    await choose(page, "Card", "declined");
    await press(page, /^Pay/);
    await showsStatus(page, "did not go through");
    await choose(page, "Card", "action");
    await press(page, /^Pay/);
    await press(page, "Approve");
    await showsStatus(page, "Paid");
  }, noScripts);
  const open = await invoice();
  await visit(browser, open.hostedInvoiceUrl, async (page) => {
    await choose(page, "Card");
    await press(page, /^Pay/);
    await showsStatus(page, "Paid");
  }, noScripts);
});

test("nothing is cut off on a narrow screen with long text", async () => {
  const name = "Ein außergewöhnlich langer Name ohne Ende ".repeat(4).slice(0, 190).trim();
  const lineItems = [{ name, quantity: 1_000, unitAmount: 123_456_789 }];
  const made = await session({ amount: 123_456_789_000, lineItems });
  await visit(browser, made.hostedUrl, async (page) => {
    const item = await page.getByRole("row", { name: /langer Name/ }).boundingBox();
    assert.ok(item.height < 600, `the name stands in a column of ${item.height} px`);
    await inspect(page, "session-narrow");
  }, { viewport: { width: 320, height: 640 } });
});
