//! Money that buyers send by hand: confirmed on a node that runs no provider which takes payments, and refunded by a
//! person.

use domain::checkout::{NewCheckout, State};
use domain::decide::Refusal;
use domain::event::Type;
use domain::ledger::Code;
use domain::money::Currency;
use domain::payment::{Kind, Payment};
use domain::refund::{NewRefund, Refund, State as Is};
use engine::{
    Decision, Direction, Engine, EngineConfig, Error, IdempotencyKey, MANUAL, NewPayment, Registry,
    Resolution,
};
use testkit::{EngineRig, Setup};

fn new_checkout(rig: &EngineRig) -> NewCheckout {
    NewCheckout {
        tenant: rig.tenant,
        kind: Kind::CheckoutSession,
        amount: 9_000,
        currency: Currency::parse("USD").expect("a currency"),
        methods: vec![MANUAL.id.into()],
        success_url: None,
        cancel_url: None,
        lines: Vec::new(),
        customer: None,
        template: None,
        metadata: None,
        extra: None,
        expires_in_ms: None,
    }
}

#[tokio::test]
async fn a_node_without_the_provider_confirms_money_that_was_sent_by_hand() {
    let rig = EngineRig::open().await;
    let opened = rig.engine.open_checkout(new_checkout(&rig), None).await.expect("opened").value;
    let claimed = rig.engine.claim_checkout(&opened, None).await.expect("claimed");
    assert_eq!(claimed.state, State::PendingReview);
    let mut parts = rig.parts_with(Registry::new(), rig.config());
    parts.registry = Registry::new().with_payment_provider_elsewhere("simulator");
    let other = Engine::start(parts);
    assert_eq!(other.payment_provider_name(rig.tenant), Some("simulator"));
    let confirmed = other.confirm_checkout(&claimed, None).await.expect("confirmed").value;
    assert_eq!(confirmed.state, State::Completed);
    let payment = rig.payment(confirmed.terms.id).await;
    assert_eq!((payment.capture.captured, &*payment.capture.provider), (9_000, "manual"));
    other.open_checkout(new_checkout(&rig), None).await.expect_err("no provider takes payments");
}

/// A payment that the merchant took by hand.
async fn take(rig: &EngineRig, amount: i64) -> Payment {
    let new = rig.new_payment("receipt 17", amount, "USD");
    let new = NewPayment { provider: MANUAL.id.into(), ..new };
    rig.engine.register_payment(new, None).await.expect("registered").value
}

async fn refund(rig: &EngineRig, payment: &Payment, amount: i64) -> Result<Refund, Error> {
    let new = NewRefund { amount: Some(amount), ..NewRefund::of(rig.tenant, payment.capture.id) };
    rig.engine.create_refund(new, None).await.map(|done| done.value.refund)
}

async fn resolve(
    rig: &EngineRig,
    refund: &Refund,
    resolution: Resolution,
) -> Result<Refund, Error> {
    let text = Some("paid out of the till, receipt 18".into());
    let decision = Decision { resolution, provider_refund_id: None, text };
    let done = rig.engine.resolve_refund(rig.tenant, refund.id, decision, None).await;
    done.map(|done| done.value.refund)
}

async fn told(rig: &EngineRig) -> usize {
    let events = rig.events().await;
    events.iter().filter(|e| e.event.event_type == Type::RefundAttentionRequired).count()
}

#[tokio::test]
async fn a_refund_of_money_taken_by_hand_waits_for_a_person_who_says_how_it_was_paid() {
    for dispatch_at_once in [true, false] {
        let engine = EngineConfig { dispatch_at_once, ..EngineConfig::default() };
        let rig = EngineRig::open_with(Setup { engine, ..Setup::default() }).await;
        let payment = take(&rig, 10_000).await;
        let made = refund(&rig, &payment, 2_500).await.expect("a refund");
        assert_eq!((made.state, made.sends, made.due_at), (Is::NeedsReview, 0, None));
        assert_eq!(made.failure.as_ref().map(|why| &*why.code), Some("paid_by_hand"));
        assert!(made.needs_attention);
        assert_eq!(rig.amounts(&payment).await, (0, 2_500, 0));
        refund(&rig, &payment, 7_501).await.expect_err("more than what is left");

        // Nobody is called, and a person is told once, however long it takes.
        rig.run_for(40 * 24 * 60 * 60_000).await;
        assert_eq!(rig.reload(&made).await, made);
        assert_eq!(told(&rig).await, 1);
        assert_eq!(rig.engine.calls_under_way(), 0);
        assert_eq!(rig.engine.refund_attempts(&made).await.expect("a read"), []);

        let again =
            resolve(&rig, &made, Resolution::SendAgain).await.expect_err("nobody to send to");
        let Error::Refused(Refusal::NotPossible { code: "paid_by_hand", .. }) = again else {
            panic!("{again:?}")
        };
        let paid = resolve(&rig, &made, Resolution::Succeeded { amount: None }).await;
        assert_eq!(paid.expect("resolved").state, Is::Succeeded);
        let legs = [
            (Code::RevenueRefund, Direction::Debit, 2_500),
            (Code::Cash, Direction::Credit, 2_500),
        ];
        assert_eq!(rig.legs(&made).await, legs);
        assert_eq!(rig.amounts(&payment).await, (2_500, 0, 0));

        let other = refund(&rig, &payment, 7_500).await.expect("a refund");
        let failed = resolve(&rig, &other, Resolution::Failed).await.expect("resolved");
        assert_eq!(failed.state, Is::Failed);
        assert_eq!(rig.amounts(&payment).await, (2_500, 0, 0));
        assert_eq!(rig.engine.backlog().await.expect("a count").refunds_for_attention, 0);
        rig.verify_clean().await;
    }
}

#[tokio::test]
async fn a_repeated_request_for_such_a_refund_has_the_first_answer() {
    let rig = EngineRig::dispatching().await;
    let payment = take(&rig, 10_000).await;
    let key = IdempotencyKey { door: "test", value: "k1".into() };
    let new = NewRefund { amount: Some(2_500), ..NewRefund::of(rig.tenant, payment.capture.id) };
    let first = rig.engine.create_refund(new.clone(), Some(&key)).await.expect("a refund").value;
    resolve(&rig, &first.refund, Resolution::Failed).await.expect("resolved");
    let again = rig.engine.create_refund(new, Some(&key)).await.expect("a refund");
    assert!(again.replayed);
    assert_eq!(
        (again.value.refund.state, &again.value.refund.failure),
        (Is::NeedsReview, &first.refund.failure)
    );
    assert!(again.value.refund.needs_attention);
}
