//! The checks. Each has keys of its own.

use super::log::Log;
use super::{Fault, ProviderFake};
use domain::money::{Currency, Money};
use domain::outcome::{Again, ProviderOutcome as O, Said};
use domain::provider::{Idempotency, WebhookTrust};
use providers::http::Deadline;
use providers::{Attempt, Call, InboundWebhook, Lookup, Provider, RefundInstruction};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// The refund of most checks, in minor units. A whole number of main units in every currency, since not
/// every provider takes all digits.
const MINOR: i64 = 25_000;

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a call may take whose answer never ends.
const SHORT_PATIENCE: Duration = Duration::from_millis(300);

/// How late an adapter may be.
const GRACE: Duration = Duration::from_secs(2);

/// Pages of one list, at most.
const PAGES: usize = 100;

/// Holds the adapter to its contract. Returns the faults that the fake cannot play. Call it on a
/// single-threaded runtime: what the adapter logs is read on this thread.
///
/// # Panics
/// When the adapter breaks the contract.
pub async fn check(fake: &dyn ProviderFake) -> Vec<Fault> {
    let log = Log::start();
    let mut suite =
        Suite { fake, provider: fake.provider(), said: String::new(), skipped: Vec::new() };
    suite.every_currency_is_refunded_as_asked().await;
    suite.a_key_is_paid_once_while_the_traits_say_so().await;
    suite.a_lost_call_or_answer_is_unknown().await;
    suite.a_refusal_is_a_failure_with_a_reason().await;
    suite.an_answer_that_cannot_be_read_is_unknown().await;
    suite.a_throttled_call_did_nothing().await;
    suite.a_wrong_echo_is_passed_on().await;
    suite.a_new_status_keeps_the_id().await;
    suite.check_calls_nobody().await;
    suite.a_refund_is_found_as_the_traits_say().await;
    suite.a_webhook_is_believed_only_when_authentic().await;
    for secret in fake.secrets() {
        assert!(!log.text().contains(&secret), "a secret is logged:\n{}", log.text());
        assert!(!suite.said.contains(&secret), "a statement contains a secret: {}", suite.said);
    }
    suite.skipped
}

struct Suite<'a> {
    fake: &'a dyn ProviderFake,
    provider: Arc<dyn Provider>,
    /// Everything that the adapter said.
    said: String,
    skipped: Vec<Fault>,
}

