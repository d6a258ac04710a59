//! Headers, security schemes and the parts of the envelope.

use crate::http::call::LONGEST_KEY;
use crate::http::envelope::PageMeta;
use crate::openapi::{Chapter, Fields, Parameter, Printed, Schema, components, problems};
use domain::tenant::Mode;
use serde_json::{Value, json};

const BEARER: &str = "`Authorization: Bearer <token>`. The token is the whole proof, so send it over TLS only. \
`refundry keys create` prints it once.";

const SIGNATURE: &str = "`Authorization: Refundry-HMAC-SHA256 keyId=<key id>, scope=*, signature=<hex>` together with \
`X-Refundry-Timestamp: <Unix time in seconds>`. `Plugipay-HMAC-SHA256` and `X-Plugipay-Timestamp` mean the same.

The signature is the lower-case hex HMAC-SHA256, under the key's secret, of these lines joined by `\\n`:

1. the method in capitals
2. the request target exactly as sent, query included
3. the timestamp
4. the lower-case hex SHA-256 of the raw body (of nothing, where there is none)
5. the `Idempotency-Key`, only where one is sent

The time may be 300 seconds off either way.";

/// The components that all operations of this door share.
pub fn chapter() -> Chapter {
    Chapter {
        parameters: parameters(),
        headers: headers(),
        answers: problems::shared(),
        security: vec![
            ("bearer", json!({"type": "http", "scheme": "bearer", "description": BEARER})),
            (
                "signature",
                json!({
                    "type": "apiKey", "in": "header", "name": "Authorization",
                    "description": SIGNATURE,
                }),
            ),
        ],
        schemas: vec![
            ("Meta", meta().closed().says("About the answer.")),
            (
                "PageMeta",
                meta().and(PageMeta::fields()).closed().says("About the answer and its page."),
            ),
            (
                "Refusal",
                problems::refusal().says("What is answered with every status from 400 on."),
            ),
        ],
        ..Chapter::default()
    }
}

fn parameters() -> Vec<(&'static str, Parameter)> {
    let modes = || Schema::one_of(Mode::ALL, Mode::as_str);
    vec![
        (
            "IdempotencyKey",
            Parameter::header(
                "Idempotency-Key",
                "Names this request: sent again with the same key and the same content it is \
                 answered as the first time, with `Idempotent-Replayed: true`, and nothing is done \
                 twice. Send one with every write that you may have to repeat.",
                Schema::matching("^[ -~]+$").with("minLength", 1).with("maxLength", LONGEST_KEY),
            ),
        ),
        (
            "Prefer",
            Parameter::header(
                "Prefer",
                "`wait=N` (RFC 7240) waits up to N seconds for the provider's answer. What cannot \
                 be understood is ignored.",
                Schema::string().like("wait=5"),
            ),
        ),
        (
            "ErrorProfile",
            Parameter::header(
                "Refundry-Error-Profile",
                "Which table of error codes to answer refunds with that cannot be made: `node` \
                 (422 `over_refund`, 409 `state_conflict`) or `go` (400 `validation_error`). \
                 Without it the key decides.",
                Schema::words(["node", "go"]),
            ),
        ),
        (
            "OnBehalfOf",
            Parameter::header(
                "X-Refundry-On-Behalf-Of",
                "The account to act for, `acc_…`; platform keys only. `X-Plugipay-On-Behalf-Of` \
                 means the same.",
                components::account_id(),
            ),
        ),
        (
            "Mode",
            Parameter::header(
                "X-Refundry-Mode",
                "The mode to act in: platform keys choose one (`test` when absent), any other key \
                 may only repeat its own. `X-Plugipay-Mode` means the same.",
                modes(),
            ),
        ),
        (
            "Cursor",
            Parameter::query(
                "cursor",
                "The `meta.cursor` of the page before, with the same filters and order. Empty \
                 means the first page.",
                Schema::matching("^([A-Za-z0-9_-]{32})?$"),
            ),
        ),
    ]
}

fn headers() -> Vec<(&'static str, Value)> {
    use components::header;
    let yes = || Schema::words(["true"]);
    let number = || Schema::matching("^[0-9]+$");
    vec![
        (
            "X-Request-Id",
            header(true, "The request's id, also in `meta.requestId`.", components::request_id()),
        ),
        ("Location", header(true, "The path of what was made.", Schema::string())),
        (
            "Idempotent-Replayed",
            header(false, "The answer is the one of an earlier request with this key.", yes()),
        ),
        (
            "Preference-Applied",
            header(false, "How long was waited at most.", Schema::matching("^wait=[0-9]+$")),
        ),
        (
            "Retry-After",
            header(
                false,
                "Seconds after which it makes sense to try again.",
                Schema::matching("^[0-9]+$"),
            ),
        ),
        (
            "X-RateLimit-Limit",
            header(false, "What the account's share holds, where there are limits.", number()),
        ),
        ("X-RateLimit-Remaining", header(false, "What is left of it.", number())),
        ("X-RateLimit-Reset", header(false, "When it is whole again, Unix seconds.", number())),
        ("WWW-Authenticate", header(true, "The schemes that let callers in.", Schema::string())),
    ]
}

fn meta() -> Fields {
    Fields::new()
        .must("requestId", components::request_id())
        .must("timestamp", Schema::time().says("When it was answered."))
}
