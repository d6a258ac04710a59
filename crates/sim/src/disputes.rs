//! Disputes that the provider tells of by webhooks, and holds that persons place and end.

use crate::lossy_provider::DISPUTE;
use crate::lossy_webhooks::LossyWebhooks;
use crate::world::World;
use domain::decide::Refusal;
use domain::hold::{Hold, State};
use domain::money::Money;
use domain::outcome::Source;
use domain::payment::Payment;
use domain::time::Clock;
use engine::{
    DisputeNotice, DisputeStage, End, Error, IdempotencyKey, InboundWebhook, NewHold, PageQuery,
    SortOrder,
};
use simulator::WebhookSink;
use std::collections::BTreeMap;

impl World {
    /// The provider opens a dispute, or one of its disputes grows or ends.
    pub(crate) fn dispute_moves(&mut self) {
        let open = |told: &&mut DisputeNotice| told.stage == DisputeStage::Open;
        let mut open: Vec<_> = self.disputes.last.iter_mut().filter(open).collect();
        if open.is_empty() || self.rng.percent(45) {
            return self.dispute_opens();
        }
        let at = self.rng.index(open.len()).unwrap_or(0);
        let told = &mut *open[at];
        let minor = told.money.minor;
        let what = match self.rng.below(10) {
            0..3 => {
                told.money.minor = minor + self.rng.between(1, minor);
                "grows"
            }
            3..6 => {
                told.stage = DisputeStage::Won;
                "is won"
            }
            6..9 => {
                told.stage = DisputeStage::Lost;
                "is lost"
            }
            _ => {
                told.stage = DisputeStage::Lost;
                told.money.minor = self.rng.between(1, 2 * minor);
                "is lost with another amount"
            }
        };
        let told = told.clone();
        self.provider_tells(told, what);
    }

    fn dispute_opens(&mut self) {
        let Some(at) = self.rng.index(self.payments.len()) else { return };
        let capture = self.payments[at].capture.clone();
        let most =
            if self.rng.percent(70) { capture.captured / 8 } else { capture.captured * 5 / 4 };
        let told = DisputeNotice {
            provider_payment_id: capture.provider_payment_id.clone(),
            dispute: format!("dispute-{}", self.disputes.last.len()).into(),
            money: Money::new(self.rng.between(1, most.max(1)), capture.currency),
            stage: DisputeStage::Open,
        };
        self.disputes.last.push(told.clone());
        self.provider_tells(told, "opens");
    }

    fn provider_tells(&mut self, told: DisputeNotice, what: &str) {
        self.network.counts.count("dispute", what);
        let number = self.network.add_dispute_notice(told);
        self.disputes.waiting.push(number);
    }

    /// The provider delivers one of its notices about disputes, in whatever order, or repeats one.
    pub(crate) async fn tell_of_a_dispute(&mut self) {
        let repeats = self.rng.percent(10);
        let waiting = &self.disputes.waiting;
        let number = if repeats {
            self.rng.index(self.network.count_dispute_notices())
        } else {
            self.rng.pick(waiting).copied()
        };
        let Some(number) = number else { return };
        let webhook = self.dispute_webhook(number);
        let nodes = self.nodes.iter().map(|node| node.engine.clone()).collect();
        let webhooks = LossyWebhooks::unreliable(nodes, &self.network, &mut self.rng);
        if webhooks.deliver(self.rig.tenant, webhook).await {
            self.disputes.waiting.retain(|other| *other != number);
        }
    }

    /// A person has the provider deliver all its notices about disputes again, in whatever order.
    pub(crate) async fn tell_of_all_disputes(&mut self) {
        let mut left: Vec<usize> = (0..self.network.count_dispute_notices()).collect();
        let engine = self.any_node();
        while let Some(at) = self.rng.index(left.len()) {
            let number = left.swap_remove(at);
            let webhooks = LossyWebhooks::reliable(engine.clone(), &self.network);
            let taken = webhooks.deliver(self.rig.tenant, self.dispute_webhook(number)).await;
            assert!(taken, "notice {number} of a dispute is not taken in");
        }
        self.disputes.waiting.clear();
    }