impl Suite<'_> {
    async fn every_currency_is_refunded_as_asked(&mut self) {
        for code in self.fake.currencies() {
            let money = Money::new(MINOR, currency(code));
            let instruction = self.fake.instruction(&format!("currency_{code}"), money);
            let allowed = self.provider.check(&instruction, self.fake.now());
            assert_eq!(allowed, Ok(()), "a whole number of main units in {code}");
            let said = self.submit(&instruction).await;
            assert!(is_taken(&said), "{code}: {said:?}");
            assert_eq!(self.fake.made(&instruction).await, [MINOR], "{code}");
            assert_eq!(said.money.unwrap_or(money), money, "{code} is read as it was written");
            let payment = &instruction.payment.provider_payment_id;
            let echoed = said.provider_payment_id.as_ref().unwrap_or(payment);
            assert_eq!(echoed, payment, "the payment is read as it was written");
        }
    }

    async fn a_key_is_paid_once_while_the_traits_say_so(&mut self) {
        let kept_ms = match self.provider.traits().idempotency {
            Idempotency::None => return,
            Idempotency::Key { kept_ms, .. } | Idempotency::Twin { kept_ms } => kept_ms,
        };
        let instruction = self.usual("once");
        let first = self.submit(&instruction).await;
        assert!(is_taken(&first), "{first:?}");
        let first_sent_at = self.fake.now();
        for pause_ms in [0, kept_ms.unwrap_or(i64::from(u32::MAX)) / 2] {
            self.fake.advance(pause_ms);
            let attempt = Attempt::Again { first_sent_at };
            let again = RefundInstruction { attempt, ..instruction.clone() };
            let said = self.submit(&again).await;
            assert_eq!(self.fake.made(&instruction).await, [MINOR], "the key was used before");
            let may_say = [O::InProgress, O::Spent, O::Twin].contains(&said.outcome);
            assert!(is_taken(&said) || may_say, "a repeat is no failure: {said:?}");
            if let (Some(one), Some(other)) = (&first.provider_refund_id, &said.provider_refund_id)
            {
                assert_eq!(one, other, "a repeat is the same refund");
            }
        }
    }

    async fn a_lost_call_or_answer_is_unknown(&mut self) {
        for (fault, made) in [(Fault::CallLost, &[][..]), (Fault::AnswerLost, &[MINOR])] {
            if let Some((instruction, said)) = self.meet(fault).await {
                assert_eq!(said.outcome, O::Unknown, "{fault:?}: {said:?}");
                assert!(said.failure.is_some(), "{fault:?} has a reason");
                assert_eq!(self.fake.made(&instruction).await, made, "{fault:?}");
            }
        }
        if let Some((instruction, said)) = self.meet(Fault::NotConnected).await {
            assert_eq!(said.outcome, O::NeverSent, "{said:?}");
            assert!(self.fake.made(&instruction).await.is_empty());
        }
    }

    async fn a_refusal_is_a_failure_with_a_reason(&mut self) {
        let Some((instruction, said)) = self.meet(Fault::Refused).await else { return };
        assert_eq!(said.outcome, O::Failed, "{said:?}");
        let why = said.failure.expect("a refusal has a reason");
        assert!(!why.code.is_empty() && !why.message.is_empty(), "{why:?}");
        assert!(self.fake.made(&instruction).await.is_empty());
    }

    async fn an_answer_that_cannot_be_read_is_unknown(&mut self) {
        let pages = Fault::HTML.map(Fault::Html);
        for fault in [Fault::Garbage, Fault::Huge, Fault::Drips].into_iter().chain(pages) {
            if let Some((_, said)) = self.meet(fault).await {
                assert_eq!(said.outcome, O::Unknown, "{fault:?}: {said:?}");
            }
        }
    }

    async fn a_throttled_call_did_nothing(&mut self) {
        let Some((instruction, said)) = self.meet(Fault::Throttled).await else { return };
        assert_eq!(said.outcome, O::NotDone, "{said:?}");
        assert!(matches!(said.again, Again::AfterMs(1..)), "it says when: {said:?}");
        assert!(self.fake.made(&instruction).await.is_empty());
        let said = self.submit(&instruction).await;
        assert!(is_taken(&said), "the next call is answered: {said:?}");
    }

    async fn a_wrong_echo_is_passed_on(&mut self) {
        if let Some((instruction, said)) = self.meet(Fault::OtherAmount).await {
            let money = said.money.expect("the amount as it was said");
            assert_ne!(money.minor, instruction.money.minor);
            assert_eq!(money.currency, instruction.money.currency);
            assert!(is_taken(&said), "{said:?}");
        }
        if let Some((instruction, said)) = self.meet(Fault::OtherCurrency).await {
            let money = said.money.expect("the money as it was said");
            assert_ne!(money.currency, instruction.money.currency);
            assert!(is_taken(&said), "{said:?}");
        }
        if let Some((instruction, said)) = self.meet(Fault::OtherPayment).await {
            let payment = said.provider_payment_id.as_ref().expect("the payment as it was said");
            assert_ne!(*payment, instruction.payment.provider_payment_id);
            assert!(is_taken(&said), "{said:?}");
        }
    }

    async fn a_new_status_keeps_the_id(&mut self) {
        let Some((_, said)) = self.meet(Fault::NewStatus).await else { return };
        assert_eq!(said.outcome, O::Accepted, "{said:?}");
        assert!(said.provider_refund_id.is_some(), "{said:?}");
    }

    async fn check_calls_nobody(&mut self) {
        let possible = self.usual("check");
        let nothing =
            RefundInstruction { money: Money::new(0, possible.money.currency), ..possible };
        for instruction in [self.usual("check"), nothing] {
            let now = self.fake.now();
            let first = self.provider.check(&instruction, now);
            assert_eq!(self.provider.check(&instruction, now), first, "the answer never changes");
            assert_eq!(self.fake.calls(&instruction).await, 0, "check calls nobody");
        }
    }

    async fn a_refund_is_found_as_the_traits_say(&mut self) {
        let by = self.provider.traits().lookup;
        let unknown = self.usual("never_asked_for");
        if by.our_key {
            let found = self.look_up(&unknown).await;
            assert_eq!(found, Lookup::Absent, "nobody asked for it");
        }
        let instruction = self.usual("found");
        let said = self.submit(&instruction).await;
        assert!(is_taken(&said), "{said:?}");
        self.fake.advance(by.lag_ms.saturating_add(1));
        if by.our_key {
            self.finds(&instruction, &said).await;
        }
        let id = said.provider_refund_id.clone();
        if by.id && id.is_some() {
            let named = RefundInstruction { provider_refund_id: id.clone(), ..instruction.clone() };
            self.finds(&named, &said).await;
        }
        if by.list {
            let listed = self.list(&instruction).await;
            assert!(
                listed.iter().any(|listed| listed.provider_refund_id == id
                    && listed.money.unwrap_or(instruction.money) == instruction.money),
                "{id:?} is in the list: {listed:?}"
            );
        }
    }

    async fn a_webhook_is_believed_only_when_authentic(&mut self) {
        let instruction = self.usual("webhook");
        self.submit(&instruction).await;
        let Some(webhook) = self.fake.webhook(&instruction).await else {
            assert_eq!(self.provider.traits().webhook, WebhookTrust::None, "the fake sends one");
            return;
        };
        let inbound = self.receive(&webhook).await.expect("an authentic webhook is read");
        assert!(!(inbound.notices.is_empty() && inbound.hints.is_empty()), "{inbound:?}");
        let payment = &instruction.payment.provider_payment_id;
        for notice in &inbound.notices {
            assert_eq!(notice.provider_payment_id, *payment, "{notice:?}");
            assert!(notice.key.as_ref().is_none_or(|key| *key == instruction.key), "{notice:?}");
        }
        assert_eq!(self.receive(&webhook).await, Ok(inbound), "reading changes nothing");
        let trust = self.provider.traits().webhook;
        if matches!(trust, WebhookTrust::Signed | WebhookTrust::SignedHint) {
            let unsigned = InboundWebhook { headers: Vec::new(), ..webhook.clone() };
            assert!(self.receive(&unsigned).await.is_err(), "a signature is missing");
        }
        if trust == WebhookTrust::Signed {
            let mut tampered = webhook;
            let middle = tampered.body.len() / 2;
            let byte = tampered.body.get_mut(middle).expect("a body");
            *byte = byte.wrapping_add(1);
            assert!(self.receive(&tampered).await.is_err(), "a byte was changed");
        }
    }

    fn usual(&self, key: &str) -> RefundInstruction {
        let code = self.fake.currencies().into_iter().last().expect("a currency");
        self.fake.instruction(key, Money::new(MINOR, currency(code)))
    }

    /// Asks for a refund whose call meets a fault, if the fake can play it.
    async fn meet(&mut self, fault: Fault) -> Option<(RefundInstruction, Said)> {
        let instruction = self.usual(&format!("fault_{fault:?}").replace(['(', ')'], "_"));
        let Some(instruction) = self.fake.expect(fault, instruction).await else {
            self.skipped.push(fault);
            return None;
        };
        let patience = if fault == Fault::Drips { SHORT_PATIENCE } else { PATIENCE };
        let said = self.submit_within(&instruction, patience).await;
        Some((instruction, said))
    }

    async fn submit(&mut self, instruction: &RefundInstruction) -> Said {
        self.submit_within(instruction, PATIENCE).await
    }

    async fn submit_within(&mut self, instruction: &RefundInstruction, limit: Duration) -> Said {
        let call = Call { deadline: Deadline::within(limit), ..self.call() };
        let submitted = self.provider.submit(instruction, call);
        let said = tokio::time::timeout(limit.saturating_add(GRACE), submitted).await;
        let said = said.unwrap_or_else(|_| panic!("the adapter does not mind its deadline"));
        self.note(&said);
        said
    }

    /// Keeps what the adapter said, to be searched for secrets.
    fn note(&mut self, said: &impl std::fmt::Debug) {
        writeln!(self.said, "{said:?}").expect("a text takes everything");
    }

    fn call(&self) -> Call {
        Call { now: self.fake.now(), deadline: Deadline::within(PATIENCE) }
    }

    async fn look_up(&mut self, instruction: &RefundInstruction) -> Lookup {
        let found = self.provider.lookup(instruction, self.call()).await;
        self.note(&found);
        found
    }

    async fn finds(&mut self, instruction: &RefundInstruction, submitted: &Said) {
        let Lookup::Found(found) = self.look_up(instruction).await else {
            panic!("{} was made and is not found", instruction.key)
        };
        assert!(is_taken(&found), "{found:?}");
        assert_eq!(found.provider_refund_id, submitted.provider_refund_id);
        assert_eq!(found.money.unwrap_or(instruction.money), instruction.money);
    }

    async fn list(&mut self, instruction: &RefundInstruction) -> Vec<Said> {
        let (mut after, mut listed) = (None, Vec::new());
        for _ in 0..PAGES {
            let list = self.provider.list(&instruction.payment, after.as_deref(), self.call());
            let page = list.await.expect("a page");
            listed.extend(page.notices.into_iter().map(|notice| notice.said));
            after = page.next;
            if after.is_none() {
                self.note(&listed);
                return listed;
            }
        }
        panic!("the list does not end");
    }

    async fn receive(
        &self,
        webhook: &InboundWebhook,
    ) -> Result<providers::Inbound, providers::WebhookRefused> {
        self.provider.receive(webhook, self.call()).await
    }
}

/// The provider has the refund.
fn is_taken(said: &Said) -> bool {
    matches!(said.outcome, O::Completed | O::Accepted | O::ActionRequired | O::Held)
}

fn currency(code: &str) -> Currency {
    Currency::parse(code).expect("a currency")
}
