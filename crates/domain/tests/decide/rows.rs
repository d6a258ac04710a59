//! Rows as a store keeps them, and everything that must be true of them at any time.

use domain::decide::{Command, Done, Refusal, decide};
use domain::event::{Event, Subject};
use domain::ids::{Ids, PaymentId, RefundId};
use domain::ledger::{Code, Reason, SourceType, Totals, Transfer};
use domain::machine::Next;
use domain::money::Currency;
use domain::payment::Payment;
use domain::refund::{Bucket, Fact, Origin, Refund, State, next};
use domain::tenant::Tenant;
use domain::time::Timestamp;
use domain::unique_keys::{KeyHash, KeyTarget, UniqueKey};
use domain::view::{Change, Row, RowKeys, View};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// Everything a database holds, in memory. It loads and saves as the real stores do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    pub payments: BTreeMap<(Tenant, PaymentId), Payment>,
    pub refunds: BTreeMap<(Tenant, RefundId), Refund>,
    pub keys: BTreeMap<(Tenant, KeyHash), UniqueKey>,
    pub events: Vec<Event>,
    pub transfers: Vec<Transfer>,
    pub totals: BTreeMap<(Tenant, Currency, Code), Totals>,
}

impl Rows {
    /// Decides a batch and saves it, checking every promise after every command.
    pub fn run(
        &mut self,
        commands: &[Command],
        now: Timestamp,
        ids: &mut Ids<ChaCha8Rng>,
    ) -> Vec<Result<Done, Refusal>> {
        let mut wanted = RowKeys::default();
        for command in commands {
            command.wants(&mut wanted);
        }
        let mut view = self.load(wanted);
        let mut before = self.clone();
        let answers = commands
            .iter()
            .map(|command| {
                let untouched = view.clone();
                let answer = decide(&mut view, command, now, ids);
                if answer.is_err() {
                    assert_eq!(
                        view, untouched,
                        "{command:?} was refused ({answer:?}) and changed something"
                    );
                }
                let mut after = self.clone();
                after.save(&view);
                after.check();
                after.check_grown_from(&before);
                after.check_answer(command, answer.as_ref());
                before = after;
                answer
            })
            .collect();
        *self = before;
        answers
    }

    fn load(&self, mut wanted: RowKeys) -> View {
        let mut view = View::default();
        for at in wanted.keys {
            let Some(key) = self.keys.get(&at) else { continue };
            if key.target == KeyTarget::Payment {
                wanted.payments.insert((at.0, PaymentId::from_ulid(key.id)));
            } else {
                wanted.refunds.insert((at.0, RefundId::from_ulid(key.id)));
            }
            view.keys.insert(at, Row::loaded(key.clone()));
        }
        for at in wanted.refunds {
            let Some(refund) = self.refunds.get(&at) else { continue };
            wanted.payments.insert((at.0, refund.payment));
            view.refunds.insert(at, Row::loaded(refund.clone()));
        }
        for at in wanted.payments {
            let Some(payment) = self.payments.get(&at) else { continue };
            view.payments.insert(at, Row::loaded(payment.clone()));
        }
        view
    }

    fn save(&mut self, view: &View) {
        save(&mut self.payments, &view.payments);
        save(&mut self.refunds, &view.refunds);
        save(&mut self.keys, &view.keys);
        self.events.extend(view.new_rows.events.iter().cloned());
        self.transfers.extend(view.new_rows.transfers.iter().cloned());
        for (at, more) in &view.new_rows.totals {
            let totals = self.totals.entry(*at).or_default();
            totals.debits += more.debits;
            totals.credits += more.credits;
        }
    }

    pub fn refunds_of(&self, payment: &Payment) -> impl Iterator<Item = &Refund> {
        let (tenant, id) = (payment.capture.tenant, payment.capture.id);
        self.refunds.values().filter(move |r| r.tenant == tenant && r.payment == id)
    }

    /// Everything that must be true at any time.
    fn check(&self) {
        self.payments.values().for_each(|payment| self.check_balance(payment));
        self.refunds.values().for_each(|refund| self.check_refund(refund));
        self.check_ledger();
        self.check_events();
        for key in self.keys.values() {
            let refund = self.refunds.contains_key(&(key.tenant, RefundId::from_ulid(key.id)));
            let payment = self.payments.contains_key(&(key.tenant, PaymentId::from_ulid(key.id)));
            let leads_on = if key.target == KeyTarget::Payment { payment } else { refund };
            assert!(leads_on, "{key:?} leads nowhere");
        }
    }

