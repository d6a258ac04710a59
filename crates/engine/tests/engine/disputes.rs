//! Disputes that a provider tells of.

use domain::decide::Refusal;
use domain::hold::{Hold, NewHold, State};
use domain::ids::PaymentId;
use domain::money::{Currency, Money};
use domain::outcome::Source;
use domain::payment::Payment;
use domain::refund::Origin;
use domain::time::Clock as _;
use engine::{
    DisputeNotice, DisputeStage, End, Engine, Error, InboundWebhook, KeptNotice, NewPayment,
    NoticeAbout, PageQuery, Registry, SortOrder, Unmatched,
};
use providers::Inbound;
use std::sync::Arc;
use testkit::{EngineRig, TellingProvider};

struct Shop {
    rig: EngineRig,
    teller: Arc<TellingProvider>,
}

const ALL: PageQuery =
    PageQuery { limit: 100, after: None, order: SortOrder::Ascending, from: None, until: None };

impl Shop {
    async fn open() -> Self {
        let mut rig = EngineRig::open().await;
        let teller = TellingProvider::new();
        let registry = Registry::new().with(rig.simulator.clone()).with(teller.clone());
        rig.engine = Engine::start(rig.parts_with(registry, rig.config()));
        Self { rig, teller }
    }

    async fn pay(&self, charge: &str, captured: i64) -> PaymentId {
        let new = NewPayment {
            provider: TellingProvider::NAME.into(),
            ..self.rig.new_payment(charge, captured, "USD")
        };
        let made = self.rig.engine.register_payment(new, None).await.expect("registered");
        made.value.capture.id
    }

    /// The provider tells of the dispute `dp_1` of the payment `ch_1`.
    async fn tell(&self, stage: DisputeStage, minor: i64) {
        self.tell_in(stage, minor, "USD").await;
    }

    async fn tell_in(&self, stage: DisputeStage, minor: i64, currency: &str) {
        let currency = Currency::parse(currency).expect("a currency");
        let told = DisputeNotice {
            provider_payment_id: "ch_1".into(),
            dispute: "dp_1".into(),
            money: Money::new(minor, currency),
            stage,
        };
        self.teller.says(Inbound { disputes: vec![told], ..Inbound::default() });
        let webhook = InboundWebhook {
            url: "".into(),
            headers: Vec::new(),
            body: Vec::new(),
            received_at: self.rig.clock.now(),
        };
        let name = TellingProvider::NAME;
        let taken = self.rig.engine.receive_webhook(self.rig.tenant, name, None, webhook).await;
        taken.expect("acknowledged");
    }

    async fn holds(&self, payment: PaymentId) -> Vec<Hold> {
        let found = self.rig.engine.list_holds(self.rig.tenant, payment, ALL).await;
        found.expect("a read").items
    }

    async fn kept(&self) -> Vec<KeptNotice> {
        let found = self.rig.engine.list_unmatched_notices(self.rig.tenant, ALL).await;
        found.expect("a read").items
    }

    async fn balance(&self, payment: PaymentId) -> [i64; 4] {
        let Payment { refunded, held, held_excess, excess, .. } = self.rig.payment(payment).await;
        [refunded, held, held_excess, excess]
    }
}

#[tokio::test]
async fn a_dispute_is_held_once_and_its_end_decides() {
    for (end, state, balance) in [
        (DisputeStage::Won, State::Released, [0, 0, 0, 0]),
        (DisputeStage::Lost, State::Booked, [700, 0, 0, 0]),
    ] {
        let shop = Shop::open().await;
        let payment = shop.pay("ch_1", 1_000).await;
        shop.tell(DisputeStage::Open, 700).await;
        shop.tell(DisputeStage::Open, 700).await;
        assert_eq!(shop.balance(payment).await, [0, 700, 0, 0]);
        let [hold] = &shop.holds(payment).await[..] else { panic!("one hold") };
        assert_eq!((hold.state, hold.reference.as_deref()), (State::Open, Some("dp_1")));
        assert_eq!((&*hold.reason, hold.source), ("dispute", Source::Webhook));
        shop.tell(end, 700).await;
        shop.tell(end, 700).await;
        shop.tell(DisputeStage::Open, 700).await;
        assert_eq!(shop.balance(payment).await, balance, "{end:?}");
        let [hold] = &shop.holds(payment).await[..] else { panic!("one hold") };
        assert_eq!(hold.state, state);
        assert!(shop.kept().await.is_empty());
        shop.rig.verify_clean().await;
    }
}

