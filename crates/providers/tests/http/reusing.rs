//! Connections that are used again, and those that turn out dead.

use super::gateway::{
    Gateway, Step, answered, eventually, no_answer, refund, reply, soon, within_limit,
};
use providers::http::{Deadline, Exchange};
use std::time::Duration;

fn ok() -> Step {
    reply("200 OK", "{}")
}

#[tokio::test]
async fn one_connection_serves_call_after_call() {
    let gateway = Gateway::start(vec![vec![ok(); 20]]).await;
    let host = gateway.host();
    for _ in 0..20 {
        assert_eq!(answered(host.send(refund(&host), soon()).await).status(), 200);
    }
    assert_eq!((gateway.requests().len(), gateway.connections()), (20, 1));
}

#[tokio::test]
async fn clones_share_connections_and_parallel_calls_do_not() {
    let gateway = Gateway::start(vec![vec![ok(); 100]]).await;
    let host = gateway.host();
    let calls: Vec<_> = (0..30)
        .map(|_| {
            let host = host.clone();
            tokio::spawn(async move { host.send(refund(&host), soon()).await })
        })
        .collect();
    for call in calls {
        assert_eq!(answered(within_limit("a call", call).await.expect("no panic")).status(), 200);
    }
    let opened = gateway.connections();
    answered(host.clone().send(refund(&host), soon()).await);
    assert_eq!(gateway.connections(), opened);
    assert_eq!(gateway.requests().len(), 31);
}

#[tokio::test]
async fn a_kept_connection_that_the_server_closed_is_left_alone() {
    // The close has arrived when the second call begins.
    let gateway = Gateway::start(vec![vec![ok()], vec![ok()]]).await;
    let host = gateway.host();
    answered(host.send(refund(&host), soon()).await);
    gateway.done_with(1).await;
    // The client learns of it when its task runs.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    answered(host.send(refund(&host), soon()).await);
    assert_eq!((gateway.requests().len(), gateway.connections()), (2, 2));
}

#[tokio::test]
async fn a_request_on_a_dying_connection_is_never_sent_twice() {
    for dying in [Step::ReadAndClose, Step::Reset] {
        let gateway = Gateway::start(vec![vec![ok(), dying.clone()], vec![ok()]]).await;
        let host = gateway.host();
        answered(host.send(refund(&host), soon()).await);
        let second = host.send(refund(&host), soon()).await;
        assert_eq!(no_answer(second).code.as_ref(), "connection_broken");
        gateway.done_with(1).await;
        let read = if matches!(dying, Step::Reset) { 1 } else { 2 };
        assert_eq!((gateway.requests().len(), gateway.connections()), (read, 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whenever_a_server_closes_a_request_is_sent_at_most_once() {
    // The server closes after each answer, at the moment at which the next call begins. A call ends
    // with an answer, and then the server saw it once; or without, and then it saw it at most once.
    let gateway = Gateway::start(vec![vec![ok()]]).await;
    let host = gateway.host();
    let (mut answers, mut unknown) = (0, 0);
    for _ in 0..300 {
        match host.send(refund(&host), soon()).await {
            Exchange::Answered(_) => answers += 1,
            Exchange::SentNoAnswer(_) => unknown += 1,
            Exchange::NotConnected(why) => panic!("a new connection was possible: {why:?}"),
        }
        let seen = gateway.requests().len();
        assert!((answers..=answers + unknown).contains(&seen), "{seen} {answers} {unknown}");
    }
    assert!(answers > 0);
}

#[tokio::test]
async fn an_answer_that_was_not_asked_for_answers_nothing() {
    // Two answers to one request, as from a gateway that has lost count.
    let mut twice = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirst".to_vec();
    twice.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwrong");
    let gateway = Gateway::start(vec![vec![Step::Answer(twice), ok()], vec![ok()]]).await;
    let host = gateway.host();
    assert_eq!(answered(host.send(refund(&host), soon()).await).body(), "first");
    assert_eq!(answered(host.send(refund(&host), soon()).await).body(), "{}");
    assert_eq!(gateway.connections(), 2);
}

#[tokio::test]
async fn a_broken_answer_ends_its_connection() {
    let too_large = reply("200 OK", &"x".repeat(2_000_000));
    let gateway = Gateway::start(vec![vec![too_large], vec![ok(), ok()]]).await;
    let host = gateway.host();
    no_answer(host.send(refund(&host), soon()).await);
    answered(host.send(refund(&host), soon()).await);
    answered(host.send(refund(&host), soon()).await);
    assert_eq!(gateway.connections(), 2);
}

#[tokio::test]
async fn a_call_that_is_given_up_cuts_its_connection() {
    let gateway = Gateway::start(vec![vec![Step::Silence], vec![ok()]]).await;
    let host = gateway.host();
    let given_up = async {
        let call = host.send(refund(&host), soon());
        let seen = eventually("the request", || gateway.requests().len() == 1);
        tokio::select! { exchange = call => panic!("{exchange:?}"), () = seen => {} }
    };
    given_up.await;
    gateway.done_with(1).await;
    answered(host.send(refund(&host), soon()).await);
    assert_eq!(gateway.connections(), 2);
}

#[tokio::test]
async fn an_idle_connection_is_not_used_after_half_a_minute() {
    let gateway = Gateway::start(vec![vec![ok(); 3]]).await;
    let host = gateway.host();
    answered(host.send(refund(&host), soon()).await);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(29)).await;
    tokio::time::resume();
    answered(host.send(refund(&host), soon()).await);
    assert_eq!(gateway.connections(), 1);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    tokio::time::resume();
    answered(host.send(refund(&host), Deadline::within(Duration::from_secs(20))).await);
    assert_eq!(gateway.connections(), 2);
}
