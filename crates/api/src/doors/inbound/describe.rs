//! Webhooks of providers.

use super::{PATH, PATH_OF_EVERYBODY};
use crate::openapi::{Answer, Chapter, Fields, Operation, Parameter, Schema, components, problems};
use domain::ids::ProviderAccountId;
use domain::tenant::Mode;
use http::Method;

const TAG: &str = "Inbound webhooks";

pub fn chapter() -> Chapter {
    let received = Fields::new().must("received", Schema::boolean()).closed();
    let refusals = [problems::WITHOUT_KEY, &[(401, "invalid_signature")]].concat();
    let refused: Vec<Answer> = problems::answers(refusals);
    let describe = |path, id, text: &str| {
        let operation = Operation::new(Method::POST, path, id, TAG, "Receive a provider's webhook")
            .says(text)
            .reads(true, Schema::any().says("Whatever the provider sends."), &[])
            .answers(
                Answer::json(
                    200,
                    "It is recorded. A provider that waits for words of its own gets them.",
                    components::envelope(received.clone(), Schema::named("Meta")),
                )
                .or_of("text/plain", Schema::string().says("The provider's own words."))
                .with_headers(&["X-Request-Id"]),
            );
        refused.iter().cloned().fold(operation, Operation::answers)
    };
    let provider =
        || Parameter::path("provider", "The provider.", Schema::string().like("simulator"));
    let of_account = describe(
        PATH,
        "receiveWebhookOfProviderAccount",
        "Where a provider sends the webhooks of a provider account to. No key lets them in: the \
         provider's own signature is checked over the bytes as they came. A webhook that \
         is answered with a 2xx is recorded, and an event that comes again changes nothing.",
    )
    .takes([
        provider(),
        Parameter::path(
            "id",
            "The provider account, `pa_…`.",
            components::id(&[ProviderAccountId::PREFIX]),
        ),
    ]);
    let of_everybody = describe(
        PATH_OF_EVERYBODY,
        "receiveWebhook",
        "Where a provider without provider accounts, such as the simulator, sends its webhooks to. \
         No key lets them in: the provider's own signature is checked over the bytes as they came. \
         A webhook that is answered with 200 is recorded.",
    )
    .takes([
        provider(),
        Parameter::path("account", "The account, `acc_…`.", components::account_id()),
        Parameter::path("mode", "The mode.", Schema::one_of(Mode::ALL, Mode::as_str)),
    ]);
    Chapter {
        tags: vec![(TAG, "What providers call.")],
        operations: vec![of_account, of_everybody],
        ..Chapter::default()
    }
}