#[tokio::test]
async fn the_order_in_which_a_dispute_is_told_does_not_matter() {
    for (end, balance) in [(DisputeStage::Won, [0, 0, 0, 0]), (DisputeStage::Lost, [700, 0, 0, 0])]
    {
        let shop = Shop::open().await;
        let payment = shop.pay("ch_1", 1_000).await;
        shop.tell(end, 700).await;
        shop.tell(DisputeStage::Open, 700).await;
        assert_eq!(shop.balance(payment).await, balance, "{end:?}");
        assert_eq!(shop.holds(payment).await.len(), 1);
        shop.rig.verify_clean().await;
    }
}

#[tokio::test]
async fn the_amount_that_was_lost_is_booked_and_not_the_one_that_was_held() {
    let shop = Shop::open().await;
    let payment = shop.pay("ch_1", 1_000).await;
    shop.tell(DisputeStage::Open, 700).await;
    shop.tell(DisputeStage::Lost, 1_100).await;
    assert_eq!(shop.balance(payment).await, [1_100, 0, 0, 100]);
    let now = shop.rig.payment(payment).await;
    let [refund] = &shop.rig.refunds_of(&now).await[..] else { panic!("one refund") };
    assert_eq!((refund.origin, refund.reason.as_deref()), (Origin::External, Some("dispute")));
    shop.rig.verify_clean().await;
}

/// A person took the dispute for lost and booked a part of it: the rest that the provider tells of is money that
/// nobody booked.
#[tokio::test]
async fn a_dispute_that_was_booked_with_another_amount_than_was_lost_is_kept_for_a_person() {
    let shop = Shop::open().await;
    let payment = shop.pay("ch_1", 1_000).await;
    shop.tell(DisputeStage::Open, 700).await;
    let [hold] = &shop.holds(payment).await[..] else { panic!("one hold") };
    let (engine, tenant) = (&shop.rig.engine, shop.rig.tenant);
    let part = End::Book { amount: Some(100) };
    engine.end_hold(tenant, payment, hold.id, part, None).await.expect("booked");
    shop.tell(DisputeStage::Lost, 100).await;
    assert!(shop.kept().await.is_empty(), "the same amount is the same end");
    shop.tell(DisputeStage::Lost, 700).await;
    let [kept] = &shop.kept().await[..] else { panic!("kept once") };
    assert_eq!(&*kept.reason, Unmatched::HoldEnded.as_str());
    assert_eq!(shop.balance(payment).await, [100, 0, 0, 0]);
}

#[tokio::test]
async fn a_dispute_of_a_payment_that_comes_later_is_kept_and_held_then() {
    let shop = Shop::open().await;
    shop.tell(DisputeStage::Open, 700).await;
    shop.tell(DisputeStage::Open, 700).await;
    let [kept] = &shop.kept().await[..] else { panic!("kept once") };
    let NoticeAbout::Dispute(told) = &kept.about else { panic!("{kept:?}") };
    assert_eq!((&*told.dispute, told.stage, told.money.minor), ("dp_1", DisputeStage::Open, 700));
    assert_eq!(&*kept.reason, Unmatched::PaymentNotRegistered.as_str());
    let payment = shop.pay("ch_1", 1_000).await;
    assert_eq!(shop.balance(payment).await, [0, 700, 0, 0]);
    assert!(shop.kept().await.is_empty());
    shop.rig.verify_clean().await;
}

