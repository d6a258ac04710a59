//! Rows that another transaction has locked: a batch leaves them out, and never takes one for a row
//! that does not exist. Only PostgreSQL locks rows.

use crate::behaviour::{deliveries, make_endpoint};
use crate::holds::{hold, place};
use crate::world::{NOW, World};
use domain::decide::Done;
use domain::row_key::{RowKey, RowKind};
use domain::unique_keys::KeyHash;
use domain::view::{RowKeys, View};
use std::collections::BTreeSet;
use store::{Patience, StoreError};
use testkit::postgres::BlockingSession;

/// A row that another session keeps locked. Given back when dropped.
struct Lock(BlockingSession);

impl Lock {
    fn take(world: &World, row: RowKey) -> Self {
        let (table, id) = match row.kind {
            RowKind::Payment => ("payments", "id"),
            RowKind::Refund => ("refunds", "id"),
            RowKind::Hold => ("holds", "id"),
            RowKind::UniqueKey => ("keys", "hash"),
            RowKind::Checkout => ("checkouts", "id"),
            RowKind::Invoice => ("invoices", "id"),
            RowKind::InvoiceNumber => ("invoice_numbers", "NULL"),
            RowKind::Endpoint => ("webhook_endpoints", "id"),
            RowKind::Delivery => ("deliveries", "id"),
            RowKind::ProviderAccount => ("provider_accounts", "id"),
            RowKind::Switch => ("sending", "NULL"),
        };
        let bytes = row.id.map(|byte| format!("{byte:02x}")).concat();
        let session = BlockingSession::connect(&world.url.replace("&pgbouncer=true", ""));
        session.run("BEGIN");
        let lock = format!(
            "SELECT 1 FROM {table} WHERE scope = {} AND coalesce({id}, '{bytes}') = '{bytes}' \
             FOR UPDATE",
            row.tenant.code()
        );
        assert_eq!(session.run(&lock), 1, "{lock}");
        Self(session)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.run("ROLLBACK");
    }
}

/// Rows of every kind.
async fn one_of_each(world: &World) -> Vec<RowKey> {
    world.account().await;
    let row = |kind, id| RowKey { kind, tenant: world.tenant, id };
    let endpoint = make_endpoint(world).await;
    let payment = world.pay(1, 1_000).await.capture.id;
    let refund = match world.run(NOW, world.refund(payment, 10, Some(3))).await {
        Done::Refund { refund, .. } => refund.id,
        other => panic!("{other:?}"),
    };
    let hold = hold(world, place(world, payment, 10, 200)).await.id;
    let checkout = match world.run(NOW, world.checkout()).await {
        Done::Checkout { checkout, .. } => checkout.terms.id,
        other => panic!("{other:?}"),
    };
    let invoice = match world.run(NOW, world.invoice()).await {
        Done::Invoice { invoice, .. } => invoice.terms.id,
        other => panic!("{other:?}"),
    };
    let delivery = deliveries(world).await.first().expect("a delivery").id;
    let account = world.make_provider_account("one_psp").await.id;
    world.throw(NOW, world.tenant, true).await;
    vec![
        row(RowKind::Payment, payment.bytes()),
        row(RowKind::Refund, refund.bytes()),
        row(RowKind::Hold, hold.bytes()),
        row(RowKind::UniqueKey, [3; 16]),
        row(RowKind::Checkout, checkout.bytes()),
        row(RowKind::Invoice, invoice.bytes()),
        row(RowKind::InvoiceNumber, [0; 16]),
        row(RowKind::Endpoint, endpoint.bytes()),
        row(RowKind::Delivery, delivery.bytes()),
        row(RowKind::ProviderAccount, account.bytes()),
        row(RowKind::Switch, [0; 16]),
    ]
}

fn keys(rows: impl IntoIterator<Item = RowKey>) -> RowKeys {
    let mut keys = RowKeys::default();
    rows.into_iter().for_each(|row| keys.insert(row));
    keys
}

async fn look(world: &World, patience: Patience, wanted: &RowKeys) -> View {
    let look = |view: &mut View| view.clone();
    world.store.run_batch_around(patience, wanted.clone(), look).await.expect("a batch")
}

async fn look_without_locked(world: &World, wanted: &RowKeys) -> View {
    look(world, Patience::None, wanted).await
}

