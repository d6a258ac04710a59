//! The bodies and headers that this door's webhook formats post.

use crate::doors::native::events::wire::EventHold;
use crate::doors::native::formats::{PlugipayBody, StandardBody};
use crate::openapi::{Answer, Fields, Operation, Parameter, Printed, Schema, components};
use domain::event::Type;
use domain::ids::{AccountId, EndpointId, InvoiceId, ProviderAccountId, RefundId};
use domain::payment::Kind;
use domain::webhook::Format;
use http::Method;

/// A format of this door.
#[derive(Clone, Copy)]
enum Own {
    Refundry,
    Plugipay,
}

/// One entry for each event that a format has a name for.
pub fn operations(tag: &'static str) -> Vec<Operation> {
    let formats = [Own::Refundry, Own::Plugipay];
    formats
        .into_iter()
        .flat_map(|format| Type::ALL.iter().filter_map(move |event| post(tag, format, *event)))
        .collect()
}

fn post(tag: &'static str, format: Own, event: Type) -> Option<Operation> {
    let (format_of, summary) = match format {
        Own::Refundry => (Format::Refundry, "Posted to endpoints of the format refundry"),
        Own::Plugipay => (Format::Plugipay, "Posted to endpoints of the format plugipay"),
    };
    let name = format_of.event_name(event)?;
    let taken = Answer::empty(204, "Taken. Every 2xx within 10 seconds is.");
    let gone = Answer::empty(
        410,
        "Disables the endpoint. Every other answer is a failure and is tried again.",
    );
    let later = Answer::empty(503, "Not now. `Retry-After` is honoured, up to a day.");
    let post = Operation::new(Method::POST, name, name, tag, summary).takes(headers(format)).reads(
        true,
        body(format, event, name),
        &[],
    );
    Some([taken, gone, later].into_iter().fold(post, Operation::answers))
}

fn headers(format: Own) -> Vec<Parameter> {
    let names: &[_] = match format {
        Own::Refundry => &["WebhookId", "WebhookTimestamp", "WebhookSignature"],
        Own::Plugipay => &["PlugipaySignature"],
    };
    names.iter().map(|name| Parameter::Named(name)).collect()
}

/// The headers of webhooks under their names.
pub fn parameters() -> Vec<(&'static str, Parameter)> {
    let header = Parameter::header;
    let id =
        header("webhook-id", "The event's id, on every attempt the same.", components::event_id());
    let at = "When this attempt was signed, Unix seconds.";
    let at = header("webhook-timestamp", at, Schema::matching("^[0-9]+$"));
    let signature = "`v1,` and the base64 of the HMAC-SHA256 of `id.timestamp.body`; after a \
        change of the secret two of them, with a space in between.";
    let signature = header("webhook-signature", signature, Schema::string());
    let theirs = "`t=<Unix seconds>,v1=<hex>`, where `v1` is the HMAC-SHA256 of `t.body`; after a \
                  change of the secret two of them.";
    let theirs = header("X-Plugipay-Signature", theirs, Schema::string());
    vec![
        ("WebhookId", id),
        ("WebhookTimestamp", at),
        ("WebhookSignature", signature),
        ("PlugipaySignature", theirs),
    ]
}

fn body(format: Own, event: Type, name: &'static str) -> Schema {
    let fields = match format {
        Own::Refundry => StandardBody::fields(),
        Own::Plugipay => PlugipayBody::fields(),
    };
    let source = Fields::new().must("source", Schema::words(["trigger"])).closed();
    fields
        .with("type", Schema::string().with("const", name))
        .with("data", data(event))
        .may(
            "metadata",
            source.says("There when the event did not happen and was triggered by hand."),
        )
        .closed()
}

fn data(event: Type) -> Schema {
    let (object, kinds, prefix) = match event.as_str().split('.').next().unwrap_or_default() {
        "refund" => ("Refund", vec!["refund"], RefundId::PREFIX),
        "checkout_session" => {
            ("CheckoutSession", vec!["checkout_session"], Kind::CheckoutSession.prefix())
        }
        "invoice" => ("Invoice", vec!["invoice"], InvoiceId::PREFIX),
        "webhook_endpoint" => ("DisabledEndpoint", vec!["webhook_endpoint"], EndpointId::PREFIX),
        "provider_account" => {
            ("ProviderAccountInEvent", vec!["provider_account"], ProviderAccountId::PREFIX)
        }
        "sending" => ("SendingInEvent", vec!["sending"], AccountId::PREFIX),
        _ => ("Payment", Kind::ALL.iter().map(|kind| kind.as_str()).collect(), ""),
    };
    let id = if prefix.is_empty() {
        components::id(&Kind::ALL.iter().map(|kind| kind.prefix()).collect::<Vec<_>>())
    } else {
        components::id(&[prefix])
    };
    let of_hold = event.as_str().starts_with("payment.hold_");
    let hold = Fields::new().may("hold", EventHold::schema());
    Fields::new()
        .must("object", Schema::named(object))
        .must("aggregateType", Schema::words(kinds))
        .must("aggregateId", id)
        .and(if of_hold { hold } else { Fields::new() })
        .open()
        .says("The thing as it was right after the event. A triggered event has the caller's own fields here too.")
}
