//! A network that fails: at a commit, before it reaches the server or before its answer is back, or
//! as a whole.

use crate::requests::{api_key, name, request};
use crate::world::{NOW, World};
use domain::ids::AccountId;
use domain::view::{RowKeys, View};
use std::time::Duration;
use store::{IdempotentRequest, Once, PostgresStore, StoreError};
use testkit::eventually;
use testkit::postgres::{BlockingSession, Fault, Proxy, cluster, database_of};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Limits of both sides, short but longer than a busy machine stands still: the client waits this
/// long for an answer, the server for the next statement.
const IMPATIENT: &str = "&answer_timeout=3&connect_timeout=3\
     &options=-c%20idle_in_transaction_session_timeout%3D1500";

/// Long enough for both sides to give up and try again.
const SOON: Duration = testkit::LIMIT;

/// A world behind a network that can fail.
async fn behind_a_network() -> (World, Proxy) {
    let network = Proxy::start(cluster()).await;
    let url = network.url(&cluster().database().await) + IMPATIENT;
    (World::at(url).await, network)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_under_a_name_is_done_once_when_the_commit_fails() {
    let (world, network) = behind_a_network().await;
    world.account().await;
    for (number, fault) in (1..).zip(Fault::ALL) {
        let name = name(&world, number, 1, NOW);
        network.at_next_commit(fault);
        let making = world.store.create_api_key(api_key(number), [number + 99; 32], Some(name));
        let made = timeout(SOON, making).await.expect("an answer in time");
        assert!(matches!(made, Ok(Once::Done(()))), "{fault:?}: {made:?}");
        assert!(network.has_struck());
        assert_eq!(world.store.list_api_keys().await.expect("a read").len(), usize::from(number));
    }
    for (key, fault) in (1..).zip(Fault::ALL) {
        let new = request(&world, key, NOW);
        network.at_next_commit(fault);
        let begun = timeout(SOON, world.store.begin_request(new, NOW)).await;
        let begun = begun.expect("an answer in time").expect("a request");
        assert_eq!(begun, IdempotentRequest::Process(new.generation), "{fault:?}");
        assert!(network.has_struck());
        let other = world.store.begin_request(request(&world, key, NOW), NOW).await;
        assert_eq!(other.expect("a request"), IdempotentRequest::Running);
    }
    world.verify_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_whose_commit_fails_is_found_or_unknown_and_never_twice() {
    let (world, network) = behind_a_network().await;
    let payment = world.pay(1, 1_000).await.capture.id;
    for (key, fault) in (1..).zip(Fault::ALL) {
        network.at_next_commit(fault);
        let refund = || world.try_run(NOW, vec![world.refund(payment, 10, Some(key))]);
        let first = timeout(SOON, refund()).await.expect("an answer in time");
        assert!(network.has_struck());
        match first {
            Ok(answers) => {
                assert!(fault.commits() && answers[0].is_ok(), "{fault:?}: {answers:?}");
            }
            // The client may have looked for the row before the server saved it.
            Err(StoreError::OutcomeUnknown) => {
                assert!(!fault.commits() || fault == Fault::CloseToClient, "{fault:?}");
            }
            Err(error) => panic!("{fault:?}: {error:?}"),
        }
        let again = timeout(SOON, refund()).await.expect("an answer in time");
        assert!(again.expect("a batch")[0].is_ok(), "{fault:?}");
        let found = world.store.find_payment(world.tenant, payment).await.expect("a read");
        assert_eq!(found.expect("it exists").reserved, 10 * i64::from(key), "{fault:?}");
    }
    world.verify_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_without_a_key_is_not_made_twice_when_its_commit_fails() {
    let (world, network) = behind_a_network().await;
    let payment = world.pay(1, 1_000).await.capture.id;
    let mut made = 0;
    for fault in Fault::ALL {
        network.at_next_commit(fault);
        let refund = world.try_run(NOW, vec![world.refund(payment, 10, None)]);
        let refund = timeout(SOON, refund).await.expect("an answer in time");
        assert!(network.has_struck());
        assert!(matches!(refund, Ok(_) | Err(StoreError::OutcomeUnknown)), "{fault:?}: {refund:?}");
        made += if fault.commits() { 10 } else { 0 };
        let reserved = async || {
            let found = world.store.find_payment(world.tenant, payment).await.expect("a read");
            found.filter(|found| found.reserved == made)
        };
        eventually("what was committed to be there", reserved).await;
    }
    world.verify_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_the_server_gave_up_while_the_node_stood_still_is_run_again() {
    let url = cluster().database().await;
    let world = World::at(url + "&options=-c%20idle_in_transaction_session_timeout%3D200").await;
    let session = BlockingSession::connect(&cluster().url("postgres"));
    let mut calls = 0;
    let stand_still = move |_: &mut View| {
        calls += 1;
        if calls == 1 {
            session.run("SELECT pg_sleep(1)");
        }
        calls
    };
    let calls = world.store.run_batch(RowKeys::default(), stand_still).await;
    assert_eq!(calls.expect("nothing was sent, so nothing is unknown"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_comes_when_the_server_gave_up_is_run_again_also_without_a_key() {
    let (world, network) = behind_a_network().await;
    let payment = world.pay(1, 1_000).await.capture.id;
    network.at_next_commit(Fault::TooLate);
    let refund = world.try_run(NOW, vec![world.refund(payment, 10, None)]);
    let refund = timeout(SOON, refund).await.expect("an answer in time");
    assert!(network.has_struck());
    assert!(refund.expect("the server said that nothing was committed")[0].is_ok());
    let found = world.store.find_payment(world.tenant, payment).await.expect("a read");
    assert_eq!(found.expect("it exists").reserved, 10);
    world.verify_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_stands_still_is_given_up_in_time_and_all_goes_on_afterwards() {
    let (world, network) = behind_a_network().await;
    let payment = world.pay(1, 1_000).await.capture.id;
    // Several connections, which will all stand still.
    let mut reads = JoinSet::new();
    for _ in 0..8 {
        let store = world.store.clone();
        reads.spawn(async move { store.next_due().await });
    }
    reads.join_all().await;
    assert!(network.open() > 2, "{} connections", network.open());
    network.stall(true);
    // First the old connections, then new ones.
    for _ in 0..2 {
        let looked = timeout(SOON, world.store.next_due()).await;
        let looked = looked.expect("an answer in time");
        assert!(matches!(looked, Err(StoreError::Away(_))), "{looked:?}");
        let batch = timeout(SOON, world.try_run(NOW, vec![world.refund(payment, 10, Some(1))]));
        let batch = batch.await.expect("an answer in time");
        assert!(matches!(batch, Err(StoreError::Away(_))), "{batch:?}");
        eventually("every connection to be given up", async || (network.open() == 0).then_some(()))
            .await;
    }
    network.stall(false);
    world.store.next_due().await.expect("a read");
    let refund = world.try_run(NOW, vec![world.refund(payment, 10, Some(1))]).await;
    assert!(refund.expect("a batch")[0].is_ok());
    let found = world.store.find_payment(world.tenant, payment).await.expect("a read");
    assert_eq!(found.expect("it exists").reserved, 10);
    world.verify_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_whose_answer_is_lost_is_done_and_answered_as_if_it_were_the_first_time() {
    let (world, network) = behind_a_network().await;
    let faults = [Fault::CutBefore, Fault::CutAfter, Fault::CloseToServer, Fault::LostBetween];
    for (number, fault) in (1..).zip(faults) {
        let id = AccountId::from_ulid(world.with_ids(|ids| ids.ulid(NOW)));
        let called = format!("Merchant {number}");
        network.at_next(&called, fault);
        let made = world.store.create_account(id, &called, NOW).await.expect("an account");
        assert!(network.has_struck());
        assert_eq!((made.id, made.number, &*made.name), (id, u32::from(number), &*called));

        let key = api_key(number);
        let of = key.id.clone();
        let kept = world.store.create_api_key(key, [number + 99; 32], None).await;
        assert!(matches!(kept, Ok(Once::Done(()))), "{kept:?}");
        network.at_next(&of, fault);
        let revoked = world.store.revoke_api_key(&of, NOW).await;
        assert!(network.has_struck());
        assert!(revoked.expect("an answer"), "{fault:?}: there was such a key");
        assert!(!world.store.revoke_api_key(&of, NOW.plus_ms(1)).await.expect("an answer"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_does_not_answer_costs_its_time_once() {
    let (dark, light) = (Proxy::start(cluster()).await, Proxy::start(cluster()).await);
    dark.stall(true);
    let url = cluster().database().await;
    let host = |of: &Proxy| {
        let url = of.url(&url);
        url.split(['@', '/']).nth(3).expect("a host").to_owned()
    };
    let name = database_of(&url);
    let hosts = format!("{},{}", host(&dark), host(&light));
    let url = format!("postgres://refundry@{hosts}/{name}?sslmode=disable&connect_timeout=6");
    let store = PostgresStore::attach(&url).expect("an address");
    let first = timeout(SOON, store.next_due()).await.expect("an answer in time");
    first.expect("the second host has it");
    let mut reads = JoinSet::new();
    for _ in 0..8 {
        let store = store.clone();
        reads.spawn(async move { store.next_due().await });
    }
    let reads = timeout(Duration::from_secs(5), reads.join_all()).await;
    for read in reads.expect("the first host is not asked again") {
        read.expect("a read");
    }
    assert!(light.open() > 2, "{} connections", light.open());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_cannot_be_written_to_is_away_until_it_can() {
    let url = cluster().database().await;
    let world = World::at(format!("{url}&target_session_attrs=any")).await;
    let name = database_of(&url);
    let session = BlockingSession::connect(&cluster().url("postgres"));
    session.run(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on"));
    let store = PostgresStore::attach(&world.url).expect("an address");
    let forget = || store.forget_keys(NOW, 10);
    for _ in 0..2 {
        let written = forget().await;
        assert!(matches!(written, Err(StoreError::Away(_))), "{written:?}");
        let probed = store.probe().await;
        assert!(matches!(probed, Err(StoreError::Away(_))), "{probed:?}");
    }
    // A client that asks for a writable server gets no connection at all.
    let strict = PostgresStore::attach(&url).expect("an address");
    match strict.next_due().await {
        Err(StoreError::Away(why)) => assert!(why.contains("does not allow writes"), "{why}"),
        other => panic!("{other:?}"),
    }
    session.run(&format!("ALTER DATABASE {name} RESET default_transaction_read_only"));
    assert_eq!(forget().await.expect("it can be written to"), 0);
    strict.next_due().await.expect("a read");
}
