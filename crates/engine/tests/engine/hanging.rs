//! A provider that never answers.

use crate::hostile::*;
use async_trait::async_trait;
use domain::outcome::{Failure, ProviderOutcome as O, Said};
use domain::payment::Capture;
use domain::provider::Traits;
use domain::refund::{Refund, State as S};
use domain::tenant::Tenant;
use domain::time::Timestamp;
use engine::{Engine, InboundWebhook, Registry};
use providers::{
    Call, Inbound, Listed, Lookup, PaymentReport, Provider, RefundInstruction, WebhookRefused,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use testkit::{EngineRig, Setup, eventually};

/// A provider that hangs.
struct Hangs;

#[async_trait]
impl Provider for Hangs {
    fn name(&self) -> &'static str {
        "hangs"
    }

    fn traits(&self) -> Traits {
        keeps(24, false)
    }

    fn check(&self, _: &RefundInstruction, _: Timestamp) -> Result<(), Failure> {
        Ok(())
    }

    async fn submit(&self, _: &RefundInstruction, _: Call) -> Said {
        std::future::pending().await
    }

    async fn lookup(&self, _: &RefundInstruction, _: Call) -> Lookup {
        std::future::pending().await
    }

    async fn list(&self, _: &Capture, _: Option<&str>, _: Call) -> Result<Listed, Failure> {
        std::future::pending().await
    }

    async fn payment(&self, _: Tenant, _: &str, _: Call) -> Result<Option<PaymentReport>, Failure> {
        std::future::pending().await
    }

    async fn receive(&self, _: &InboundWebhook, _: Call) -> Result<Inbound, WebhookRefused> {
        Err(WebhookRefused::Forged)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_hangs_does_not_take_every_call() {
    let mut setup = Setup::default();
    setup.engine.dispatch_limit = 4;
    setup.engine.provider_timeout = Duration::from_mins(10);
    setup.engine.lease_ms = 900_000;
    let rig = EngineRig::open_with(setup).await;
    let good = fake(&rig, "good", keeps(24, true), completes, absent);
    let registry = Registry::new().with(Arc::new(Hangs)).with(good.clone());
    let engine = Engine::start(rig.parts_with(registry, rig.config()));
    let stuck = pay(&engine, &rig, "hangs", "ch_1").await;
    for _ in 0..40 {
        rig.refund(&stuck).amount(1).of(&engine).create().await;
    }
    let fine = pay(&engine, &rig, "good", "ch_2").await;
    let refund: Refund = rig.refund(&fine).amount(1).of(&engine).create().await;
    eventually("the healthy provider's refund", async || {
        for leased in engine.lease_due(128).await.expect("a step") {
            let worker = engine.clone();
            engine.spawn(async move { worker.work(leased).await });
        }
        (rig.reload(&refund).await.state == S::Succeeded).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_six_hours_is_told_in_three_events_at_most() {
    for outcome in [O::NeverSent, O::Unknown] {
        let rig = EngineRig::open().await;
        let down = Arc::new(AtomicBool::new(true));
        let is_down = down.clone();
        let make = move |f: &Fake, order: &RefundInstruction, _: usize| {
            if is_down.load(Ordering::SeqCst) {
                return because(outcome, "connection_failed");
            }
            f.make(order, O::Completed)
        };
        let psp = fake(&rig, "psp", keeps(24, false), make, absent);
        let engine = Engine::start(rig.parts_with(Registry::new().with(psp.clone()), rig.config()));
        let payment = pay(&engine, &rig, "psp", "ch_1").await;
        let mut refunds: Vec<Refund> = Vec::new();
        for _ in 0..50 {
            refunds.push(rig.refund(&payment).amount(1).of(&engine).create().await);
        }
        run(&engine, &rig, 6 * HOUR).await;
        let (calls, _) = psp.calls();
        assert!(calls < 1_000, "{calls} calls for 50 refunds in 6 hours");
        for refund in &refunds {
            let told = rig.reload(refund).await.last_seq;
            assert!(told <= 3, "{told} events after {outcome:?}");
        }
        down.store(false, Ordering::SeqCst);
        run(&engine, &rig, 6 * HOUR).await;
        for refund in &refunds {
            assert_eq!(rig.reload(refund).await.state, S::Succeeded, "{outcome:?}");
        }
        assert_eq!(psp.paid(), 50);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn providers_with_backlogs_take_turns_for_the_last_call() {
    let mut setup = Setup::default();
    // One call for new refunds, and one for due ones.
    setup.engine.dispatch_limit = 2;
    let rig = EngineRig::open_with(setup).await;
    let names = ["one", "two", "three"];
    let psps = names.map(|name| fake(&rig, name, keeps(24, true), completes, absent));
    let registry = psps.iter().cloned().fold(Registry::new(), |all, psp| all.with(psp));
    let engine = Engine::start(rig.parts_with(registry, rig.config()));
    for name in names {
        let payment = pay(&engine, &rig, name, "ch_1").await;
        for _ in 0..10 {
            rig.refund(&payment).amount(1).of(&engine).create().await;
        }
    }
    for _ in 0..9 {
        assert_eq!(engine.step_due(128).await.expect("a step"), 1);
    }
    assert_eq!(psps.map(|psp| psp.paid()), [3, 3, 3]);
}
