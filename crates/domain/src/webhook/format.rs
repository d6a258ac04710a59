//! The formats of webhooks and the names of events in each.

use crate::codes::codes;
use crate::event::Type;

codes! {
    /// The system whose webhooks an endpoint understands.
    pub enum Format {
        Refundry = 1 "refundry",
        /// `X-Plugipay-Signature` and `plugipay.….v1`.
        Plugipay = 2 "plugipay",
        /// `X-Webhook-Signature` and `payment_intent.…`.
        ElasticPay = 3 "elasticpay",
        /// Standard Webhooks with the events and payloads of Yoco.
        Yoco = 4 "yoco",
    }
}

impl Format {
    /// The name of an event in this format; `None` when it is not sent.
    pub const fn event_name(self, event: Type) -> Option<&'static str> {
        let [refundry, plugipay, elasticpay, yoco] = names(event);
        let name = match self {
            Self::Refundry => refundry,
            Self::Plugipay => plugipay,
            Self::ElasticPay => elasticpay,
            Self::Yoco => yoco,
        };
        if name.is_empty() { None } else { Some(name) }
    }
}

/// The names of an event as refundry, plugipay, elasticpay and yoco; empty where it is not sent.
///
/// The names are those of each system's page about webhooks. Every event of ElasticPay is about the
/// payment intent, which exists from the request for payment on; a payment that was registered is an
/// intent that succeeded.
const fn names(event: Type) -> [&'static str; 4] {
    let own = event.as_str();
    match event {
        // Bookkeeping: the caller that registered the payment knows of it.
        Type::PaymentCreated => ["", "", "payment_intent.succeeded", ""],
        Type::PaymentPartiallyRefunded => [own, "", "payment_intent.partially_refunded", ""],
        Type::PaymentHoldPlaced | Type::PaymentHoldReleased | Type::PaymentHoldBooked => {
            [own, "", "", ""]
        }
        Type::PaymentRefunded => [own, "", "payment_intent.refunded", ""],
        Type::RefundCreated => [own, "plugipay.refund.issued.v1", "", ""],
        Type::RefundSubmitted => [own, "", "", ""],
        Type::RefundSucceeded => [own, "plugipay.refund.succeeded.v1", "", "refund.succeeded"],
        Type::RefundFailed => {
            [own, "plugipay.refund.failed.v1", "payment_intent.refund_failed", "refund.failed"]
        }
        Type::RefundCanceled => [own, "", "", ""],
        Type::RefundNeedsReview | Type::RefundAttentionRequired => [own, "", "", ""],
        // Moves between states that mean nothing to others are on the refund's timeline.
        Type::RefundUpdated => ["", "", "", ""],
        Type::CheckoutCreated => [own, "", "", ""],
        Type::CheckoutPending => [own, "", "payment_intent.processing", ""],
        Type::CheckoutPendingReview => [own, "", "", ""],
        Type::CheckoutCompleted => {
            [own, "plugipay.checkout_session.completed.v1", "", "payment.succeeded"]
        }
        Type::CheckoutFailed => [own, "", "payment_intent.failed", ""],
        Type::CheckoutExpired => [own, "plugipay.checkout_session.expired.v1", "", ""],
        Type::CheckoutCanceled => [own, "", "payment_intent.canceled", ""],
        Type::CheckoutDeleted => [own, "", "", ""],
        Type::InvoiceCreated => [own, "plugipay.invoice.created.v1", "", ""],
        Type::InvoiceFinalized => [own, "plugipay.invoice.finalized.v1", "", ""],
        Type::InvoiceSent => [own, "plugipay.invoice.sent.v1", "", ""],
        Type::InvoicePaid => [own, "plugipay.invoice.paid.v1", "", ""],
        Type::InvoiceVoided => [own, "plugipay.invoice.voided.v1", "", ""],
        Type::InvoicePending => [own, "plugipay.invoice.pending.v1", "", ""],
        Type::InvoiceFailed => [own, "plugipay.invoice.failed.v1", "", ""],
        Type::InvoicePastDue => [own, "", "", ""],
        Type::EndpointDisabled => [own, "plugipay.webhook_endpoint.disabled.v1", "", ""],
        Type::ProviderAccountCreated
        | Type::ProviderAccountPaused
        | Type::ProviderAccountResumed
        | Type::ProviderAccountRotated
        | Type::ProviderAccountDeleted
        | Type::SendingStopped
        | Type::SendingStarted => [own, "", "", ""],
    }
}

