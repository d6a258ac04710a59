//! Providers as they are in the world: keys that run out, refunds that are held, refusals of a repeat,
//! webhooks without our key, answers without a time. In every test the provider's payouts and the books
//! must agree.

use async_trait::async_trait;
use domain::decide::Refusal;
use domain::money::Money;
use domain::outcome::{Failure, ProviderOutcome as O, Said};
use domain::payment::{Capture, Payment};
use domain::provider::{Idempotency, LookupBy, Pace, Traits};
use domain::refund::State as S;
use domain::tenant::Tenant;
use domain::time::{Clock as _, Timestamp};
use engine::{
    Engine, Error, InboundWebhook, KeptNotice, NewPayment, PageQuery, Registry, SortOrder,
};
use providers::{
    Attempt, Call, Inbound, Listed, Lookup, Notice, PaymentReport, Provider, RefundInstruction,
    WebhookRefused,
};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use testkit::{EngineRig, ManualClock};

pub const HOUR: i64 = 3_600_000;

pub type Submit = dyn Fn(&Fake, &RefundInstruction, usize) -> Said + Send + Sync;
pub type Look = dyn Fn(&Fake, &RefundInstruction) -> Lookup + Send + Sync;

/// A refund in the provider's book.
#[derive(Clone, Debug)]
pub struct Booked {
    pub key: String,
    pub minor: i64,
    pub id: String,
    pub paid: bool,
    pub at: Timestamp,
}

/// A provider whose answers each test chooses.
pub struct Fake {
    name: &'static str,
    traits: Traits,
    pub clock: Arc<ManualClock>,
    submit: Box<Submit>,
    look: Box<Look>,
    book: Mutex<Vec<Booked>>,
    submits: AtomicUsize,
    looks: AtomicUsize,
    webhooks: Mutex<Vec<Notice>>,
}

impl Fake {
    pub fn book(&self) -> std::sync::MutexGuard<'_, Vec<Booked>> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a refund and says what the provider would say of it.
    pub fn make(&self, order: &RefundInstruction, outcome: O) -> Said {
        let mut book = self.book();
        let id = format!("re_{}", book.len() + 1);
        let (key, minor, at) = (order.key.clone(), order.money.minor, self.clock.now());
        book.push(Booked { key, minor, id: id.clone(), paid: outcome == O::Completed, at });
        about(order, outcome, &id)
    }

    fn knows(&self, key: &str, for_ms: i64) -> bool {
        let now = self.clock.now();
        self.book().iter().any(|made| made.key == key && now.ms_since(made.at) < for_ms)
    }

    pub fn paid(&self) -> i64 {
        self.book().iter().filter(|made| made.paid).map(|made| made.minor).sum()
    }

    /// The merchant tops up, and everything that was held is paid.
    fn top_up(&self) {
        self.book().iter_mut().for_each(|made| made.paid = true);
    }

    pub fn calls(&self) -> (usize, usize) {
        (self.submits.load(Ordering::SeqCst), self.looks.load(Ordering::SeqCst))
    }
}

#[async_trait]
impl Provider for Fake {
    fn name(&self) -> &'static str {
        self.name
    }

    fn traits(&self) -> Traits {
        self.traits
    }

    fn check(&self, _: &RefundInstruction, _: Timestamp) -> Result<(), Failure> {
        Ok(())
    }

    async fn submit(&self, order: &RefundInstruction, _: Call) -> Said {
        let number = self.submits.fetch_add(1, Ordering::SeqCst) + 1;
        let is_first = order.attempt == Attempt::First;
        assert!(is_first || number > 1, "the first call is told as a repeat");
        (self.submit)(self, order, number)
    }

    async fn lookup(&self, order: &RefundInstruction, _: Call) -> Lookup {
        self.looks.fetch_add(1, Ordering::SeqCst);
        (self.look)(self, order)
    }

    async fn list(&self, _: &Capture, _: Option<&str>, _: Call) -> Result<Listed, Failure> {
        Ok(Listed::default())
    }

    async fn payment(&self, _: Tenant, _: &str, _: Call) -> Result<Option<PaymentReport>, Failure> {
        Ok(None)
    }

    async fn receive(&self, _: &InboundWebhook, _: Call) -> Result<Inbound, WebhookRefused> {
        let notices = std::mem::take(&mut *self.webhooks.lock().expect("no panic"));
        Ok(Inbound { notices, ..Inbound::default() })
    }
}

