//! Taking a buyer's money: the payment methods, and the interface of a provider that takes payments.

use crate::Provider;
use async_trait::async_trait;
use domain::money::Money;
use domain::outcome::Failure;
use domain::tenant::Tenant;
use domain::time::Timestamp;

/// A payment method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// The name in requests.
    pub id: &'static str,
    /// The name that buyers read.
    pub label: &'static str,
    pub group: &'static str,
}

const fn method(id: &'static str, label: &'static str, group: &'static str) -> Method {
    Method { id, label, group }
}

/// The payment methods that requests can name.
pub const METHODS: &[Method] = &[
    method("card", "Card", "card"),
    method("debit", "Direct debit", "debit"),
    method("paypal", "PayPal", "paypal"),
    method("qris", "QRIS", "qr"),
    method("ewallet", "E-wallet", "ewallet"),
    method("gopay", "GoPay", "ewallet"),
    method("ovo", "OVO", "ewallet"),
    method("dana", "DANA", "ewallet"),
    method("shopeepay", "ShopeePay", "ewallet"),
    method("linkaja", "LinkAja", "ewallet"),
    method("va", "Virtual account", "va"),
    method("va_bca", "BCA virtual account", "va"),
    method("va_bni", "BNI virtual account", "va"),
    method("va_bri", "BRI virtual account", "va"),
    method("va_mandiri", "Mandiri virtual account", "va"),
    method("va_permata", "Permata virtual account", "va"),
    method("retail", "Retail outlet", "retail"),
    method("alfamart", "Alfamart", "retail"),
    method("indomaret", "Indomaret", "retail"),
    method("bnpl", "Pay later", "bnpl"),
];

/// Outcomes that a test payment can ask for: the word that follows the method and an underscore, and
/// its description.
pub const OUTCOMES: &[(&str, &str)] = &[
    ("declined", "The payment is declined"),
    ("action", "You must approve the payment first"),
    ("processing", "The payment settles a moment later"),
    ("timeout", "The payment is made and the answer is lost"),
];

/// The charge that a provider is asked to make.
#[derive(Clone, Debug)]
pub struct ChargeInstruction {
    pub tenant: Tenant,
    /// The idempotency key of the payment attempt.
    pub key: Box<str>,
    pub money: Money,
    pub method: Box<str>,
}

/// The provider's answer about a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChargeAnswer {
    /// The money was taken.
    Paid { provider_payment_id: Box<str>, money: Money, at: Timestamp },
    /// The money was not taken, and will not be.
    Declined(Failure),
    /// The buyer must approve the charge first.
    ActionRequired,
    /// The provider has not decided yet.
    Processing,
    /// There is no usable answer; ask again under the same key.
    Unknown(Failure),
}

/// A provider that takes payments. Checkouts and invoices are paid through it.
#[async_trait]
pub trait TakesPayments: Provider {
    /// Takes the money. A second call under the same key takes nothing and returns the state of the
    /// first charge.
    async fn charge(&self, order: ChargeInstruction) -> ChargeAnswer;

    /// Records that the buyer approved a charge that needs an approval.
    async fn approve_charge(&self, tenant: Tenant, key: &str) -> ChargeAnswer;

    /// Prevents a charge that is not paid yet from ever being paid, also one that the provider has
    /// not received. Returns `Paid` when it is too late.
    async fn stop_charge(&self, tenant: Tenant, key: &str, money: Money) -> ChargeAnswer;
}

/// Splits a name such as `card_declined` into the method and the outcome that it asks for; `None` for
/// an unknown name.
pub fn parse_method(text: &str) -> Option<(&'static Method, Option<&'static str>)> {
    let find = |id: &str| METHODS.iter().find(|method| method.id == id);
    if let Some(method) = find(text) {
        return Some((method, None));
    }
    let (base, word) = text.rsplit_once('_')?;
    let (outcome, _) = OUTCOMES.iter().find(|(outcome, _)| *outcome == word)?;
    Some((find(base)?, Some(outcome)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payment_method_may_ask_for_an_outcome() {
        let read = |text| parse_method(text).map(|(method, outcome)| (method.id, outcome));
        assert_eq!(read("card"), Some(("card", None)));
        assert_eq!(read("va_bca"), Some(("va_bca", None)));
        assert_eq!(read("va_bca_declined"), Some(("va_bca", Some("declined"))));
        for text in
            ["", "cards", "card_", "card_paid", "declined", "card_declined_action", "manual"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
