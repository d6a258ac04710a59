//! API keys.

use super::{KeyWire, LONGEST_NAME, SCOPES};
use crate::doors::native::describe::Described;
use crate::openapi::{Answer, Chapter, Fields, Operation, Printed, Schema, components};
use engine::access::{KeyForm, KeyScope};
use http::Method;
use serde_json::json;

const TAG: &str = "API keys";

pub fn chapter() -> Chapter {
    let list = Described::get("/api/v1/api-keys", "listApiKeys", TAG, "List API keys")
        .says(
            "The keys of the account in the mode of the calling key, those that work first; a \
             platform key sees both modes. At most 1,000.",
        )
        .gives(200, "Every key, without its secrets.", Schema::list(Schema::named("ApiKey")), &[])
        .done();
    let gone = Answer::empty(204, "It does not work any more.").with_headers(&["X-Request-Id"]);
    let revoke = Described::new(
        Method::DELETE,
        "/api/v1/api-keys/{id}",
        "revokeApiKey",
        TAG,
        "Revoke an API key",
    )
    .says("Takes effect at once. The key that the request is made with cannot be revoked.")
    .of(Schema::string(), "The key's id.")
    .reads_nothing()
    .refuses(&[(409, "cannot_revoke_current")]);
    let revoke = revoke.answers_bare(gone).done();
    Chapter {
        tags: vec![(TAG, "Keys that make keys: never for more than they may do themselves.")],
        operations: vec![list, create(), revoke],
        schemas: vec![
            (
                "ApiKey",
                KeyWire::fields()
                    .without(&["key", "secret"])
                    .closed()
                    .says("A key, without its secrets."),
            ),
            ("NewApiKey", KeyWire::schema()),
        ],
        ..Chapter::default()
    }
}

fn create() -> Operation {
    let body = Fields::new()
        .must("name", Schema::name(LONGEST_NAME).says("What you call it."))
        .may(
            "environment",
            components::mode()
                .says("The calling key's own mode unless that is a platform key.")
                .or_null(),
        )
        .may(
            "scopes",
            Schema::list(Schema::text(SCOPES.longest))
                .with("maxItems", SCOPES.most)
                .says(&format!(
                    "`resource:action`, where resource is one of {} or `*`, and action is `read`, \
                     `write` or `*`, or {}. None at all means everything.",
                    KeyScope::resources().join(", "),
                    KeyScope::special()
                        .map(|scope| format!("`{scope}`"))
                        .collect::<Vec<_>>()
                        .join(" or ")
                ))
                .or_null(),
        )
        .may("errorProfile", Schema::words(["node", "go"]).or_null())
        .may(
            "format",
            Schema::one_of(KeyForm::ALL, KeyForm::as_str)
                .says("What the Bearer token looks like; any key opens every door.")
                .or_null(),
        )
        .open();
    let till = json!({"name": "till 3", "scopes": ["refund:write", "refund:read"]});
    Described::new(Method::POST, "/api/v1/api-keys", "createApiKey", TAG, "Create an API key")
        .says(
            "The answer is the only one with the key's secrets. A request that is repeated under \
             its Idempotency-Key is answered with the key as it stands and without them: where \
             the first answer was lost, revoke the key and make another under a new \
             Idempotency-Key.",
        )
        .keyed()
        .reads(body, &[("till", "A key for refunds", till)])
        .makes(
            "The key and its secrets.",
            Schema::named("NewApiKey"),
            &["Idempotent-Replayed"],
            &[("revokeApiKey", "Revokes the key.")],
        )
        .refuses(&[(403, "wrong_environment")])
        .done()
}