/// Names that clients may ask for and that nothing here sends: events of parts of those systems
/// which Refundry does not have.
const NEVER_SENT: &[&str] = &[
    "plugipay.customer.created.v1",
    "plugipay.customer.updated.v1",
    "plugipay.customer.deleted.v1",
    "plugipay.plan.created.v1",
    "plugipay.plan.updated.v1",
    "plugipay.plan.archived.v1",
    "plugipay.subscription.created.v1",
    "plugipay.subscription.updated.v1",
    "plugipay.subscription.paused.v1",
    "plugipay.subscription.resumed.v1",
    "plugipay.subscription.canceled.v1",
    "plugipay.subscription.renewed.v1",
    "plugipay.payout.created.v1",
    "plugipay.payout.in_transit.v1",
    "plugipay.payout.paid.v1",
    "plugipay.payout.failed.v1",
    "plugipay.payout.cancelled.v1",
    "plugipay.gift_card.issued.v1",
    "plugipay.gift_card.redeemed.v1",
    "plugipay.gift_card.topped_up.v1",
    "plugipay.gift_card.voided.v1",
    "setup_intent.succeeded",
    "setup_intent.failed",
];

/// The types that a name stands for, in whichever format it is written.
fn types_of(name: &str) -> impl Iterator<Item = (usize, Type)> {
    let named = move |event: Type| {
        event.as_str() == name
            || Format::ALL.iter().any(|format| format.event_name(event) == Some(name))
    };
    Type::ALL.iter().copied().enumerate().filter(move |(_, event)| named(*event))
}

/// True for a name that an endpoint may ask for.
pub fn is_event_name(name: &str) -> bool {
    name == "*" || NEVER_SENT.contains(&name) || types_of(name).next().is_some()
}

/// A set of event types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventSet(u128);

const _: () = assert!(Type::ALL.len() <= 128, "a set has a bit for each type");

impl EventSet {
    /// Reads space-separated names; none at all is all.
    pub fn parse(names: &str) -> Self {
        if names.trim().is_empty() {
            return Self(u128::MAX);
        }
        let set = names.split_ascii_whitespace().fold(0, |set, name| match name {
            "*" => u128::MAX,
            name => types_of(name).fold(set, |set, (at, _)| set | 1 << at),
        });
        Self(set)
    }

    /// True when it holds `event`.
    pub fn contains(self, event: Type) -> bool {
        let at = Type::ALL.iter().position(|known| *known == event);
        at.is_some_and(|at| self.0 & (1 << at) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_its_names_stand_for_in_either_format() {
        let all = EventSet::parse("");
        assert!(Type::ALL.iter().all(|event| all.contains(*event)));
        assert_eq!(EventSet::parse("*"), all);
        assert_eq!(EventSet::parse("refund.failed *"), all);
        let some = EventSet::parse("refund.succeeded plugipay.refund.issued.v1");
        let held: Vec<_> = Type::ALL.iter().filter(|event| some.contains(**event)).collect();
        assert_eq!(held, [&Type::RefundCreated, &Type::RefundSucceeded]);
        let none = EventSet::parse("plugipay.payout.paid.v1");
        assert!(!Type::ALL.iter().any(|event| none.contains(*event)));
    }

    #[test]
    fn names_of_either_format_are_known_and_others_are_not() {
        for name in ["*", "refund.created", "refund.updated", "plugipay.refund.issued.v1"] {
            assert!(is_event_name(name), "{name}");
        }
        assert!(NEVER_SENT.iter().all(|name| is_event_name(name)));
        for name in ["", "refund", "refund.*", "plugipay.refund.created.v1", "REFUND.CREATED"] {
            assert!(!is_event_name(name), "{name}");
        }
    }

    #[test]
    fn no_two_events_of_a_format_share_a_name() {
        for format in Format::ALL {
            let mut names: Vec<_> =
                Type::ALL.iter().filter_map(|event| format.event_name(*event)).collect();
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count);
        }
    }
}
