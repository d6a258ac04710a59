//! Payments in a batch: the cache of the writer, and the chain of refunds of each payment.

use super::rows::{Finder, RowWriter};
use crate::StoreError;
use crate::tables::{Cells, FromRow, PAYMENTS, Put};
use domain::ids::{PaymentId, RefundId};
use domain::payment::Payment;
use domain::tenant::Tenant;
use domain::view::{Change, View};
use rusqlite::Connection;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

/// Payments in the cache, about half a kilobyte each.
const AT_HAND: usize = 32_768;

type Key = (Tenant, PaymentId);

/// Cached payments as the database holds them, so that a batch does not read a payment again that
/// was refunded lately. The data version of the database shows writes outside of a batch or by
/// another process. The cache is dropped after a batch that failed.
#[derive(Default)]
pub(super) struct Payments {
    version: i64,
    held: HashMap<Key, Held>,
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
        if version != self.version || self.held.len() > AT_HAND {
            *self = Self { version, held: HashMap::new() };
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
            let held = match self.held.entry(key) {
                Entry::Occupied(held) => held.into_mut(),
                Entry::Vacant(place) => {
                    let row = view.payments.get(&key).ok_or_else(|| {
                        StoreError::Inconsistent("a refund without its payment".into())
                    })?;
                    place.insert(Held { payment: row.value.clone(), last_refund: None })
                }
            };
            links.push(held.last_refund.replace(row.value.id));
        }
        let mut writer = RowWriter::new(connection, &PAYMENTS);
        for (key, row) in &view.payments {
            match row.change {
                Change::None if !linked.contains(key) => continue,
                Change::None | Change::Updated | Change::Inserted => {}
            }
            let payment = &row.value;
            let held = self
                .held
                .entry(*key)
                .or_insert_with(|| Held { payment: payment.clone(), last_refund: None });
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
}

impl FromRow for Held {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        let payment = Payment::from_row(c)?;
        let last_refund = c.take::<Option<[u8; 16]>>()?.map(RefundId::from_bytes);
        Ok(Self { payment, last_refund })
    }
}
