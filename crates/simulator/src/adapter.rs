//! The adapter half: [`Provider`] over the PSP half, as for any PSP that speaks JSON.
//!
//! The adapter trusts only what it has parsed. A parsed 422 is the only refusal, a connection that
//! was never made is the only call that is certainly not sent, a parsed 429 the only one that certainly
//! did nothing, and after every other answer the PSP may have paid.

use crate::book::Book;
use crate::psp::{self, RefundRequest};
use crate::script::Script;
use crate::timeline;
use crate::wire::{
    ErrorAnswer, ListAnswer, PaymentAnswer, RawAnswer, RefundAnswer, RefundBody, TransportFault,
    WebhookBody,
};
use crate::{Simulator, SimulatorConfig};
use async_trait::async_trait;
use domain::money::{Currency, Money};
use domain::outcome::{Again, Failure, ProviderOutcome, Said};
use domain::payment::Capture;
use domain::provider::{
    AmountUnit, Amounts, Funds, Idempotency, KeyForm, LookupBy, OutcomeBy, Pace, Partials,
    PerPayment, Times, Traits, WebhookTrust,
};
use domain::tenant::Tenant;
use domain::time::Timestamp;
use providers::{
    Call, Changes, Hint, Inbound, InboundWebhook, Listed, Lookup, Notice, PaymentReport, Provider,
    RefundInstruction, WebhookRefused,
};
use serde::de::DeserializeOwned;

/// The name that payments held by the simulator are registered with.
pub const NAME: &str = "simulator";

/// The largest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 1024 * 1024;

