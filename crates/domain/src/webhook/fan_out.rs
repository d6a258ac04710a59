//! Which endpoints are told of which events.

use super::{Body, Delivery, Status, Subscriber};
use crate::event::Event;
use crate::ids::Ids;
use crate::time::Timestamp;
use crate::view::View;
use rand_core::Rng;

/// Appends a delivery for each event of the batch and each active endpoint that wants it. To be
/// called once, when every command of the batch is decided. Costs nothing where nobody subscribed.
pub fn fan_out<R: Rng>(view: &mut View, now: Timestamp, ids: &mut Ids<R>) {
    if view.subscribers.is_empty() {
        return;
    }
    for event in &view.book.events {
        let Some(subscribers) = view.subscribers.get(&event.scope) else { continue };
        for subscriber in subscribers {
            // An endpoint that was disabled in this very batch is not told any more.
            let stopped = view
                .endpoints
                .get(&(event.scope, subscriber.endpoint))
                .is_some_and(|row| !row.value.active);
            if wants(subscriber, event) && !stopped {
                view.book.deliveries.push(delivery(subscriber, event, now, ids));
            }
        }
    }
}

fn wants(subscriber: &Subscriber, event: &Event) -> bool {
    subscriber.active
        && subscriber.wants.contains(event.event_type)
        && subscriber.format.event_name(event.event_type).is_some()
}

fn delivery<R: Rng>(
    subscriber: &Subscriber,
    event: &Event,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Delivery {
    Delivery {
        scope: event.scope,
        id: ids.delivery(now),
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
