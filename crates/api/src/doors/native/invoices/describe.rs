//! Invoices.

use super::{LIST, LONGEST_ADDRESS, LONGEST_MEMO};
use crate::doors::native::describe::Described;
use crate::doors::native::line::{LONGEST_LINE, MOST_ITEMS};
use crate::http::payment_ref::LONGEST_ID;
use crate::openapi::Chapter;
use crate::openapi::components;
use crate::openapi::operation::{Operation, Parameter};
use crate::openapi::schema::{Fields, Schema};
use domain::ids::InvoiceId;
use domain::invoice::State;
use domain::line_item::MAX_LINES;
use serde_json::json;

const TAG: &str = "Invoices";

pub fn chapter() -> Chapter {
    Chapter {
        tags: vec![(
            TAG,
            "Asking a customer to pay for lines of things. An invoice that a provider charged can \
             be refunded; one that was paid elsewhere cannot.",
        )],
        operations: operations(),
        schemas: vec![
            ("Invoice", invoice()),
            ("NewInvoice", new_invoice()),
            ("InvoiceLine", line()),
        ],
        ..Chapter::default()
    }
}

fn named(operation: Described) -> Described {
    operation.of(components::any_invoice_id(), "The invoice. `in_` names the same one as `inv_`.")
}

fn operations() -> Vec<Operation> {
    let invoice = || Schema::named("Invoice");
    let act = |path, id, summary, text: &str| {
        named(Described::post(path, id, TAG, summary))
            .says(text)
            .reads_nothing()
            .gives(200, "The invoice.", invoice(), &["Idempotent-Replayed"])
            .refuses(&[(409, "state_conflict")])
            .done()
    };
    let list = Described::get("/api/v1/invoices", "listInvoices", TAG, "List invoices")
        .says(
            "`issuedAfter` and `issuedBefore` are about `issuedAt`, by which the list then runs; drafts \
             have none.",
        )
        .takes([
            Parameter::query("status", "Only invoices with this status.", states()),
            Parameter::query("customerId", "Only of this customer.", Schema::string()),
            Parameter::query("subscriptionId", "Only of this subscription.", Schema::string()),
        ]);
    vec![
        create(),
        list.gives_pages("A page of invoices.", &LIST, "Invoice").done(),
        named(Described::get("/api/v1/invoices/{id}", "getInvoice", TAG, "Get an invoice"))
            .gives(200, "The invoice, with the id of its charge.", invoice(), &[])
            .done(),
        act(
            "/api/v1/invoices/{id}/finalize",
            "finalizeInvoice",
            "Finalize an invoice",
            "Asks for a draft: from here on it can be paid and no longer changes.",
        ),
        act(
            "/api/v1/invoices/{id}/pay",
            "payInvoice",
            "Mark an invoice as paid",
            "Says that the money came some other way. Such an invoice cannot be refunded here.",
        ),
        act("/api/v1/invoices/{id}/void", "voidInvoice", "Void an invoice", "Withdraws it."),
        act(
            "/api/v1/invoices/{id}/send",
            "sendInvoice",
            "Send an invoice",
            "Tells subscribers to send it. Refundry itself sends no mail.",
        ),
        send_email(),
    ]
}

fn create() -> Operation {
    Described::post("/api/v1/invoices", "createInvoice", TAG, "Create an invoice")
        .reads(
            Schema::named("NewInvoice"),
            &[(
                "open",
                "One that is asked for at once",
                json!({
                    "customerId": "cus_42", "currency": "USD", "status": "open",
                    "lines": [{"description": "Consulting", "quantity": 2, "unitAmount": 9900}],
                }),
            )],
        )
        .makes(
            "The invoice.",
            Schema::named("Invoice"),
            &["Location", "Idempotent-Replayed"],
            &[
                ("getInvoice", "Reads the invoice."),
                ("finalizeInvoice", "Asks for it."),
                ("payInvoice", "Marks it as paid."),
                ("voidInvoice", "Withdraws it."),
                ("sendInvoice", "Has it sent."),
                ("showPublicInvoice", "Shows what the buyer sees."),
            ],
        )
        .done()
}

fn send_email() -> Operation {
    let to = Schema::name(LONGEST_ADDRESS).says("The e-mail address.").or_null();
    let sent = Fields::new()
        .must("sent", Schema::boolean().says("Always `false`: subscribers send it.").like(false))
        .must("to", Schema::string().says("The address; empty when none was given."))
        .closed();
    named(Described::post(
        "/api/v1/invoices/{id}/send-email",
        "emailInvoice",
        TAG,
        "Send an invoice by e-mail",
    ))
    .says("Tells subscribers to send it to an address. Refundry itself sends no mail.")
    .may_read(Fields::new().may("to", to).open())
    .gives(200, "Subscribers are told.", sent, &["Idempotent-Replayed"])
    .refuses(&[(409, "state_conflict")])
    .done()
}