#[async_trait]
impl Provider for Simulator {
    fn name(&self) -> &'static str {
        NAME
    }

    fn traits(&self) -> Traits {
        self.config.traits()
    }

    fn check(&self, _: &RefundInstruction, _: Timestamp) -> Result<(), Failure> {
        Ok(())
    }

    async fn submit(&self, order: &RefundInstruction, call: Call) -> Said {
        let payment = &order.payment;
        let request = RefundRequest {
            tenant: payment.tenant,
            key: order.key.as_str().into(),
            payment_id: payment.provider_payment_id.clone(),
            captured: Money::new(payment.captured, payment.currency),
            asked: order.money,
        };
        let script = Script::of(order.metadata.as_deref(), payment.metadata.as_deref());
        let made =
            self.receive(call.deadline.left(), move |book| psp::make_refund(book, request, script));
        match made.await {
            Ok(raw) => read_submitted(&raw),
            Err(fault @ TransportFault::NotConnected) => {
                Said::new(ProviderOutcome::NeverSent).because(fault.into())
            }
            Err(fault @ TransportFault::AnswerLost) => Said::unknown(fault.into()),
        }
    }

    async fn lookup(&self, order: &RefundInstruction, call: Call) -> Lookup {
        let tenant = order.payment.tenant;
        let key = self.config.looks_up_by_key.then(|| order.key.as_str().into());
        let names: Vec<Box<str>> = order.provider_refund_id.iter().cloned().chain(key).collect();
        if names.is_empty() {
            let why = "the simulator finds refunds by their ids only";
            return Lookup::Unknown(Failure::new("cannot_look_up", why));
        }
        let shown =
            self.receive(call.deadline.left(), move |book| psp::show_refund(book, tenant, &names));
        match shown.await {
            Ok(raw) => read_looked_up(&raw),
            Err(fault) => Lookup::Unknown(fault.into()),
        }
    }

    async fn list(
        &self,
        payment: &Capture,
        after: Option<&str>,
        call: Call,
    ) -> Result<Listed, Failure> {
        let (tenant, id) = (payment.tenant, payment.provider_payment_id.clone());
        let after: Option<Box<str>> = after.map(Into::into);
        let listed = self.receive(call.deadline.left(), move |book| {
            psp::list_refunds(book, tenant, &id, after.as_deref())
        });
        let list: ListAnswer = read_ok(&listed.await?)?;
        let notices = list.refunds.into_iter().map(|refund| read_notice(refund.at, refund.data));
        Ok(Listed { notices: notices.collect::<Result<_, _>>()?, next: list.next })
    }

    async fn cancel(&self, order: &RefundInstruction, call: Call) -> Said {
        let tenant = order.payment.tenant;
        let impossible = |why| Said::new(ProviderOutcome::Impossible).because(why);
        let Some(id) = order.provider_refund_id.clone() else {
            let why = "the simulator takes refunds back by their ids only";
            return impossible(Failure::new("cannot_cancel", why));
        };
        let work = move |book: &mut Book| psp::cancel_refund(book, tenant, &id);
        match self.receive(call.deadline.left(), work).await {
            Ok(raw) if is_error(&raw, 422, psp::NOT_CANCELABLE) => impossible(why_not_ok(&raw)),
            Ok(raw) => match read_looked_up(&raw) {
                Lookup::Found(said) => said,
                Lookup::Absent => impossible(why_not_ok(&raw)),
                Lookup::Unknown(why) => Said::unknown(why),
            },
            Err(fault) => Said::unknown(fault.into()),
        }
    }

    async fn payment(
        &self,
        tenant: Tenant,
        provider_payment_id: &str,
        call: Call,
    ) -> Result<Option<PaymentReport>, Failure> {
        let id: Box<str> = provider_payment_id.into();
        let shown =
            self.receive(call.deadline.left(), move |book| psp::show_payment(book, tenant, &id));
        let raw = shown.await?;
        if is_error(&raw, 404, "no_such_payment") {
            return Ok(None);
        }
        let payment: PaymentAnswer = read_ok(&raw)?;
        let captured = Money::new(payment.captured, read_currency(&payment.currency)?);
        Ok(Some(PaymentReport {
            provider_payment_id: provider_payment_id.into(),
            captured,
            captured_at: None,
            refunded: None,
            settled_at: None,
            data: None,
        }))
    }

    async fn changes(
        &self,
        tenant: Tenant,
        since: Timestamp,
        after: Option<&str>,
        call: Call,
    ) -> Result<Option<Changes>, Failure> {
        if !self.config.tells_changes {
            return Ok(None);
        }
        let after: Option<Box<str>> = after.map(Into::into);
        let listed = self.receive(call.deadline.left(), move |book| {
            psp::list_changes(book, tenant, since, after.as_deref())
        });
        let list: ListAnswer = read_ok(&listed.await?)?;
        let notices = list.refunds.into_iter().map(|refund| read_notice(refund.at, refund.data));
        Ok(Some(Changes { notices: notices.collect::<Result<_, _>>()?, next: list.next }))
    }

    async fn receive(&self, webhook: &InboundWebhook, _: Call) -> Result<Inbound, WebhookRefused> {
        self.signer.verify(webhook)?;
        let malformed = |what: String| WebhookRefused::Malformed(what);
        let body: WebhookBody =
            serde_json::from_slice(&webhook.body).map_err(|error| malformed(error.to_string()))?;
        if !body.event_type.starts_with("refund.") {
            return Ok(Inbound::default());
        }
        let notice =
            read_notice(body.at, body.data).map_err(|why| malformed(why.message.into()))?;
        if self.config.webhooks_only_hint {
            let hints = vec![Hint::Payment(notice.provider_payment_id)];
            return Ok(Inbound { hints, ..Inbound::default() });
        }
        Ok(Inbound { notices: vec![notice], ..Inbound::default() })
    }
}