    /// Promise 1, and that the balance is what the refunds add up to.
    fn check_balance(&self, payment: &Payment) {
        let id = payment.capture.id;
        let sum = |bucket| -> i64 {
            let of_bucket = self.refunds_of(payment).filter(|r| r.state.bucket() == bucket);
            of_bucket.map(|refund| refund.amount).sum()
        };
        assert!(payment.within_limit(), "{id} passed its limit: {payment:?}");
        assert_eq!(payment.refunded, sum(Bucket::Refunded), "refunded of {id}");
        assert_eq!(payment.reserved, sum(Bucket::Reserved), "reserved of {id}");
        let spent = payment.refunded + payment.reserved + payment.held;
        assert_eq!(payment.excess, (spent - payment.capture.captured).max(0), "excess of {id}");
        // Refunds that Refundry allowed never pass the limit, whatever else came.
        let ours: i64 = self
            .refunds_of(payment)
            .filter(|r| r.state.bucket() != Bucket::Released)
            .filter(|r| r.origin == Origin::Api && !self.was_revived(r))
            .map(|refund| refund.amount)
            .sum();
        assert!(ours <= payment.capture.captured, "{id} was over-refunded by Refundry itself");
    }

    fn was_revived(&self, refund: &Refund) -> bool {
        self.states_of(refund).windows(2).any(|pair| pair == [State::Failed, State::Succeeded])
    }

    fn check_refund(&self, refund: &Refund) {
        let id = refund.id;
        assert!(refund.amount > 0, "amount of {id}");
        let payment = &self.payments[&(refund.tenant, refund.payment)];
        assert_eq!(refund.currency, payment.capture.currency, "currency of {id}");
        assert_eq!(refund.due_at.is_some(), refund.state.has_work(), "due time of {refund:?}");
        assert!(!refund.late || refund.state == State::Failed, "{id} is late and {}", refund.state);
        let states = self.states_of(refund);
        assert_eq!(states.last(), Some(&refund.state), "last event of {id}");
        for pair in states.windows(2) {
            let moves = |fact: &Fact| next(pair[0], *fact) == Next::Move(pair[1]);
            assert!(Fact::ALL.iter().any(moves), "{id} went from {} to {}", pair[0], pair[1]);
        }
    }

    /// The states a refund went through, by its events.
    pub fn states_of(&self, refund: &Refund) -> Vec<State> {
        let of_refund = |event: &Event| {
            let Subject::Refund(id, state) = event.subject else { return None };
            ((event.tenant, id) == (refund.tenant, refund.id)).then_some(state)
        };
        self.events.iter().filter_map(of_refund).collect()
    }

    /// Promise 4: everything posted follows from payments and refunds, and the ledger balances.
    fn check_ledger(&self) {
        for refund in self.refunds.values() {
            let posted = self.transfers.iter().filter(|p| p.source == refund.id.ulid());
            let net: i64 = posted
                .map(|transfer| {
                    assert_eq!(transfer.source_type, SourceType::Refund);
                    assert_eq!(
                        (transfer.payment, transfer.currency),
                        (refund.payment, refund.currency)
                    );
                    match transfer.reason {
                        Reason::Refund => transfer.amount,
                        Reason::LateFailure => -transfer.amount,
                        Reason::Capture => panic!("{transfer:?} is about a refund"),
                    }
                })
                .sum();
            let due = if refund.state == State::Succeeded { refund.amount } else { 0 };
            assert_eq!(net, due, "posted for {} in state {}", refund.id, refund.state);
        }
        for payment in self.payments.values() {
            let id = payment.capture.id;
            let captures: Vec<_> = self
                .transfers
                .iter()
                .filter(|p| p.reason == Reason::Capture && p.payment == id)
                .map(|transfer| transfer.amount)
                .collect();
            assert_eq!(captures, [payment.capture.captured], "capture of {id}");
        }
        let mut derived: BTreeMap<(Tenant, Currency, Code), Totals> = BTreeMap::new();
        for transfer in &self.transfers {
            let (debit, credit) = transfer.reason.legs();
            let at = |code| (transfer.tenant, transfer.currency, code);
            derived.entry(at(debit)).or_default().debits += transfer.amount;
            derived.entry(at(credit)).or_default().credits += transfer.amount;
        }
        assert_eq!(self.totals, derived, "running totals");
        let mut balance: BTreeMap<(Tenant, Currency), i64> = BTreeMap::new();
        for ((tenant, currency, _), totals) in &self.totals {
            *balance.entry((*tenant, *currency)).or_default() += totals.debits - totals.credits;
        }
        assert!(balance.values().all(|sum| *sum == 0), "out of balance: {balance:?}");
    }

