//! Checks that run between the acts, and checks that run at the end.

use crate::facts::is_lost_dispute;
use crate::world::World;
use domain::payment::Payment;
use domain::refund::{Refund, State, Status};
use domain::time::Timestamp;
use engine::{NoticeAbout, PageQuery, SortOrder};
use simulator::{DashboardRefund, PaymentBook, RefundStatus};
use std::collections::{BTreeMap, BTreeSet};

/// How much of a run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Everything may be under way.
    Acts,
    /// The faults have ended, and time has passed.
    Settled,
    /// Everything that waited for a person was decided.
    Resolved,
}

/// One payment in both books.
pub(crate) struct Pages {
    pub(crate) payment: Payment,
    /// All refunds but those of lost disputes.
    ours: Vec<Refund>,
    pub(crate) lost_disputes: Vec<Refund>,
    theirs: PaymentBook,
}

impl World {
    /// Checks the books against themselves and against the provider's.
    pub(crate) async fn audit(&self, stage: Stage) {
        self.rig.verify_clean().await;
        let unmatched = self.unmatched().await;
        let mut known = BTreeSet::new();
        let mut refunded = BTreeMap::<String, i64>::new();
        for payment in &self.payments {
            let pages = self.pages_of(payment).await;
            let currency = pages.payment.capture.currency.as_str().to_owned();
            *refunded.entry(currency).or_default() += pages.payment.refunded;
            self.check_holds(&pages, &unmatched).await;
            assert!(pages.payment.within_limit(), "{:?}", pages.payment);
            known.extend(pages.ours.iter().map(|refund| refund.id));
            for refund in &pages.ours {
                check_is_looked_at(refund);
                self.check_paid_once(refund, &pages.theirs);
            }
            self.check_what_was_told(&pages, &unmatched);
            if stage != Stage::Acts {
                self.check_settled(&pages);
                check_paid_is_booked(&pages, &unmatched, stage);
            }
        }
        self.check_ledger(&refunded).await;
        let sent = self.network.sent_while_stopped();
        assert!(sent.is_empty(), "sent while the sending was stopped: {sent:?}");
        for (key, asked) in &self.requests {
            let is_there = asked.answered.is_none_or(|id| known.contains(&id));
            assert!(is_there, "{key} was acknowledged, but its refund is gone");
        }
    }

    async fn pages_of(&self, payment: &Payment) -> Pages {
        let ours = self.rig.refunds_of(payment).await;
        let (lost_disputes, ours) = ours.into_iter().partition(is_lost_dispute);
        Pages {
            payment: self.rig.payment(payment.capture.id).await,
            ours,
            lost_disputes,
            theirs: self.rig.book(payment).await,
        }
    }

    /// All that the provider paid between two times is in the books, or a person knows of it.
    pub(crate) async fn check_span(&self, since: Timestamp, until: Timestamp) {
        let unmatched = self.unmatched().await;
        let is_in = |at: Timestamp| (since..=until).contains(&at);
        for payment in &self.payments {
            let pages = self.pages_of(payment).await;
            let paid = pages.theirs.refunds.iter().filter(|theirs| is_kept(theirs));
            for paid in paid.filter(|paid| is_in(paid.at)) {
                let is_known = is_known(paid, &pages.ours, &unmatched);
                let ours = of(paid, &pages.ours);
                assert!(is_known, "{paid:?} was paid, and the span does not tell: {ours:?}");
            }
        }
    }

    /// The provider's ids of refunds and disputes in statements that wait for something that they fit, or for a person.
    async fn unmatched(&self) -> BTreeSet<Box<str>> {
        let page = PageQuery {
            limit: 100_000,
            after: None,
            order: SortOrder::Ascending,
            from: None,
            until: None,
        };
        let kept = self.rig.engine.list_unmatched_notices(self.rig.tenant, page).await;
        let kept = kept.expect("a read").items.into_iter();
        kept.filter_map(|kept| match kept.about {
            NoticeAbout::Refund(notice) => notice.said.provider_refund_id,
            NoticeAbout::Dispute(told) => Some(told.dispute),
        })
        .collect()
    }

    /// A refund that was asked for is paid once, by a provider that does what its traits say and books
    /// that were never lost.
    fn check_paid_once(&self, refund: &Refund, theirs: &PaymentBook) {
        let script = self.script_of(refund);
        if self.profile.lies || self.failed_over || script.starts_with("second_payout") {
            return;
        }
        let payouts = theirs.payouts_of(&refund.provider_key()).count();
        assert!(payouts <= 1, "{} ({script}) was paid {payouts} times", refund.id);
    }

