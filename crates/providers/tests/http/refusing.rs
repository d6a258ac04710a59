//! A refusal needs the provider's own error.

use super::gateway::{Gateway, answered, refund, reply, soon};
use domain::outcome::{Failure, ProviderOutcome};
use providers::http::{Answer, ProviderError};
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PspError {
    r#type: String,
    code: String,
    message: String,
}

impl ProviderError for PspError {
    fn is_of_this_provider(&self) -> bool {
        self.r#type == "refund_error"
    }

    fn failure(&self) -> Failure {
        Failure::new(&self.code, &self.message)
    }
}

/// The same from a provider that refuses with status 200.
#[derive(Deserialize)]
struct PoliteError(PspError);

impl ProviderError for PoliteError {
    fn is_of_this_provider(&self) -> bool {
        self.0.is_of_this_provider()
    }

    fn failure(&self) -> Failure {
        self.0.failure()
    }

    fn refuses_with(status: u16) -> bool {
        status == 200
    }
}

const OWN: &str = r#"{"type":"refund_error","code":"disputed","message":"It is disputed"}"#;

async fn answer(status: &str, body: &str) -> Answer {
    let gateway = Gateway::start(vec![vec![reply(status, body)]]).await;
    let host = gateway.host();
    answered(host.send(refund(&host), soon()).await)
}

#[tokio::test]
async fn the_providers_own_error_is_a_refusal() {
    let answer = answer("402 Payment Required", OWN).await;
    let refusal = answer.refusal::<PspError>().expect("a refusal");
    assert_eq!((refusal.status(), &*refusal.error().code), (402, "disputed"));
    let said = refusal.failed();
    assert_eq!(said.outcome, ProviderOutcome::Failed);
    assert_eq!(said.failure, Some(Failure::new("disputed", "It is disputed")));
}

#[tokio::test]
async fn nothing_else_is() {
    for (status, body, code) in [
        ("404 Not Found", "<html>Not found</html>", "answer_unreadable"),
        ("403 Forbidden", "", "answer_unreadable"),
        ("403 Forbidden", "{}", "answer_unreadable"),
        ("403 Forbidden", r#"{"message":"Forbidden"}"#, "answer_unreadable"),
        ("400 Bad Request", r#"{"type":"other_error","code":"x"}"#, "answer_unreadable"),
        ("400 Bad Request", "[]", "answer_unreadable"),
        ("400 Bad Request", &OWN[1..], "answer_unreadable"),
        // With these statuses even its own words leave open what happened.
        ("500 Trouble", OWN, "provider_trouble"),
        ("503 Unavailable", OWN, "provider_trouble"),
        ("504 Timeout", OWN, "provider_trouble"),
        ("408 Timeout", OWN, "answer_unexpected"),
        ("302 Found", OWN, "answer_unexpected"),
        ("200 OK", OWN, "answer_unexpected"),
    ] {
        let why = answer(status, body).await.refusal::<PspError>().expect_err("no refusal");
        assert_eq!(why.code.as_ref(), code, "{status} {body}");
    }
}

#[tokio::test]
async fn a_provider_can_refuse_with_another_status() {
    let refused = answer("200 OK", OWN).await.refusal::<PoliteError>();
    assert_eq!(refused.map_err(|_| ()).expect("a refusal").failure().code.as_ref(), "disputed");
    assert!(answer("400 Bad Request", OWN).await.refusal::<PoliteError>().is_err());
}

#[tokio::test]
async fn text_of_a_provider_is_cut_and_printable() {
    let long = "\u{fc}".repeat(9_000);
    let body = serde_json::json!({
        "type": "refund_error", "code": format!("a\0b{long}"), "message": format!("c\r\nd{long}"),
    });
    let answer = answer("400 Bad Request", &body.to_string()).await;
    let failure = answer.refusal::<PspError>().expect("a refusal").failure();
    assert!(failure.code.starts_with("a b\u{fc}") && failure.message.starts_with("c  d\u{fc}"));
    assert_eq!((failure.code.chars().count(), failure.message.chars().count()), (64, 500));
}
