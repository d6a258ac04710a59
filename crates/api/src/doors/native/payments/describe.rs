//! Payments.

use super::wire::PaymentWire;
use super::{LIST, LONGEST_ACCOUNT, LONGEST_ID, LONGEST_PROVIDER};
use crate::doors::native::describe::Described;
use crate::http::body::canonical::MAX_BYTES;
use crate::openapi::{Chapter, Fields, Printed, Schema, components};
use domain::payment::Kind;
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
                &[(
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
        schemas: vec![("Payment", PaymentWire::schema()), ("NewPayment", new_payment())],
        ..Chapter::default()
    }
}

fn new_payment() -> Schema {
    Fields::new()
        .must("amount", components::amount(1).says("Captured amount, minor units."))
        .must("currency", components::currency().says("ISO 4217."))
        .must(
            "provider",
            Schema::name(LONGEST_PROVIDER).says(
                "The provider that holds the money; `manual` for money that was taken by hand.",
            ),
        )
        .must(
            "providerPaymentId",
            Schema::name(LONGEST_ID).says("The provider's id of the charge."),
        )
        .may(
            "providerAccount",
            Schema::name(LONGEST_ACCOUNT)
                .with("pattern", "^pa_")
                .says("The account at the provider, where there are several.")
                .or_null(),
        )
        .may(
            "providerData",
            Schema::map(Schema::any())
                .says(&format!(
                    "More that the provider needs to know of the payment; {MAX_BYTES} bytes in all."
                ))
                .or_null(),
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
