//! Which calls may have made a refund at its provider, kept apart from the rules that are tested: by
//! the calls that were made and by their answers alone.

use crate::rows::Rows;
use domain::decide::{Call, Command, Done, RecordOutcome, Resolution};
use domain::ids::RefundId;
use domain::outcome::{ProviderOutcome, Source};
use domain::provider::{Idempotency, Rules};
use domain::refund::{Refund, State};
use domain::tenant::Tenant;
use domain::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// How far apart two looks must be that prove together that a refund is not there.
const ABSENCE_GAP_MS: i64 = 60_000;

type Id = (Tenant, RefundId);

/// The calls that asked for each refund.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doubts(BTreeMap<Id, Calls>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Calls {
    /// The calls that may have made the refund, by number, and when each was made.
    open: BTreeMap<u32, Timestamp>,
    /// The call that was made under a lease.
    by_lease: BTreeMap<u32, u32>,
    last: Option<Timestamp>,
    /// Looks since the last call that found nothing, late enough to count.
    absent: Vec<Timestamp>,
    /// The calls before such a look.
    shown: BTreeSet<u32>,
    /// The events after which a person decided.
    decided_after: BTreeSet<u32>,
}

impl Calls {
    fn make(&mut self, refund: &Refund, now: Timestamp) {
        self.open.insert(refund.sends, now);
        let other = self.by_lease.insert(refund.lease, refund.sends);
        assert_eq!(other, None, "two calls under one lease of {}", refund.id);
        self.last = Some(now);
        self.absent.clear();
    }
}

impl Doubts {
    /// Notes what a command did that was not refused, and checks what it was allowed to do.
    pub fn note(
        &mut self,
        command: &Command,
        done: &Done,
        (before, after): (&Rows, &Rows),
        now: Timestamp,
    ) {
        if let (Command::Create(_), Done::Refund { refund, replayed: false, .. }) = (command, done)
        {
            if refund.state == State::Sending {
                self.calls((refund.tenant, refund.id)).make(refund, now);
            }
        } else if let (Command::Lease { rules, .. }, Done::Leased { refund, call, .. }) =
            (command, done)
        {
            self.note_call(refund, *call, rules, now);
        } else if let Command::Record(record) = command {
            let id = (record.of.tenant, record.of.refund);
            self.note_outcome(record, &before.refunds[&id], &after.refunds[&id], now);
        } else if let (Command::Resolve(resolve), Done::Refund { replayed: false, .. }) =
            (command, done)
        {
            let id = (resolve.of.tenant, resolve.of.refund);
            let calls = self.calls(id);
            calls.decided_after.insert(after.refunds[&id].last_seq);
            if resolve.resolution == Resolution::SendAgain {
                calls.open.clear();
            }
        } else if let (Command::Cancel { of, .. }, Done::Refund { replayed: false, .. }) =
            (command, done)
        {
            let id = (of.tenant, of.refund);
            let is_new = before.refunds[&id].state != State::Canceled;
            assert!(!is_new || self.calls(id).open.is_empty(), "withdrawn in doubt");
        }
    }

    fn note_call(&mut self, refund: &Refund, call: Call, rules: &Rules, now: Timestamp) {
        let calls = self.calls((refund.tenant, refund.id));
        match call {
            Call::Submit => {
                assert!(calls.open.is_empty(), "{} is sent as new in doubt", refund.id);
                calls.make(refund, now);
            }
            Call::SubmitAgain => {
                let mut doubts = calls.open.values();
                let kept = doubts.all(|at| keeps(rules.traits.idempotency, *at, now));
                assert!(kept, "{} is sent again, and its key is forgotten", refund.id);
                calls.make(refund, now);
            }
            Call::Look | Call::Wait => {}
        }
    }

