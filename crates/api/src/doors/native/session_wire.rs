//! The shapes of checkout sessions and invoices (`reference/plugipay.md` §8 and §9).

use super::wire::{Arn, Named, Raw, Shown};
use crate::time::Iso;
use domain::checkout::Checkout;
use domain::ids::{AccountId, InvoiceId};
use domain::invoice::Invoice;
use domain::line_item::LineItem;
use domain::payment::Kind;
use engine::Engine;
use serde::Serialize;

/// A line of a checkout session.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemWire<'a> {
    name: &'a str,
    quantity: i64,
    unit_amount: i64,
}

impl<'a> ItemWire<'a> {
    /// Prints lines.
    pub fn all(lines: &'a [LineItem]) -> Vec<Self> {
        let print = |line: &'a LineItem| Self {
            name: &line.text,
            quantity: line.quantity,
            unit_amount: line.unit_amount,
        };
        lines.iter().map(print).collect()
    }
}

/// A checkout session as its merchant sees it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionWire<'a> {
    id: Shown<Named>,
    arn: Shown<Arn<Named>>,
    account_id: Shown<AccountId>,
    workspace_name: Option<&'a str>,
    customer_id: Option<&'a str>,
    /// Customers are not kept here.
    customer: Option<()>,
    mode: &'static str,
    status: &'static str,
    amount: i64,
    currency: &'a str,
    methods: &'a [Box<str>],
    payment_method: Option<&'a str>,
    adapter: Option<&'static str>,
    line_items: Vec<ItemWire<'a>>,
    success_url: Option<&'a str>,
    cancel_url: Option<&'a str>,
    hosted_url: String,
    expires_at: Option<Iso>,
    completed_at: Option<Iso>,
    payment_id: Option<&'a str>,
    failure_code: Option<&'a str>,
    failure_message: Option<&'a str>,
    proof_url: Option<&'a str>,
    template_id: Option<&'a str>,
    metadata: Option<Raw<'a>>,
    created_at: Iso,
    updated_at: Iso,
}

impl<'a> SessionWire<'a> {
    /// Prints a checkout of `account`.
    pub fn new(checkout: &'a Checkout, account: AccountId, engine: &Engine) -> Self {
        let facts = &*checkout.facts;
        let id = || Named::new(facts.kind.prefix(), facts.id.ulid());
        let failure = checkout.failure.as_ref();
        let adapter = checkout.method.as_deref().map(|method| match method {
            "manual" => "manual",
            _ => "simulator",
        });
        Self {
            id: Shown(id()),
            arn: Shown(Arn::new("checkout-session", account, id())),
            account_id: Shown(account),
            workspace_name: None,
            customer_id: facts.customer.as_deref(),
            customer: None,
            mode: facts.scope.mode().as_str(),
            status: checkout.state.as_str(),
            amount: facts.amount,
            currency: facts.currency.as_str(),
            methods: &facts.methods,
            payment_method: checkout.method.as_deref(),
            adapter,
            line_items: ItemWire::all(&facts.lines),
            success_url: facts.success_url.as_deref(),
            cancel_url: facts.cancel_url.as_deref(),
            hosted_url: engine.hosted_url(facts.kind, facts.id),
            expires_at: facts.expires_at.map(Iso),
            completed_at: checkout.completed_at.map(Iso),
            payment_id: checkout.provider_payment_id.as_deref(),
            failure_code: failure.map(|failure| &*failure.code),
            failure_message: failure.map(|failure| &*failure.message),
            proof_url: checkout.proof_url.as_deref(),
            template_id: facts.template.as_deref(),
            metadata: facts.metadata.as_deref().map(Raw),
            created_at: Iso(facts.id.at()),
            updated_at: Iso(checkout.updated_at),
        }
    }
}

/// A line of an invoice.
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
    /// Prints the lines of an invoice.
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
    arn: Shown<Arn<InvoiceId>>,
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

/// An invoice's number as people see it: `INV-000042`.
pub fn invoice_number(invoice: &Invoice) -> String {
    format!("INV-{:06}", invoice.facts.number)
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
            arn: Shown(Arn::new("invoice", account, facts.id)),
            account_id: Shown(account),
            mode: facts.scope.mode().as_str(),
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
