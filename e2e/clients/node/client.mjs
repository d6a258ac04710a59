// A small client for the flows of the documentation's page on refunds for Node. It follows the
// description of the API and uses no packages. It is not the SDK.
import { createHash, createHmac, randomUUID } from "node:crypto";

export class ApiError extends Error {
  constructor(status, { code, message }, requestId) {
    super(message);
    Object.assign(this, { status, code, requestId });
  }
}

export class Client {
  constructor({ keyId, secret, baseUrl }) {
    Object.assign(this, { keyId, secret, baseUrl });
  }

  async request(method, path, body, idempotencyKey) {
    const text = body === undefined ? "" : JSON.stringify(body);
    const at = String(Math.floor(Date.now() / 1000));
    const lines = [method, path, at, createHash("sha256").update(text).digest("hex")];
    if (idempotencyKey) lines.push(idempotencyKey);
    const signature = createHmac("sha256", this.secret).update(lines.join("\n")).digest("hex");
    const response = await fetch(this.baseUrl + path, {
      method,
      headers: {
        Accept: "application/json",
        Authorization: `Plugipay-HMAC-SHA256 keyId=${this.keyId}, scope=*, signature=${signature}`,
        "X-Plugipay-Timestamp": at,
        ...(text && { "Content-Type": "application/json" }),
        ...(idempotencyKey && { "Idempotency-Key": idempotencyKey }),
      },
      body: text || undefined,
      signal: AbortSignal.timeout(10_000),
    });
    const answer = response.status === 204 ? {} : await response.json();
    if (!response.ok || answer.error) {
      throw new ApiError(response.status, answer.error, answer.meta?.requestId);
    }
    return answer;
  }

  async get(path) {
    return (await this.request("GET", path)).data;
  }

  async post(path, body) {
    return (await this.request("POST", path, body, `idem_${randomUUID()}`)).data;
  }

  async page(path, params = {}) {
    const pairs = Object.entries(params).map(([k, v]) => `${k}=${encodeURIComponent(v)}`);
    const answer = await this.request("GET", pairs.length ? `${path}?${pairs.join("&")}` : path);
    return { data: answer.data, cursor: answer.meta.cursor, hasMore: answer.meta.hasMore };
  }

  refunds = {
    create: (input) => this.post("/api/v1/refunds", input),
    get: (id) => this.get(`/api/v1/refunds/${id}`),
    list: (params) => this.page("/api/v1/refunds", params),
  };

  ledger = { list: (params) => this.page("/api/v1/ledger", params) };
}