pub fn about(order: &RefundInstruction, outcome: O, id: &str) -> Said {
    Said {
        provider_refund_id: Some(id.into()),
        money: Some(order.money),
        provider_payment_id: Some(order.payment.provider_payment_id.clone()),
        ..Said::new(outcome)
    }
}

pub fn lost() -> Said {
    Said::unknown(Failure::new("timeout", "the answer was lost"))
}

pub fn because(outcome: O, code: &str) -> Said {
    Said::new(outcome).because(Failure::new(code, "the provider says so"))
}

/// Traits of a provider that keeps keys for so many hours, and can be asked by our key or not at all.
pub fn keeps(hours: i64, can_look: bool) -> Traits {
    let kept_ms = (hours > 0).then_some(hours * HOUR);
    let lookup = LookupBy { our_key: can_look, id: can_look, ..Traits::UNKNOWN.lookup };
    let idempotency = match kept_ms {
        Some(_) => Idempotency::Key { kept_ms, replays_errors: false },
        None => Idempotency::None,
    };
    let pace = Pace { per_second: 1_000_000, burst: 1_000_000, at_once: 256 };
    Traits { idempotency, lookup, pace, ..Traits::UNKNOWN }
}

pub fn fake(
    rig: &EngineRig,
    name: &'static str,
    traits: Traits,
    submit: impl Fn(&Fake, &RefundInstruction, usize) -> Said + Send + Sync + 'static,
    look: impl Fn(&Fake, &RefundInstruction) -> Lookup + Send + Sync + 'static,
) -> Arc<Fake> {
    Arc::new(Fake {
        name,
        traits,
        clock: rig.clock.clone(),
        submit: Box::new(submit),
        look: Box::new(look),
        book: Mutex::default(),
        submits: AtomicUsize::new(0),
        looks: AtomicUsize::new(0),
        webhooks: Mutex::default(),
    })
}

/// Makes each refund at once.
pub fn completes(fake: &Fake, order: &RefundInstruction, _: usize) -> Said {
    fake.make(order, O::Completed)
}

pub fn absent(_: &Fake, _: &RefundInstruction) -> Lookup {
    Lookup::Absent
}

pub fn engine(rig: &EngineRig, fakes: &[&Arc<Fake>]) -> Engine {
    let providers = fakes.iter().map(|fake| -> Arc<dyn Provider> { (*fake).clone() });
    let registry = providers.fold(Registry::new(), Registry::with);
    Engine::start(rig.parts_with(registry, rig.config()))
}

pub async fn pay(engine: &Engine, rig: &EngineRig, provider: &str, charge: &str) -> Payment {
    let new = NewPayment { provider: provider.into(), ..rig.new_payment(charge, 10_000, "USD") };
    engine.register_payment(new, None).await.expect("registered").value
}

/// Does everything that becomes due within `ms`.
pub async fn run(engine: &Engine, rig: &EngineRig, ms: i64) {
    let end = rig.clock.now().plus_ms(ms);
    loop {
        while engine.step_due(64).await.expect("a step") > 0 {}
        engine.step_notices(64).await.expect("a step");
        let next = engine.next_work().await.expect("a read").at.into_iter();
        let next = next.chain(engine.next_notice_due().await.expect("a read")).min();
        match next {
            Some(due) if due <= end => rig.clock.advance_to(due),
            _ => break,
        }
    }
    rig.clock.advance_to(end);
    while engine.step_due(64).await.expect("a step") > 0 {}
    engine.step_notices(64).await.expect("a step");
}

