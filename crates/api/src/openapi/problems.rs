//! The description of refusals in Refundry's own words: statuses, codes and their meanings.

use super::components;
use super::operation::Answer;
use super::schema::{Fields, Schema};
use domain::ids::HoldId;
use std::collections::BTreeMap;

/// Refusals of every operation with a key.
pub const EVERYWHERE: &[(u16, &str)] = &[
    (400, "validation_error"),
    (401, "unauthorized"),
    (401, "invalid_key"),
    (401, "invalid_signature"),
    (401, "invalid_timestamp"),
    (401, "timestamp_skew"),
    (403, "insufficient_scope"),
    (404, "not_found"),
    (408, "request_timeout"),
    (413, "payload_too_large"),
    (429, "rate_limited"),
    (500, "internal_error"),
    (503, "service_unavailable"),
];

/// Refusals of every operation without a key.
pub const WITHOUT_KEY: &[(u16, &str)] = &[
    (400, "validation_error"),
    (404, "not_found"),
    (408, "request_timeout"),
    (413, "payload_too_large"),
    (429, "rate_limited"),
    (500, "internal_error"),
    (503, "service_unavailable"),
];

/// Every code with its meaning.
pub const CODES: &[(&str, &str)] = &[
    (
        "validation_error",
        "part of the request cannot be accepted; `field` names it, `message` says what to send",
    ),
    ("unauthorized", "no credentials, or none of a kind that is known"),
    ("invalid_key", "there is no such key, or it was revoked"),
    ("invalid_signature", "the signature does not fit the request"),
    ("invalid_timestamp", "a signed request without a readable time"),
    ("timestamp_skew", "signed more than 300 seconds away from the server's clock"),
    ("insufficient_scope", "the key lacks the scope that `details.scope` names"),
    ("not_found", "nothing of that name exists for the account and mode of the key"),
    ("method_not_allowed", "the path does not take the method"),
    ("request_timeout", "the body did not arrive in time"),
    ("payload_too_large", "the body is too large"),
    ("unsupported_media_type", "the body is not said to be `application/json` in UTF-8"),
    ("conflict", "the Idempotency-Key, or an id that must be unique, belongs to another request"),
    ("idempotency_in_progress", "a request with this Idempotency-Key is still being processed"),
    ("state_conflict", "what it is about is not in a state that allows it"),
    ("already_queued", "the delivery is still to be sent"),
    ("endpoint_disabled", "the webhook endpoint is not active, or is gone"),
    ("cannot_revoke_current", "the key that the request was made with cannot be revoked"),
    ("wrong_environment", "a key makes keys of its own mode only"),
    ("test_mode_only", "there is no such operation in live mode"),
    ("rate_limited", "too many requests; `Retry-After` says when to send the next one"),
    ("over_refund", "more was asked for than remains to be refunded"),
    ("internal_error", "something failed on the server; report the request id"),
    (
        "service_unavailable",
        "nothing was done, or the answer is not known yet: send the same request again",
    ),
];

/// The answers for these refusals, one per status.
pub fn answers(refusals: Vec<(u16, &'static str)>) -> Vec<Answer> {
    let mut by_status: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for (status, code) in refusals {
        let codes = by_status.entry(status).or_default();
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    by_status.into_iter().map(|(status, codes)| answer(status, &codes)).collect()
}

/// Refusals that many operations share, each under a name of its own.
const SHARED: &[(&str, u16, &[&str])] = &[
    ("BadRequest", 400, &["validation_error"]),
    (
        "Unauthorized",
        401,
        &[
            "unauthorized",
            "invalid_key",
            "invalid_signature",
            "invalid_timestamp",
            "timestamp_skew",
        ],
    ),
    ("Forbidden", 403, &["insufficient_scope"]),
    ("NotFound", 404, &["not_found"]),
    ("RequestTimeout", 408, &["request_timeout"]),
    ("Conflict", 409, &["conflict", "idempotency_in_progress"]),
    ("PayloadTooLarge", 413, &["payload_too_large"]),
    ("UnsupportedMediaType", 415, &["unsupported_media_type"]),
    (LIMITED, 429, &["rate_limited"]),
    ("InternalError", 500, &["internal_error"]),
    ("ServiceUnavailable", 503, &["service_unavailable"]),
];

/// The name of the answer to too many requests.
const LIMITED: &str = "RateLimited";

pub fn shared() -> Vec<(&'static str, Answer)> {
    SHARED.iter().map(|(name, status, codes)| (*name, spelt_out(*status, codes))).collect()
}

fn answer(status: u16, codes: &[&str]) -> Answer {
    let shared = SHARED.iter().find(|(_, known, same)| *known == status && *same == codes);
    match shared {
        Some((name, ..)) => Answer::named(status, name),
        None => spelt_out(status, codes),
    }
}

fn spelt_out(status: u16, codes: &[&str]) -> Answer {
    let meaning =
        |code: &str| CODES.iter().find(|(known, _)| *known == code).map(|(_, text)| *text);
    let text: Vec<_> = codes
        .iter()
        .map(|code| format!("- `{code}`: {}.", meaning(code).unwrap_or_default()))
        .collect();
    let code = Fields::new().may("code", Schema::words(codes.iter().copied())).open();
    let narrowed = Fields::new().may("error", code).open();
    let body = Schema::all_of([Schema::named("Refusal"), narrowed]);
    let headers: &[&str] = match status {
        401 => &["X-Request-Id", "WWW-Authenticate"],
        409 | 429 | 503 => &["X-Request-Id", "Retry-After"],
        _ => &["X-Request-Id"],
    };
    Answer::json(status, text.join("\n"), body).with_headers(headers)
}

pub fn refusal() -> Schema {
    let code = Schema::words(CODES.iter().map(|(code, _)| *code));
    let error = Fields::new()
        .must("code", code.says("The stable word to branch on."))
        .must("message", Schema::string().says("For people: what was wrong and what to do."))
        .may(
            "field",
            Schema::string().says("The field of the body, query parameter or header it is about."),
        )
        .may("details", Schema::any_of(details()).says("What a program may want to know."))
        .closed();
    Fields::new()
        .must("data", Schema::null())
        .must("error", error)
        .must("meta", Schema::named("Meta"))
        .closed()
}

fn details() -> [Schema; 7] {
    let minor = || Schema::integer(0);
    [
        Fields::new()
            .must("requested", minor().says("Minor units."))
            .must("refundable", minor().says("Minor units."))
            .must("currency", components::currency().says("Of both."))
            .closed(),
        Fields::new()
            .must("expected", minor().says("The `expectedRefundable` of the request."))
            .must("refundable", minor().says("What really is refundable."))
            .closed(),
        Fields::new()
            .must("refundId", components::refund_id().says("The refund that is in the way."))
            .closed(),
        Fields::new()
            .must("paymentId", components::payment_id().says("The payment that is in the way."))
            .closed(),
        Fields::new()
            .must("holdId", components::id(&[HoldId::PREFIX]).says("The hold that is in the way."))
            .closed(),
        Fields::new().must("scope", Schema::string().says("The scope that is missing.")).closed(),
        Fields::new()
            .must("currencies", Schema::list(components::currency()).says("One of these."))
            .closed(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_meaning() {
        let shared = SHARED.iter().flat_map(|(_, _, codes)| codes.iter());
        for code in EVERYWHERE.iter().map(|(_, code)| code).chain(shared) {
            assert!(CODES.iter().any(|(known, _)| known == code), "{code}");
        }
    }
}
