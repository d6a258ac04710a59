//! Webhook endpoints and deliveries.

use super::deliveries::LIST;
use super::endpoints::{DEFAULT_FORMAT, EVENTS, LONGEST_DESCRIPTION, LONGEST_URL};
use super::webhook_bodies;
use crate::doors::native::describe::{Described, example};
use crate::openapi::Chapter;
use crate::openapi::components;
use crate::openapi::operation::{Answer, Operation, Parameter};
use crate::openapi::schema::{Fields, Schema};
use domain::ids::{DeliveryId, EndpointId};
use domain::webhook::{Format, Status};
use http::Method;
use serde_json::json;

const TAG: &str = "Webhooks";
const ONE: &str = "/api/v1/webhooks/{id}";

pub fn chapter() -> Chapter {
    Chapter {
        tags: vec![(
            TAG,
            "Being told. Every event is posted to every endpoint that wants it, at least once and in \
             order per refund, signed, until a receiver answers 2xx.",
        )],
        operations: endpoints().into_iter().chain(deliveries()).collect(),
        webhooks: webhook_bodies::operations(TAG),
        parameters: webhook_bodies::parameters(),
        schemas: vec![
            ("WebhookEndpoint", endpoint(false)),
            ("WebhookEndpointWithSecret", endpoint(true)),
            ("NewWebhookEndpoint", new_endpoint()),
            ("ChangeWebhookEndpoint", changes()),
            ("Delivery", delivery(false)),
            ("DeliveryWithLog", delivery(true)),
        ],
        ..Chapter::default()
    }
}

fn endpoints() -> Vec<Operation> {
    let one = |method, id, summary| {
        Described::new(method, ONE, id, TAG, summary).of(endpoint_id(), "The endpoint.")
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
        .of(endpoint_id(), "The endpoint.")
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
            &[example(
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
    let words = Status::ALL.iter().map(|status| status.as_str());
    vec![
        Described::get("/api/v1/webhooks/deliveries", "listDeliveries", TAG, "List deliveries")
            .takes([
                Parameter::query("endpointId", "Only those to this endpoint.", Schema::string()),
                Parameter::query("status", "Only those that stand there.", Schema::words(words)),
                Parameter::query("type", "Only events of this name.", Schema::string()),
            ])
            .gives_pages("A page of deliveries.", &LIST, "Delivery")
            .done(),
        Described::get("/api/v1/webhooks/deliveries/{id}", "getDelivery", TAG, "Get a delivery")
            .of(delivery_id(), "The delivery.")
            .gives(200, "The delivery and its attempts.", Schema::named("DeliveryWithLog"), &[])
            .done(),
        Described::post(
            "/api/v1/webhooks/deliveries/{id}/retry",
            "retryDelivery",
            TAG,
            "Try a delivery once more",
        )
        .says("One attempt, now, at a delivery that succeeded or failed.")
        .of(delivery_id(), "The delivery.")
        .reads_nothing()
        .gives(200, "The delivery, queued.", Schema::named("Delivery"), &["Idempotent-Replayed"])
        .refuses(&[(409, "already_queued"), (409, "endpoint_disabled")])
        .done(),
    ]
}

fn endpoint_id() -> Schema {
    components::id(&[EndpointId::PREFIX])
}

fn delivery_id() -> Schema {
    components::id(&[DeliveryId::PREFIX])
}

fn format() -> Schema {
    Schema::words(Format::ALL.iter().map(|format| format.as_str()))
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
            format()
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

fn endpoint(with_secret: bool) -> Schema {
    let fields = Fields::new()
        .must("id", endpoint_id())
        .must("accountId", components::account_id())
        .must("mode", components::mode())
        .must("url", Schema::string().like("https://shop.example/webhooks"))
        .must("events", Schema::list(Schema::string()))
        .must("format", format())
        .must("description", Schema::string().or_null())
        .must("active", Schema::boolean())
        .must(
            "status",
            Schema::words(["active", "disabled", "errored"])
                .says("`disabled` by hand, `errored` after too many failures."),
        )
        .must("consecutiveFailures", Schema::integer(0))
        .must("failingSince", Schema::time().or_null())
        .must("disabledAt", Schema::time().or_null())
        .must("disabledReason", Schema::string().or_null())
        .must("previousSecretExpiresAt", Schema::time().or_null())
        .must("createdAt", Schema::time())
        .must("updatedAt", Schema::time());
    if !with_secret {
        return fields.closed().says("Where an account is told of its events.");
    }
    let secret = || Schema::matching("^whsec_[A-Za-z0-9+/]+=*$");
    fields
        .must("secret", secret())
        .must("signingSecret", secret().says("Another name of `secret`."))
        .closed()
        .says("A webhook endpoint with a secret that was just made.")
}

fn delivery(with_log: bool) -> Schema {
    let fields = Fields::new()
        .must("id", delivery_id())
        .must("endpointId", endpoint_id())
        .must("eventId", components::event_id())
        .must("type", Schema::string().says("The event's name in the endpoint's format."))
        .must("format", format())
        .must(
            "body",
            Schema::string().says("The exact text that is sent, on every attempt the same."),
        )
        .must("status", Schema::words(Status::ALL.iter().map(|status| status.as_str())))
        .must("attempts", Schema::integer(0))
        .must(
            "nextRetryAt",
            Schema::time()
                .says("`null` when it is done, or waits for an earlier event of the same thing.")
                .or_null(),
        )
        .must("lastAttemptAt", Schema::time().or_null())
        .must("deliveredAt", Schema::time().or_null())
        .must("responseCode", Schema::integer(100).or_null())
        .must("lastError", Schema::string().or_null().like("HTTP 503"))
        .must("createdAt", Schema::time())
        .must("updatedAt", Schema::time());
    if !with_log {
        return fields.closed().says("One event on its way to one endpoint.");
    }
    let attempt = Fields::new()
        .must("attemptNumber", Schema::integer(1))
        .must("status", Schema::words(["succeeded", "failed"]))
        .must("responseCode", Schema::integer(100).or_null())
        .must("durationMs", Schema::integer(0))
        .must("error", Schema::string().or_null())
        .must("nextRetryAt", Schema::time().or_null())
        .must("attemptedAt", Schema::time())
        .closed();
    fields.must("attemptLog", Schema::list(attempt).says("Oldest first.")).closed()
}
