//! Webhook endpoints and deliveries.

use super::deliveries::LIST;
use super::endpoints::{DEFAULT_FORMAT, EVENTS, LONGEST_DESCRIPTION, LONGEST_URL};
use super::webhook_bodies;
use super::wire::{DeliveryWire, EndpointWire};
use crate::doors::native::describe::Described;
use crate::openapi::{Answer, Chapter, Fields, Operation, Printed, Schema, components};
use domain::ids::{DeliveryId, EndpointId};
use domain::webhook::Format;
use http::Method;
use serde_json::json;

const TAG: &str = "Webhooks";
const ONE: &str = "/api/v1/webhooks/{id}";
const SECRETS: [&str; 2] = ["secret", "signingSecret"];

pub fn chapter() -> Chapter {
    Chapter {
        tags: vec![(
            TAG,
            "Being told. Every event is posted to every endpoint that wants it, at least once and \
             in order per refund, signed, until a receiver answers 2xx.",
        )],
        operations: endpoints().into_iter().chain(deliveries()).collect(),
        webhooks: webhook_bodies::operations(TAG),
        parameters: webhook_bodies::parameters(),
        schemas: vec![
            (
                "WebhookEndpoint",
                EndpointWire::fields()
                    .without(&SECRETS)
                    .closed()
                    .says("Where an account is told of its events."),
            ),
            (
                "WebhookEndpointWithSecret",
                EndpointWire::fields()
                    .always(&SECRETS)
                    .closed()
                    .says("A webhook endpoint with a secret that was just made."),
            ),
            ("NewWebhookEndpoint", new_endpoint()),
            ("ChangeWebhookEndpoint", changes()),
            (
                "Delivery",
                DeliveryWire::fields()
                    .without(&["attemptLog"])
                    .closed()
                    .says("One event on its way to one endpoint."),
            ),
            ("DeliveryWithLog", DeliveryWire::fields().always(&["attemptLog"]).closed()),
        ],
        ..Chapter::default()
    }
}

fn endpoints() -> Vec<Operation> {
    let one = |method, id, summary| {
        Described::new(method, ONE, id, TAG, summary)
            .of(components::id(&[EndpointId::PREFIX]), "The endpoint.")
    };
    let removed = one(Method::DELETE, "deleteWebhook", "Delete an endpoint").says(
        "Forgets the endpoint and its secret, and fails what is queued for it. The log of its \
         deliveries stays.",
    );
    let gone =
        Answer::empty(204, "It is gone.").with_headers(&["X-Request-Id", "Idempotent-Replayed"]);
    vec![
        Described::get("/api/v1/webhooks", "listWebhooks", TAG, "List endpoints")
            .says("Newest first, all of them: there are at most 50.")
            .gives(200, "Every endpoint.", Schema::list(Schema::named("WebhookEndpoint")), &[])
            .done(),
        create(),
        one(Method::GET, "getWebhook", "Get an endpoint")
            .gives(200, "The endpoint.", Schema::named("WebhookEndpoint"), &[])
            .done(),
        one(Method::PATCH, "updateWebhook", "Change an endpoint")
            .keyed()
            .says(
                "`active: false` fails what is queued for it. `active: true` sends to it again and \
                 forgets its failures.",
            )
            .reads(Schema::named("ChangeWebhookEndpoint"), &[])
            .gives(200, "The endpoint.", Schema::named("WebhookEndpoint"), &["Idempotent-Replayed"])
            .done(),
        removed.answers_bare(gone).keyed().reads_nothing().done(),
        Described::post(
            "/api/v1/webhooks/{id}/rotate-secret",
            "rotateWebhookSecret",
            TAG,
            "Make a new secret",
        )
        .says("For the next 24 hours both the old and the new secret sign.")
        .of(components::id(&[EndpointId::PREFIX]), "The endpoint.")
        .reads_nothing()
        .gives(
            200,
            "The endpoint and its new secret.",
            Schema::named("WebhookEndpointWithSecret"),
            &["Idempotent-Replayed"],
        )
        .done(),
    ]
}

fn create() -> Operation {
    Described::post("/api/v1/webhooks", "createWebhook", TAG, "Create an endpoint")
        .says("The secret is in this answer and in no other.")
        .reads(
            Schema::named("NewWebhookEndpoint"),
            &[(
                "standard",
                "Standard Webhooks, refunds only",
                json!({
                    "url": "https://shop.example/webhooks", "format": "refundry",
                    "events": ["refund.succeeded", "refund.failed"],
                }),
            )],
        )
        .makes(
            "The endpoint and its secret.",
            Schema::named("WebhookEndpointWithSecret"),
            &["Idempotent-Replayed"],
            &[
                ("getWebhook", "Reads the endpoint."),
                ("updateWebhook", "Changes it."),
                ("rotateWebhookSecret", "Gives it another secret."),
                ("deleteWebhook", "Forgets it."),
            ],
        )
        .refuses(&[(409, "state_conflict")])
        .done()
}

fn deliveries() -> Vec<Operation> {
    vec![
        Described::get("/api/v1/webhooks/deliveries", "listDeliveries", TAG, "List deliveries")
            .gives_pages("A page of deliveries.", &LIST, "Delivery")
            .done(),
        Described::get("/api/v1/webhooks/deliveries/{id}", "getDelivery", TAG, "Get a delivery")
            .of(components::id(&[DeliveryId::PREFIX]), "The delivery.")
            .gives(200, "The delivery and its attempts.", Schema::named("DeliveryWithLog"), &[])
            .done(),
        Described::post(
            "/api/v1/webhooks/deliveries/{id}/retry",
            "retryDelivery",
            TAG,
            "Try a delivery once more",
        )
        .says("One attempt, now, at a delivery that succeeded or failed.")
        .of(components::id(&[DeliveryId::PREFIX]), "The delivery.")
        .reads_nothing()
        .gives(200, "The delivery, queued.", Schema::named("Delivery"), &["Idempotent-Replayed"])
        .refuses(&[(409, "already_queued"), (409, "endpoint_disabled")])
        .done(),
    ]
}

fn events() -> Schema {
    Schema::list(Schema::name(EVENTS.longest))
        .with("maxItems", EVENTS.most)
        .says("Names of events, in the words of any format, or `*`. None at all is all of them.")
}

fn new_endpoint() -> Schema {
    Fields::new()
        .must(
            "url",
            Schema::name(LONGEST_URL).says("https in live mode, and never a private address."),
        )
        .may("events", events().or_null())
        .may(
            "format",
            Schema::one_of(Format::ALL, Format::as_str)
                .says("How it is spoken to.")
                .with("default", DEFAULT_FORMAT.as_str())
                .or_null(),
        )
        .may("description", Schema::text(LONGEST_DESCRIPTION).or_null())
        .may("active", Schema::boolean().with("default", true).or_null())
        .open()
        .says("A webhook endpoint. Fields that are not listed are ignored; `null` means absent.")
}

fn changes() -> Schema {
    Fields::new()
        .may("url", Schema::name(LONGEST_URL).or_null())
        .may("events", events().or_null())
        .may(
            "description",
            Schema::text(LONGEST_DESCRIPTION).says("An empty text takes it away.").or_null(),
        )
        .may("active", Schema::boolean().or_null())
        .open()
        .says("What to change. What is absent or `null` stays as it is.")
}