fn states() -> Schema {
    Schema::words(State::ALL.iter().map(|state| state.as_str()))
}

fn new_invoice() -> Schema {
    let line = Fields::new()
        .must("description", Schema::name(LONGEST_LINE).says("What is sold."))
        .must("quantity", Schema::integer(1).with("maximum", MOST_ITEMS))
        .must("unitAmount", components::amount(0).says("Minor units for one."))
        .open();
    let lines = Schema::list(line).with("minItems", 1).with("maxItems", MAX_LINES);
    let id = |text: &str| Schema::name(LONGEST_ID).says(text).or_null();
    Fields::new()
        .must("customerId", Schema::name(LONGEST_ID).says("The caller's id of the customer."))
        .must("currency", components::currency().says("ISO 4217."))
        .must("lines", lines)
        .may(
            "status",
            Schema::words(["draft", "open"])
                .says("`open` asks for it at once.")
                .or_null()
                .with("default", "draft"),
        )
        .may("discount", components::amount(0).says("Minor units off the subtotal.").or_null())
        .may("tax", components::amount(0).says("Minor units on top.").or_null())
        .may("dueAt", Schema::time().says("When it is late.").or_null())
        .may("memo", Schema::text(LONGEST_MEMO).says("For the customer.").or_null())
        .may("subscriptionId", id("Kept, printed and filtered by."))
        .may("templateId", id("Kept and printed."))
        .may("metadata", components::metadata())
        .open()
        .says("An invoice to write. Fields that are not listed are ignored; `null` means absent.")
}

fn line() -> Schema {
    Fields::new()
        .must("id", Schema::matching("^li_[0-9A-Z]{26}_[0-9]+$"))
        .must("description", Schema::string().like("Consulting"))
        .must("quantity", Schema::integer(1).like(2))
        .must("unitAmount", components::minor("For one.").like(9900))
        .must("amount", components::minor("Of the whole line.").like(19_800))
        .must("priceId", Schema::null().says("Not kept here."))
        .must("metadata", Schema::null().says("Not kept here."))
        .closed()
        .says("A line of an invoice.")
}

fn invoice() -> Schema {
    let text = |text: &str| Schema::string().says(text).or_null();
    let at = |text: &str| Schema::time().says(text).or_null();
    Fields::new()
        .must("id", components::id(&[InvoiceId::PREFIX]))
        .must("arn", components::arn("invoice", InvoiceId::PREFIX))
        .must("accountId", components::account_id())
        .must("mode", components::mode())
        .must("customerId", Schema::string().like("cus_42"))
        .must("subscriptionId", text("As it was sent.").like(json!(null)))
        .must("templateId", text("As it was sent.").like(json!(null)))
        .must("status", states())
        .must("number", number())
        .must("currency", components::currency())
        .must("subtotal", components::minor("Sum of the lines.").like(19_800))
        .must("discount", components::minor("Off the subtotal.").like(0))
        .must("tax", components::minor("On top.").like(0))
        .must("total", components::minor("What is asked for.").like(19_800))
        .must("amountPaid", components::minor("What was paid.").like(0))
        .must("amountDue", components::minor("What remains to be paid.").like(19_800))
        .must("dueAt", at("When it is late."))
        .must("issuedAt", at("When it was asked for."))
        .must("paidAt", at("When it was paid."))
        .must("voidedAt", at("When it was withdrawn."))
        .must("hostedInvoiceUrl", text("The page to send the customer to; `null` for a draft."))
        .must(
            "chargeId",
            text("The provider's id of the charge; only where one invoice is read.")
                .like(json!(null)),
        )
        .must(
            "collectionAttempts",
            Schema::integer(0).says("How often a provider was asked to charge it.").like(0),
        )
        .must("lines", Schema::list(Schema::named("InvoiceLine")))
        .must("memo", text("As it was sent.").like(json!(null)))
        .must("metadata", components::printed_metadata().like(json!(null)))
        .must("createdAt", Schema::time())
        .must("updatedAt", Schema::time())
        .closed()
        .says("An invoice.")
}

pub fn number() -> Schema {
    Schema::matching("^INV-[0-9]{6,}$").says("Counts up per account and mode.").like("INV-000042")
}
