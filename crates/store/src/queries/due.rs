//! Refunds, checkouts and invoices that a step must look at.

use super::DueRefund;
use crate::StoreError;
use crate::tables::Cells;
use domain::account::Tenant;
use domain::ids::{InvoiceId, PaymentId, RefundId};

pub(crate) const DUE_REFUNDS: &str = "SELECT scope, id, payment, due_at FROM refunds \
     WHERE due_at <= $1 ORDER BY due_at LIMIT $2";

pub(crate) const NEXT_REFUND_DUE: &str =
    "SELECT due_at FROM refunds WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1";

pub(crate) const DUE_CHECKOUTS: &str =
    "SELECT scope, id FROM checkouts WHERE due_at <= $1 ORDER BY due_at LIMIT $2";

pub(crate) const DUE_INVOICES: &str =
    "SELECT scope, id FROM invoices WHERE wake_at <= $1 ORDER BY wake_at LIMIT $2";

/// When the next checkout or invoice is due.
pub(crate) const NEXT_CHECKOUT_DUE: &str = "SELECT min(at) FROM \
     (SELECT min(due_at) AS at FROM checkouts WHERE due_at IS NOT NULL \
     UNION ALL SELECT min(wake_at) FROM invoices WHERE wake_at IS NOT NULL) AS due";

pub(crate) fn read_due_refund(c: &mut impl Cells) -> Result<DueRefund, StoreError> {
    Ok(DueRefund {
        tenant: c.tenant()?,
        refund: RefundId::from_ulid(c.ulid()?),
        payment: PaymentId::from_ulid(c.ulid()?),
        due_at: c.time()?,
    })
}

pub(crate) fn read_due_checkout(c: &mut impl Cells) -> Result<(Tenant, PaymentId), StoreError> {
    Ok((c.tenant()?, PaymentId::from_ulid(c.ulid()?)))
}

pub(crate) fn read_due_invoice(c: &mut impl Cells) -> Result<(Tenant, InvoiceId), StoreError> {
    Ok((c.tenant()?, InvoiceId::from_ulid(c.ulid()?)))
}