/// A webhook of the fake says this.
pub async fn tell(engine: &Engine, rig: &EngineRig, fake: &Fake, notice: Notice) {
    fake.webhooks.lock().expect("no panic").push(notice);
    let webhook = InboundWebhook {
        url: "".into(),
        headers: Vec::new(),
        body: Vec::new(),
        received_at: rig.clock.now(),
    };
    engine.receive_webhook(rig.tenant, fake.name, None, webhook).await.expect("taken in");
}

pub fn notice(charge: &str, key: Option<String>, said: Said) -> Notice {
    Notice { provider_payment_id: charge.into(), key, said }
}

pub fn paid_out(id: &str, minor: i64, payment: &Payment) -> Said {
    Said {
        provider_refund_id: Some(id.into()),
        money: Some(Money::new(minor, payment.capture.currency)),
        ..Said::new(O::Completed)
    }
}

/// The statements that are kept because they fit nothing, oldest first.
pub async fn kept(engine: &Engine, rig: &EngineRig) -> Vec<KeptNotice> {
    let order = SortOrder::Ascending;
    let page = PageQuery { limit: 100, after: None, order, from: None, until: None };
    engine.list_unmatched_notices(rig.tenant, page).await.expect("a list").items
}

/// Refunded, reserved and refundable.
pub async fn books(rig: &EngineRig, payment: &Payment) -> (i64, i64, i64) {
    rig.verify_clean().await;
    let now = rig.payment(payment.capture.id).await;
    (now.refunded, now.reserved, now.refundable())
}

pub async fn told(rig: &EngineRig, event: &str) -> usize {
    rig.events().await.iter().filter(|e| e.event.event_type.as_str() == event).count()
}

/// A provider that keeps keys for a day, as Stripe does: it made the refund, its answer is lost.
fn loses_the_first_answer(f: &Fake, order: &RefundInstruction, number: usize) -> Said {
    if f.knows(&order.key, 24 * HOUR) {
        return lost();
    }
    let said = f.make(order, O::Completed);
    if number == 1 { lost() } else { said }
}

#[tokio::test]
async fn a_key_is_not_sent_again_after_the_provider_may_have_forgotten_it() {
    let rig = EngineRig::open().await;
    let psp = fake(&rig, "psp", keeps(24, false), loses_the_first_answer, absent);
    let engine = engine(&rig, &[&psp]);
    let payment = pay(&engine, &rig, "psp", "ch_1").await;
    let refund = rig.refund(&payment).amount(2_500).of(&engine).create().await;
    assert_eq!(engine.step_due(1).await.expect("a step"), 1);
    // Nothing looks for a day: the node is down.
    rig.clock.advance(25 * HOUR);
    run(&engine, &rig, 24 * HOUR).await;
    assert_eq!((psp.calls().0, psp.paid()), (1, 2_500));
    assert_eq!(rig.reload(&refund).await.state, S::Unknown);
    assert!(rig.reload(&refund).await.needs_attention, "a person was told");
    // The provider's webhook about the payout settles it.
    tell(
        &engine,
        &rig,
        &psp,
        notice("ch_1", Some(refund.provider_key()), paid_out("re_1", 2_500, &payment)),
    )
    .await;
    assert_eq!(books(&rig, &payment).await, (2_500, 0, 7_500));
}

#[tokio::test]
async fn a_stored_fault_is_not_asked_for_until_the_key_is_fresh_again() {
    let rig = EngineRig::open().await;
    let psp = fake(
        &rig,
        "psp",
        keeps(24, false),
        |f, order, _| {
            if f.knows(&order.key, 24 * HOUR) {
                return because(O::Unknown, "http_500");
            }
            let first = f.book().is_empty();
            let said = f.make(order, O::Completed);
            if first { because(O::Unknown, "http_500") } else { said }
        },
        absent,
    );
    let engine = engine(&rig, &[&psp]);
    let payment = pay(&engine, &rig, "psp", "ch_1").await;
    let refund = rig.refund(&payment).amount(2_500).of(&engine).create().await;
    run(&engine, &rig, 48 * HOUR).await;
    assert!(psp.calls().0 > 10, "within the day it is sent again");
    assert_eq!(psp.paid(), 2_500);
    run(&engine, &rig, 7 * 24 * HOUR).await;
    assert_eq!(psp.paid(), 2_500);
    assert_eq!(rig.reload(&refund).await.state, S::NeedsReview);
    assert_eq!(books(&rig, &payment).await, (0, 2_500, 7_500));
}

