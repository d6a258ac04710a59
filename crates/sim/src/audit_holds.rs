//! Checks of holds and disputes.

use crate::audit::Pages;
use crate::world::World;
use domain::hold::{Hold, State as HoldState};
use domain::ledger::Code;
use domain::payment::Payment;
use domain::refund::{Refund, State};
use engine::{DisputeNotice, DisputeStage, End};
use std::collections::{BTreeMap, BTreeSet};

impl World {
    /// Holds take what refunds leave free, each lost dispute is booked once, and the provider's word about each
    /// is followed, or a person knows that it is not.
    pub(crate) async fn check_holds(&self, pages: &Pages, unmatched: &BTreeSet<Box<str>>) {
        let holds = self.holds_of(&pages.payment).await;
        check_balance(&pages.payment, &holds);
        check_booked_once(pages, &holds);
        let told = self.network.dispute_notices_told();
        let charge = &pages.payment.capture.provider_payment_id;
        let told = told.iter().filter(|told| told.provider_payment_id == *charge);
        let told: Vec<&DisputeNotice> = told.collect();
        let disputes: BTreeSet<&str> = told.iter().map(|told| &*told.dispute).collect();
        for hold in &holds {
            let is_told = hold.reference.as_deref().is_some_and(|name| disputes.contains(name));
            if !is_told {
                let by_person = self.disputes.ended.get(&hold.id).map(state_after);
                assert_eq!(hold.state, by_person.unwrap_or(HoldState::Open), "{hold:?}");
            }
        }
        for name in disputes {
            let told: Vec<_> = told.iter().filter(|told| &*told.dispute == name).copied().collect();
            let its: Vec<_> =
                holds.iter().filter(|hold| hold.reference.as_deref() == Some(name)).collect();
            let [hold] = its[..] else { panic!("{name} has not one hold: {its:?}") };
            let by_person = self.disputes.ended.get(&hold.id);
            let booked = pages.lost_disputes.iter().find(|refund| hold.refund == Some(refund.id));
            let fits = fits(hold, booked, &told, by_person);
            // A person ended it before the provider did, and knows of the difference.
            let is_flagged = by_person.is_some() && unmatched.contains(name);
            assert!(fits || is_flagged, "{hold:?} of {by_person:?}, {booked:?} and {told:?}");
        }
    }

    /// The ledger's refunds are those of the payments.
    pub(crate) async fn check_ledger(&self, refunded: &BTreeMap<String, i64>) {
        let balances = self.rig.engine.balances(self.rig.tenant).await.expect("a read");
        let mut booked: BTreeMap<String, i64> =
            refunded.keys().map(|currency| (currency.clone(), 0)).collect();
        for balance in balances {
            if balance.code == Code::RevenueRefund {
                let sum = balance.totals.debits - balance.totals.credits;
                booked.insert(balance.currency.as_str().to_owned(), sum);
            }
        }
        assert_eq!(&booked, refunded, "the ledger and the payments");
    }
}

fn check_balance(payment: &Payment, holds: &[Hold]) {
    let open = holds.iter().filter(|hold| hold.state == HoldState::Open);
    let on_hold: i64 = open.map(|hold| hold.amount).sum();
    let spent = payment.refunded + payment.reserved;
    let free = (payment.capture.captured - spent).max(0);
    let held = on_hold.min(free);
    assert_eq!((payment.held, payment.held_excess), (held, on_hold - held), "{payment:?}");
    assert_eq!(payment.excess, (spent - payment.capture.captured).max(0), "{payment:?}");
}

/// Each booked hold has a refund of its own that succeeded, and each refund of a dispute has a hold.
fn check_booked_once(pages: &Pages, holds: &[Hold]) {
    let booked: Vec<&Hold> = holds.iter().filter(|hold| hold.state == HoldState::Booked).collect();
    let refunds: BTreeSet<_> = booked.iter().filter_map(|hold| hold.refund).collect();
    assert_eq!(refunds.len(), booked.len(), "one refund for each of {booked:?}");
    let lost: BTreeSet<_> = pages.lost_disputes.iter().map(|refund| refund.id).collect();
    assert_eq!(lost, refunds, "{:?} for {booked:?}", pages.lost_disputes);
    for refund in &pages.lost_disputes {
        assert_eq!(refund.state, State::Succeeded, "{refund:?}");
    }
}

const fn state_after(end: &End) -> HoldState {
    match end {
        End::Release => HoldState::Released,
        End::Book { .. } => HoldState::Booked,
    }
}

/// True when a hold stands as the provider and the person say.
fn fits(
    hold: &Hold,
    booked: Option<&Refund>,
    told: &[&DisputeNotice],
    by_person: Option<&End>,
) -> bool {
    let most = told.iter().map(|told| told.money.minor).max().unwrap_or(0);
    match (told.iter().find(|told| told.stage != DisputeStage::Open), by_person) {
        (None, None) => hold.state == HoldState::Open && hold.amount >= most,
        (None, Some(end)) => hold.state == state_after(end),
        (Some(told), _) if told.stage == DisputeStage::Won => hold.state == HoldState::Released,
        (Some(told), _) => {
            hold.state == HoldState::Booked
                && booked.is_some_and(|refund| refund.amount == told.money.minor)
        }
    }
}
