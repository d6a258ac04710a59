//! The webhook formats of this door: Standard Webhooks, and Plugipay's.

use super::events::wire::EventData;
use crate::http::print::Shown;
use crate::http::sign::{sign, standard_headers};
use crate::http::time::Iso;
use crate::openapi::{Schema, components, printed};
use domain::ids::{AccountId, EventId};
use domain::webhook::Format;
use engine::webhooks::{Signing, WebhookFormat};
use engine::{Engine, EventView};
use std::fmt::Write as _;
use std::sync::Arc;

pub fn formats() -> Vec<Arc<dyn WebhookFormat>> {
    vec![Arc::new(Standard), Arc::new(Plugipay)]
}

/// Standard Webhooks (<https://www.standardwebhooks.com>): `webhook-id`, `webhook-timestamp` and
/// `webhook-signature` over `id.timestamp.body`. The id is the event's, so that a receiver drops
/// what it has seen.
struct Standard;

/// Plugipay, as its webhook page says.
struct Plugipay;

printed! {
    #[serde(rename_all = "camelCase")]
    pub struct StandardBody<'a> {
        id: Shown<EventId> = components::event_id(),
        r#type: &'static str = Schema::string(),
        timestamp: Iso = Schema::time().says("When it happened."),
        account_id: Shown<AccountId> = components::account_id(),
        mode: &'static str = components::mode(),
        seq: u32 = Schema::integer(0)
            .says("Counts the events of one thing; 0 when triggered by hand."),
        data: EventData<'a> = EventData::schema(),
    }
}

printed! {
    #[serde(rename_all = "camelCase")]
    pub struct PlugipayBody<'a> {
        id: Shown<EventId> = components::event_id(),
        r#type: &'static str = Schema::string(),
        account_id: Shown<AccountId> = components::account_id(),
        occurred_at: Iso = Schema::time(),
        data: EventData<'a> = EventData::schema(),
    }
}

impl WebhookFormat for Standard {
    fn format(&self) -> Format {
        Format::Refundry
    }

    fn body(
        &self,
        name: &'static str,
        view: &EventView,
        account: AccountId,
        engine: &Engine,
    ) -> Result<String, serde_json::Error> {
        let event = &view.event;
        serde_json::to_string(&StandardBody {
            id: Shown(event.id),
            r#type: name,
            timestamp: Iso(event.id.at()),
            account_id: Shown(account),
            mode: event.tenant.mode().as_str(),
            seq: event.seq,
            data: EventData::new(view, account, engine),
        })
    }

    fn headers(&self, signing: &Signing<'_>) -> Vec<(&'static str, String)> {
        standard_headers(signing)
    }
}

impl WebhookFormat for Plugipay {
    fn format(&self) -> Format {
        Format::Plugipay
    }

    fn body(
        &self,
        name: &'static str,
        view: &EventView,
        account: AccountId,
        engine: &Engine,
    ) -> Result<String, serde_json::Error> {
        serde_json::to_string(&PlugipayBody {
            id: Shown(view.event.id),
            r#type: name,
            account_id: Shown(account),
            occurred_at: Iso(view.event.id.at()),
            data: EventData::new(view, account, engine),
        })
    }

    fn headers(&self, signing: &Signing<'_>) -> Vec<(&'static str, String)> {
        let at = signing.at_s.to_string();
        let mut value = format!("t={at}");
        for secret in &signing.secrets {
            let parts = [at.as_bytes(), b".", signing.body.as_bytes()];
            value.push_str(",v1=");
            for byte in sign(secret.as_bytes(), &parts) {
                let _ = write!(value, "{byte:02x}");
            }
        }
        vec![("x-plugipay-signature", value)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ids::DeliveryId;

    fn signing<'a>(secrets: &[&'a str]) -> Signing<'a> {
        Signing {
            event: EventId::from_bytes([0; 16]),
            delivery: DeliveryId::from_bytes([0; 16]),
            at_s: 1_700_000_000,
            body: r#"{"a":1}"#,
            secrets: secrets.to_vec(),
        }
    }

    // The expected values were made with Python's `hmac` module.
    #[test]
    fn signatures_are_those_of_the_two_systems() {
        let secrets = ["whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz", "whsec_b2xk"];
        let headers = Standard.headers(&signing(&secrets));
        assert_eq!(headers[0], ("webhook-id", "evt_00000000000000000000000000".to_owned()));
        assert_eq!(headers[1], ("webhook-timestamp", "1700000000".to_owned()));
        assert_eq!(headers[2], ("webhook-signature", STANDARD_EXPECTED.to_owned()));
        let headers = Plugipay.headers(&signing(&secrets));
        assert_eq!(headers, [("x-plugipay-signature", PLUGIPAY_EXPECTED.to_owned())]);
    }

    const STANDARD_EXPECTED: &str = "v1,5Yj+vyxVBKsQMlhVvNomsXaWnpDsANIplIvqcz/oLQQ= v1,VkzvO1/PasrZaU9sICupo2tg3jNjrKcsLCaxGY/0CWM=";
    const PLUGIPAY_EXPECTED: &str = "t=1700000000,v1=69f0e77b3944eb46083bc90bdfbeb01969233a8c18eb6911b059c706cfe82ac7,v1=a5675358ace034758faf14a098cc4d5dec5e607da7474fed4410d9639032cd9c";
}
