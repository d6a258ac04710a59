//! The shape of invoices (`reference/plugipay.md` §9).

use crate::http::checkout::invoice_number;
use crate::http::print::{Raw, ResourceName, Shown};
use crate::http::time::Iso;
use domain::ids::{AccountId, InvoiceId};
use domain::invoice::Invoice;
use domain::line_item::LineItem;
use domain::payment::Kind;
use engine::Engine;
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InvoiceLineWire<'a> {
    id: String,
    description: &'a str,
    quantity: i64,
    unit_amount: i64,
    amount: i64,
    price_id: Option<()>,
    metadata: Option<()>,
}

impl<'a> InvoiceLineWire<'a> {
    pub fn all(invoice: &'a Invoice) -> Vec<Self> {
        let id = invoice.facts.id.ulid();
        let print = |(at, line): (usize, &'a LineItem)| Self {
            id: format!("li_{id}_{}", at.saturating_add(1)),
            description: &line.text,
            quantity: line.quantity,
            unit_amount: line.unit_amount,
            amount: line.amount().unwrap_or_default(),
            price_id: None,
            metadata: None,
        };
        invoice.facts.lines.iter().enumerate().map(print).collect()
    }
}

/// An invoice as its merchant sees it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InvoiceWire<'a> {
    id: Shown<InvoiceId>,
    arn: Shown<ResourceName<InvoiceId>>,
    account_id: Shown<AccountId>,
    mode: &'static str,
    customer_id: &'a str,
    subscription_id: Option<&'a str>,
    template_id: Option<&'a str>,
    status: &'static str,
    number: String,
    currency: &'a str,
    subtotal: i64,
    discount: i64,
    tax: i64,
    total: i64,
    amount_paid: i64,
    amount_due: i64,
    due_at: Option<Iso>,
    issued_at: Option<Iso>,
    paid_at: Option<Iso>,
    voided_at: Option<Iso>,
    hosted_invoice_url: Option<String>,
    charge_id: Option<&'a str>,
    collection_attempts: u32,
    lines: Vec<InvoiceLineWire<'a>>,
    memo: Option<&'a str>,
    metadata: Option<Raw<'a>>,
    created_at: Iso,
    updated_at: Iso,
}

impl<'a> InvoiceWire<'a> {
    /// Prints an invoice of `account`. `charge` is known only where one invoice is read.
    pub fn new(
        invoice: &'a Invoice,
        account: AccountId,
        engine: &Engine,
        charge: Option<&'a str>,
    ) -> Self {
        let facts = &*invoice.facts;
        let (totals, paid) = (facts.totals, invoice.amount_paid());
        let issued = invoice.issued_at.is_some();
        Self {
            id: Shown(facts.id),
            arn: Shown(ResourceName::new("invoice", account, facts.id)),
            account_id: Shown(account),
            mode: facts.tenant.mode().as_str(),
            customer_id: &facts.customer,
            subscription_id: facts.subscription.as_deref(),
            template_id: facts.template.as_deref(),
            status: invoice.state.as_str(),
            number: invoice_number(invoice),
            currency: facts.currency.as_str(),
            subtotal: totals.subtotal,
            discount: totals.discount,
            tax: totals.tax,
            total: totals.total,
            amount_paid: paid,
            amount_due: totals.total.saturating_sub(paid),
            due_at: facts.due_at.map(Iso),
            issued_at: invoice.issued_at.map(Iso),
            paid_at: invoice.paid_at.map(Iso),
            voided_at: invoice.voided_at.map(Iso),
            hosted_invoice_url: issued.then(|| engine.hosted_url(Kind::Invoice, invoice.payment())),
            charge_id: charge,
            collection_attempts: invoice.attempts,
            lines: InvoiceLineWire::all(invoice),
            memo: facts.memo.as_deref(),
            metadata: facts.metadata.as_deref().map(Raw),
            created_at: Iso(facts.id.at()),
            updated_at: Iso(invoice.updated_at),
        }
    }
}