#[tokio::test]
async fn what_does_not_fit_is_kept_for_a_person() {
    let shop = Shop::open().await;
    let payment = shop.pay("ch_1", 1_000).await;
    shop.tell_in(DisputeStage::Open, 700, "EUR").await;
    shop.tell(DisputeStage::Open, 0).await;
    assert!(shop.holds(payment).await.is_empty());
    shop.tell(DisputeStage::Open, 700).await;
    shop.tell_in(DisputeStage::Lost, 700, "EUR").await;
    assert_eq!(shop.balance(payment).await, [0, 700, 0, 0], "nothing was booked in euros");
    shop.tell(DisputeStage::Won, 700).await;
    shop.tell(DisputeStage::Lost, 700).await;
    assert_eq!(shop.balance(payment).await, [0; 4]);
    let kept = shop.kept().await;
    let reasons: Vec<_> = kept.iter().map(|kept| (&*kept.reason, kept.due_at)).collect();
    let [other, none, ended] = ["other_currency", "no_amount", "hold_ended"];
    assert_eq!(reasons, [(other, None), (none, None), (other, None), (ended, None)]);
    shop.rig.verify_clean().await;
}

#[tokio::test]
async fn a_dispute_that_a_person_held_is_the_one_that_the_provider_tells_of() {
    let shop = Shop::open().await;
    let payment = shop.pay("ch_1", 1_000).await;
    let new = |amount| NewHold {
        tenant: shop.rig.tenant,
        payment,
        amount,
        currency: None,
        reason: "letter from the bank".into(),
        reference: Some("dp_1".into()),
        source: Source::Operator,
    };
    let placed = shop.rig.engine.place_hold(new(500), None).await.expect("placed").value;
    let again = shop.rig.engine.place_hold(new(500), None).await.expect("the same");
    assert_eq!((again.value.id, again.replayed), (placed.id, true));
    let other = shop.rig.engine.place_hold(new(501), None).await.map(|_| ());
    let Err(Error::Refused(Refusal::DisputeHeld(held))) = other else { panic!("{other:?}") };
    assert_eq!(held, placed.id);
    shop.tell(DisputeStage::Open, 700).await;
    assert_eq!(shop.balance(payment).await, [0, 700, 0, 0]);
    shop.tell(DisputeStage::Lost, 700).await;
    assert_eq!(shop.balance(payment).await, [700, 0, 0, 0]);
    // A hold of another payment is not found under this one.
    let elsewhere = shop.pay("ch_2", 1_000).await;
    let engine = &shop.rig.engine;
    let ended = engine.end_hold(shop.rig.tenant, elsewhere, placed.id, End::Release, None).await;
    let ended = ended.map(|_| ());
    assert!(matches!(ended, Err(Error::Refused(Refusal::HoldNotFound))), "{ended:?}");
    shop.rig.verify_clean().await;
}

#[tokio::test]
async fn a_dispute_that_a_person_took_for_another_payments_books_nothing_there() {
    let shop = Shop::open().await;
    let disputed = shop.pay("ch_1", 10_000).await;
    let other = shop.pay("ch_2", 10_000).await;
    let new = NewHold {
        tenant: shop.rig.tenant,
        payment: other,
        amount: 10_000,
        currency: None,
        reason: "dispute".into(),
        reference: Some("dp_1".into()),
        source: Source::Operator,
    };
    shop.rig.engine.place_hold(new, None).await.expect("held");
    shop.tell(DisputeStage::Lost, 10_000).await;
    assert!(shop.rig.refunds_of(&shop.rig.payment(other).await).await.is_empty());
    assert!(shop.rig.refunds_of(&shop.rig.payment(disputed).await).await.is_empty());
    let kept = shop.kept().await;
    assert_eq!(&*kept[0].reason, Unmatched::Refused.as_str());
}

#[tokio::test]
async fn a_dispute_that_grows_holds_more_and_one_that_shrinks_what_it_held() {
    let shop = Shop::open().await;
    let payment = shop.pay("ch_1", 10_000).await;
    for (told, held) in [(4_000, 4_000), (10_000, 10_000), (3_000, 10_000), (10_000, 10_000)] {
        shop.tell(DisputeStage::Open, told).await;
        let now = shop.rig.payment(payment).await;
        assert_eq!((now.held, now.refundable()), (held, 10_000 - held), "{told}");
    }
    shop.tell(DisputeStage::Won, 10_000).await;
    let now = shop.rig.payment(payment).await;
    assert_eq!((now.held, now.refundable()), (0, 10_000));
    shop.rig.verify_clean().await;
}