#[tokio::test]
async fn a_key_is_sent_again_within_its_time_and_by_the_same_time_looked_for() {
    let rig = EngineRig::open().await;
    let psp = fake(
        &rig,
        "psp",
        keeps(24, true),
        |f, order, number| {
            if number == 1 { lost() } else { f.make(order, O::Completed) }
        },
        absent,
    );
    let engine = engine(&rig, &[&psp]);
    let payment = pay(&engine, &rig, "psp", "ch_1").await;
    let refund = rig.refund(&payment).amount(2_500).of(&engine).create().await;
    run(&engine, &rig, HOUR).await;
    assert_eq!(psp.calls(), (2, 1), "one look, then the same key");
    assert_eq!(books(&rig, &payment).await, (2_500, 0, 7_500));
    let attempts = engine.refund_attempts(&rig.reload(&refund).await).await.expect("a read");
    let answers: Vec<_> = attempts.iter().map(|a| (a.number, a.answer.as_deref())).collect();
    assert_eq!(answers, [(1, Some("lost: timeout: the answer was lost")), (2, Some("completed"))]);
}

#[tokio::test]
async fn proven_absence_leads_to_the_same_key_once_more() {
    let rig = EngineRig::open().await;
    let mut traits = keeps(24, true);
    traits.lookup.proves_absence_after_ms = Some(HOUR);
    let psp = fake(
        &rig,
        "psp",
        traits,
        |f, order, number| {
            if number == 1 { lost() } else { f.make(order, O::Completed) }
        },
        absent,
    );
    let engine = engine(&rig, &[&psp]);
    let payment = pay(&engine, &rig, "psp", "ch_1").await;
    let refund = rig.refund(&payment).amount(2_500).of(&engine).create().await;
    assert_eq!(engine.step_due(1).await.expect("a step"), 1);
    rig.clock.advance(25 * HOUR);
    assert_eq!(engine.step_due(1).await.expect("a step"), 1);
    let looked = rig.reload(&refund).await;
    assert_eq!((looked.state, psp.calls()), (S::Unknown, (1, 1)), "one look is no proof");
    run(&engine, &rig, HOUR).await;
    assert_eq!((psp.calls().0, psp.paid()), (2, 2_500));
    assert_eq!(rig.states(&refund).await, [S::Queued, S::Unknown, S::Queued, S::Succeeded]);
    assert_eq!(books(&rig, &payment).await, (2_500, 0, 7_500));
}

#[tokio::test]
async fn a_refund_that_the_provider_holds_is_asked_about_and_never_sent_again() {
    let rig = EngineRig::open().await;
    let psp = fake(
        &rig,
        "psp",
        keeps(0, true),
        |f, order, _| f.make(order, O::Held),
        |f, order| {
            let book = f.book();
            let made = book.iter().find(|made| made.key == order.key).expect("it was made");
            let outcome = if made.paid { O::Completed } else { O::Held };
            Lookup::Found(about(order, outcome, &made.id))
        },
    );
    let engine = engine(&rig, &[&psp]);
    let payment = pay(&engine, &rig, "psp", "tr_1").await;
    let refund = rig.refund(&payment).amount(2_500).of(&engine).create().await;
    run(&engine, &rig, 48 * HOUR).await;
    let held = rig.reload(&refund).await;
    assert_eq!(
        (held.state, held.state.detail(), held.needs_attention),
        (S::Held, "waiting_for_funds", true)
    );
    let canceled = engine.cancel_refund(rig.tenant, refund.id, None).await;
    assert!(
        matches!(canceled, Err(Error::Refused(Refusal::TooLateToCancel(S::Held)))),
        "{canceled:?}"
    );
    psp.top_up();
    run(&engine, &rig, 2 * HOUR).await;
    assert_eq!((psp.calls().0, psp.paid()), (1, 2_500));
    assert_eq!(books(&rig, &payment).await, (2_500, 0, 7_500));
}