    /// Promise 5's ground: events count from 1 without a gap and their ids grow.
    fn check_events(&self) {
        let mut last: BTreeMap<(Tenant, [u8; 16]), u32> = BTreeMap::new();
        for event in &self.events {
            let subject = if let Subject::Refund(id, _) = event.subject {
                id.bytes()
            } else if let Subject::Payment(id) = event.subject {
                id.bytes()
            } else {
                panic!("{event:?} is about neither a payment nor a refund")
            };
            let seq = last.entry((event.tenant, subject)).or_default();
            *seq += 1;
            assert_eq!(event.seq, *seq, "{event:?}");
        }
        for refund in self.refunds.values() {
            assert_eq!(last.get(&(refund.tenant, refund.id.bytes())), Some(&refund.last_seq));
        }
        for payment in self.payments.values() {
            let at = (payment.capture.tenant, payment.capture.id.bytes());
            assert_eq!(last.get(&at), Some(&payment.last_seq));
        }
        assert!(
            self.events.windows(2).all(|pair| pair[0].id < pair[1].id),
            "event ids do not grow"
        );
    }

    /// No row is lost, and what never changes did not.
    fn check_grown_from(&self, before: &Self) {
        assert!(self.events.starts_with(&before.events), "an event was lost or changed");
        assert!(self.transfers.starts_with(&before.transfers), "a posting was lost or changed");
        assert!(before.keys.keys().all(|at| self.keys.contains_key(at)), "a name was lost");
        for (at, old) in &before.payments {
            assert_eq!(self.payments.get(at).map(|p| &p.capture), Some(&old.capture));
        }
        for (at, old) in &before.refunds {
            let new = self.refunds.get(at).unwrap_or_else(|| panic!("{} was lost", old.id));
            let capture = |r: &Refund| {
                let ours = (r.reason.clone(), r.reference.clone(), r.metadata.clone());
                (r.payment, r.amount, r.currency, r.origin, r.before_settlement, ours)
            };
            assert_eq!(capture(new), capture(old), "what never changes about {} did", old.id);
            assert!(
                old.provider_refund_id.is_none()
                    || new.provider_refund_id == old.provider_refund_id
            );
            let seen = (old.evidence_at, new.evidence_at);
            assert!(seen.0 <= seen.1, "{} forgot a newer statement", old.id);
        }
    }

    /// A caller's answer is what is stored, unless an earlier answer is repeated.
    fn check_answer(&self, command: &Command, answer: Result<&Done, &Refusal>) {
        if let Ok(Done::Refund { refund, payment, replayed }) = answer {
            assert_eq!(self.payments.get(&(refund.tenant, refund.payment)), Some(payment));
            let stored = &self.refunds[&(refund.tenant, refund.id)];
            let created = matches!(command, Command::Create(_));
            assert!(*replayed && created || **refund == *stored, "{command:?}: {refund:?}");
        } else if let Ok(Done::Payment { payment, replayed: _ }) = answer {
            let at = (payment.capture.tenant, payment.capture.id);
            assert_eq!(self.payments.get(&at), Some(payment));
        } else {
            assert!(answer.is_err(), "{answer:?} is about neither a payment nor a refund");
        }
    }
}

/// Saves as a database does: an insert finds no row, an update finds one.
fn save<K: Ord + Copy + std::fmt::Debug, V: Clone>(
    table: &mut BTreeMap<K, V>,
    rows: &BTreeMap<K, Row<V>>,
) {
    for (at, row) in rows {
        match row.change {
            Change::None => {}
            Change::Updated => assert!(table.insert(*at, row.value.clone()).is_some(), "{at:?}"),
            Change::Inserted => assert!(table.insert(*at, row.value.clone()).is_none(), "{at:?}"),
        }
    }
}
