//! Rows as a store keeps them, and everything that must be true of them at any time.

use crate::doubts::Doubts;
use domain::decide::{Command, Done, Refusal, decide};
use domain::event::{Event, Subject, Type};
use domain::ids::{Ids, PaymentId, RefundId};
use domain::ledger::{Code, Reason, SourceType, Totals, Transfer};
use domain::machine::Next;
use domain::money::Currency;
use domain::payment::Payment;
use domain::refund::{Attempt, Bucket, Fact, Origin, Refund, State, next};
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
    /// The calls before the last one of each refund.
    pub attempts: Vec<Attempt>,
    /// The calls that may have made refunds, as far as that can be known.
    pub doubts: Doubts,
    /// The amounts of the refunds when they were made.
    asked: BTreeMap<RefundId, i64>,
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
                if matches!(command, Command::Record(_) | Command::Adopt(_)) {
                    check_writes(&untouched.refunds, &view.refunds, command);
                    check_writes(&untouched.payments, &view.payments, command);
                }
                if answer.is_err() {
                    assert_eq!(
                        view, untouched,
                        "{command:?} was refused ({answer:?}) and changed something"
                    );
                }
                let mut after = self.clone();
                after.save(&view);
                after.doubts = before.doubts.clone();
                if let Ok(done) = &answer {
                    let mut doubts = std::mem::take(&mut after.doubts);
                    doubts.note(command, done, (&before, &after), now);
                    after.doubts = doubts;
                }
                after.check();
                after.check_grown_from(&before, command);
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
        for refund in self.refunds.values() {
            self.asked.entry(refund.id).or_insert(refund.amount);
        }
        save(&mut self.keys, &view.keys);
        self.events.extend(view.new_rows.events.iter().cloned());
        self.transfers.extend(view.new_rows.transfers.iter().cloned());
        for (at, more) in &view.new_rows.totals {
            let totals = self.totals.entry(*at).or_default();
            totals.debits += more.debits;
            totals.credits += more.credits;
        }
        self.attempts.extend(view.new_rows.refund_attempts.iter().cloned());
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
        self.refunds.values().for_each(|refund| self.doubts.check(refund));
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

    /// The provider paid it although it had been given up, or a person booked another amount that moved.
    fn was_revived(&self, refund: &Refund) -> bool {
        let is_released = |state: State| state.bucket() == Bucket::Released;
        let states = self.states_of(refund);
        states.windows(2).any(|pair| is_released(pair[0]) && !is_released(pair[1]))
            || self.asked.get(&refund.id) != Some(&refund.amount)
    }

    fn check_refund(&self, refund: &Refund) {
        let (id, state) = (refund.id, refund.state);
        assert!(refund.amount > 0, "amount of {id}");
        let payment = &self.payments[&(refund.tenant, refund.payment)];
        assert_eq!(refund.currency, payment.capture.currency, "currency of {id}");
        // Somebody moves it on: a step at its time, or a person who was told.
        if state.has_work() {
            assert!(refund.due_at.is_some() || refund.needs_attention, "{refund:?} is forgotten");
        } else if state != State::Succeeded {
            assert_eq!(refund.due_at, None, "{refund:?} has no work");
        }
        assert!(!refund.late || state == State::Failed, "{id} is late and {state}");
        let states = self.states_of(refund);
        let last = states.last().copied().expect("an event");
        assert!(untold(last).contains(&state), "last event of {id}: {last}, and it is {state}");
        for pair in states.windows(2) {
            let moves = |from: &State| {
                *from == pair[1] || Fact::ALL.iter().any(|f| next(*from, *f) == Next::Move(pair[1]))
            };
            let came = untold(pair[0]).iter().any(moves);
            assert!(came, "{id} went from {} to {}", pair[0], pair[1]);
        }
        self.check_attempts(refund);
        self.check_attention(refund);
    }

    /// Every call is on record: the last on the refund, earlier ones beside it.
    fn check_attempts(&self, refund: &Refund) {
        let before: Vec<_> = self
            .attempts
            .iter()
            .filter(|a| (a.tenant, a.refund) == (refund.tenant, refund.id))
            .collect();
        let numbers: Vec<u32> = before.iter().map(|attempt| attempt.number).collect();
        assert_eq!(numbers, (1..refund.sends).collect::<Vec<_>>(), "calls of {}", refund.id);
        let last = refund.last_attempt();
        assert_eq!(last.as_ref().map_or(0, |last| last.number), refund.sends);
        let times: Vec<_> = before.into_iter().chain(last.as_ref()).map(|a| a.sent_at).collect();
        assert!(times.is_sorted(), "times of the calls of {}: {times:?}", refund.id);
        assert!(refund.first_sent_at <= refund.sent_at, "{refund:?}");
    }

    /// A person is told once while a refund stays where it is, except of more money that moved.
    fn check_attention(&self, refund: &Refund) {
        let mut told = false;
        for event in self.events_of(refund) {
            let is_attention = event.event_type == Type::RefundAttentionRequired;
            let why = event.detail.as_ref().and_then(|detail| detail.failure_code.as_deref());
            let is_payout = matches!(why, Some("second_payout" | "paid_more"));
            assert!(!is_attention || !told || is_payout, "{} is told twice", refund.id);
            assert!(!is_attention || why.is_some(), "{} is told without a reason", refund.id);
            told = is_attention && !self.doubts.was_decided_after(refund, event.seq);
        }
    }

    fn events_of(&self, refund: &Refund) -> impl Iterator<Item = &Event> {
        let (tenant, id) = (refund.tenant, refund.id);
        self.events.iter().filter(move |event| {
            event.tenant == tenant && matches!(event.subject, Subject::Refund(of, _) if of == id)
        })
    }

    /// The states a refund went through, by its events.
    pub fn states_of(&self, refund: &Refund) -> Vec<State> {
        let state = |event: &Event| match event.subject {
            Subject::Refund(_, state) => Some(state),
            _ => None,
        };
        self.events_of(refund).filter_map(state).collect()
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
    fn check_grown_from(&self, before: &Self, command: &Command) {
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
                let lane = (r.tenant, r.lane);
                (r.payment, r.currency, r.origin, r.before_settlement, lane, ours)
            };
            let is_resolved = matches!(command, Command::Resolve(r) if r.of.refund == old.id);
            assert!(is_resolved || new.amount == old.amount, "the amount of {} changed", old.id);
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
        } else if let Ok(Done::Leased { refund, payment, call: _ }) = answer {
            assert_eq!(self.payments.get(&(refund.tenant, refund.payment)), Some(payment));
            assert_eq!(self.refunds.get(&(refund.tenant, refund.id)), Some(&**refund));
        } else {
            assert!(answer.is_err(), "{answer:?} is about neither a payment nor a refund");
        }
    }
}

/// A row is only written where it changed.
fn check_writes<K: Ord + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
    before: &BTreeMap<K, Row<V>>,
    after: &BTreeMap<K, Row<V>>,
    command: &Command,
) {
    for (at, row) in after {
        let Some(old) = before.get(at).filter(|old| old.change == Change::None) else { continue };
        let is_same = old.value == row.value;
        assert_eq!(row.change == Change::None, is_same, "{command:?} wrote {row:?}");
    }
}

/// The states that a refund may be in when `told` is the last one that was told: trying to send is not.
const fn untold(told: State) -> &'static [State] {
    match told {
        State::Queued | State::Sending => &[State::Queued, State::Sending],
        State::WaitingForFunds => &[State::WaitingForFunds, State::Queued, State::Sending],
        State::AwaitingApproval => &[State::AwaitingApproval],
        State::Scheduled => &[State::Scheduled],
        State::Submitted => &[State::Submitted],
        State::Unknown => &[State::Unknown],
        State::RequiresAction => &[State::RequiresAction],
        State::Held => &[State::Held],
        State::NeedsReview => &[State::NeedsReview],
        State::Succeeded => &[State::Succeeded],
        State::Failed => &[State::Failed],
        State::Canceled => &[State::Canceled],
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
