//! Input of doors beside the new things of `domain`, already checked field by field but not yet
//! against the data.

use crate::access::{ErrorProfile, KeyForm};
use domain::ids::{AccountId, PaymentId};
use domain::tenant::Mode;

/// A caller's idempotency key: 1 to 255 printable ASCII characters, in the namespace of a door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The door it came through, such as `native`.
    pub door: &'static str,
    pub value: Box<str>,
}

/// How a caller names the payment to refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaymentName {
    /// By an id of Refundry's.
    Id(PaymentId),
    /// By the provider's id of the charge.
    Charge(Box<str>),
}

/// An API key to make.
#[derive(Clone, Debug)]
pub struct KeyRequest {
    pub account: AccountId,
    /// The mode it works in; `None` makes a platform key that works in both.
    pub mode: Option<Mode>,
    /// It may act for other accounts, as a key without a mode always may.
    pub platform: bool,
    /// The form of its Bearer token.
    pub form: KeyForm,
    /// Its scopes, space-separated.
    pub scopes: String,
    pub error_profile: ErrorProfile,
    /// A name for people, at most 80 characters.
    pub name: String,
}
