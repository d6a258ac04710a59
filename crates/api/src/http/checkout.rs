//! Checkouts as every door knows them: ids, what a checkout shares with its payment, numbers of invoices, and the
//! simulated bank for transfers by hand.

use super::payment_ref::parse_ulid;
use domain::checkout;
use domain::ids::PaymentId;
use domain::invoice::Invoice;
use domain::payment::{self, Kind};
use domain::tenant::Tenant;

/// The simulated bank that receives transfers by hand.
pub const BANK_NAME: &str = "Sandbox Bank";
/// The account at that bank.
pub const BANK_ACCOUNT: &str = "0000 1234 5678";

/// The kinds of checkouts that have a prefix of their own.
pub const KINDS: [Kind; 4] =
    [Kind::CheckoutSession, Kind::PaymentIntent, Kind::Checkout, Kind::Invoice];

/// Reads the id of a checkout of any kind.
pub fn parse_checkout_id(text: &str) -> Option<(Kind, PaymentId)> {
    KINDS.iter().find_map(|kind| Some((*kind, parse_id(*kind, text)?)))
}

/// Reads the id of a checkout of this kind.
pub fn parse_id(kind: Kind, text: &str) -> Option<PaymentId> {
    let rest = text.strip_prefix(kind.prefix())?;
    parse_ulid(rest).map(PaymentId::from_ulid)
}

/// An invoice's number as people see it: `INV-000042`.
pub fn invoice_number(invoice: &Invoice) -> String {
    format!("INV-{:06}", invoice.terms.number)
}

/// The fields that a checkout shares with its payment.
#[derive(Clone, Copy)]
pub struct Common<'a> {
    pub id: PaymentId,
    pub kind: Kind,
    pub tenant: Tenant,
    pub amount: i64,
    pub currency: &'a str,
    pub metadata: Option<&'a str>,
}

impl<'a> From<&'a checkout::Terms> for Common<'a> {
    fn from(terms: &'a checkout::Terms) -> Self {
        Self {
            id: terms.id,
            kind: terms.kind,
            tenant: terms.tenant,
            amount: terms.amount,
            currency: terms.currency.as_str(),
            metadata: terms.metadata.as_deref(),
        }
    }
}

impl<'a> From<&'a payment::Capture> for Common<'a> {
    fn from(capture: &'a payment::Capture) -> Self {
        Self {
            id: capture.id,
            kind: capture.kind,
            tenant: capture.tenant,
            amount: capture.captured,
            currency: capture.currency.as_str(),
            metadata: capture.metadata.as_deref(),
        }
    }
}
