//! A kind of provider for tests of provider accounts.

use async_trait::async_trait;
use domain::money::{Currency, Money};
use domain::outcome::{Failure, ProviderOutcome, Said};
use domain::payment::Capture;
use domain::provider::{Idempotency, LookupBy, Traits};
use domain::tenant::{Mode, Tenant};
use domain::time::Timestamp;
use providers::http::{Http, SystemResolver};
use providers::{
    AccountValues, AdapterOf, Call, Field, Inbound, InboundWebhook, Listed, Lookup, Notice,
    PaymentReport, Provider, ProviderKind, RefundInstruction, WebhookAnswer, WebhookRefused,
};
use serde_json::Value;
use std::sync::Arc;

/// A client for adapters of provider accounts.
pub fn http() -> Http {
    let resolver = SystemResolver::new().expect("threads for names");
    Http::new(Arc::new(resolver)).expect("the certificates of this machine")
}

/// The adapter of an account at [`TEST_PSP`]. It books at once, or holds for the merchant `Holds`
/// and cancels on request. The ids of its refunds name the account and the key that they were made with.
pub struct TestPsp {
    merchant_account: Box<str>,
    api_key: Box<str>,
    webhook_secret: Box<str>,
}

impl TestPsp {
    const TRAITS: Traits = Traits {
        idempotency: Idempotency::Key { kept_ms: None, replays_errors: false },
        lookup: LookupBy { our_key: true, ..Traits::UNKNOWN.lookup },
        ..Traits::UNKNOWN
    };

    fn build(values: &AccountValues<'_>) -> Result<Arc<dyn Provider>, String> {
        if values.get("merchant_account") == "Broken" {
            return Err("merchant_account is none that this provider gives out".to_owned());
        }
        if values.get("merchant_account") == "LiveOnly" && values.mode != Mode::Live {
            return Err("merchant_account is one for live payments".to_owned());
        }
        assert_ne!(values.get("merchant_account"), "Panics", "the adapter's own code fails");
        let of = |field| values.get(field).into();
        Ok(Arc::new(Self {
            merchant_account: of("merchant_account"),
            api_key: of("api_key"),
            webhook_secret: of("webhook_secret"),
        }))
    }

    fn made(&self, instruction: &RefundInstruction) -> Said {
        let (merchant, key) = (&self.merchant_account, &self.api_key);
        let holds = &**merchant == "Holds";
        let outcome = if holds { ProviderOutcome::Held } else { ProviderOutcome::Completed };
        Said {
            provider_refund_id: Some(format!("{merchant}/{key}/{}", instruction.key).into()),
            money: Some(instruction.money),
            ..Said::new(outcome)
        }
    }
}

#[async_trait]
impl Provider for TestPsp {
    fn name(&self) -> &'static str {
        TEST_PSP.name
    }

    fn traits(&self) -> Traits {
        Self::TRAITS
    }

    fn check(&self, _: &RefundInstruction, _: Timestamp) -> Result<(), Failure> {
        Ok(())
    }

    async fn submit(&self, instruction: &RefundInstruction, _: Call) -> Said {
        self.made(instruction)
    }

    async fn lookup(&self, instruction: &RefundInstruction, _: Call) -> Lookup {
        Lookup::Found(self.made(instruction))
    }

    async fn cancel(&self, instruction: &RefundInstruction, _: Call) -> Said {
        Said { outcome: ProviderOutcome::Canceled, ..self.made(instruction) }
    }

    async fn list(&self, _: &Capture, _: Option<&str>, _: Call) -> Result<Listed, Failure> {
        Ok(Listed::default())
    }

    async fn payment(&self, _: Tenant, _: &str, _: Call) -> Result<Option<PaymentReport>, Failure> {
        Ok(None)
    }

    /// The secret stands in a header; the body names an event, a payment, a refund and an amount in US
    /// dollars.
    async fn receive(&self, webhook: &InboundWebhook, _: Call) -> Result<Inbound, WebhookRefused> {
        if webhook.header("x-secret") != Some(&*self.webhook_secret) {
            return Err(WebhookRefused::Forged);
        }
        let malformed = || WebhookRefused::Malformed("it is no notice".to_owned());
        let body: Value = serde_json::from_slice(&webhook.body).map_err(|_| malformed())?;
        let text = |name: &str| body[name].as_str().map(Box::<str>::from);
        let (payment, refund) = (text("payment").ok_or_else(malformed)?, text("refund"));
        let money = body["amount"].as_i64().zip(Currency::parse("USD").ok());
        let said = Said {
            provider_refund_id: refund,
            money: money.map(|(minor, currency)| Money::new(minor, currency)),
            ..Said::new(ProviderOutcome::Completed)
        };
        let notice = Notice { provider_payment_id: payment, key: None, said };
        let answer = WebhookAnswer { status: 200, content_type: "text/plain", body: "[accepted]" };
        Ok(Inbound {
            event: text("event"),
            notices: vec![notice],
            answer: Some(answer),
            ..Inbound::default()
        })
    }
}

/// A provider with one setting and two secrets.
pub const TEST_PSP: ProviderKind = ProviderKind {
    name: "test_psp",
    label: "Test PSP",
    adapter: AdapterOf::Account { traits: &TestPsp::TRAITS, build: TestPsp::build },
    config_fields: &[
        Field {
            name: "merchant_account",
            required: true,
            secret: false,
            help: "the name of the merchant's account",
        },
        Field { name: "api_key", required: true, secret: true, help: "a key of the API" },
        Field {
            name: "webhook_secret",
            required: true,
            secret: true,
            help: "the secret that signs webhooks",
        },
    ],
};
