//! The shape of holds.

use crate::http::print::Shown;
use crate::http::time::Iso;
use crate::openapi::{Schema, components, printed};
use domain::hold::{Hold, State};
use domain::ids::{HoldId, PaymentId, RefundId};
use domain::outcome::Source;

printed! {
    /// Money of a payment that cannot be refunded for now.
    #[serde(rename_all = "camelCase")]
    pub struct HoldWire<'a> {
        id: Shown<HoldId> = components::id(&[HoldId::PREFIX]),
        payment_id: Shown<PaymentId> = components::payment_id(),
        amount: i64 = Schema::integer(1)
            .says("The disputed amount, whether or not the payment covers it. Minor units.")
            .like(2500),
        currency: &'a str = components::currency(),
        status: &'static str = Schema::one_of(State::ALL, State::as_str)
            .says("`released`: the merchant keeps the money. `booked`: it went back to the buyer."),
        reason: &'a str = Schema::string().like("chargeback"),
        reference: Option<&'a str> =
            Schema::text_or_null("The provider's id of the dispute, or another name of it.")
            .like("dp_1"),
        source: &'static str = Schema::one_of(Source::ALL, Source::as_str)
            .says("How it became known: `operator` is a person.").like("webhook"),
        refund_id: Option<Shown<RefundId>> = components::refund_id()
            .says("The refund that it was booked as.").or_null().like(()),
        created_at: Iso = Schema::time(),
        updated_at: Iso = Schema::time(),
    }
}

impl<'a> HoldWire<'a> {
    pub fn new(hold: &'a Hold) -> Self {
        Self {
            id: Shown(hold.id),
            payment_id: Shown(hold.payment),
            amount: hold.amount,
            currency: hold.currency.as_str(),
            status: hold.state.as_str(),
            reason: &hold.reason,
            reference: hold.reference.as_deref(),
            source: hold.source.as_str(),
            refund_id: hold.refund.map(Shown),
            created_at: Iso(hold.id.at()),
            updated_at: Iso(hold.updated_at),
        }
    }
}
