//! Ids of checkouts and numbers of invoices, and where money is sent by hand.

use super::payment_ref::parse_ulid;
use domain::ids::PaymentId;
use domain::invoice::Invoice;
use domain::payment::Kind;

/// The bank that money is sent to by hand, as far as the simulator goes.
pub const BANK_NAME: &str = "Sandbox Bank";
/// The account there.
pub const BANK_ACCOUNT: &str = "0000 1234 5678";

/// The kinds of checkouts that go by an id of their own.
const KINDS: [Kind; 4] =
    [Kind::CheckoutSession, Kind::PaymentIntent, Kind::Checkout, Kind::Invoice];

/// Reads the id of a checkout of whatever kind.
pub fn parse_checkout_id(text: &str) -> Option<(Kind, PaymentId)> {
    KINDS.iter().find_map(|kind| Some((*kind, parse_id(*kind, text)?)))
}

/// Reads the id of a checkout of some kind.
pub fn parse_id(kind: Kind, text: &str) -> Option<PaymentId> {
    let rest = text.strip_prefix(kind.prefix())?;
    parse_ulid(rest).map(PaymentId::from_ulid)
}

/// An invoice's number as people see it: `INV-000042`.
pub fn invoice_number(invoice: &Invoice) -> String {
    format!("INV-{:06}", invoice.facts.number)
}
