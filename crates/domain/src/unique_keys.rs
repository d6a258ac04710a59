//! Names that callers give and that must mean one thing forever: idempotency keys, references,
//! provider ids. They are rows like any other, found by a 16-byte hash.

use crate::codes::codes;
use crate::refund::State;
use crate::tenant::Tenant;
use crate::time::Timestamp;
use ulid::Ulid;

/// The first 16 bytes of the SHA-256 of a namespace and a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub [u8; 16]);

impl KeyHash {
    /// The name of a part of the thing that this name is of.
    #[must_use]
    pub fn part(self) -> Self {
        Self(self.0.map(|byte| !byte))
    }
}

codes! {
    /// The kind of thing that a name leads to.
    pub enum KeyTarget {
        /// A refund, answered as it was when it was created.
        Refund = 1 "refund",
        Payment = 2 "payment",
        /// A refund that was canceled under this key.
        Cancel = 3 "cancel",
        /// A checkout, as it was opened or was left by an act under this key.
        Checkout = 4 "checkout",
        Invoice = 5 "invoice",
        /// Nothing but the text that was answered, which is stored with it.
        Answer = 6 "answer",
        /// A refund that a person decided under this key.
        Resolve = 7 "resolve",
        /// A hold: of this dispute, or placed or ended under this key.
        Hold = 8 "hold",
        /// Nothing: an event of a provider whose webhook was taken in.
        InboundEvent = 9 "inbound_event",
    }
}

/// A name that is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UniqueKey {
    pub tenant: Tenant,
    pub hash: KeyHash,
    /// Hash of the request that took it; another request under the same name is refused.
    pub request: [u8; 16],
    /// The kind of thing that the name leads to.
    pub target: KeyTarget,
    pub id: Ulid,
    /// The state to answer with, for refunds.
    pub state: Option<State>,
    /// When it may be forgotten; never, for refunds.
    pub expires_at: Option<Timestamp>,
}