pub async fn a_locked_row_is_left_out_and_does_not_look_free(world: World) {
    let rows = one_of_each(&world).await;
    let ids = || world.with_ids(|ids| ids.ulid(NOW)).to_bytes();
    // A tenant has one invoice number and one switch.
    let of_tenant = [RowKind::InvoiceNumber, RowKind::Switch];
    let kinds = rows.iter().filter(|row| !of_tenant.contains(&row.kind));
    let free: Vec<RowKey> = kinds.map(|row| RowKey { id: ids(), ..*row }).collect();
    let wanted = keys(rows.iter().chain(&free).copied());
    assert_eq!(look_without_locked(&world, &wanted).await.locked, BTreeSet::new());
    for locked in &rows {
        let lock = Lock::take(&world, *locked);
        let view = look_without_locked(&world, &wanted).await;
        assert_eq!(view.locked, BTreeSet::from([*locked]));
        for row in &rows {
            assert_eq!(view.has(*row), row != locked, "{row} while {locked} is locked");
            let among = view.locked_among(&keys([*row]));
            // A key leads to its refund, and a refund to its payment.
            let leads_to_it = match locked.kind {
                RowKind::Payment => matches!(row.kind, RowKind::Refund | RowKind::UniqueKey),
                RowKind::Refund => row.kind == RowKind::UniqueKey,
                _ => false,
            };
            assert_eq!(among.contains(locked), row == locked || leads_to_it, "{row} {locked}");
        }
        for row in &free {
            assert!(!view.has(*row) && view.locked_among(&keys([*row])).is_empty(), "{row}");
        }
        drop(lock);
    }
    assert_eq!(look_without_locked(&world, &wanted).await.locked, BTreeSet::new());
}

pub async fn what_a_locked_row_is_reached_by_is_locked_too(world: World) {
    let rows = one_of_each(&world).await;
    let of = |kind| *rows.iter().find(|row| row.kind == kind).expect("it is there");
    let (payment, refund) = (of(RowKind::Payment), of(RowKind::Refund));
    let cases =
        [(of(RowKind::UniqueKey), refund), (of(RowKind::UniqueKey), payment), (refund, payment)];
    for (wanted, locked) in cases {
        let wanted = keys([wanted]);
        let lock = Lock::take(&world, locked);
        let view = look_without_locked(&world, &wanted).await;
        assert_eq!(view.locked_among(&wanted), [locked]);
        drop(lock);
        let view = look_without_locked(&world, &wanted).await;
        assert!(view.locked_among(&wanted).is_empty() && view.has(payment));
    }
    // The key of a payment.
    let by_charge = KeyHash([1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
    let wanted = keys([RowKey { kind: RowKind::UniqueKey, id: by_charge.0, ..payment }]);
    let _lock = Lock::take(&world, payment);
    assert_eq!(look_without_locked(&world, &wanted).await.locked_among(&wanted), [payment]);
}

pub async fn a_batch_waits_a_moment_for_a_row_and_then_goes_on_without_it(world: World) {
    let rows = one_of_each(&world).await;
    let wanted = keys(rows.iter().copied());
    let lock = Lock::take(&world, rows[0]);
    let view = look(&world, Patience::AMoment, &wanted).await;
    assert_eq!(view.locked, BTreeSet::from([rows[0]]));
    // It waits for a row that is locked for less than that.
    let session = BlockingSession::connect(&world.url.replace("&pgbouncer=true", ""));
    let soon = std::thread::spawn(move || {
        session.run("SELECT pg_sleep(0.1)");
        drop(lock);
    });
    let view = look(&world, Patience::AMoment, &wanted).await;
    assert_eq!(view.locked, BTreeSet::new());
    assert!(view.has(rows[0]));
    soon.join().expect("no panic");
}

pub async fn a_batch_that_knows_of_no_locked_rows_does_not_run_without_them(world: World) {
    let rows = one_of_each(&world).await;
    let _lock = Lock::take(&world, rows[2]);
    let wanted = keys(rows.iter().copied());
    let decide = |_: &mut View| panic!("a key that is taken looks free");
    let ran: Result<(), _> = world.store.run_batch(wanted, decide).await;
    assert!(matches!(ran, Err(StoreError::Locked(_))), "{ran:?}");
}
