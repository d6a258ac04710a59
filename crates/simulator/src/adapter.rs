//! The adapter half: [`Provider`] over the PSP half, as for any PSP that speaks JSON.
//!
//! The adapter trusts only what it has parsed. A parsed 422 is the only refusal, a connection that
//! was never made is the only call that is certainly not sent, and after every other answer the PSP
//! may have paid.

use crate::Simulator;
use crate::psp::{self, RefundRequest};
use crate::script::Script;
use crate::wire::{
    ErrorAnswer, ListAnswer, PaymentAnswer, RawAnswer, RefundAnswer, RefundBody, TransportFault,
    WebhookBody,
};
use async_trait::async_trait;
use domain::money::{Currency, Money};
use domain::outcome::{Failure, ProviderOutcome, Said};
use domain::payment::Capture;
use domain::tenant::Tenant;
use domain::time::Timestamp;
use providers::{
    Capabilities, InboundWebhook, Lookup, Notice, PaymentReport, Provider, RefundInstruction,
    WebhookRefused,
};
use serde::de::DeserializeOwned;

/// The name that payments held by the simulator are registered with.
pub const NAME: &str = "simulator";

#[async_trait]
impl Provider for Simulator {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            honours_idempotency_keys: self.config.honour_keys,
            can_look_up: true,
            can_list: true,
            partial_refunds: true,
        }
    }

    async fn submit(&self, order: &RefundInstruction) -> Said {
        let payment = &order.payment;
        let request = RefundRequest {
            tenant: payment.tenant,
            key: order.key.as_str().into(),
            payment_id: payment.provider_payment_id.clone(),
            captured: Money::new(payment.captured, payment.currency),
            asked: order.money,
        };
        let script = Script::of(order.metadata.as_deref(), payment.metadata.as_deref());
        let config = self.config;
        match self.receive(move |book| psp::make_refund(book, request, script, config)).await {
            Ok(raw) => read_submitted(&raw),
            Err(fault @ TransportFault::NotConnected) => {
                Said::new(ProviderOutcome::NeverSent).because(fault.into())
            }
            Err(fault @ TransportFault::AnswerLost) => Said::unknown(fault.into()),
        }
    }

    async fn lookup(&self, order: &RefundInstruction) -> Lookup {
        let tenant = order.payment.tenant;
        let key = order.key.as_str().into();
        let names: Vec<Box<str>> = order.provider_refund_id.iter().cloned().chain([key]).collect();
        match self.receive(move |book| psp::show_refund(book, tenant, &names)).await {
            Ok(raw) => read_looked_up(&raw),
            Err(fault) => Lookup::Unknown(fault.into()),
        }
    }

    async fn list_for_payment(&self, payment: &Capture) -> Result<Vec<Notice>, Failure> {
        let (tenant, id) = (payment.tenant, payment.provider_payment_id.clone());
        let raw = self.receive(move |book| psp::list_refunds(book, tenant, &id)).await?;
        let list: ListAnswer = read_ok(&raw)?;
        list.refunds.into_iter().map(|refund| read_notice(refund.at, refund.data)).collect()
    }

    async fn fetch_payment(
        &self,
        tenant: Tenant,
        provider_payment_id: &str,
    ) -> Result<Option<PaymentReport>, Failure> {
        let id: Box<str> = provider_payment_id.into();
        let raw = self.receive(move |book| psp::show_payment(book, tenant, &id)).await?;
        if is_error(&raw, 404, "no_such_payment") {
            return Ok(None);
        }
        let payment: PaymentAnswer = read_ok(&raw)?;
        let captured = Money::new(payment.captured, read_currency(&payment.currency)?);
        Ok(Some(PaymentReport { captured, settled_at: None }))
    }

    fn parse_webhook(&self, webhook: &InboundWebhook) -> Result<Vec<Notice>, WebhookRefused> {
        self.signer.verify(webhook)?;
        let malformed = |what: String| WebhookRefused::Malformed(what);
        let body: WebhookBody =
            serde_json::from_slice(&webhook.body).map_err(|error| malformed(error.to_string()))?;
        if !body.event_type.starts_with("refund.") {
            return Ok(Vec::new());
        }
        let notice =
            read_notice(body.at, body.data).map_err(|why| malformed(why.message.into()))?;
        Ok(vec![notice])
    }
}

impl From<TransportFault> for Failure {
    fn from(fault: TransportFault) -> Self {
        match fault {
            TransportFault::NotConnected => {
                Self::new("connection_refused", "the simulator is closed")
            }
            TransportFault::AnswerLost => {
                Self::new("timeout", "the request was sent and no answer came back")
            }
        }
    }
}

fn read_submitted(raw: &RawAnswer) -> Said {
    if raw.status == 200 {
        let read =
            read_json(raw).and_then(|refund: RefundAnswer| read_state(refund.at, refund.data));
        return read.unwrap_or_else(Said::unknown);
    }
    let Some(error) = read_error(raw) else { return Said::unknown(why_not_ok(raw)) };
    let at = error.at.map(Timestamp);
    let refused = |outcome, why| Said { at, ..Said::new(outcome).because(why) };
    let why = Failure { code: error.error.code, message: error.error.message };
    match raw.status {
        422 => refused(ProviderOutcome::Failed, why),
        402 if &*why.code == "insufficient_funds" => refused(ProviderOutcome::WaitingForFunds, why),
        // Above all 409: the key's refund may well have been paid, if not this one.
        _ => Said::unknown(why),
    }
}

