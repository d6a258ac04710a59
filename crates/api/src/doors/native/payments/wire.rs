//! The shape of payments, with the field names of Plugipay.

use crate::http::print::{PrefixedId, Raw, ResourceName, Shown};
use crate::http::time::Iso;
use crate::openapi::{Schema, components, printed};
use domain::ids::{AccountId, PaymentId};
use domain::payment::{Payment, Status};

printed! {
    /// A payment and its balance.
    #[serde(rename_all = "camelCase")]
    pub struct PaymentWire<'a> {
        id: Shown<PaymentId> = components::payment_id(),
        arn: Shown<ResourceName<PaymentId>> = components::arn("payment", "pay_"),
        account_id: Shown<AccountId> = components::account_id(),
        mode: &'static str = components::mode(),
        kind: &'static str = components::kind().says("What it paid for."),
        source_id: Shown<PrefixedId> = components::source_id()
            .says("Its name as a refund's source."),
        amount: i64 = Schema::integer(1).says("Captured. Minor units.").like(10_000),
        currency: &'a str = components::currency(),
        status: &'static str = Schema::one_of(Status::ALL, Status::as_str)
            .says("`reversed`: everything went back, and that was asked for before it settled. A \
                partial refund leaves it `succeeded`."),
        amount_refunded: i64 = components::minor("Refunds that succeeded.").like(2500),
        amount_reserved: i64 = components::minor("Refunds that may still succeed.").like(0),
        amount_held: i64 =
            components::minor("Money that holds keep from being refunded.").like(0),
        amount_held_excess: i64 =
            components::minor("What holds ask for and the payment does not cover. Money that a \
                refund gives free goes to it first.")
            .like(0),
        amount_refundable: i64 = components::minor("What a new refund may ask for at most.")
            .like(7500),
        amount_excess: i64 =
            components::minor("What the provider gave back on its own beyond what was captured.")
            .like(0),
        provider: &'a str = Schema::string().like("simulator"),
        provider_payment_id: &'a str = Schema::string().like("sim_ch_usd"),
        provider_account: Option<&'a str> = Schema::rare_text("As it was sent."),
        provider_data: Option<Raw<'a>> =
            Schema::map(Schema::any()).says("As it was sent.").or_null().like(()),
        captured_at: Iso = Schema::time(),
        settled_at: Option<Iso> = Schema::time().says("`null` when unknown.").or_null(),
        reference: Option<&'a str> = Schema::rare_text("As it was sent."),
        metadata: Option<Raw<'a>> = components::printed_metadata(),
        created_at: Iso = Schema::time(),
        updated_at: Iso = Schema::time(),
    }
}

impl<'a> PaymentWire<'a> {
    pub fn new(payment: &'a Payment, account: AccountId) -> Self {
        let capture = &*payment.capture;
        Self {
            id: Shown(capture.id),
            arn: Shown(ResourceName::new("payment", account, capture.id)),
            account_id: Shown(account),
            mode: capture.tenant.mode().as_str(),
            kind: capture.kind.as_str(),
            source_id: PrefixedId::of_payment(capture.kind, capture.id),
            amount: capture.captured,
            currency: capture.currency.as_str(),
            status: payment.status().as_str(),
            amount_refunded: payment.refunded,
            amount_reserved: payment.reserved,
            amount_held: payment.held,
            amount_held_excess: payment.held_excess,
            amount_refundable: payment.refundable(),
            amount_excess: payment.excess,
            provider: &capture.provider,
            provider_payment_id: &capture.provider_payment_id,
            provider_account: capture.provider_account.as_deref(),
            provider_data: capture.provider_data.as_deref().map(Raw),
            captured_at: Iso(capture.captured_at),
            settled_at: payment.settled_at.map(Iso),
            reference: capture.reference.as_deref(),
            metadata: capture.metadata.as_deref().map(Raw),
            created_at: Iso(capture.id.at()),
            updated_at: Iso(payment.updated_at),
        }
    }
}