    fn script_of(&self, refund: &Refund) -> &'static str {
        let asked = self.requests.values().find(|asked| asked.answered == Some(refund.id));
        asked.map_or("", |asked| asked.script)
    }

    /// All that the provider has paid, and has told us, is in our books as paid, as waiting for a person,
    /// or as a statement that fits nothing yet.
    fn check_what_was_told(&self, pages: &Pages, unmatched: &BTreeSet<Box<str>>) {
        for paid in pages.theirs.refunds.iter().filter(|theirs| is_kept(theirs)) {
            if self.network.was_told(&paid.id) {
                let is_known = is_known(paid, &pages.ours, unmatched);
                assert!(
                    is_known,
                    "{paid:?} is paid, and we were told: {:?}",
                    of(paid, &pages.ours)
                );
            }
        }
    }

    /// At the end, a refund has the state that it has at the provider.
    fn check_settled(&self, pages: &Pages) {
        for refund in &pages.ours {
            let script = self.script_of(refund);
            let id = refund.provider_refund_id.as_deref();
            let theirs = pages.theirs.refunds.iter().find(|theirs| Some(theirs.id.as_str()) == id);
            let status = theirs.map(|theirs| theirs.status);
            let fits = match refund.state {
                State::Succeeded => status == Some(RefundStatus::Succeeded) || waits(refund),
                State::Failed | State::Canceled => status.is_none_or(|s| s == RefundStatus::Failed),
                State::NeedsReview => true,
                State::Submitted | State::RequiresAction => {
                    matches!(status, Some(RefundStatus::Pending | RefundStatus::Held))
                }
                State::Held => status == Some(RefundStatus::Held),
                State::AwaitingApproval
                | State::Scheduled
                | State::Queued
                | State::Sending
                | State::Unknown
                | State::WaitingForFunds => false,
            };
            assert!(fits, "({script}) {status:?} at the provider, and here {refund:?}");
        }
    }
}

fn is_kept(theirs: &DashboardRefund) -> bool {
    theirs.status == RefundStatus::Succeeded
}

/// The refunds of ours that are one of theirs, or were asked for under its key.
fn of<'a>(theirs: &DashboardRefund, ours: &'a [Refund]) -> Vec<&'a Refund> {
    let is_of = |refund: &&Refund| {
        refund.provider_refund_id.as_deref() == Some(theirs.id.as_str())
            || theirs.key.as_ref() == Some(&refund.provider_key())
    };
    ours.iter().filter(is_of).collect()
}

/// True for a payout that is in the books, or of which a person knows.
fn is_known(paid: &DashboardRefund, ours: &[Refund], unmatched: &BTreeSet<Box<str>>) -> bool {
    let is_its = |refund: &Refund| {
        refund.provider_refund_id.as_deref() == Some(paid.id.as_str())
            && !matches!(refund.state, State::Failed | State::Canceled)
    };
    ours.iter().any(is_its) || is_flagged(paid, ours, unmatched)
}

fn is_flagged(theirs: &DashboardRefund, ours: &[Refund], unmatched: &BTreeSet<Box<str>>) -> bool {
    let of = of(theirs, ours);
    unmatched.contains(theirs.id.as_str()) || of.into_iter().any(waits)
}

/// A person was told that they must look.
fn waits(refund: &Refund) -> bool {
    refund.state == State::NeedsReview || refund.needs_attention
}

/// True for a payout that is not booked and waits for a person. A statement that fits nothing, such as
/// one in another currency, waits for ever.
fn may_wait(
    paid: &DashboardRefund,
    pages: &Pages,
    unmatched: &BTreeSet<Box<str>>,
    stage: Stage,
) -> bool {
    if stage == Stage::Resolved {
        let is_foreign = paid.currency != pages.payment.capture.currency;
        let is_told = is_foreign && of(paid, &pages.ours).into_iter().any(waits);
        return is_told || unmatched.contains(paid.id.as_str());
    }
    is_flagged(paid, &pages.ours, unmatched)
}

/// A refund that is not decided is looked at again, or a person was told.
fn check_is_looked_at(refund: &Refund) {
    if refund.state.status() == Status::Pending {
        assert!(refund.due_at.is_some() || waits(refund), "nobody looks at {refund:?}");
    }
}

/// All that the provider paid and did not take back is booked with its amount, or a person knows of it;
/// and nothing else is booked.
fn check_paid_is_booked(pages: &Pages, unmatched: &BTreeSet<Box<str>>, stage: Stage) {
    let mut booked: BTreeMap<&str, (i64, bool)> = BTreeMap::new();
    for refund in pages.ours.iter().filter(|refund| refund.state == State::Succeeded) {
        let id = refund.provider_refund_id.as_deref();
        let id = id.unwrap_or_else(|| panic!("nothing at the provider backs {refund:?}"));
        let (amount, is_flagged) = booked.entry(id).or_default();
        *amount += refund.amount;
        *is_flagged |= waits(refund);
    }
    let mut unbooked = 0;
    for paid in pages.theirs.refunds.iter().filter(|theirs| is_kept(theirs)) {
        let whose = || of(paid, &pages.ours);
        match booked.remove(paid.id.as_str()) {
            Some((amount, _)) => {
                assert_eq!(amount, paid.amount, "{paid:?} is booked as {:?}", whose());
            }
            None if may_wait(paid, pages, unmatched, stage) => unbooked += paid.amount,
            None => panic!("nobody knows of {paid:?}; ours are {:?}", whose()),
        }
    }
    let may_be_wrong = |is_flagged| is_flagged && stage != Stage::Resolved;
    let is_explained = booked.values().all(|(_, is_flagged)| may_be_wrong(*is_flagged));
    assert!(is_explained, "booked and not paid: {booked:?}");
    let unpaid: i64 = booked.values().map(|(amount, _)| amount).sum();
    let paid = pages.theirs.paid_out();
    let capture = &pages.payment.capture;
    let disputed: i64 = pages.lost_disputes.iter().map(|refund| refund.amount).sum();
    let booked = pages.payment.refunded - disputed;
    assert_eq!(booked - unpaid + unbooked, paid, "paid out for {}", capture.id);
    for refund in &pages.ours {
        let is_decided = refund.state.status() != Status::Pending;
        assert!(is_decided || stage != Stage::Resolved, "still open: {refund:?}");
    }
}
