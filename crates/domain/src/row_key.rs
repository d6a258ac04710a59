//! The key of a row of any kind.

use crate::tenant::Tenant;
use crate::unique_keys::{KeyTarget, UniqueKey};
use std::fmt;
use ulid::Ulid;

/// A kind of rows that batches lock, in the order in which they lock them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowKind {
    /// Payments come first: whatever happens to a refund happens under the lock of its payment.
    Payment,
    Refund,
    Hold,
    UniqueKey,
    Checkout,
    Invoice,
    /// The last invoice number of a tenant; its id is zero.
    InvoiceNumber,
    Endpoint,
    Delivery,
    ProviderAccount,
    /// The switch that stops the sending of a tenant; its id is zero.
    Switch,
}

/// The key of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowKey {
    pub kind: RowKind,
    pub tenant: Tenant,
    /// The id or the hash.
    pub id: [u8; 16],
}

impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} of scope {}", self.kind, Ulid::from_bytes(self.id), self.tenant.code())
    }
}

impl UniqueKey {
    /// The row that is loaded with this one.
    pub fn leads_to(&self) -> Option<RowKey> {
        let kind = match self.target {
            KeyTarget::Refund | KeyTarget::Cancel | KeyTarget::Resolve => RowKind::Refund,
            KeyTarget::Hold => RowKind::Hold,
            KeyTarget::Payment => RowKind::Payment,
            KeyTarget::Checkout => RowKind::Checkout,
            KeyTarget::Invoice => RowKind::Invoice,
            KeyTarget::Answer | KeyTarget::InboundEvent => return None,
        };
        Some(RowKey { kind, tenant: self.tenant, id: self.id.to_bytes() })
    }
}
