//! Checks that run after every act, and checks that run at the end.

use crate::world::World;
use domain::payment::Payment;
use domain::refund::{Origin, Refund, State, Status};
use simulator::{PaymentBook, RefundStatus};

impl World {
    /// Checks that the books are in order and that no refund was paid twice.
    pub(crate) async fn check_books(&self) {
        self.rig.verify_clean().await;
        for payment in &self.payments {
            let now = self.rig.payment(payment.capture.id).await;
            assert!(now.within_limit(), "{now:?}");
            let book = self.rig.book(payment).await;
            for refund in self.rig.refunds_of(payment).await {
                let payouts = book.payouts_of(&refund.provider_key()).count();
                assert!(payouts <= 1, "{} was paid {payouts} times", refund.id);
            }
        }
    }

    /// Checks at the end of a run that every refund has the state that it has at the provider.
    pub(crate) async fn check_outcome(&self) {
        self.check_books().await;
        for (key, asked) in &self.requests {
            if let Some(id) = asked.answered {
                assert!(
                    self.rig.find(id).await.is_some(),
                    "{key} was acknowledged, but its refund is gone"
                );
            }
        }
        for payment in &self.payments {
            let book = self.rig.book(payment).await;
            let refunds = self.rig.refunds_of(payment).await;
            for refund in &refunds {
                self.check_refund(refund, &book);
            }
            check_adopted(&refunds, &book);
            self.check_sums(payment, &refunds, &book).await;
        }
    }

    fn check_refund(&self, refund: &Refund, book: &PaymentBook) {
        if refund.origin == Origin::External {
            return;
        }
        let script = self.script_of(refund);
        let key = refund.provider_key();
        let kept = book.payouts_of(&key).find(|payout| payout.is_kept());
        let paid = kept.map(|payout| payout.amount);
        let what = format!("{} ({script}, {}) with {paid:?} paid", refund.id, refund.state);
        match refund.state {
            State::Succeeded => assert_eq!(paid, Some(refund.amount), "{what}"),
            State::Failed | State::Canceled => assert_eq!(paid, None, "{what}"),
            State::NeedsReview => {
                // Either the provider contradicts the request, or it honours no keys and cannot say
                // whether it paid.
                let unsure = !self.honours_keys && paid.is_none();
                assert!(script == "wrong_amount" || unsure, "{what}");
            }
            State::Submitted => {
                let pending = book.refunds.iter().any(|theirs| {
                    theirs.key.as_ref() == Some(&key) && theirs.status == RefundStatus::Pending
                });
                assert!(script == "stay_pending" && pending, "{what}");
            }
            other => panic!("{what} did not reach a final state: {other}"),
        }
    }

    fn script_of(&self, refund: &Refund) -> &'static str {
        let asked = self.requests.values().find(|asked| asked.answered == Some(refund.id));
        asked.unwrap_or_else(|| panic!("no request created {}", refund.id)).script
    }

    /// Checks that each payout is booked, or belongs to a refund that a person must review.
    async fn check_sums(&self, payment: &Payment, refunds: &[Refund], book: &PaymentBook) {
        let mut unbooked = 0;
        for refund in refunds.iter().filter(|refund| refund.state == State::NeedsReview) {
            let key = refund.provider_key();
            let kept = book.payouts_of(&key).filter(|payout| payout.is_kept());
            unbooked += kept.map(|payout| payout.amount).sum::<i64>();
        }
        let now = self.rig.payment(payment.capture.id).await;
        assert_eq!(now.refunded + unbooked, book.paid_out(), "paid out for {}", payment.capture.id);
    }
}

/// Checks that each refund made at the provider itself is adopted once and has the provider's
/// status.
fn check_adopted(refunds: &[Refund], book: &PaymentBook) {
    let theirs: Vec<_> = book.refunds.iter().filter(|refund| refund.key.is_none()).collect();
    let adopted: Vec<_> = refunds.iter().filter(|r| r.origin == Origin::External).collect();
    assert_eq!(adopted.len(), theirs.len(), "refunds made at the provider");
    for made in theirs {
        let named = |r: &&&Refund| r.provider_refund_id.as_deref() == Some(made.id.as_str());
        let [ours] = adopted.iter().filter(named).collect::<Vec<_>>()[..] else {
            panic!("{} is not adopted once", made.id)
        };
        let status = match made.status {
            RefundStatus::Pending => Status::Pending,
            RefundStatus::Succeeded => Status::Succeeded,
            RefundStatus::Failed => Status::Failed,
        };
        assert_eq!((ours.amount, ours.state.status()), (made.amount, status), "{}", made.id);
    }
}
