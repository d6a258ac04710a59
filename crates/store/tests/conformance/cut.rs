//! Connections that are cut at a commit: before it reaches the server, or before its answer is back.

use crate::requests::{api_key, name, request};
use crate::world::{NOW, World};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use store::{Begun, Once, PostgresStore, StoreError};
use testkit::postgres::cluster;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};

const NEVER: u8 = 0;
const BEFORE: u8 = 1;
const AFTER: u8 = 2;

/// Passes on both ways until it is to cut the next commit.
async fn pass(mut client: TcpStream, socket: PathBuf, cut: Arc<AtomicU8>) {
    let mut server = UnixStream::connect(socket).await.expect("the server");
    let (mut asked, mut said) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            count = client.read(&mut asked) => {
                let Ok(count @ 1..) = count else { return };
                let commit = asked[..count].windows(7).any(|text| text == b"COMMIT\0");
                let when = if commit { cut.swap(NEVER, Ordering::SeqCst) } else { NEVER };
                if when == BEFORE {
                    return;
                }
                server.write_all(&asked[..count]).await.expect("it is passed on");
                if when == AFTER {
                    // The answer to the last message, which nobody gets to see.
                    while !said.ends_with(b"Z\0\0\0\x05I") {
                        let count = server.read(&mut asked).await.expect("an answer");
                        assert!(count > 0, "the server hung up");
                        said = asked[..count].to_vec();
                    }
                    return;
                }
            }
            count = server.read(&mut said) => {
                let Ok(count @ 1..) = count else { return };
                if client.write_all(&said[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// A world behind such connections, and what is to be cut.
async fn behind_cuts() -> (World, Arc<AtomicU8>) {
    let mut world = World::postgres("").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (cut, socket) = (Arc::new(AtomicU8::new(NEVER)), cluster().folder().join(".s.PGSQL.5432"));
    let shared = cut.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(pass(client, socket.clone(), shared.clone()));
        }
    });
    let name = world.url.split('/').next_back().and_then(|rest| rest.split('?').next());
    let name = name.expect("a database");
    let url = format!("postgres://refundry@127.0.0.1:{port}/{name}?sslmode=disable");
    world.store = PostgresStore::open(&url).await.expect("a database").into();
    (world, cut)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_under_a_name_is_done_once_when_the_commit_is_cut() {
    let (world, cut) = behind_cuts().await;
    world.account().await;
    for (number, when) in [(1, BEFORE), (2, AFTER)] {
        let name = name(&world, number, 1, NOW);
        cut.store(when, Ordering::SeqCst);
        let made = world.store.create_api_key(api_key(number), [number + 9; 32], Some(name)).await;
        assert!(matches!(made, Ok(Once::Done(()))), "{when}: {made:?}");
        assert_eq!(cut.load(Ordering::SeqCst), NEVER, "it was cut");
        assert_eq!(world.store.list_api_keys().await.expect("a read").len(), usize::from(number));
    }
    for (key, when) in [(1, BEFORE), (2, AFTER)] {
        let new = request(&world, key, NOW);
        cut.store(when, Ordering::SeqCst);
        let begun = world.store.begin_request(new, NOW).await.expect("a request");
        assert_eq!(begun, Begun::Process(new.generation), "{when}");
        assert_eq!(cut.load(Ordering::SeqCst), NEVER, "it was cut");
        let other = world.store.begin_request(request(&world, key, NOW), NOW).await;
        assert_eq!(other.expect("a request"), Begun::Running);
    }
    world.verify_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_whose_commit_is_cut_is_found_or_unknown_and_never_twice() {
    let (world, cut) = behind_cuts().await;
    let payment = world.pay(1, 1_000).await.facts.id;
    for (key, when) in [(1, AFTER), (2, BEFORE)] {
        cut.store(when, Ordering::SeqCst);
        let first = world.try_run(NOW, vec![world.refund(payment, 10, Some(key))]).await;
        assert_eq!(cut.load(Ordering::SeqCst), NEVER, "it was cut");
        if when == AFTER {
            assert!(first.expect("it is found")[0].is_ok());
        } else {
            assert!(matches!(first, Err(StoreError::OutcomeUnknown)), "{first:?}");
        }
        let again = world.try_run(NOW, vec![world.refund(payment, 10, Some(key))]).await;
        assert!(again.expect("a batch")[0].is_ok());
        let found = world.store.find_payment(world.scope, payment).await.expect("a read");
        assert_eq!(found.expect("it exists").reserved, 10 * i64::from(key));
    }
    world.verify_clean().await;
}
