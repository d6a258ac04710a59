//! Payments.

use super::{LIST, LONGEST_ID, LONGEST_PROVIDER};
use crate::doors::native::describe::{Described, example};
use crate::openapi::Chapter;
use crate::openapi::components;
use crate::openapi::schema::{Fields, Schema};
use domain::payment::{Kind, Status};
use http::Method;
use serde_json::json;

const TAG: &str = "Payments";

pub fn chapter() -> Chapter {
    let payment = || Schema::named("Payment");
    let operations = vec![
        Described::post("/api/v1/payments", "registerPayment", TAG, "Register a payment")
            .says(
                "Makes a payment that was captured elsewhere refundable and books the capture. \
                 Registering the same facts again answers with the same payment.",
            )
            .reads(
                Schema::named("NewPayment"),
                &[example(
                    "captured",
                    "A captured charge at the simulated provider",
                    json!({
                        "amount": 10000, "currency": "USD", "provider": "simulator",
                        "providerPaymentId": "ch_docs_1",
                    }),
                )],
            )
            .makes(
                "The payment.",
                payment(),
                &["Location", "Idempotent-Replayed"],
                &[("getPayment", "Reads the payment."), ("settlePayment", "Says when it settled.")],
            )
            .done(),
        Described::get("/api/v1/payments", "listPayments", TAG, "List payments")
            .gives_pages("A page of payments.", &LIST, "Payment")
            .done(),
        Described::get("/api/v1/payments/{id}", "getPayment", TAG, "Get a payment")
            .of(components::payment_id(), "The payment.")
            .gives(200, "The payment and its balance.", payment(), &[])
            .done(),
        Described::new(
            Method::POST,
            "/api/v1/payments/{id}/settle",
            "settlePayment",
            TAG,
            "Settle a payment",
        )
        .of(components::payment_id(), "The payment.")
        .says(
            "Says when the provider paid out, or will. A payment that goes back in full is \
             `reversed` when the refund that completed that was asked for before then, \
             `refunded` otherwise.",
        )
        .may_read(
            Fields::new()
                .may("settledAt", Schema::time().says("Now when absent.").or_null())
                .open(),
        )
        .gives(200, "The payment.", payment(), &[])
        .done(),
    ];
    Chapter {
        tags: vec![(TAG, "What can be refunded, and how much of it still can.")],
        operations,
        schemas: vec![("Payment", printed()), ("NewPayment", new_payment())],
        ..Chapter::default()
    }
}

fn new_payment() -> Schema {
    Fields::new()
        .must("amount", components::amount(1).says("Captured amount, minor units."))
        .must("currency", components::currency().says("ISO 4217."))
        .must("provider", Schema::name(LONGEST_PROVIDER).says("The provider that holds the money."))
        .must(
            "providerPaymentId",
            Schema::name(LONGEST_ID).says("The provider's id of the charge."),
        )
        .may(
            "kind",
            components::kind()
                .says("What it paid for.")
                .or_null()
                .with("default", Kind::Payment.as_str()),
        )
        .may("capturedAt", Schema::time().says("Now when absent.").or_null())
        .may(
            "settledAt",
            Schema::time()
                .says("When the provider paid out, or will; absent when unknown.")
                .or_null(),
        )
        .may(
            "reference",
            Schema::name(LONGEST_ID).says("The caller's own id, not unique.").or_null(),
        )
        .may("metadata", components::metadata())
        .open()
        .says("A captured payment. Fields that are not listed are ignored; `null` means absent.")
}

/// A payment as it is printed.
fn printed() -> Schema {
    let status = Schema::words(Status::ALL.iter().map(|status| status.as_str()));
    Fields::new()
        .must("id", components::payment_id())
        .must("arn", components::arn("payment", "pay_"))
        .must("accountId", components::account_id())
        .must("mode", components::mode())
        .must("kind", components::kind().says("What it paid for."))
        .must("sourceId", components::source_id().says("Its name as a refund's source."))
        .must("amount", Schema::integer(1).says("Captured. Minor units.").like(10_000))
        .must("currency", components::currency())
        .must(
            "status",
            status.says(
                "`reversed`: everything went back, and that was asked for before it settled. A \
                 partial refund leaves it `succeeded`.",
            ),
        )
        .must("amountRefunded", components::minor("Refunds that succeeded.").like(2500))
        .must("amountReserved", components::minor("Refunds that may still succeed.").like(0))
        .must(
            "amountRefundable",
            components::minor("What a new refund may ask for at most.").like(7500),
        )
        .must(
            "amountExcess",
            components::minor("What the provider gave back on its own beyond what was captured.")
                .like(0),
        )
        .must("provider", Schema::string().like("simulator"))
        .must("providerPaymentId", Schema::string().like("sim_ch_usd"))
        .must("capturedAt", Schema::time())
        .must("settledAt", Schema::time().says("`null` when unknown.").or_null())
        .must("reference", Schema::string().says("As it was sent.").or_null().like(json!(null)))
        .must("metadata", components::printed_metadata().like(json!(null)))
        .must("createdAt", Schema::time())
        .must("updatedAt", Schema::time())
        .closed()
        .says("A payment and its balance.")
}
