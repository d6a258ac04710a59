//! Several nodes on one database.

use domain::decide::Refusal;
use domain::line_item::LineItem;
use domain::money::Currency;
use domain::refund::State;
use engine::{Error, NewInvoice};
use std::time::Duration;
use testkit::{EngineRig, Node, within_limit};
use tokio::task::JoinSet;

/// Three nodes that send refunds at once, each with several transactions under way.
fn three(rig: &EngineRig) -> [Node; 3] {
    let mut config = rig.config().clone();
    config.dispatch_at_once = true;
    config.committer.lanes = 2;
    [(); 3].map(|()| {
        let registry = engine::Registry::new().with(rig.simulator.clone());
        Node::start(rig.parts_with(registry, &config))
    })
}

async fn drained(nodes: &[Node; 3]) {
    for node in nodes {
        assert!(node.engine().drain(testkit::LIMIT).await, "a call is still under way");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_full_refunds_through_three_nodes_exactly_one_wins() {
    let rig = EngineRig::open().await;
    let nodes = three(&rig);
    let payment = rig.pay(10_000, "USD").await;
    let mut tasks = JoinSet::new();
    for number in 0..1_000_usize {
        tasks.spawn(rig.refund(&payment).of(nodes[number % 3].engine()).try_create());
    }
    let answers = within_limit("every answer", tasks.join_all()).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for error in answers.into_iter().filter_map(Result::err) {
        let refused = matches!(
            error,
            Error::Refused(Refusal::OverRefund { .. } | Refusal::NothingRefundable { .. })
        );
        assert!(refused, "{error:?}");
    }
    drained(&nodes).await;
    rig.run_until_quiet().await;
    assert_eq!(rig.verify_paid_as_booked(&payment).await, 10_000);
    rig.verify_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partial_refunds_of_many_payments_through_three_nodes_are_paid_once_each() {
    let rig = EngineRig::open().await;
    let nodes = three(&rig);
    let mut payments = Vec::new();
    for _ in 0..20 {
        payments.push(rig.pay(1_000, "USD").await);
    }
    let mut tasks = JoinSet::new();
    for number in 0..600_usize {
        let request = rig.refund(&payments[number % 20]).amount(90).key(&format!("k{number}"));
        tasks.spawn(request.of(nodes[number % 3].engine()).try_create());
    }
    let answers = within_limit("every answer", tasks.join_all()).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 20 * 11);
    drained(&nodes).await;
    rig.run_until_quiet().await;
    for payment in &payments {
        assert_eq!(rig.verify_paid_as_booked(payment).await, 990);
    }
    rig.verify_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_for_different_payments_through_three_nodes_makes_one_refund() {
    let rig = EngineRig::open().await;
    let nodes = three(&rig);
    // Nothing but the key itself keeps these apart: no payment is locked by two of them.
    let mut payments = Vec::new();
    for _ in 0..30 {
        payments.push(rig.pay(1_000, "USD").await);
    }
    let mut tasks = JoinSet::new();
    for (number, payment) in payments.iter().enumerate() {
        let request = rig.refund(payment).amount(500).key("the same");
        tasks.spawn(request.of(nodes[number % 3].engine()).try_create());
    }
    let answers = within_limit("every answer", tasks.join_all()).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for error in answers.into_iter().filter_map(Result::err) {
        assert!(matches!(error, Error::Refused(Refusal::KeyReused)), "{error:?}");
    }
    drained(&nodes).await;
    rig.run_until_quiet().await;
    rig.verify_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn due_refunds_are_sent_by_one_node_each() {
    let rig = EngineRig::open().await;
    let nodes = three(&rig);
    let payment = rig.pay(100_000, "USD").await;
    for _ in 0..100 {
        rig.refund(&payment).amount(10).create().await;
    }
    let [one, two, three] = &nodes;
    let (a, b, c) = tokio::join!(
        one.engine().step_due(100),
        two.engine().step_due(100),
        three.engine().step_due(100)
    );
    let worked: usize = [a, b, c].into_iter().map(|worked| worked.expect("a step")).sum();
    assert_eq!(worked, 100, "each refund is claimed once");
    for refund in rig.refunds_of(&payment).await {
        let states = rig.states(&refund).await;
        assert_eq!(states, [State::Queued, State::Succeeded]);
    }
    assert_eq!(rig.verify_paid_as_booked(&payment).await, 1_000);
    rig.verify_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_on_one_node_sees_what_another_one_records() {
    let rig = EngineRig::open().await;
    let [one, two, _] = three(&rig);
    let payment = rig.pay(10_000, "USD").await;
    let refund = rig.refund(&payment).amount(500).create().await;
    let (engine, tenant, id) = (one.engine().clone(), rig.tenant, refund.id);
    let waiting =
        tokio::spawn(
            async move { engine.wait_for_refund(tenant, id, Duration::from_secs(15)).await },
        );
    assert_eq!(two.engine().step_due(10).await.expect("a step"), 1);
    let seen = within_limit("the waiting to end", waiting).await.expect("no panic");
    let seen = seen.expect("a read").expect("the refund exists");
    assert_eq!(seen.refund.state, State::Succeeded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invoices_of_three_nodes_are_numbered_without_a_gap() {
    let rig = EngineRig::open().await;
    let nodes = three(&rig);
    let mut tasks = JoinSet::new();
    for number in 0..60_usize {
        let engine = nodes[number % 3].engine().clone();
        let new = NewInvoice {
            tenant: rig.tenant,
            customer: "cus_1".into(),
            currency: Currency::parse("USD").expect("a currency"),
            lines: vec![LineItem { text: "tea".into(), quantity: 2, unit_amount: 500 }],
            discount: 0,
            tax: 0,
            due_at: None,
            open: true,
            memo: None,
            subscription: None,
            template: None,
            metadata: None,
        };
        tasks.spawn(async move { engine.create_invoice(new, None).await });
    }
    for made in within_limit("every answer", tasks.join_all()).await {
        made.expect("an invoice");
    }
    rig.verify_clean().await;
}
