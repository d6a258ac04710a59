//! A provider that makes one refund of a payment after another.

use crate::hostile::*;
use domain::outcome::ProviderOutcome as O;
use domain::provider::{PerPayment, Traits};
use domain::refund::{Refund, State as S};
use domain::time::Clock as _;
use engine::{Engine, EngineConfig, Registry};
use providers::{Lookup, RefundInstruction};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use testkit::EngineRig;

const GAP: i64 = 2 * 60_000;
const TAKES: i64 = HOUR;

/// When each refund was asked for, by payment.
type Asked = Arc<Mutex<BTreeMap<Box<str>, Vec<i64>>>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refunds_of_a_payment_go_one_after_another_and_those_of_others_at_once() {
    let rig = EngineRig::open().await;
    let per_payment = PerPayment::OneAtATime { gap_ms: GAP };
    let asked = Asked::default();
    let seen = asked.clone();
    let make = move |f: &Fake, order: &RefundInstruction, _: usize| {
        let mut asked = seen.lock().expect("no panic");
        let times = asked.entry(order.payment.provider_payment_id.clone()).or_default();
        times.push(f.clock.now().0);
        f.make(order, O::Accepted)
    };
    let look = |f: &Fake, order: &RefundInstruction| {
        let book = f.book();
        let known = book.iter().find(|made| made.key == order.key).expect("it was made");
        let is_done = f.clock.now().ms_since(known.at) >= TAKES;
        let outcome = if is_done { O::Completed } else { O::Accepted };
        Lookup::Found(about(order, outcome, &known.id))
    };
    let traits = Traits { per_payment, ..keeps(24, true) };
    let psp = fake(&rig, "psp", traits, make, look);
    let config = EngineConfig { dispatch_at_once: true, ..rig.config().clone() };
    let engine = Engine::start(rig.parts_with(Registry::new().with(psp), &config));
    let (one, other) =
        (pay(&engine, &rig, "psp", "ch_1").await, pay(&engine, &rig, "psp", "ch_2").await);
    rig.clock.advance(GAP);
    let mut refunds: Vec<Refund> = Vec::new();
    for payment in [&one, &one, &one, &other] {
        refunds.push(rig.refund(payment).amount(1_000).of(&engine).create().await);
    }
    let states: Vec<_> = refunds.iter().map(|refund| refund.state).collect();
    assert_eq!(states, [S::Sending, S::Queued, S::Queued, S::Sending]);
    engine.drain(testkit::LIMIT).await;
    run(&engine, &rig, 24 * HOUR).await;
    for refund in &refunds {
        assert_eq!(rig.reload(refund).await.state, S::Succeeded);
    }
    let asked = asked.lock().expect("no panic").clone();
    assert_eq!((asked["ch_1"].len(), asked["ch_2"].len()), (3, 1));
    for pair in asked["ch_1"].windows(2) {
        assert!(pair[1] - pair[0] >= TAKES + GAP, "the one before was not done: {asked:?}");
    }
    assert_eq!(asked["ch_1"][0], asked["ch_2"][0], "another payment does not wait");
}
