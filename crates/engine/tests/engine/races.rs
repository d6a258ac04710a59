//! Many callers at once.

use domain::decide::Refusal;
use domain::payment::Payment;
use domain::refund::State;
use engine::{Answered, Error, RefundView};
use std::collections::HashSet;
use testkit::{EngineRig, RefundRequest, Setup, within_limit};
use tokio::task::JoinSet;

type Answer = Result<Answered<RefundView>, Error>;

/// Makes all requests at the same time.
async fn at_once(requests: impl IntoIterator<Item = RefundRequest>) -> Vec<Answer> {
    let mut tasks = JoinSet::new();
    for request in requests {
        tasks.spawn(request.try_create());
    }
    within_limit("every answer", tasks.join_all()).await
}

/// The sum of what was accepted. Everything else was refused for the balance.
fn accepted(answers: &[Answer]) -> i64 {
    let amount = |answer: &Answer| match answer {
        Ok(answered) => answered.value.refund.amount,
        Err(Error::Refused(Refusal::OverRefund { .. } | Refusal::NothingRefundable { .. })) => 0,
        Err(error) => panic!("{error:?}"),
    };
    answers.iter().map(amount).sum()
}

async fn assert_settled_books(rig: &EngineRig, payment: &Payment, refunded: i64) {
    rig.run_until_quiet().await;
    assert_eq!(rig.amounts(payment).await, (refunded, 0, 0));
    assert_eq!(rig.verify_paid_as_booked(payment).await, refunded);
    rig.verify_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_full_refunds_at_once_exactly_one_wins() {
    let rig = EngineRig::dispatching().await;
    let payment = rig.pay(10_000, "USD").await;
    let answers = at_once((0..1_000).map(|_| rig.refund(&payment))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert_eq!(accepted(&answers), 10_000);
    assert_settled_books(&rig, &payment, 10_000).await;
    assert_eq!(rig.book(&payment).await.payouts.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_partial_refunds_at_once_never_pass_the_captured_amount() {
    let rig = EngineRig::dispatching().await;
    let payment = rig.pay(10_000, "USD").await;
    let answers = at_once((0..200).map(|_| rig.refund(&payment).amount(70))).await;
    let expected = 10_000 / 70;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), expected);
    assert_eq!(accepted(&answers), 9_940);
    assert_settled_books(&rig, &payment, 9_940).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partial_refunds_of_all_sizes_through_two_nodes_stay_within_the_captured_amount() {
    let rig = EngineRig::dispatching().await;
    let other = rig.start_node(rig.simulator.clone());
    let payment = rig.pay(10_000, "USD").await;
    let requests = (1..=200).map(|size| {
        let request = rig.refund(&payment).amount(size);
        if size % 2 == 0 { request.of(other.engine()) } else { request }
    });
    let answers = at_once(requests).await;
    let sum = accepted(&answers);
    assert!((9_800..=10_000).contains(&sum), "{sum}");
    assert!(other.engine().drain(testkit::LIMIT).await);
    assert_settled_books(&rig, &payment, sum).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_a_hundred_times_at_once_makes_one_refund_and_a_hundred_equal_answers() {
    let rig = EngineRig::dispatching().await;
    let other = rig.start_node(rig.simulator.clone());
    let payment = rig.pay(10_000, "USD").await;
    let requests = (0..100).map(|number| {
        let request = rig.refund(&payment).amount(2_500).key("once");
        if number % 2 == 0 { request.of(other.engine()) } else { request }
    });
    let answers = at_once(requests).await;
    assert_one_refund_and_equal_answers(answers);
    assert!(other.engine().drain(testkit::LIMIT).await);
    assert_settled_books(&rig, &payment, 2_500).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_reference_a_hundred_times_at_once_makes_one_refund() {
    let rig = EngineRig::dispatching().await;
    let payment = rig.pay(10_000, "USD").await;
    let requests = (0..100).map(|number| {
        let request = rig.refund(&payment).amount(2_500).reference("order-7");
        // Some callers also make up a key for every try.
        if number % 2 == 0 { request.key(&format!("try-{number}")) } else { request }
    });
    assert_one_refund_and_equal_answers(at_once(requests).await);
    assert_settled_books(&rig, &payment, 2_500).await;
}

fn assert_one_refund_and_equal_answers(answers: Vec<Answer>) {
    let answers: Vec<_> =
        answers.into_iter().map(|answer| answer.expect("every request is answered")).collect();
    assert_eq!(answers.iter().filter(|answered| answered.replayed).count(), 99);
    let as_printed = |answered: &Answered<RefundView>| {
        let refund = &answered.value.refund;
        let outcome = (refund.provider_refund_id.clone(), refund.failure.is_none());
        (refund.id, refund.amount, refund.state, refund.updated_at, outcome)
    };
    let different: HashSet<_> = answers.iter().map(as_printed).collect();
    assert_eq!(different.len(), 1, "{different:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_request_under_a_key_is_refused_also_at_the_same_time() {
    let rig = EngineRig::dispatching().await;
    let payment = rig.pay(10_000, "USD").await;
    let requests = (0..100).map(|number| rig.refund(&payment).amount(100 + number % 2).key("k"));
    let answers = at_once(requests).await;
    let (answered, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((answered.len(), refused.len()), (50, 50));
    for answer in refused {
        let error = answer.expect_err("refused");
        assert!(matches!(error, Error::Refused(Refusal::KeyReused)), "{error:?}");
    }
    rig.run_until_quiet().await;
    assert_eq!(rig.refunds_of(&payment).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_never_work_on_the_same_refund_at_the_same_time() {
    let rig = EngineRig::open_with(Setup::default()).await;
    let other = rig.start_node(rig.simulator.clone());
    let payment = rig.pay(10_000, "USD").await;
    for _ in 0..50 {
        rig.refund(&payment).amount(10).create().await;
    }
    let (here, there) = tokio::join!(rig.engine.step_due(50), other.engine().step_due(50));
    let (here, there) = (here.expect("a step"), there.expect("a step"));
    assert_eq!(here + there, 50, "each refund is claimed once");
    for refund in rig.refunds_of(&payment).await {
        let states = rig.states(&refund).await;
        assert_eq!(states, [State::Queued, State::Succeeded]);
    }
    assert_settled_books(&rig, &payment, 500).await;
}
