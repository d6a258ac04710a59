//! Building blocks of the doors' schemas.

use super::schema::{Fields, Schema};
use domain::ids::{
    AccountId, EntryId, EventId, InvoiceId, PaymentId, RefundId, RequestId, TransferId,
};
use domain::money::MAX_AMOUNT;
use domain::payment::Kind;
use domain::tenant::Mode;
use serde_json::{Value, json};

/// The ULID of every example.
const ULID: &str = "01KREAEM40E8TXW4VNC0XM1R2P";
/// The characters of a ULID.
const ULIDS: &str = "[0-9A-HJKMNP-TV-Z]{26}";

/// An id with one of these prefixes. The first is the one we print.
pub fn id(prefixes: &[&str]) -> Schema {
    let first = prefixes.first().copied().unwrap_or_default();
    let prefix = match prefixes {
        [one] => (*one).to_owned(),
        several => format!("({})", several.join("|")),
    };
    Schema::matching(&format!("^{prefix}{ULIDS}$")).like(format!("{first}{ULID}"))
}

pub fn account_id() -> Schema {
    id(&[AccountId::PREFIX])
}

pub fn payment_id() -> Schema {
    id(&[PaymentId::PREFIX])
}

pub fn refund_id() -> Schema {
    id(&[RefundId::PREFIX])
}

/// A refund's id as callers may write it.
pub fn any_refund_id() -> Schema {
    id(&[RefundId::PREFIX, "rf_", "re_"])
}

/// An invoice's id as callers may write it.
pub fn any_invoice_id() -> Schema {
    id(&[InvoiceId::PREFIX, "in_"])
}

pub fn event_id() -> Schema {
    id(&[EventId::PREFIX])
}

pub fn transfer_id() -> Schema {
    id(&[TransferId::PREFIX])
}

pub fn entry_id() -> Schema {
    id(&[EntryId::PREFIX])
}

pub fn request_id() -> Schema {
    id(&[RequestId::PREFIX])
}

/// The name of a payment as a refund's source.
pub fn source_id() -> Schema {
    id_or_source_id(&[])
}

/// An id with one of these prefixes, or the name of a payment as a refund's source.
pub fn id_or_source_id(prefixes: &[&'static str]) -> Schema {
    let kinds = Kind::ALL.iter().map(|kind| kind.prefix());
    id(&prefixes.iter().copied().chain(kinds).collect::<Vec<_>>())
}

/// `arn:refundry:<what>:<account>:<id>`.
pub fn arn(what: &str, prefix: &str) -> Schema {
    let account = AccountId::PREFIX;
    Schema::matching(&format!("^arn:refundry:{what}:{account}{ULIDS}:{prefix}{ULIDS}$"))
        .like(format!("arn:refundry:{what}:{account}{ULID}:{prefix}{ULID}"))
}

/// The mode something was made in.
pub fn mode() -> Schema {
    Schema::one_of(Mode::ALL, Mode::as_str).says("Decided by the key.")
}

pub fn kind() -> Schema {
    Schema::one_of(Kind::ALL, Kind::as_str)
}

pub fn currency() -> Schema {
    Schema::matching("^[A-Z]{3}$").like("USD")
}

/// An amount that a caller sends.
pub fn amount(least: i64) -> Schema {
    Schema::integer(least).with("maximum", MAX_AMOUNT)
}

/// An amount that we print, in minor units.
pub fn minor(text: &str) -> Schema {
    Schema::integer(0).says(&format!("{text} Minor units."))
}

/// An amount of either sign that we print, in minor units.
pub fn signed(text: &str) -> Schema {
    Schema::any()
        .with("type", "integer")
        .with("format", "int64")
        .says(&format!("{text} Minor units."))
}
pub fn query_time() -> Schema {
    Schema::string()
        .says(
            "ISO 8601 with an offset, a date (midnight UTC), or seconds or milliseconds since the \
             epoch.",
        )
        .like("2026-05-12T10:42:00Z")
}

/// The caller's key-value pairs, as they are read.
pub fn metadata() -> Schema {
    use crate::http::body::metadata::{MAX_BYTES, MAX_KEY_CHARS, MAX_KEYS, MAX_VALUE_CHARS};
    let key = Schema::any()
        .with("minLength", 1)
        .with("maxLength", MAX_KEY_CHARS)
        .with("pattern", r"^[^\u0000]*$");
    Schema::map(Schema::text(MAX_VALUE_CHARS))
        .with("maxProperties", MAX_KEYS)
        .with("propertyNames", key)
        .says(&format!("The caller's own key-value pairs, {MAX_BYTES} bytes in all."))
        .or_null()
}

/// The caller's key-value pairs, as they are printed.
pub fn printed_metadata() -> Schema {
    Schema::map(Schema::string()).says("As it was sent.").or_null().like(())
}
pub fn header(required: bool, text: &str, schema: Schema) -> Value {
    json!({"description": text, "required": required, "schema": Value::from(schema)})
}

/// The headers of answers that all doors share.
pub fn headers() -> Vec<(&'static str, Value)> {
    let number = || Schema::matching("^[0-9]+$");
    vec![
        ("X-Request-Id", header(true, "The request's id.", request_id())),
        (
            "Idempotent-Replayed",
            header(false, "An earlier request had this key.", Schema::words(["true"])),
        ),
        (
            "Retry-After",
            header(false, "Seconds after which it makes sense to try again.", number()),
        ),
        (
            "X-RateLimit-Limit",
            header(false, "What the account's share holds, where there are limits.", number()),
        ),
        ("X-RateLimit-Remaining", header(false, "What is left of it.", number())),
        ("X-RateLimit-Reset", header(false, "When it is whole again, Unix seconds.", number())),
        ("WWW-Authenticate", header(true, "What lets callers in.", Schema::string())),
    ]
}

/// The envelope around the data of a success.
pub fn envelope(data: Schema, meta: Schema) -> Schema {
    Fields::new().must("data", data).must("error", Schema::null()).must("meta", meta).closed()
}
