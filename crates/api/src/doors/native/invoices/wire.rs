//! The shape of invoices, with the field names of Plugipay.

use crate::http::checkout::invoice_number;
use crate::http::print::{Raw, ResourceName, Shown};
use crate::http::time::Iso;
use crate::openapi::{Schema, components, printed};
use domain::ids::{AccountId, InvoiceId};
use domain::invoice::{Invoice, State};
use domain::line_item::LineItem;
use domain::payment::Kind;
use engine::Engine;

printed! {
    /// A line of an invoice.
    #[serde(rename_all = "camelCase")]
    pub struct InvoiceLineWire<'a> {
        id: String = Schema::matching("^li_[0-9A-Z]{26}_[0-9]+$"),
        description: &'a str = Schema::string().like("Consulting"),
        quantity: i64 = Schema::integer(1).like(2),
        unit_amount: i64 = components::minor("For one.").like(9900),
        amount: i64 = components::minor("Of the whole line.").like(19_800),
        price_id: Option<()> = Schema::null().says("Not kept here."),
        metadata: Option<()> = Schema::null().says("Not kept here."),
    }
}

impl<'a> InvoiceLineWire<'a> {
    pub fn all(invoice: &'a Invoice) -> Vec<Self> {
        let id = invoice.terms.id.ulid();
        let print = |(at, line): (usize, &'a LineItem)| Self {
            id: format!("li_{id}_{}", at.saturating_add(1)),
            description: &line.text,
            quantity: line.quantity,
            unit_amount: line.unit_amount,
            amount: line.amount().unwrap_or_default(),
            price_id: None,
            metadata: None,
        };
        invoice.terms.lines.iter().enumerate().map(print).collect()
    }
}

printed! {
    /// An invoice.
    #[serde(rename_all = "camelCase")]
    pub struct InvoiceWire<'a> {
        id: Shown<InvoiceId> = components::id(&[InvoiceId::PREFIX]),
        arn: Shown<ResourceName<InvoiceId>> = components::arn("invoice", InvoiceId::PREFIX),
        account_id: Shown<AccountId> = components::account_id(),
        mode: &'static str = components::mode(),
        customer_id: &'a str = Schema::string().like("cus_42"),
        subscription_id: Option<&'a str> = Schema::rare_text("As it was sent."),
        template_id: Option<&'a str> = Schema::rare_text("As it was sent."),
        status: &'static str = Schema::one_of(State::ALL, State::as_str),
        number: String = number(),
        currency: &'a str = components::currency(),
        subtotal: i64 = components::minor("Sum of the lines.").like(19_800),
        discount: i64 = components::minor("Off the subtotal.").like(0),
        tax: i64 = components::minor("On top.").like(0),
        total: i64 = components::minor("What is asked for.").like(19_800),
        amount_paid: i64 = components::minor("What was paid.").like(0),
        amount_due: i64 = components::minor("What remains to be paid.").like(19_800),
        due_at: Option<Iso> = Schema::time().says("When it is late.").or_null(),
        issued_at: Option<Iso> = Schema::time().says("When it was asked for.").or_null(),
        paid_at: Option<Iso> = Schema::time().says("When it was paid.").or_null(),
        voided_at: Option<Iso> = Schema::time().says("When it was withdrawn.").or_null(),
        hosted_invoice_url: Option<String> =
            Schema::text_or_null("The page to send the customer to; `null` for a draft."),
        charge_id: Option<&'a str> =
            Schema::rare_text("The provider's id of the charge; only where one invoice is read."),
        collection_attempts: u32 = Schema::integer(0)
            .says("How often a provider was asked to charge it.").like(0),
        lines: Vec<InvoiceLineWire<'a>> = Schema::list(Schema::named("InvoiceLine")),
        memo: Option<&'a str> = Schema::rare_text("As it was sent."),
        metadata: Option<Raw<'a>> = components::printed_metadata(),
        created_at: Iso = Schema::time(),
        updated_at: Iso = Schema::time(),
    }
}

impl<'a> InvoiceWire<'a> {
    /// Prints an invoice of `account`. `charge` is known only where one invoice is read.
    pub fn new(
        invoice: &'a Invoice,
        account: AccountId,
        engine: &Engine,
        charge: Option<&'a str>,
    ) -> Self {
        let terms = &*invoice.terms;
        let (totals, paid) = (terms.totals, invoice.amount_paid());
        let issued = invoice.issued_at.is_some();
        Self {
            id: Shown(terms.id),
            arn: Shown(ResourceName::new("invoice", account, terms.id)),
            account_id: Shown(account),
            mode: terms.tenant.mode().as_str(),
            customer_id: &terms.customer,
            subscription_id: terms.subscription.as_deref(),
            template_id: terms.template.as_deref(),
            status: invoice.state.as_str(),
            number: invoice_number(invoice),
            currency: terms.currency.as_str(),
            subtotal: totals.subtotal,
            discount: totals.discount,
            tax: totals.tax,
            total: totals.total,
            amount_paid: paid,
            amount_due: totals.total.saturating_sub(paid),
            due_at: terms.due_at.map(Iso),
            issued_at: invoice.issued_at.map(Iso),
            paid_at: invoice.paid_at.map(Iso),
            voided_at: invoice.voided_at.map(Iso),
            hosted_invoice_url: issued.then(|| engine.hosted_url(Kind::Invoice, invoice.payment())),
            charge_id: charge,
            collection_attempts: invoice.attempts,
            lines: InvoiceLineWire::all(invoice),
            memo: terms.memo.as_deref(),
            metadata: terms.metadata.as_deref().map(Raw),
            created_at: Iso(terms.id.at()),
            updated_at: Iso(invoice.updated_at),
        }
    }
}

/// Describes an invoice's number.
pub fn number() -> Schema {
    Schema::matching("^INV-[0-9]{6,}$").says("Counts up per account and mode.").like("INV-000042")
}
