//! Webhooks that come in.

use domain::refund::State;
use domain::tenant::{Mode, Tenant};
use domain::time::Clock as _;
use engine::{Engine, InboundWebhook, Registry, WebhookError};
use providers::Inbound;
use std::sync::Mutex;
use testkit::{EngineRig, TellingProvider};

/// Takes the simulator's webhooks out of the mail instead of delivering them.
#[derive(Default)]
struct Mailbox(Mutex<Vec<InboundWebhook>>);

#[async_trait::async_trait]
impl simulator::WebhookSink for Mailbox {
    async fn deliver(&self, _: Tenant, webhook: InboundWebhook) -> bool {
        self.0.lock().expect("the mailbox").push(webhook);
        true
    }
}

async fn catch_webhook(rig: &EngineRig) -> InboundWebhook {
    let mailbox = Mailbox::default();
    rig.simulator.step(&mailbox, 10).await;
    let [webhook] = mailbox.0.into_inner().expect("the mailbox").try_into().expect("one webhook");
    webhook
}

#[tokio::test]
async fn a_webhook_that_comes_again_and_again_is_booked_once() {
    let rig = EngineRig::open().await;
    let payment = rig.pay(10_000, "USD").await;
    rig.refund_in_dashboard(&payment, 3_000).await;
    let webhook = catch_webhook(&rig).await;
    for _ in 0..3 {
        let taken =
            rig.engine.receive_webhook(rig.tenant, "simulator", None, webhook.clone()).await;
        taken.expect("acknowledged");
    }
    assert_eq!(rig.refunds_of(&payment).await.len(), 1);
    assert_eq!(rig.amounts(&payment).await, (3_000, 0, 0));
    rig.verify_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_comes_many_times_at_once_is_booked_once() {
    let rig = EngineRig::open().await;
    let payment = rig.pay(10_000, "USD").await;
    rig.refund_in_dashboard(&payment, 3_000).await;
    let webhook = catch_webhook(&rig).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (engine, tenant, webhook) = (rig.engine.clone(), rig.tenant, webhook.clone());
        tasks
            .spawn(async move { engine.receive_webhook(tenant, "simulator", None, webhook).await });
    }
    for taken in tasks.join_all().await {
        taken.expect("acknowledged");
    }
    assert_eq!(rig.refunds_of(&payment).await.len(), 1);
    assert_eq!(rig.amounts(&payment).await, (3_000, 0, 0));
    rig.verify_clean().await;
}

#[tokio::test]
async fn a_webhook_with_one_byte_changed_is_refused() {
    let rig = EngineRig::open().await;
    let payment = rig.pay(10_000, "USD").await;
    rig.refund_in_dashboard(&payment, 3_000).await;
    let mut webhook = catch_webhook(&rig).await;
    let text = String::from_utf8(webhook.body).expect("text").replace("3000", "9000");
    webhook.body = text.into_bytes();
    let refused = rig.engine.receive_webhook(rig.tenant, "simulator", None, webhook).await;
    assert!(matches!(refused, Err(WebhookError::Refused(_))), "{refused:?}");
    assert!(rig.refunds_of(&payment).await.is_empty());
}

#[tokio::test]
async fn a_webhook_of_an_unknown_payment_or_of_another_mode_changes_nothing() {
    let rig = EngineRig::open().await;
    let payment = rig.pay(10_000, "USD").await;
    let refund = rig.refund(&payment).amount(500).simulate("succeed_after:10").create().await;
    rig.run_now().await;
    rig.clock.advance(10);
    let webhook = catch_webhook(&rig).await;
    let live = Tenant::new(rig.tenant.account(), Mode::Live);
    rig.engine
        .receive_webhook(live, "simulator", None, webhook.clone())
        .await
        .expect("acknowledged");
    assert_eq!(rig.reload(&refund).await.state, State::Submitted);
    let unknown = rig.engine.receive_webhook(rig.tenant, "nobody", None, webhook.clone()).await;
    assert!(matches!(unknown, Err(WebhookError::UnknownProvider)), "{unknown:?}");
    rig.engine.receive_webhook(rig.tenant, "simulator", None, webhook).await.expect("acknowledged");
    assert_eq!(rig.reload(&refund).await.state, State::Succeeded);
    rig.verify_clean().await;
}

#[tokio::test]
async fn a_remembered_event_of_a_provider_is_no_fault_of_the_books() {
    let mut rig = EngineRig::open().await;
    let teller = TellingProvider::new();
    rig.engine = Engine::start(rig.parts_with(Registry::new().with(teller.clone()), rig.config()));
    let webhook = InboundWebhook {
        url: "".into(),
        headers: Vec::new(),
        body: Vec::new(),
        received_at: rig.clock.now(),
    };
    teller.says(Inbound { event: Some("evt_1".into()), ..Inbound::default() });
    let taken = rig.engine.receive_webhook(rig.tenant, TellingProvider::NAME, None, webhook).await;
    taken.expect("acknowledged");
    rig.verify_clean().await;
}
