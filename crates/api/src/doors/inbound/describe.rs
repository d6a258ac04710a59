//! Webhooks of providers.

use super::PATH;
use crate::openapi::{Answer, Chapter, Fields, Operation, Parameter, Schema, components, problems};
use domain::tenant::Mode;
use http::Method;

const TAG: &str = "Inbound webhooks";

pub fn chapter() -> Chapter {
    let received = Fields::new().must("received", Schema::boolean()).closed();
    let refusals = [problems::WITHOUT_KEY, &[(401, "invalid_signature")]].concat();
    let operation =
        Operation::new(Method::POST, PATH, "receiveWebhook", TAG, "Receive a provider's webhook")
            .says(
                "Where a provider sends its webhooks to. No key lets them in: the provider's own \
                 signature is checked over the bytes as they came. What is answered with 200 is \
                 recorded.",
            )
            .takes([
                Parameter::path("provider", "The provider.", Schema::string().like("simulator")),
                Parameter::path("account", "The account, `acc_…`.", components::account_id()),
                Parameter::path("mode", "The mode.", Schema::one_of(Mode::ALL, Mode::as_str)),
            ])
            .reads(true, Schema::any().says("Whatever the provider sends."), &[])
            .answers(
                Answer::json(
                    200,
                    "It is recorded.",
                    components::envelope(received, Schema::named("Meta")),
                )
                .with_headers(&["X-Request-Id"]),
            );
    let operation = problems::answers(refusals).into_iter().fold(operation, Operation::answers);
    Chapter {
        tags: vec![(TAG, "What providers call.")],
        operations: vec![operation],
        ..Chapter::default()
    }
}
