//! Payments in a batch: those that the writer has at hand, and the chain of refunds of each.

use super::batch::{expect_one, read_payment};
use super::codec::Columns;
use crate::StoreError;
use crate::cells::Cells as _;
use domain::account::Scope;
use domain::ids::{PaymentId, RefundId};
use domain::payment::Payment;
use domain::view::{Change, View};
use rusqlite::{CachedStatement, Connection, params};
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

const SELECT: &str = "SELECT scope, id, kind, captured, currency, refunded, reserved, held, excess, \
     reversed, last_seq, updated_at, captured_at, settled_at, provider, provider_payment_id, \
     reference, metadata, last_refund FROM payments WHERE scope = ?1 AND id = ?2";

const INSERT: &str = "INSERT INTO payments (scope, id, kind, captured, currency, refunded, \
     reserved, held, excess, reversed, last_seq, updated_at, captured_at, settled_at, provider, \
     provider_payment_id, reference, metadata, last_refund) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, \
     ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)";

const UPDATE: &str = "UPDATE payments SET refunded = ?3, reserved = ?4, held = ?5, excess = ?6, \
     reversed = ?7, last_seq = ?8, updated_at = ?9, settled_at = ?10, last_refund = ?11 \
     WHERE scope = ?1 AND id = ?2";

/// How many payments the writer keeps at hand. About half a kilobyte each.
const AT_HAND: usize = 32_768;

type Key = (Scope, PaymentId);

/// Payments as they stand in the database, so that one that was refunded lately is not read again.
/// Whoever changes them outside of a batch, or in another process, is noticed by the database's
/// version. After a batch that failed it has to be thrown away.
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
    /// Forgets everything when somebody else has written, or when there is too much of it.
    pub(super) fn renew(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let mut select = connection.prepare_cached("PRAGMA data_version")?;
        let version = select.query_row([], |row| row.get(0))?;
        if version != self.version || self.held.len() > AT_HAND {
            *self = Self { version, held: HashMap::new() };
        }
        Ok(())
    }

    /// Takes up the payments with these names and adds them to the view.
    pub(super) fn load(
        &mut self,
        connection: &Connection,
        wanted: BTreeSet<Key>,
        view: &mut View,
    ) -> Result<(), StoreError> {
        let mut select = connection.prepare_cached(SELECT)?;
        for key in wanted {
            let payment = if let Some(held) = self.held.get(&key) {
                held.payment.clone()
            } else {
                let Some(held) = read(&mut select, key)? else { continue };
                let payment = held.payment.clone();
                self.held.insert(key, held);
                payment
            };
            view.payments.insert(key, domain::view::Row::loaded(payment));
        }
        Ok(())
    }

    /// Saves the payments that changed, and links the new refunds to their payments' chains. Returns
    /// what each new refund is linked to, in the view's order.
    pub(super) fn save(
        &mut self,
        connection: &Connection,
        view: &View,
    ) -> Result<Vec<Option<RefundId>>, StoreError> {
        let mut links = Vec::new();
        let mut linked = BTreeSet::new();
        for row in view.refunds.values().filter(|row| row.change == Change::Inserted) {
            let key = (row.value.scope, row.value.payment);
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
        let mut update = connection.prepare_cached(UPDATE)?;
        let mut insert = connection.prepare_cached(INSERT)?;
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
            let last = held.last_refund.map(RefundId::bytes);
            if row.change == Change::Inserted {
                insert_payment(&mut insert, payment, last)?;
            } else {
                update_payment(&mut update, payment, last)?;
            }
        }
        Ok(links)
    }
}

/// The payment with this id.
pub(super) fn find(
    connection: &Connection,
    scope: Scope,
    id: PaymentId,
) -> Result<Option<Payment>, StoreError> {
    Ok(read(&mut connection.prepare_cached(SELECT)?, (scope, id))?.map(|held| held.payment))
}

fn read(select: &mut CachedStatement<'_>, key: Key) -> Result<Option<Held>, StoreError> {
    let mut rows = select.query(params![key.0.code(), key.1.bytes()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let mut columns = Columns::new(row);
    let payment = read_payment(&mut columns)?;
    let last_refund = columns.take::<Option<[u8; 16]>>()?.map(RefundId::from_bytes);
    Ok(Some(Held { payment, last_refund }))
}

fn update_payment(
    update: &mut CachedStatement<'_>,
    payment: &Payment,
    last_refund: Option<[u8; 16]>,
) -> Result<(), StoreError> {
    let changed = update.execute(params![
        payment.facts.scope.code(),
        payment.facts.id.bytes(),
        payment.refunded,
        payment.reserved,
        payment.held,
        payment.excess,
        payment.reversed,
        payment.last_seq,
        payment.updated_at.0,
        payment.settled_at.map(|at| at.0),
        last_refund,
    ])?;
    expect_one(changed, "payments")
}

fn insert_payment(
    insert: &mut CachedStatement<'_>,
    payment: &Payment,
    last_refund: Option<[u8; 16]>,
) -> Result<(), StoreError> {
    let facts = &payment.facts;
    insert.execute(params![
        facts.scope.code(),
        facts.id.bytes(),
        facts.kind.code(),
        facts.captured,
        facts.currency.as_str(),
        payment.refunded,
        payment.reserved,
        payment.held,
        payment.excess,
        payment.reversed,
        payment.last_seq,
        payment.updated_at.0,
        facts.captured_at.0,
        payment.settled_at.map(|at| at.0),
        facts.provider,
        facts.provider_payment_id,
        facts.reference,
        facts.metadata,
        last_refund,
    ])?;
    Ok(())
}