impl SimulatorConfig {
    /// The facts about a simulator with this configuration.
    pub fn traits(&self) -> Traits {
        let kept_ms = self.keys_kept_ms;
        let idempotency = if !self.honour_keys {
            Idempotency::None
        } else if self.refuses_repeats {
            Idempotency::Twin { kept_ms }
        } else {
            Idempotency::Key { kept_ms, replays_errors: self.replays_errors }
        };
        let times = Times::Ordered { resolution_ms: self.time_resolution_ms };
        let hint = self.webhooks_only_hint;
        Traits {
            idempotency,
            funds: if self.holds_for_funds { Funds::Holds } else { Funds::Refuses },
            outcome: OutcomeBy::Answer,
            lookup: LookupBy {
                id: true,
                our_key: self.looks_up_by_key,
                list: true,
                lag_ms: self.list_lag_ms,
                // While it keeps keys, a call that is still on its way cannot pay a second time.
                proves_absence_after_ms: self
                    .absence_proved_after_ms
                    .or_else(|| self.honour_keys.then_some(self.list_lag_ms)),
            },
            webhook: if hint { WebhookTrust::SignedHint } else { WebhookTrust::Signed },
            times: if self.names_times { times } else { Times::None },
            partials: Partials::Any,
            per_payment: PerPayment::Parallel,
            pace: Pace { per_second: 1_000_000, burst: 1_000_000, at_once: 256 },
            key: KeyForm { longest: 255, characters: "0-9 A-Z a-z _" },
            amounts: Amounts { unit: AmountUnit::Minor, exponents: &[] },
            window_ms: None,
        }
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
    let why = Failure { code: error.error.code, message: error.error.message };
    let (outcome, id) = match (raw.status, &*why.code) {
        (422, "already_refunded") => (ProviderOutcome::Spent, None),
        (422, _) => (ProviderOutcome::Failed, None),
        (402, "insufficient_funds") => (ProviderOutcome::WaitingForFunds, None),
        (409, "in_progress") => (ProviderOutcome::InProgress, None),
        (409, "duplicate") => (ProviderOutcome::Twin, error.error.refund_id),
        (429, "too_many_requests") => (ProviderOutcome::NotDone, None),
        // Above all any other 409: the key's refund may well have been paid, if not this one.
        _ => return Said::unknown(why),
    };
    let again = raw.retry_after_s.map_or(Again::Later, |s| Again::AfterMs(i64::from(s) * 1_000));
    Said { at, again, provider_refund_id: id, ..Said::new(outcome).because(why) }
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
fn read_state(at: Option<i64>, body: RefundBody) -> Result<Said, Failure> {
    let (outcome, failure) = match &*body.status {
        "succeeded" => (ProviderOutcome::Completed, None),
        "failed" => {
            let code = body.code.unwrap_or_else(|| "refund_failed".into());
            let message = body.message.unwrap_or_else(|| "the simulator gave no reason".into());
            let is_canceled = &*code == timeline::CANCELED;
            let outcome =
                if is_canceled { ProviderOutcome::Canceled } else { ProviderOutcome::Failed };
            (outcome, Some(Failure { code, message }))
        }
        "held" => {
            let why = "the provider holds it until the merchant's balance covers it";
            (ProviderOutcome::Held, Some(Failure::new("held", why)))
        }
        _ => (ProviderOutcome::Accepted, None),
    };
    Ok(Said {
        outcome,
        failure,
        again: Again::Later,
        money: Some(Money::new(body.amount, read_currency(&body.currency)?)),
        provider_refund_id: Some(body.refund_id),
        provider_payment_id: Some(body.payment_id),
        at: at.map(Timestamp),
    })
}

fn read_notice(at: Option<i64>, mut body: RefundBody) -> Result<Notice, Failure> {
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
    if raw.body.len() > ANSWER_LIMIT {
        return Err(Failure::new("answer_too_large", "the simulator's answer is too large"));
    }
    serde_json::from_slice(&raw.body)
        .map_err(|_| Failure::new("unreadable_answer", "the simulator's answer cannot be read"))
}

fn read_error(raw: &RawAnswer) -> Option<ErrorAnswer> {
    read_json(raw).ok()
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
        let body = body.as_bytes().to_vec();
        read_submitted(&RawAnswer { status, retry_after_s: None, body })
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