    fn dispute_webhook(&self, number: usize) -> InboundWebhook {
        InboundWebhook {
            url: "".into(),
            headers: vec![(DISPUTE.to_owned(), number.to_string())],
            body: Vec::new(),
            received_at: self.rig.clock.now(),
        }
    }

    /// A person holds money, for a dispute of which they heard or for another reason. A repeated request
    /// must hold nothing more.
    pub(crate) async fn person_holds(&mut self) {
        let heard = if self.rng.percent(40) { self.rng.pick(&self.disputes.last) } else { None };
        let heard = heard.cloned();
        let at = match &heard {
            Some(told) => self.payments.iter().position(|payment| {
                payment.capture.provider_payment_id == told.provider_payment_id
            }),
            None => self.rng.index(self.payments.len()),
        };
        let Some(at) = at else { return };
        let capture = self.payments[at].capture.clone();
        let exact = heard.as_ref().filter(|_| self.rng.percent(70));
        let most = (capture.captured / 8).max(1);
        let new = NewHold {
            tenant: self.rig.tenant,
            payment: capture.id,
            amount: exact.map_or_else(|| self.rng.between(1, most), |told| told.money.minor),
            currency: None,
            reason: "letter from the bank".into(),
            reference: heard.map(|told| told.dispute),
            source: Source::Operator,
        };
        self.disputes.asked += 1;
        let value = format!("hold-{}", self.disputes.asked).into();
        let key = IdempotencyKey { door: "native", value };
        let mut known = None;
        for _ in 0..self.rng.between(1, 2) {
            match self.any_node().place_hold(new.clone(), Some(&key)).await {
                Ok(placed) => {
                    assert_eq!(*known.get_or_insert(placed.value.id), placed.value.id);
                    self.network.counts.count("hold", "placed by a person");
                }
                Err(Error::Refused(Refusal::DisputeHeld(_))) if known.is_none() => {}
                Err(error) => panic!("{error:?}"),
            }
        }
    }

    /// A person ends one open hold.
    pub(crate) async fn person_ends_hold(&mut self) {
        let mut open = Vec::new();
        for payment in self.payments.clone() {
            let holds = self.holds_of(&payment).await.into_iter();
            open.extend(holds.filter(|hold| hold.state == State::Open));
        }
        let Some(hold) = self.rng.pick(&open).cloned() else { return };
        let (end, what) = match self.rng.below(3) {
            0 => (End::Release, "released by a person"),
            1 => (End::Book { amount: None }, "booked by a person"),
            _ => {
                let amount = Some(self.rng.between(1, hold.amount));
                (End::Book { amount }, "booked by a person with another amount")
            }
        };
        let engine = self.any_node();
        let ended = engine.end_hold(self.rig.tenant, hold.payment, hold.id, end, None).await;
        ended.expect("an open hold ends");
        self.network.counts.count("hold", what);
        self.disputes.ended.insert(hold.id, end);
    }

    /// The holds of a payment, oldest first.
    pub(crate) async fn holds_of(&self, payment: &Payment) -> Vec<Hold> {
        let page = PageQuery {
            limit: 10_000,
            after: None,
            order: SortOrder::Ascending,
            from: None,
            until: None,
        };
        let engine = &self.rig.engine;
        let holds = engine.list_holds(self.rig.tenant, payment.capture.id, page).await;
        holds.expect("a read").items
    }

    /// The books went back to an old copy: what persons did since is gone, and the provider is asked to
    /// tell of its disputes again.
    pub(crate) async fn forget_lost_ends(&mut self) {
        let mut ended = BTreeMap::new();
        for payment in self.payments.clone() {
            for hold in self.holds_of(&payment).await {
                let end = self.disputes.ended.get(&hold.id);
                if let Some(end) = end.filter(|_| hold.state != State::Open) {
                    ended.insert(hold.id, *end);
                }
            }
        }
        self.disputes.ended = ended;
        self.disputes.waiting = (0..self.network.count_dispute_notices()).collect();
    }
}
