//! Asking for a refund, in words.

use crate::EngineRig;
use domain::payment::Payment;
use domain::refund::Refund;
use engine::{Answered, Engine, Error, IdempotencyKey, NewRefund, RefundView};

/// A refund that is about to be asked for. Unless it says otherwise: of all that remains.
#[must_use = "nothing is asked for before `create` or `try_create`"]
#[derive(Clone)]
pub struct RefundRequest {
    engine: Engine,
    new: NewRefund,
    key: Option<IdempotencyKey>,
}

impl EngineRig {
    /// Starts a request for a refund.
    pub fn refund(&self, payment: &Payment) -> RefundRequest {
        let new = NewRefund::of(payment.facts.scope, payment.facts.id);
        RefundRequest { engine: self.engine.clone(), new, key: None }
    }
}

impl RefundRequest {
    /// Of so many minor units.
    pub fn amount(mut self, minor: i64) -> Self {
        self.new.amount = Some(minor);
        self
    }

    /// Tells the simulator which script to follow.
    pub fn simulate(mut self, script: &str) -> Self {
        self.new.metadata = Some(format!(r#"{{"simulate":"{script}"}}"#).into());
        self
    }

    /// Under an idempotency key.
    pub fn key(mut self, key: &str) -> Self {
        self.key = Some(IdempotencyKey { door: "native", value: key.into() });
        self
    }

    /// With the caller's own id.
    pub fn reference(mut self, reference: &str) -> Self {
        self.new.reference = Some(reference.into());
        self
    }

    /// Only if so much is refundable.
    pub fn expecting(mut self, refundable: i64) -> Self {
        self.new.expected_refundable = Some(refundable);
        self
    }

    /// Asks another engine than the rig's.
    pub fn of(mut self, engine: &Engine) -> Self {
        self.engine = engine.clone();
        self
    }

    /// Asks, and takes whatever the answer is.
    pub async fn try_create(self) -> Result<Answered<RefundView>, Error> {
        self.engine.create_refund(self.new, self.key.as_ref()).await
    }

    /// Asks, and gives the refund as it was created.
    pub async fn create(self) -> Refund {
        let answered = self.try_create().await.expect("the refund is accepted");
        answered.value.refund
    }
}
