//! From what a command did to what a caller gets.

use crate::Error;
use domain::checkout::Checkout;
use domain::decide::Done;
use domain::hold::Hold;
use domain::invoice::Invoice;
use domain::payment::Payment;
use domain::refund::RefundView;
use domain::webhook::{Delivery, Endpoint};
use store::StoreError;

/// An answer, and whether the same request had come before.
#[derive(Clone, Debug)]
pub struct Answered<T> {
    pub value: T,
    /// It is the stored answer of an earlier request.
    pub replayed: bool,
}

/// Every command is answered with its own kind of thing, so anything else is a defect of ours.
fn of_another_kind(done: &Done) -> Error {
    let kind = match done {
        Done::Payment { .. } => "a payment",
        Done::Refund { .. } | Done::Leased { .. } => "a refund",
        Done::Hold { .. } => "a hold",
        Done::Checkout { .. } => "a checkout",
        Done::Invoice { .. } => "an invoice",
        Done::Endpoint(_) => "an endpoint",
        Done::Delivery { .. } => "a delivery",
    };
    tracing::error!(kind, "a command was answered with another kind of thing");
    StoreError::Inconsistent("a command was answered with another kind of thing".into()).into()
}

impl TryFrom<Done> for Answered<RefundView> {
    type Error = Error;

    fn try_from(done: Done) -> Result<Self, Error> {
        let Done::Refund { refund, payment, replayed } = done else {
            return Err(of_another_kind(&done));
        };
        Ok(Self { value: RefundView { refund: *refund, payment: payment.capture }, replayed })
    }
}

impl TryFrom<Done> for Answered<Payment> {
    type Error = Error;

    fn try_from(done: Done) -> Result<Self, Error> {
        let Done::Payment { payment, replayed } = done else { return Err(of_another_kind(&done)) };
        Ok(Self { value: payment, replayed })
    }
}

impl TryFrom<Done> for Answered<Hold> {
    type Error = Error;

    fn try_from(done: Done) -> Result<Self, Error> {
        let Done::Hold { hold, replayed } = done else { return Err(of_another_kind(&done)) };
        Ok(Self { value: *hold, replayed })
    }
}

impl TryFrom<Done> for Answered<Checkout> {
    type Error = Error;

    fn try_from(done: Done) -> Result<Self, Error> {
        let Done::Checkout { checkout, replayed } = done else {
            return Err(of_another_kind(&done));
        };
        Ok(Self { value: *checkout, replayed })
    }
}

impl TryFrom<Done> for Answered<Invoice> {
    type Error = Error;

    fn try_from(done: Done) -> Result<Self, Error> {
        let Done::Invoice { invoice, replayed } = done else { return Err(of_another_kind(&done)) };
        Ok(Self { value: *invoice, replayed })
    }
}

pub(crate) fn endpoint(done: Done) -> Result<Endpoint, Error> {
    let Done::Endpoint(endpoint) = done else { return Err(of_another_kind(&done)) };
    Ok(*endpoint)
}

pub(crate) fn delivery(done: Done) -> Result<Delivery, Error> {
    let Done::Delivery { delivery, .. } = done else { return Err(of_another_kind(&done)) };
    Ok(*delivery)
}
