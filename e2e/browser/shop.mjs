// A merchant that uses the demo's API, a browser, and the checks of every page.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const demo = JSON.parse(readFileSync(process.env.REFUNDRY_READY_FILE, "utf8"));
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
// Folder for screenshots of every state, for people; no screenshots when it is not set.
const pictures = process.env.REFUNDRY_PICTURES;

/** Sends a request with the demo's test key and returns the data of the answer. */
export async function api(method, path, body) {
  const response = await fetch(demo.baseUrl + path, {
    method,
    headers: {
      Authorization: `Bearer ${demo.test.bearer}`,
      "Idempotency-Key": randomUUID(),
      ...(body && { "Content-Type": "application/json" }),
    },
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(10_000),
  });
  const answer = await response.json();
  assert.ok(response.ok, `${method} ${path}: ${JSON.stringify(answer.error)}`);
  return answer.data;
}

/** A checkout session over 45.00 that can be paid by card and by bank transfer. */
export const session = (overrides) =>
  api("POST", "/api/v1/checkout-sessions", {
    amount: 4_500,
    currency: "USD",
    methods: ["card", "paypal", "manual"],
    lineItems: [
      { name: "Green tea, loose leaf", quantity: 3, unitAmount: 1_200 },
      { name: "Shipping", quantity: 1, unitAmount: 900 },
    ],
    successUrl: `${demo.baseUrl}/health?thanks`,
    cancelUrl: `${demo.baseUrl}/health?cart`,
    ...overrides,
  });

/** An open invoice over 30.20. */
export const invoice = (overrides) =>
  api("POST", "/api/v1/invoices", {
    customerId: "cus_1",
    currency: "USD",
    status: "open",
    lines: [
      { description: "Repair, two hours", quantity: 2, unitAmount: 1_500 },
      { description: "Parts", quantity: 1, unitAmount: 100 },
    ],
    discount: 300,
    tax: 220,
    dueAt: "2099-01-31T00:00:00Z",
    memo: "Thank you for your patience.",
    ...overrides,
  });

/** Refunds something and waits for the provider's answer. */
export async function refund(sourceType, sourceId, amount) {
  const { id } = await api("POST", "/api/v1/refunds", { sourceType, sourceId, amount });
  for (let i = 0; i < 200; i++) {
    const { status } = await api("GET", `/api/v1/refunds/${id}`);
    if (status !== "pending") return assert.equal(status, "succeeded");
    await new Promise((ready) => setTimeout(ready, 25));
  }
  assert.fail(`${id} is still pending`);
}

export const launch = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
    timeout: 60_000,
  });

/** Opens a page in a new context and closes it when `use` ends. Any error that the browser reports fails the test. */
export async function visit(browser, url, use, options) {
  const context = await browser.newContext({ viewport: { width: 420, height: 860 }, ...options });
  context.setDefaultTimeout(10_000);
  const page = await context.newPage();
  const browserErrors = [];
  page.on("pageerror", (error) => browserErrors.push(String(error)));
  page.on("console", (message) => message.type() === "error" && browserErrors.push(message.text()));
  try {
    await page.goto(url);
    await use(page);
    // The page of an unknown link answers 404, which the browser logs as an error.
    assert.deepEqual(browserErrors.filter((text) => !text.includes("404")), []);
  } finally {
    await context.close();
  }
}

/** Fails on serious findings of axe, in the light and the dark scheme, and on a page wider than the window. */
export async function inspect(page, name) {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => globalThis.axe.run());
    const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
    const findings = serious.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`);
    assert.deepEqual(findings, [], `${name}, ${colorScheme}`);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${name} is ${wide} px too wide`);
    if (pictures) await page.screenshot({ path: `${pictures}/${name}-${colorScheme}.png`, fullPage: true });
  }
  await page.emulateMedia({ colorScheme: "light" });
}

/** Waits until the page shows the status. */
export const showsStatus = (page, text) =>
  page.locator(".status h2", { hasText: text }).first().waitFor({ state: "visible" });