#[tokio::test]
async fn our_own_refund_is_not_adopted_while_its_answer_is_under_way() {
    let rig = EngineRig::open().await;
    let psp = fake(
        &rig,
        "psp",
        keeps(24, true),
        |f, order, number| {
            let said = f.make(order, O::Completed);
            if number == 1 { lost() } else { said }
        },
        |f, order| {
            let book = f.book();
            let made = book.iter().find(|made| made.key == order.key);
            made.map_or(Lookup::Absent, |made| Lookup::Found(about(order, O::Completed, &made.id)))
        },
    );
    let engine = engine(&rig, &[&psp]);
    let payment = pay(&engine, &rig, "psp", "ch_1").await;
    rig.refund(&payment).amount(6_000).of(&engine).create().await;
    assert_eq!(engine.step_due(1).await.expect("a step"), 1, "sent; the answer is lost");
    tell(&engine, &rig, &psp, notice("ch_1", None, paid_out("re_1", 6_000, &payment))).await;
    assert_eq!(books(&rig, &payment).await, (0, 6_000, 4_000), "it waits until ours is known");
    run(&engine, &rig, 2 * HOUR).await;
    assert_eq!(books(&rig, &payment).await, (6_000, 0, 4_000));
    assert_eq!(rig.refunds_of(&payment).await.len(), 1);
    assert_eq!(engine.next_notice_due().await.expect("a read"), None, "the statement fits now");
    // A refund that somebody else made is adopted at once.
    tell(&engine, &rig, &psp, notice("ch_1", None, paid_out("re_9", 1_000, &payment))).await;
    assert_eq!(books(&rig, &payment).await, (7_000, 0, 3_000));
}

#[tokio::test]
async fn a_success_after_a_failure_without_times_counts_until_the_provider_was_asked() {
    for really in [true, false] {
        let rig = EngineRig::open().await;
        let answer = Arc::new(Mutex::new(O::Failed));
        let looked = answer.clone();
        let psp = fake(
            &rig,
            "psp",
            keeps(24, true),
            |f, order, _| f.make(order, O::Accepted),
            move |_, order| Lookup::Found(about(order, *looked.lock().expect("no panic"), "re_1")),
        );
        let engine = engine(&rig, &[&psp]);
        let payment = pay(&engine, &rig, "psp", "ch_1").await;
        let refund = rig.refund(&payment).of(&engine).create().await;
        run(&engine, &rig, 60_000).await;
        assert_eq!(rig.reload(&refund).await.state, S::Failed);
        if really {
            *answer.lock().expect("no panic") = O::Completed;
        }
        let key = Some(refund.provider_key());
        tell(&engine, &rig, &psp, notice("ch_1", key, paid_out("re_1", 10_000, &payment))).await;
        assert_eq!(rig.reload(&refund).await.state, S::NeedsReview);
        assert_eq!(books(&rig, &payment).await, (0, 10_000, 0), "the money may be gone");
        run(&engine, &rig, 0).await;
        let expected = if really { (10_000, 0, 0) } else { (0, 0, 10_000) };
        assert_eq!(books(&rig, &payment).await, expected);
    }
}

