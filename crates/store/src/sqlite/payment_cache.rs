//! Payments in a batch: the cache of the writer, and the chain of refunds of each payment.

use super::rows::{Finder, RowWriter};
use crate::StoreError;
use crate::tables::{Cells, FromRow, PAYMENTS, Put};
use domain::ids::{PaymentId, RefundId};
use domain::payment::{Capture, Payment};
use domain::tenant::Tenant;
use domain::view::{Change, View};
use rusqlite::Connection;
use std::collections::{BTreeSet, HashMap};

/// Size of the cache in bytes, after which it is emptied. A payment takes half a kilobyte, and 17
/// kilobytes with the largest metadata.
const MOST_BYTES: usize = 32 << 20;

type Key = (Tenant, PaymentId);

/// Cached payments as the database holds them, so that a batch does not read a payment again that
/// was refunded lately. The data version of the database shows writes outside of a batch or by
/// another process. The cache is dropped after a batch that failed.
#[derive(Default)]
pub(super) struct Payments {
    version: i64,
    held: HashMap<Key, Held>,
    /// Size of everything held.
    bytes: usize,
}

struct Held {
    payment: Payment,
    last_refund: Option<RefundId>,
}

impl Payments {
    /// Empties the cache when somebody else has written, or when it is too large.
    pub(super) fn renew(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let mut select = connection.prepare_cached("PRAGMA data_version")?;
        let version = select.query_row([], |row| row.get(0))?;
        if version != self.version || self.bytes > MOST_BYTES {
            *self = Self { version, ..Self::default() };
        }
        Ok(())
    }

    /// Adds the payments with these keys to the view.
    pub(super) fn load(
        &mut self,
        connection: &Connection,
        wanted: BTreeSet<Key>,
        view: &mut View,
    ) -> Result<(), StoreError> {
        let mut payments = Finder::new(connection, &PAYMENTS)?;
        for key in wanted {
            let payment = if let Some(held) = self.held.get(&key) {
                held.payment.clone()
            } else {
                let found = payments.find((key.0, key.1.bytes()))?;
                let Some(held): Option<Held> = found else { continue };
                let payment = held.payment.clone();
                self.bytes += size(&payment);
                self.held.insert(key, held);
                payment
            };
            view.payments.insert(key, domain::view::Row::loaded(payment));
        }
        Ok(())
    }

    /// Saves the payments that changed, and appends the new refunds to the chains of their
    /// payments. Returns the refund before each new refund, in the order of the view.
    pub(super) fn save(
        &mut self,
        connection: &Connection,
        view: &View,
    ) -> Result<Vec<Option<RefundId>>, StoreError> {
        let mut links = Vec::new();
        let mut linked = BTreeSet::new();
        for row in view.refunds.values().filter(|row| row.change == Change::Inserted) {
            let key = (row.value.tenant, row.value.payment);
            linked.insert(key);
            let held = match view.payments.get(&key) {
                Some(payment) => Some(self.hold(key, &payment.value)),
                None => self.held.get_mut(&key),
            };
            let held = held
                .ok_or_else(|| StoreError::Inconsistent("a refund without its payment".into()))?;
            links.push(held.last_refund.replace(row.value.id));
        }
        let mut writer = RowWriter::new(connection, &PAYMENTS);
        for (key, row) in &view.payments {
            match row.change {
                Change::None if !linked.contains(key) => continue,
                Change::None | Change::Updated | Change::Inserted => {}
            }
            let payment = &row.value;
            let held = self.hold(*key, payment);
            held.payment.clone_from(payment);
            let last = Some(Put::Id(held.last_refund.map(RefundId::bytes)));
            if row.change == Change::Inserted {
                writer.insert(payment, last)?;
            } else {
                writer.update(payment, last)?;
            }
        }
        Ok(links)
    }

    /// The place of a payment. A new one has no refund yet.
    fn hold(&mut self, key: Key, payment: &Payment) -> &mut Held {
        self.held.entry(key).or_insert_with(|| {
            self.bytes += size(payment);
            Held { payment: payment.clone(), last_refund: None }
        })
    }
}

/// Bytes that a payment takes in the cache. Its texts, and so its size, never change.
fn size(payment: &Payment) -> usize {
    let capture = &payment.capture;
    let texts = [Some(&capture.provider), Some(&capture.provider_payment_id)];
    let optional = [capture.reference.as_ref(), capture.metadata.as_ref()];
    let texts = texts.into_iter().chain(optional).flatten().map(|text| text.len());
    size_of::<(Key, Held)>() + size_of::<Capture>() + texts.sum::<usize>()
}

impl FromRow for Held {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        let payment = Payment::from_row(c)?;
        let last_refund = c.take::<Option<[u8; 16]>>()?.map(RefundId::from_bytes);
        Ok(Self { payment, last_refund })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SqliteStore;
    use domain::money::Currency;
    use domain::payment::{Kind, NewPayment};
    use domain::tenant::Mode;
    use domain::time::Timestamp;
    use domain::view::{Row, RowKeys};

    const BATCH: usize = 64;

    fn payment(number: usize) -> Payment {
        let new = NewPayment {
            tenant: Tenant::new(1, Mode::Test),
            kind: Kind::Payment,
            captured: 100,
            currency: Currency::parse("USD").expect("a currency"),
            provider: "simulator".into(),
            provider_payment_id: format!("ch_{number}").into(),
            captured_at: None,
            settled_at: None,
            provider_account: None,
            provider_data: None,
            reference: None,
            metadata: Some(format!("{{\"a\":\"{}\"}}", "x".repeat(16 * 1024)).into()),
        };
        let id = u128::try_from(number).expect("a number") + 1;
        Payment::new(Capture::of(&new, PaymentId::from_bytes(id.to_be_bytes())), None, Timestamp(1))
    }

    #[tokio::test]
    async fn payments_with_large_metadata_take_no_more_memory_than_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(&folder.path().join("refundry.db")).expect("a database");
        let (mut most, mut before, mut emptied) = (0, 0, 0);
        for batch in 0..40 {
            let rows: Vec<_> = (batch * BATCH..(batch + 1) * BATCH).map(payment).collect();
            let add = move |view: &mut View| {
                for payment in &rows {
                    let key = (payment.capture.tenant, payment.capture.id);
                    view.payments.insert(key, Row::inserted(payment.clone()));
                }
            };
            store.run_batch(RowKeys::default(), add).await.expect("a batch");
            let cache = store.payments.lock().expect("the cache");
            let texts =
                |held: &Held| held.payment.capture.metadata.as_ref().map_or(0, |it| it.len());
            assert!(cache.bytes > cache.held.values().map(texts).sum(), "all of it is counted");
            emptied += usize::from(cache.bytes < before);
            before = cache.bytes;
            most = most.max(cache.bytes);
        }
        assert!(most < MOST_BYTES + BATCH * 17 * 1024, "{most} bytes");
        assert_eq!(emptied, 1);
        // A payment that is read takes as much as one that was written.
        let all =
            (0..BATCH).map(payment).map(|payment| (payment.capture.tenant, payment.capture.id));
        let wanted = RowKeys { payments: all.collect(), ..RowKeys::default() };
        let before = store.payments.lock().expect("the cache").bytes;
        for _ in 0..2 {
            store.run_batch(wanted.clone(), |_| ()).await.expect("a batch");
            let read = store.payments.lock().expect("the cache").bytes - before;
            assert!((BATCH * 16 * 1024..BATCH * 17 * 1024).contains(&read), "{read} bytes");
        }
    }
}
