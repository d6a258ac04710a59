//! The shapes of the ledger (`reference/plugipay.md` §10).

use crate::http::print::{PrefixedId, Shown};
use crate::http::time::Iso;
use domain::ids::{AccountId, EntryId, TransferId};
use engine::{Balance, Entry};
use serde::Serialize;

/// One leg of a transfer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EntryWire<'a> {
    pub id: Shown<EntryId>,
    pub account_id: Shown<AccountId>,
    pub tx_id: Shown<TransferId>,
    pub code: &'static str,
    pub direction: &'static str,
    pub amount: i64,
    pub currency: &'a str,
    pub source_type: &'static str,
    pub source_id: Shown<PrefixedId>,
    pub memo: &'static str,
    pub posted_at: Iso,
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

/// A running total; `balance` is debits minus credits.
#[derive(Serialize)]
pub struct BalanceWire<'a> {
    code: &'static str,
    currency: &'a str,
    debits: i64,
    credits: i64,
    balance: i64,
}

impl<'a> BalanceWire<'a> {
    pub fn new(balance: &'a Balance) -> Self {
        let (debits, credits) = (balance.totals.debits, balance.totals.credits);
        let code = balance.code.as_str();
        let currency = balance.currency.as_str();
        Self { code, currency, debits, credits, balance: debits.saturating_sub(credits) }
    }
}