#[tokio::test]
async fn a_failure_after_a_success_without_times_frees_nothing_until_the_provider_was_asked() {
    for really in [true, false] {
        let rig = EngineRig::open().await;
        let answer = if really { O::Failed } else { O::Completed };
        let psp = fake(&rig, "psp", keeps(24, true), completes, move |_, order| {
            Lookup::Found(about(order, answer, "re_1"))
        });
        let engine = engine(&rig, &[&psp]);
        let payment = pay(&engine, &rig, "psp", "ch_1").await;
        let refund = rig.refund(&payment).of(&engine).create().await;
        run(&engine, &rig, 0).await;
        let failed =
            Said { provider_refund_id: Some("re_1".into()), ..because(O::Failed, "bounced") };
        tell(&engine, &rig, &psp, notice("ch_1", Some(refund.provider_key()), failed)).await;
        assert_eq!(books(&rig, &payment).await, (10_000, 0, 0), "a word without a time");
        run(&engine, &rig, HOUR).await;
        let expected = if really { (0, 0, 10_000) } else { (10_000, 0, 0) };
        assert_eq!(books(&rig, &payment).await, expected);
        assert_eq!(engine.next_work().await.expect("a read").at, None);
    }
}

#[tokio::test]
async fn a_disputed_success_at_a_provider_that_cannot_be_asked_is_a_persons() {
    let rig = EngineRig::open().await;
    let psp = fake(&rig, "psp", keeps(24, false), completes, absent);
    let engine = engine(&rig, &[&psp]);
    let payment = pay(&engine, &rig, "psp", "ch_1").await;
    let refund = rig.refund(&payment).of(&engine).create().await;
    run(&engine, &rig, 0).await;
    let failed = Said { provider_refund_id: Some("re_1".into()), ..because(O::Failed, "bounced") };
    tell(&engine, &rig, &psp, notice("ch_1", Some(refund.provider_key()), failed)).await;
    run(&engine, &rig, HOUR).await;
    assert_eq!(books(&rig, &payment).await, (10_000, 0, 0));
    assert_eq!(told(&rig, "refund.attention_required").await, 1);
    let decision = engine::Decision {
        resolution: engine::Resolution::Failed,
        provider_refund_id: None,
        text: Some("the provider's page says that it bounced".into()),
    };
    let done =
        engine.resolve_refund(rig.tenant, refund.id, decision, None).await.expect("resolved");
    assert_eq!((done.value.refund.state, done.value.refund.late), (S::Failed, true));
    assert_eq!(books(&rig, &payment).await, (0, 0, 10_000));
}

#[tokio::test]
async fn a_refusal_of_a_repeat_is_no_failure() {
    for refusal in [O::Failed, O::Spent, O::NotDone, O::WaitingForFunds, O::Impossible] {
        let rig = EngineRig::open().await;
        let psp = fake(
            &rig,
            "psp",
            keeps(24, false),
            move |f, order, number| {
                if number == 1 {
                    f.make(order, O::Completed);
                    return lost();
                }
                because(refusal, "charge_already_refunded")
            },
            absent,
        );
        let engine = engine(&rig, &[&psp]);
        let payment = pay(&engine, &rig, "psp", "ch_1").await;
        let refund = rig.refund(&payment).of(&engine).create().await;
        run(&engine, &rig, 60_000).await;
        assert_eq!(rig.reload(&refund).await.state, S::Unknown, "{refusal}");
        assert_eq!(books(&rig, &payment).await, (0, 10_000, 0), "{refusal}");
        assert_eq!(psp.paid(), 10_000);
        run(&engine, &rig, 10 * 24 * HOUR).await;
        assert_eq!(rig.reload(&refund).await.state, S::NeedsReview, "{refusal}");
    }
}

#[tokio::test]
async fn a_refusal_of_the_first_call_is_believed() {
    for (refusal, state) in
        [(O::Failed, S::Failed), (O::Spent, S::Failed), (O::Impossible, S::Failed)]
    {
        let rig = EngineRig::open().await;
        let psp = fake(&rig, "psp", keeps(24, true), move |_, _, _| because(refusal, "no"), absent);
        let engine = engine(&rig, &[&psp]);
        let payment = pay(&engine, &rig, "psp", "ch_1").await;
        let refund = rig.refund(&payment).of(&engine).create().await;
        run(&engine, &rig, 60_000).await;
        assert_eq!(rig.reload(&refund).await.state, state, "{refusal}");
        assert_eq!(books(&rig, &payment).await, (0, 0, 10_000));
    }
}