fn read_looked_up(raw: &RawAnswer) -> Lookup {
    if is_error(raw, 404, "no_such_refund") {
        return Lookup::Absent;
    }
    read_ok(raw)
        .and_then(|refund: RefundAnswer| read_state(refund.at, refund.data))
        .map_or_else(Lookup::Unknown, Lookup::Found)
}

/// Translates the state of a refund. A refund in an unknown status is accepted with its id, because
/// the PSP has it.
fn read_state(at: i64, body: RefundBody) -> Result<Said, Failure> {
    let (outcome, failure) = match &*body.status {
        "succeeded" => (ProviderOutcome::Completed, None),
        "failed" => {
            let code = body.code.unwrap_or_else(|| "refund_failed".into());
            let message = body.message.unwrap_or_else(|| "the simulator gave no reason".into());
            (ProviderOutcome::Failed, Some(Failure { code, message }))
        }
        _ => (ProviderOutcome::Accepted, None),
    };
    Ok(Said {
        outcome,
        failure,
        money: Some(Money::new(body.amount, read_currency(&body.currency)?)),
        provider_refund_id: Some(body.refund_id),
        provider_payment_id: Some(body.payment_id),
        at: Some(Timestamp(at)),
    })
}

fn read_notice(at: i64, mut body: RefundBody) -> Result<Notice, Failure> {
    let (provider_payment_id, key) = (body.payment_id.clone(), body.key.take());
    Ok(Notice { provider_payment_id, key, said: read_state(at, body)? })
}

fn read_currency(code: &str) -> Result<Currency, Failure> {
    Currency::parse(code)
        .map_err(|_| Failure::new("unreadable_answer", "the simulator names an unknown currency"))
}

fn read_ok<T: DeserializeOwned>(raw: &RawAnswer) -> Result<T, Failure> {
    if raw.status == 200 { read_json(raw) } else { Err(why_not_ok(raw)) }
}

fn read_json<T: DeserializeOwned>(raw: &RawAnswer) -> Result<T, Failure> {
    serde_json::from_slice(&raw.body)
        .map_err(|_| Failure::new("unreadable_answer", "the simulator's answer cannot be read"))
}

fn read_error(raw: &RawAnswer) -> Option<ErrorAnswer> {
    serde_json::from_slice(&raw.body).ok()
}

fn is_error(raw: &RawAnswer, status: u16, code: &str) -> bool {
    raw.status == status && read_error(raw).is_some_and(|error| &*error.error.code == code)
}

fn why_not_ok(raw: &RawAnswer) -> Failure {
    read_error(raw).map_or_else(
        || {
            let message = "the simulator answered with an error that cannot be read";
            Failure::new(&format!("http_{}", raw.status), message)
        },
        |error| Failure { code: error.error.code, message: error.error.message },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Said {
        read_submitted(&RawAnswer { status, body: body.as_bytes().to_vec() })
    }

    fn refund(status: &str, currency: &str) -> String {
        format!(
            r#"{{"at":7,"data":{{"refundId":"sre_1","key":null,"paymentId":"ch_1","amount":5,
                "currency":"{currency}","status":"{status}"}}}}"#
        )
    }

    #[test]
    fn a_status_of_tomorrow_keeps_the_refund_id_and_stays_pending() {
        let said = answer(200, &refund("reviewing", "USD"));
        assert_eq!(said.outcome, ProviderOutcome::Accepted);
        assert_eq!(said.provider_refund_id.as_deref(), Some("sre_1"));
        assert_eq!(said.at, Some(Timestamp(7)));
    }

    #[test]
    fn only_a_parsed_422_is_a_refusal() {
        let error = r#"{"error":{"code":"refund_refused","message":"no"}}"#;
        assert_eq!(answer(422, error).outcome, ProviderOutcome::Failed);
        for status in [400, 401, 402, 403, 404, 408, 409, 418, 429, 500, 502, 503] {
            assert_eq!(answer(status, error).outcome, ProviderOutcome::Unknown, "{status}");
        }
        for body in ["", "null", "{}", r#"{"error":"refund_refused"}"#, "<html>"] {
            assert_eq!(answer(422, body).outcome, ProviderOutcome::Unknown, "{body}");
        }
    }

    #[test]
    fn a_success_that_cannot_be_read_is_unknown() {
        for body in ["", "{}", "[]", "\u{0}", &refund("succeeded", "???"), "<html>"] {
            assert_eq!(answer(200, body).outcome, ProviderOutcome::Unknown, "{body}");
        }
        // A redirect or an empty success of another kind is nobody's answer either.
        assert_eq!(answer(302, &refund("succeeded", "USD")).outcome, ProviderOutcome::Unknown);
        assert_eq!(answer(204, "").outcome, ProviderOutcome::Unknown);
    }
}
