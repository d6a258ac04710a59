//! Backups: copies of one moment, taken while everything goes on.

use engine::{SqliteStore, StoreError};
use testkit::EngineRig;
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_taken_under_load_opens_and_verifies() {
    let rig = EngineRig::dispatching().await;
    let payments = [rig.pay(100_000, "USD").await, rig.pay(100_000, "JPY").await];
    let mut tasks = JoinSet::new();
    for number in 0..200_usize {
        tasks.spawn(rig.refund(&payments[number % 2]).amount(100).try_create());
    }
    for number in 0..3 {
        let file = rig.folder().join(format!("backup-{number}.db"));
        rig.store.backup(&file).await.expect("a backup");
        let copy = SqliteStore::open(&file).expect("the backup opens");
        let report = copy.verify().await.expect("a verification");
        assert!(report.differences.is_empty(), "{:#?}", report.differences);
        assert_eq!(report.payments, 2);
    }
    assert!(tasks.join_all().await.iter().all(Result::is_ok));
    rig.drain().await;

    let file = rig.folder().join("backup-last.db");
    rig.store.backup(&file).await.expect("a backup");
    let copy = SqliteStore::open(&file).expect("the backup opens");
    for payment in &payments {
        let copied = copy.find_payment(rig.tenant, payment.capture.id).await.expect("a read");
        assert_eq!(copied, Some(rig.payment(payment.capture.id).await));
    }
    assert_eq!(copy.verify().await.expect("a verification").refunds, 200);
}

#[tokio::test]
async fn a_backup_never_overwrites_a_file() {
    let rig = EngineRig::open().await;
    let file = rig.folder().join("backup.db");
    std::fs::write(&file, b"something dear").expect("written");
    let refused = rig.store.backup(&file).await;
    assert!(matches!(refused, Err(StoreError::File { .. })), "{refused:?}");
    assert_eq!(std::fs::read(&file).expect("read"), b"something dear");
    rig.pay(1, "USD").await;
    rig.verify_clean().await;
}
