//! Events that are delivered again, and events that are only tried out. Neither changes money,
//! states or the sequence of real events: all they make is deliveries.

use crate::input::IdempotencyKey;
use crate::webhooks::WebhookFormat;
use crate::{Engine, Error, unique_keys};
use domain::decide::{KEY_LIFETIME_MS, Refusal, fan_out};
use domain::event::{Detail, Event, Subject, Type};
use domain::event_view::{EventSubject, EventView};
use domain::ids::{AccountId, DeliveryId, EventId, PaymentId, RefundId};
use domain::outcome::Failure;
use domain::refund::State;
use domain::tenant::Tenant;
use domain::time::Timestamp;
use domain::unique_keys::{KeyTarget, UniqueKey};
use domain::webhook::{Body, Delivery, Subscriber};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use store::{Once, Replay, StoreError};

/// The source that a tried-out event names.
const TRIGGER: &str = "trigger";

/// The result of a replay of events.
#[derive(Debug)]
pub enum Replayed {
    /// How many deliveries each of them got.
    Queued(Vec<(EventId, u32)>),
    /// The same request did this before.
    Before(Vec<(EventId, u32)>),
    /// These do not exist, so nothing was done.
    Unknown(Vec<EventId>),
}

/// The thing that an event is tried out on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    Refund(RefundId),
    Payment(PaymentId),
}

/// An event that did not happen, and the number of its deliveries.
pub struct Triggered {
    /// The event as it would look.
    pub view: EventView,
    /// Number of endpoints that get it.
    pub deliveries: u32,
}

impl Engine {
    /// Delivers events again, to every active endpoint that wants them now. All or nothing, and
    /// once under an idempotency key.
    pub async fn replay_events(
        &self,
        tenant: Tenant,
        events: Vec<EventId>,
        key: Option<&IdempotencyKey>,
    ) -> Result<Replayed, Error> {
        let (engine, now, asked) = (self.clone(), self.now(), events.clone());
        let name =
            key.map(|key| self.name_answer(tenant, key, unique_keys::replay_request(&events)));
        let again = move |view: &mut _| engine.with_ids(|ids| fan_out(view, now, ids));
        let answer = {
            let asked = asked.clone();
            move |deliveries: &[Delivery]| {
                let counts = count(&asked, deliveries);
                let counts: Vec<_> = counts.iter().map(u32::to_string).collect();
                counts.join(" ")
            }
        };
        let replayed =
            self.store().replay_events(tenant, events, (name, now), again, answer).await?;
        Ok(match replayed {
            Once::Taken => return Err(Refusal::KeyReused.into()),
            Once::Done(Replay::Unknown(events)) => Replayed::Unknown(events),
            Once::Done(Replay::Queued(deliveries)) => {
                self.outbox().wake();
                let counts = count(&asked, &deliveries);
                Replayed::Queued(asked.into_iter().zip(counts).collect())
            }
            Once::Before(answer) => {
                let counts: Result<Vec<u32>, _> = answer.split(' ').map(str::parse).collect();
                let unread = |_| StoreError::Inconsistent("the answer of a replay".into());
                Replayed::Before(asked.into_iter().zip(counts.map_err(unread)?).collect())
            }
        })
    }

    /// The name that an idempotency key gives to an answer.
    pub(crate) fn name_answer(
        &self,
        tenant: Tenant,
        key: &IdempotencyKey,
        request: [u8; 16],
    ) -> UniqueKey {
        let now = self.now();
        UniqueKey {
            tenant,
            hash: unique_keys::idempotency(key),
            request,
            target: KeyTarget::Answer,
            id: self.with_ids(|ids| ids.ulid(now)),
            state: None,
            expires_at: Some(now.plus_ms(KEY_LIFETIME_MS)),
        }
    }

    /// Delivers an event that did not happen to every active endpoint that wants it. It has an id
    /// of its own, is in nobody's sequence, and says `metadata.source: trigger` wherever it is
    /// shown.
    /// `extra` is added to its data.
    pub async fn trigger_event(
        &self,
        tenant: Tenant,
        account: AccountId,
        (event_type, aggregate): (Type, Aggregate),
        extra: &Map<String, Value>,
    ) -> Result<Triggered, Error> {
        let now = self.now();
        let id = self.with_ids(|ids| ids.event(now));
        let view = self.imagine(tenant, id, event_type, aggregate).await?;
        let mut deliveries = Vec::new();
        for subscriber in self.store().subscribers(tenant).await? {
            if let Some(body) = self.body_for(&subscriber, &view, account, extra)? {
                let delivery = self.with_ids(|ids| ids.delivery(now));
                deliveries.push(delivery_of(&subscriber, &view.event, (delivery, now), body));
            }
        }
        let count = u32::try_from(deliveries.len()).unwrap_or(u32::MAX);
        if count > 0 {
            self.store().queue_deliveries(deliveries).await?;
            self.outbox().wake();
        }
        Ok(Triggered { view, deliveries: count })
    }

