//! Flushes that the kernel lets fail. Each test runs itself once more in a process of its own, since no
//! flush of that process works again.

#![cfg(target_os = "linux")]

use domain::ids::PaymentId;
use domain::money::Currency;
use domain::payment::{Capture, Kind, NewPayment, Payment};
use domain::tenant::{Mode, Tenant};
use domain::time::Timestamp;
use domain::view::{Row, RowKeys, View};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use store::{PageQuery, SortOrder, SqliteStore, Store, StoreError};

/// Names the folder for the process that has the failing disk.
const FOLDER: &str = "REFUNDRY_TEST_FAILING_DISK";

const NOW: Timestamp = Timestamp(1_778_582_520_000);

fn open(folder: &Path) -> Store {
    SqliteStore::open(&folder.join("refundry.db")).expect("a database").into()
}

fn tenant() -> Tenant {
    Tenant::new(1, Mode::Test)
}

/// Stores the payment with this number.
async fn save(store: &Store, number: u8) -> Result<(), StoreError> {
    let new = NewPayment {
        tenant: tenant(),
        kind: Kind::Payment,
        captured: 100,
        currency: Currency::parse("USD").expect("a currency"),
        provider: "simulator".into(),
        provider_payment_id: format!("ch_{number}").into(),
        provider_account: None,
        provider_data: None,
        captured_at: Some(NOW),
        settled_at: None,
        reference: None,
        metadata: None,
    };
    let id = PaymentId::from_bytes([number; 16]);
    let payment = Payment::new(Capture::of(&new, id), None, NOW);
    let add = move |view: &mut View| {
        view.payments.insert((tenant(), id), Row::inserted(payment.clone()));
    };
    store.run_batch(RowKeys::default(), add).await
}

/// The numbers of the stored payments.
async fn saved(store: &Store) -> Result<Vec<u8>, StoreError> {
    let page =
        PageQuery { limit: 100, after: None, order: SortOrder::Ascending, from: None, until: None };
    let found = store.list_payments(tenant(), page).await?;
    Ok(found.items.iter().map(|payment| payment.capture.id.bytes()[0]).collect())
}

/// Runs a test of this file in another process.
fn in_another_process(test: &str, folder: &Path) {
    let program = std::env::current_exe().expect("this program");
    let child = Command::new(program)
        .args(["--exact", test, "--nocapture"])
        .env(FOLDER, folder)
        .output()
        .expect("it runs");
    let out = String::from_utf8_lossy(&child.stdout) + String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success() && out.contains("1 passed"), "{out}");
}

/// The folder that a test in another process was given.
fn given_folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

async fn commit_to_a_disk_that_fails(folder: &Path) {
    let store = open(folder);
    let called = Arc::new(AtomicU32::new(0));
    let count = called.clone();
    store.on_fatal(move |error| {
        assert!(matches!(error, StoreError::Broken(_)));
        count.fetch_add(1, Ordering::SeqCst);
    });
    save(&store, 1).await.expect("the disk works");
    testkit::fail_every_flush();
    let failed = save(&store, 2).await;
    assert!(matches!(failed, Err(StoreError::Broken(_))), "{failed:?}");
    // Neither is it taken for undone, nor does anything go on.
    let read = saved(&store).await;
    assert!(matches!(read, Err(StoreError::Broken(_))), "{read:?}");
    let again = save(&store, 3).await;
    assert!(matches!(again, Err(StoreError::Broken(_))), "{again:?}");
    assert_eq!(called.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_commit_whose_fsync_fails_is_neither_done_nor_undone_until_the_next_start() {
    if let Some(folder) = given_folder() {
        return commit_to_a_disk_that_fails(&folder).await;
    }
    let folder = tempfile::tempdir().expect("a folder");
    in_another_process(
        "a_commit_whose_fsync_fails_is_neither_done_nor_undone_until_the_next_start",
        folder.path(),
    );
    let store = open(folder.path());
    // SQLite took the second one back, and its end is in the log all the same.
    assert_eq!(saved(&store).await.expect("a read"), [1, 2]);
    // By now it is in the file, and no longer in the log alone.
    let copy = tempfile::tempdir().expect("a folder");
    let file = |folder: &Path| folder.join("refundry.db");
    std::fs::copy(file(folder.path()), file(copy.path())).expect("a copy");
    assert_eq!(saved(&open(copy.path())).await.expect("a read"), [1, 2]);
    save(&store, 3).await.expect("the disk works");
    assert_eq!(saved(&store).await.expect("a read"), [1, 2, 3]);
}

async fn checkpoint_to_a_disk_that_fails(folder: &Path) {
    let store = open(folder);
    let (told, wait) = tokio::sync::oneshot::channel();
    let told = Mutex::new(Some(told));
    store.on_fatal(move |_| {
        let told = told.lock().expect("no panic").take().expect("it is told once");
        told.send(()).expect("somebody waits");
    });
    save(&store, 1).await.expect("the disk works");
    testkit::fail_every_flush();
    // The last one to close a store leaves a short log.
    drop(store);
    testkit::within_limit("the checkpoint", wait).await.expect("it fails");
}

#[tokio::test]
async fn a_checkpoint_whose_fsync_fails_is_fatal_too() {
    if let Some(folder) = given_folder() {
        return checkpoint_to_a_disk_that_fails(&folder).await;
    }
    let folder = tempfile::tempdir().expect("a folder");
    in_another_process("a_checkpoint_whose_fsync_fails_is_fatal_too", folder.path());
    assert_eq!(saved(&open(folder.path())).await.expect("a read"), [1]);
}