    fn note_outcome(
        &mut self,
        record: &RecordOutcome,
        before: &Refund,
        after: &Refund,
        now: Timestamp,
    ) {
        use ProviderOutcome as Is;
        let calls = self.calls((before.tenant, before.id));
        let (source, outcome) = (record.observation.source, record.observation.said.outcome);
        let call = record.lease.and_then(|lease| calls.by_lease.get(&lease)).copied();
        let is_holder = record.lease == Some(before.lease);
        let moved_to = |state| before.state != state && after.state == state;
        if source == Source::Submit && (moved_to(State::Failed) || moved_to(State::Canceled)) {
            let may_be_it = |number: &u32| Some(*number) != call && !calls.shown.contains(number);
            let others = calls.open.keys().any(may_be_it);
            assert!(is_holder && !others, "{} failed by the answer to a repetition", before.id);
        }
        let did_nothing = matches!(
            outcome,
            Is::NeverSent
                | Is::NotDone
                | Is::WaitingForFunds
                | Is::Failed
                | Is::Canceled
                | Is::Spent
                | Is::Impossible
        );
        if let (Source::Submit, true, Some(call)) = (source, did_nothing, call) {
            calls.open.remove(&call);
        }
        let looked = matches!(source, Source::Lookup | Source::List) && is_holder;
        let wait_ms = record.rules.traits.lookup.proves_absence_after_ms;
        let is_late =
            wait_ms.is_some_and(|ms| calls.last.is_some_and(|last| last.plus_ms(ms) <= now));
        let counts = looked && outcome == Is::Absent && is_late;
        if before.state == State::Unknown && after.state == State::Queued {
            let first = calls.absent.first();
            let twice = first.is_some_and(|first| first.plus_ms(ABSENCE_GAP_MS) <= now);
            assert!(counts && twice, "{} is queued without proof", before.id);
            assert_eq!(before.provider_refund_id, None, "the provider named {}", before.id);
            calls.open.clear();
        }
        if counts {
            calls.absent.push(now);
            calls.shown.extend(1..=before.sends);
        }
    }

    /// True when a person decided about a refund after its event `seq` and before the next one.
    pub fn was_decided_after(&self, refund: &Refund, seq: u32) -> bool {
        let calls = self.0.get(&(refund.tenant, refund.id));
        calls.is_some_and(|calls| calls.decided_after.contains(&seq))
    }

    /// The lease under which a refund was last asked for.
    pub fn last_lease(&self, refund: &Refund) -> Option<u32> {
        let calls = self.0.get(&(refund.tenant, refund.id))?;
        calls.by_lease.keys().max().copied()
    }

    fn calls(&mut self, id: Id) -> &mut Calls {
        self.0.entry(id).or_default()
    }

    /// Nothing is in doubt about a refund in a state that says so.
    pub fn check(&self, refund: &Refund) {
        let none = Calls::default();
        let calls = self.0.get(&(refund.tenant, refund.id)).unwrap_or(&none);
        let state = refund.state;
        let (id, doubts) = (refund.id, &calls.open);
        match state {
            State::AwaitingApproval | State::Scheduled | State::Queued | State::WaitingForFunds => {
                assert!(doubts.is_empty(), "{id} is {state}, in doubt: {doubts:?}");
                assert_eq!(refund.provider_refund_id, None, "{id} is {state} and at the provider");
            }
            State::Sending => {
                let others = doubts.keys().any(|number| *number != refund.sends);
                assert!(!others, "{id} is sent anew, in doubt: {doubts:?}");
                assert_eq!(refund.provider_refund_id, None, "{id} is {state} and at the provider");
            }
            State::Submitted
            | State::Unknown
            | State::RequiresAction
            | State::Held
            | State::NeedsReview
            | State::Succeeded
            | State::Failed
            | State::Canceled => {}
        }
        if state == State::Queued {
            assert_eq!(refund.first_sent_at, None, "the key of {id} is new to the provider");
        }
        let open_since = doubts.values().min().copied();
        if state == State::Unknown {
            assert!(refund.first_sent_at <= open_since.or(refund.first_sent_at), "{id}");
        }
    }
}

/// True when the provider itself still returns the result of a call made at `first`.
fn keeps(idempotency: Idempotency, first: Timestamp, now: Timestamp) -> bool {
    match idempotency {
        Idempotency::None => false,
        Idempotency::Key { kept_ms, .. } | Idempotency::Twin { kept_ms } => {
            kept_ms.is_none_or(|kept| now < first.plus_ms(kept))
        }
    }
}
