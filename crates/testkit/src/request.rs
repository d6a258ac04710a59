//! Builds refund requests in tests.

use crate::EngineRig;
use domain::payment::Payment;
use domain::refund::Refund;
use engine::{Answered, Engine, Error, IdempotencyKey, NewRefund, RefundView};

/// A refund request that was not sent yet. Without an amount, the request is for everything
/// refundable.
#[must_use = "no refund is created before `create` or `try_create`"]
#[derive(Clone)]
pub struct RefundRequest {
    engine: Engine,
    new: NewRefund,
    key: Option<IdempotencyKey>,
}

impl EngineRig {
    pub fn refund(&self, payment: &Payment) -> RefundRequest {
        let new = NewRefund::of(payment.capture.tenant, payment.capture.id);
        RefundRequest { engine: self.engine.clone(), new, key: None }
    }
}

impl RefundRequest {
    pub fn amount(mut self, minor: i64) -> Self {
        self.new.amount = Some(minor);
        self
    }

    /// Sets the script that the provider simulator follows.
    pub fn simulate(mut self, script: &str) -> Self {
        self.new.metadata = Some(format!(r#"{{"simulate":"{script}"}}"#).into());
        self
    }

    pub fn key(mut self, key: &str) -> Self {
        self.key = Some(IdempotencyKey { door: "native", value: key.into() });
        self
    }

    pub fn reference(mut self, reference: &str) -> Self {
        self.new.reference = Some(reference.into());
        self
    }

    /// Sets the refundable amount that the caller expects.
    pub fn expecting(mut self, refundable: i64) -> Self {
        self.new.expected_refundable = Some(refundable);
        self
    }

    /// Sends the request to `engine` instead of the rig's engine.
    pub fn of(mut self, engine: &Engine) -> Self {
        self.engine = engine.clone();
        self
    }

    /// Sends the request and returns the answer.
    pub async fn try_create(self) -> Result<Answered<RefundView>, Error> {
        self.engine.create_refund(self.new, self.key.as_ref()).await
    }

    /// Sends the request, which must be accepted, and returns the refund.
    pub async fn create(self) -> Refund {
        let answered = self.try_create().await.expect("the refund is accepted");
        answered.value.refund
    }
}
