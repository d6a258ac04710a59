//! Webhook endpoints, deliveries of events to them, and attempts at those.
//!
//! A delivery is made in the transaction of its event ([`fan_out`]). Deliveries of one subject go
//! to an endpoint one after another; deliveries of different subjects do not wait for each other.

mod format;
mod schedule;

pub use crate::sealed::Sealed;
pub use format::{EventSet, Format, is_event_name};
pub use schedule::{LONGEST_WAIT_MS, MOST_ATTEMPTS, wait_ms};

use crate::codes::codes;
use crate::event::{Event, Type};
use crate::ids::{DeliveryId, EndpointId, EventId};
use crate::tenant::Tenant;
use crate::time::Timestamp;
use ulid::Ulid;

/// How many endpoints an account can have in one mode.
pub const MOST_ENDPOINTS: usize = 50;

/// How long the secret before the current one still signs.
pub const OLD_SECRET_MS: i64 = 24 * 60 * 60 * 1000;

/// An endpoint that fails this often in a row, over at least this long, is disabled.
pub const FAILURES_TO_DISABLE: u32 = 20;
/// See [`FAILURES_TO_DISABLE`].
pub const FAILING_TO_DISABLE_MS: i64 = 24 * 60 * 60 * 1000;

/// Why an endpoint was disabled whose receiver said that it is gone.
pub const GONE: &str = "the receiver answered 410 Gone";
/// Why an endpoint was disabled that failed for too long.
pub const FAILING: &str = "20 deliveries in a row failed over at least 24 hours";
/// Why deliveries that were still queued failed.
pub const NOT_ACTIVE: &str = "the endpoint is not active";

/// An address to which an account wants its events posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The account, and the mode of the events.
    pub tenant: Tenant,
    pub id: EndpointId,
    pub url: Box<str>,
    /// Names of the events it wants, space-separated; empty or `*` is all.
    pub events: Box<str>,
    /// The words in which events are sent.
    pub format: Format,
    pub description: Option<Box<str>>,
    pub active: bool,
    /// The secret that signs.
    pub secret: Sealed,
    /// The secret before this one, and until when it still signs.
    pub previous: Option<(Sealed, Timestamp)>,
    /// Attempts that failed since the last one that did not.
    pub consecutive_failures: u32,
    /// When the first of those failed.
    pub failing_since: Option<Timestamp>,
    /// When it was disabled; `None` when it is active or was paused by hand.
    pub disabled_at: Option<Timestamp>,
    pub disabled_reason: Option<Box<str>>,
    pub last_seq: u32,
    /// When its owner last changed it, or it was disabled.
    pub updated_at: Timestamp,
}

impl Endpoint {
    /// Notes an attempt that worked. True when that changed anything.
    pub(crate) const fn worked(&mut self) -> bool {
        let changed = self.consecutive_failures > 0 || self.failing_since.is_some();
        self.consecutive_failures = 0;
        self.failing_since = None;
        changed
    }

    /// Notes an attempt that failed at `now`. Why the endpoint is to be disabled, if it is.
    pub(crate) fn failed(&mut self, gone: bool, now: Timestamp) -> Option<&'static str> {
        self.consecutive_failures = self.consecutive_failures.saturating_add(1);
        let since = *self.failing_since.get_or_insert(now);
        if gone {
            return Some(GONE);
        }
        let long = now.ms_since(since) >= FAILING_TO_DISABLE_MS;
        (self.consecutive_failures >= FAILURES_TO_DISABLE && long).then_some(FAILING)
    }
}

/// The part of an endpoint that decides whether an event is delivered to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscriber {
    pub endpoint: EndpointId,
    /// The words in which events are sent.
    pub format: Format,
    pub active: bool,
    pub wants: EventSet,
}

codes! {
    /// Where a delivery stands.
    pub enum Status {
        /// To be sent, or to be sent again.
        Pending = 1 "pending",
        /// A receiver took it.
        Succeeded = 2 "succeeded",
        /// Given up.
        Failed = 3 "failed",
    }
}

/// The text that is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    None,
    /// Stored under this number.
    Stored(i64),
    New(Box<str>),
}

/// One event on its way to one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub tenant: Tenant,
    pub id: DeliveryId,
    pub endpoint: EndpointId,
    pub format: Format,
    pub event: EventId,
    pub event_type: Type,
    /// The thing that the event is about; its deliveries stay in order.
    pub subject: Ulid,
    /// The event's number among those of its subject.
    pub seq: u32,
    pub status: Status,
    pub attempts: u32,
    /// The next failure is the last one: a person asked for one more attempt.
    pub once: bool,
    /// When it is tried next, or when another node may take over. `None` when it is done, or waits
    /// for an earlier delivery of its subject.
    pub next_at: Option<Timestamp>,
    pub last_attempt_at: Option<Timestamp>,
    pub delivered_at: Option<Timestamp>,
    pub response_code: Option<u16>,
    pub last_error: Option<Box<str>>,
    pub body: Body,
    pub updated_at: Timestamp,
}

impl Delivery {
    /// A delivery of an event to a subscriber, to be sent at `now` after those of the same subject.
    pub fn new(id: DeliveryId, subscriber: &Subscriber, event: &Event, now: Timestamp) -> Self {
        Self {
            tenant: event.tenant,
            id,
            endpoint: subscriber.endpoint,
            format: subscriber.format,
            event: event.id,
            event_type: event.event_type,
            subject: event.subject.ulid(),
            seq: event.seq,
            status: Status::Pending,
            attempts: 0,
            once: false,
            next_at: Some(now),
            last_attempt_at: None,
            delivered_at: None,
            response_code: None,
            last_error: None,
            body: Body::None,
            updated_at: now,
        }
    }

    /// Whether there can be an earlier delivery of its subject that it must wait for. Not before a
    /// first event, unless it is that of a payment, whose id is that of what was paid.
    pub fn has_a_past(&self) -> bool {
        self.seq > 1 || self.event_type == Type::PaymentCreated
    }
}

/// The result of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub attempted_at: Timestamp,
    pub duration_ms: i64,
    /// The answer's status, if there was an answer.
    pub response_code: Option<u16>,
    /// Why there was none.
    pub error: Option<Box<str>>,
    /// How long the receiver asks us to wait, milliseconds.
    pub retry_after_ms: Option<i64>,
}

impl Outcome {
    /// True when a receiver took it.
    pub fn is_success(&self) -> bool {
        self.response_code.is_some_and(|code| (200..300).contains(&code))
    }

    /// Why it failed.
    pub fn explain(&self) -> Option<Box<str>> {
        match (self.is_success(), self.response_code, &self.error) {
            (true, ..) => None,
            (false, _, Some(error)) => Some(error.clone()),
            (false, Some(code), None) => Some(format!("HTTP {code}").into()),
            (false, None, None) => Some("no answer".into()),
        }
    }
}

/// One line of a delivery's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub tenant: Tenant,
    pub delivery: DeliveryId,
    /// Counted from 1.
    pub number: u32,
    pub outcome: Outcome,
    /// When the next one follows, if one does.
    pub next_at: Option<Timestamp>,
}