    /// The event as it would look if it had happened now.
    async fn imagine(
        &self,
        tenant: Tenant,
        id: EventId,
        event_type: Type,
        aggregate: Aggregate,
    ) -> Result<EventView, Error> {
        let (of, subject) = match aggregate {
            Aggregate::Refund(refund) => {
                let found = self.find_refund(tenant, refund).await?;
                let mut view = found.ok_or(Refusal::RefundNotFound)?;
                let now = &mut view.refund;
                now.state = state_after(event_type).unwrap_or(now.state);
                let failed = now.state == State::Failed;
                now.failure = failed.then(|| now.failure.take().unwrap_or_else(imagined_failure));
                (Subject::Refund(refund, now.state), EventSubject::Refund(Box::new(view)))
            }
            Aggregate::Payment(payment) => {
                let found = self.find_payment(tenant, payment).await?;
                let mut now = found.ok_or(Refusal::PaymentNotFound)?;
                if event_type == Type::PaymentRefunded {
                    now.refunded = now.capture.captured;
                }
                (Subject::Payment(payment), EventSubject::Payment(Box::new(now)))
            }
        };
        let detail = Detail { source: Some(TRIGGER.into()), ..Detail::default() };
        let detail = Some(Box::new(detail));
        // No real event has the number 0.
        let event = Event { tenant, id, event_type, subject: of, seq: 0, detail };
        Ok(EventView { event, subject })
    }

    /// The text for an endpoint, if it wants the event.
    fn body_for(
        &self,
        subscriber: &Subscriber,
        view: &EventView,
        account: AccountId,
        extra: &Map<String, Value>,
    ) -> Result<Option<Box<str>>, Error> {
        let event_type = view.event.event_type;
        if !subscriber.active || !subscriber.wants.contains(event_type) {
            return Ok(None);
        }
        let words = subscriber.format;
        let Some(name) = words.event_name(event_type) else { return Ok(None) };
        let Some(format) = self.outbox().format(words) else { return Ok(None) };
        let body = mark(format, name, view, account, self, extra);
        let body = body.map_err(|e| StoreError::Inconsistent(format!("an event: {e}")))?;
        Ok(Some(body.into()))
    }
}

/// How many deliveries each event got.
fn count(events: &[EventId], deliveries: &[Delivery]) -> Vec<u32> {
    let mut counts: BTreeMap<EventId, u32> = BTreeMap::new();
    for delivery in deliveries {
        *counts.entry(delivery.event).or_default() += 1;
    }
    events.iter().map(|id| counts.get(id).copied().unwrap_or(0)).collect()
}

/// The text of an event that says that it did not happen.
fn mark(
    format: &dyn WebhookFormat,
    name: &'static str,
    view: &EventView,
    account: AccountId,
    engine: &Engine,
    extra: &Map<String, Value>,
) -> Result<String, serde_json::Error> {
    let text = format.body(name, view, account, engine)?;
    let mut body: Map<String, Value> = serde_json::from_str(&text)?;
    body.insert("metadata".to_owned(), serde_json::json!({ "source": TRIGGER }));
    if let Some(Value::Object(data)) = body.get_mut("data") {
        for (key, value) in extra {
            data.entry(key.as_str()).or_insert_with(|| value.clone());
        }
    }
    serde_json::to_string(&body)
}

/// The state that an event announces, if it announces one.
fn state_after(event_type: Type) -> Option<State> {
    if event_type == Type::RefundCreated {
        return Some(State::Queued);
    }
    let mut announced = State::ALL.iter().filter(|state| Type::of_arrival(**state) == event_type);
    // `refund.updated` announces several.
    announced.next().copied().filter(|_| announced.next().is_none())
}

fn imagined_failure() -> Failure {
    let message = "this event was triggered by hand; nothing failed".into();
    Failure { code: "triggered".into(), message }
}

/// A delivery of an event that is its own subject: it waits for nothing and nothing waits for it.
fn delivery_of(
    subscriber: &Subscriber,
    event: &Event,
    (id, now): (DeliveryId, Timestamp),
    body: Box<str>,
) -> Delivery {
    let subject = event.id.ulid();
    Delivery { subject, body: Body::New(body), ..Delivery::new(id, subscriber, event, now) }
}
