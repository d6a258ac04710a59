//! The shapes of the ledger, with the field names of Plugipay.

use crate::http::print::{PrefixedId, Shown};
use crate::http::time::Iso;
use crate::openapi::{Schema, components, printed};
use domain::ids::{AccountId, EntryId, TransferId};
use domain::ledger::{Code, Reason, SourceType};
use engine::{Balance, Entry};

printed! {
    /// One leg of a transfer.
    #[serde(rename_all = "camelCase")]
    pub struct EntryWire<'a> {
        pub id: Shown<EntryId> = components::entry_id(),
        pub account_id: Shown<AccountId> = components::account_id(),
        pub tx_id: Shown<TransferId> = components::transfer_id()
            .says("The transfer: a debit and a credit of one amount."),
        pub code: &'static str = Schema::one_of(Code::ALL, Code::as_str)
            .says("The ledger account."),
        pub direction: &'static str = Schema::words(["debit", "credit"]),
        pub amount: i64 = Schema::integer(1).says("Minor units.").like(2500),
        pub currency: &'a str = components::currency(),
        pub source_type: &'static str = Schema::one_of(SourceType::ALL, SourceType::as_str)
            .like("refund"),
        pub source_id: Shown<PrefixedId> =
            components::id_or_source_id(&[SourceType::Refund.prefix()]).says("What it is about."),
        pub memo: &'static str = Schema::one_of(Reason::ALL, Reason::as_str).like("refund"),
        pub posted_at: Iso = Schema::time(),
    }
}

impl<'a> EntryWire<'a> {
    pub fn new(entry: &'a Entry, account: AccountId) -> Self {
        let transfer = &entry.transfer;
        Self {
            id: Shown(entry.id),
            account_id: Shown(account),
            tx_id: Shown(transfer.id),
            code: entry.code.as_str(),
            direction: entry.direction.as_str(),
            amount: transfer.amount,
            currency: transfer.currency.as_str(),
            source_type: transfer.source_type.as_str(),
            source_id: Shown(PrefixedId::new(transfer.source_type.prefix(), transfer.source)),
            memo: transfer.reason.as_str(),
            posted_at: Iso(transfer.id.at()),
        }
    }
}

printed! {
    /// The running totals of a ledger account in one currency.
    #[serde(rename_all = "camelCase")]
    pub struct BalanceWire<'a> {
        code: &'static str = Schema::one_of(Code::ALL, Code::as_str).says("The ledger account."),
        currency: &'a str = components::currency(),
        debits: i64 = components::minor("Sum of the debits.").like(10_000),
        credits: i64 = components::minor("Sum of the credits.").like(2500),
        balance: i64 = components::signed("Debits minus credits.").like(7500),
    }
}

impl<'a> BalanceWire<'a> {
    pub fn new(balance: &'a Balance) -> Self {
        let (debits, credits) = (balance.totals.debits, balance.totals.credits);
        let code = balance.code.as_str();
        let currency = balance.currency.as_str();
        Self { code, currency, debits, credits, balance: debits.saturating_sub(credits) }
    }
}
