//! Provider accounts.

use super::wire::{self, ProviderAccountWire};
use super::{CONFIG, LIST, LONGEST_PROVIDER, SECRETS};
use crate::doors::native::describe::Described;
use crate::openapi::{Answer, Chapter, Fields, Operation, Printed, Schema};
use engine::provider_accounts::{LONGEST_NAME, LONGEST_REASON};
use http::Method;
use serde_json::json;

const TAG: &str = "Provider accounts";
const ALL: &str = "/api/v1/provider-accounts";
const ONE: &str = "/api/v1/provider-accounts/{id}";

pub fn chapter() -> Chapter {
    Chapter {
        tags: vec![(
            TAG,
            "The credentials with which refunds are sent to a payment provider. Their secrets are sealed and never \
             shown again.",
        )],
        operations: vec![list(), create(), get(), change(), remove(), pause(), resume(), rotate()],
        schemas: vec![
            ("ProviderAccount", ProviderAccountWire::schema()),
            ("NewProviderAccount", new_account()),
        ],
        ..Chapter::default()
    }
}

fn one(method: Method, path: &'static str, id: &'static str, summary: &'static str) -> Described {
    Described::new(method, path, id, TAG, summary).of(wire::id(), "The provider account.")
}

/// The same answer as that of `GET`.
fn gives(described: Described) -> Operation {
    let headers = &["Idempotent-Replayed"];
    described
        .keyed()
        .gives(200, "The provider account.", Schema::named("ProviderAccount"), headers)
        .refuses(&[(409, "state_conflict")])
        .done()
}

fn list() -> Operation {
    Described::get(ALL, "listProviderAccounts", TAG, "List provider accounts")
        .says("Those that are not deleted.")
        .gives_pages("A page of provider accounts.", &LIST, "ProviderAccount")
        .done()
}

fn create() -> Operation {
    let stripe = json!({
        "provider": "stripe", "name": "Our shop", "config": {"account": "acct_1"},
        "secrets": {"api_key": "sk_live_...", "webhook_secret": "whsec_..."},
    });
    Described::post(ALL, "createProviderAccount", TAG, "Create a provider account")
        .says(
            "The provider decides which fields `config` and `secrets` must and can have; a refusal names those that \
             are missing or unknown.",
        )
        .reads(Schema::named("NewProviderAccount"), &[("stripe", "With two secrets", stripe)])
        .makes(
            "The provider account, without its secrets.",
            Schema::named("ProviderAccount"),
            &["Idempotent-Replayed"],
            &[
                ("getProviderAccount", "Reads it."),
                ("updateProviderAccount", "Changes it."),
                ("pauseProviderAccount", "Sends nothing through it any more."),
                ("rotateProviderAccount", "Gives it other secrets."),
                ("deleteProviderAccount", "Deletes it."),
            ],
        )
        .refuses(&[(409, "state_conflict")])
        .done()
}

fn get() -> Operation {
    one(Method::GET, ONE, "getProviderAccount", "Get a provider account")
        .says("Also one that is deleted.")
        .gives(200, "The provider account.", Schema::named("ProviderAccount"), &[])
        .done()
}

fn change() -> Operation {
    let changes = Fields::new()
        .may("name", name().or_null())
        .may("config", config().says("All settings, in place of those before.").or_null())
        .open();
    let name = json!({"name": "Our other shop"});
    let described = one(Method::PATCH, ONE, "updateProviderAccount", "Change a provider account");
    gives(
        described
            .says(
                "Absent fields and fields that are `null` stay. Secrets are changed with `rotate`.",
            )
            .reads(changes, &[("name", "Another name", name)]),
    )
}

fn remove() -> Operation {
    let gone = Answer::empty(204, "It is deleted.");
    one(Method::DELETE, ONE, "deleteProviderAccount", "Delete a provider account")
        .says("Forgets its secrets. It can still be read, and is not listed any more.")
        .answers_bare(gone.with_headers(&["X-Request-Id", "Idempotent-Replayed"]))
        .keyed()
        .reads_nothing()
        .done()
}

fn pause() -> Operation {
    let path = "/api/v1/provider-accounts/{id}/pause";
    let reason = Schema::name(LONGEST_REASON).says("Why, for people.").or_null();
    let described = one(Method::POST, path, "pauseProviderAccount", "Pause a provider account");
    gives(
        described
            .says(
                "Nothing is sent and nothing is asked for through it until it is resumed. Its \
                 webhooks are taken in.",
            )
            .may_read(Fields::new().may("reason", reason).open()),
    )
}

fn resume() -> Operation {
    let path = "/api/v1/provider-accounts/{id}/resume";
    let described = one(Method::POST, path, "resumeProviderAccount", "Resume a provider account");
    gives(described.reads_nothing())
}

fn rotate() -> Operation {
    let path = "/api/v1/provider-accounts/{id}/rotate";
    let body = Fields::new().must("secrets", secrets()).open();
    let new = json!({"secrets": {"api_key": "sk_live_...", "webhook_secret": "whsec_..."}});
    let described = one(Method::POST, path, "rotateProviderAccount", "Replace the secrets");
    gives(
        described
            .says("Every secret is given anew, and those before are forgotten at once.")
            .reads(body, &[("all", "All secrets", new)]),
    )
}

fn name() -> Schema {
    Schema::name(LONGEST_NAME).says("What you call it.")
}

fn config() -> Schema {
    Schema::map(Schema::text(CONFIG.longest)).with("maxProperties", CONFIG.most)
}

fn secrets() -> Schema {
    Schema::map(Schema::text(SECRETS.longest))
        .with("maxProperties", SECRETS.most)
        .says("The provider's secrets by name.")
}

fn new_account() -> Schema {
    Fields::new()
        .must("provider", Schema::name(LONGEST_PROVIDER).says("The name of the provider."))
        .must("name", name())
        .may("config", config().says("The settings that are no secrets, by name.").or_null())
        .may("secrets", secrets().or_null())
        .open()
}
