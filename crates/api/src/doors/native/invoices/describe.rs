//! Invoices.

use super::wire::{InvoiceLineWire, InvoiceWire};
use super::{LIST, LONGEST_ADDRESS, LONGEST_MEMO, Sent};
use crate::doors::native::describe::Described;
use crate::doors::native::line::new_line;
use crate::http::payment_ref::LONGEST_ID;
use crate::openapi::{Chapter, Fields, Operation, Printed, Schema, components};
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
            ("Invoice", InvoiceWire::schema()),
            ("NewInvoice", new_invoice()),
            ("InvoiceLine", InvoiceLineWire::schema()),
        ],
        ..Chapter::default()
    }
}

const ONE: &str = "The invoice. `in_` names the same one as `inv_`.";

fn operations() -> Vec<Operation> {
    let invoice = || Schema::named("Invoice");
    let act = |path, id, summary, text: &str| {
        Described::post(path, id, TAG, summary)
            .of(components::any_invoice_id(), ONE)
            .says(text)
            .reads_nothing()
            .gives(200, "The invoice.", invoice(), &["Idempotent-Replayed"])
            .refuses(&[(409, "state_conflict")])
            .done()
    };
    let list = Described::get("/api/v1/invoices", "listInvoices", TAG, "List invoices").says(
        "`issuedAfter` and `issuedBefore` are about `issuedAt`, by which the list then runs; \
             drafts have none.",
    );
    vec![
        create(),
        list.gives_pages("A page of invoices.", &LIST, "Invoice").done(),
        Described::get("/api/v1/invoices/{id}", "getInvoice", TAG, "Get an invoice")
            .of(components::any_invoice_id(), ONE)
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
    Described::post(
        "/api/v1/invoices/{id}/send-email",
        "emailInvoice",
        TAG,
        "Send an invoice by e-mail",
    )
    .of(components::any_invoice_id(), ONE)
    .says("Tells subscribers to send it to an address. Refundry itself sends no mail.")
    .may_read(Fields::new().may("to", to).open())
    .gives(200, "Subscribers are told.", Sent::schema(), &["Idempotent-Replayed"])
    .refuses(&[(409, "state_conflict")])
    .done()
}

fn new_invoice() -> Schema {
    let lines =
        Schema::list(new_line("description")).with("minItems", 1).with("maxItems", MAX_LINES);
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
