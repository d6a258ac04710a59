//! The shape of payments (`reference/plugipay.md` §7).

use crate::http::print::{PrefixedId, Raw, ResourceName, Shown};
use crate::http::time::Iso;
use domain::ids::{AccountId, PaymentId};
use domain::payment::Payment;
use serde::Serialize;

/// A payment and its balance.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentWire<'a> {
    id: Shown<PaymentId>,
    arn: Shown<ResourceName<PaymentId>>,
    account_id: Shown<AccountId>,
    mode: &'static str,
    kind: &'static str,
    source_id: Shown<PrefixedId>,
    amount: i64,
    currency: &'a str,
    status: &'static str,
    amount_refunded: i64,
    amount_reserved: i64,
    amount_refundable: i64,
    amount_excess: i64,
    provider: &'a str,
    provider_payment_id: &'a str,
    captured_at: Iso,
    settled_at: Option<Iso>,
    reference: Option<&'a str>,
    metadata: Option<Raw<'a>>,
    created_at: Iso,
    updated_at: Iso,
}

impl<'a> PaymentWire<'a> {
    pub fn new(payment: &'a Payment, account: AccountId) -> Self {
        let facts = &*payment.facts;
        Self {
            id: Shown(facts.id),
            arn: Shown(ResourceName::new("payment", account, facts.id)),
            account_id: Shown(account),
            mode: facts.tenant.mode().as_str(),
            kind: facts.kind.as_str(),
            source_id: PrefixedId::of_payment(facts.kind, facts.id),
            amount: facts.captured,
            currency: facts.currency.as_str(),
            status: payment.status().as_str(),
            amount_refunded: payment.refunded,
            amount_reserved: payment.reserved,
            amount_refundable: payment.refundable(),
            amount_excess: payment.excess,
            provider: &facts.provider,
            provider_payment_id: &facts.provider_payment_id,
            captured_at: Iso(facts.captured_at),
            settled_at: payment.settled_at.map(Iso),
            reference: facts.reference.as_deref(),
            metadata: facts.metadata.as_deref().map(Raw),
            created_at: Iso(facts.id.at()),
            updated_at: Iso(payment.updated_at),
        }
    }
}
