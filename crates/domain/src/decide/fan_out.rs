//! One delivery per new event and endpoint that wants it.

use crate::event::Event;
use crate::ids::Ids;
use crate::time::Timestamp;
use crate::view::View;
use crate::webhook::{Delivery, Subscriber};
use rand_core::Rng;

/// Appends a delivery for each event of the batch and each active endpoint that wants it. To be
/// called once, when every command of the batch is decided. Costs nothing where nobody subscribed.
pub fn fan_out<R: Rng>(view: &mut View, now: Timestamp, ids: &mut Ids<R>) {
    if view.subscribers.is_empty() {
        return;
    }
    for event in &view.new_rows.events {
        let Some(subscribers) = view.subscribers.get(&event.tenant) else { continue };
        for subscriber in subscribers {
            // An endpoint that was disabled in this batch gets no further deliveries.
            let stopped = view
                .endpoints
                .get(&(event.tenant, subscriber.endpoint))
                .is_some_and(|row| !row.value.active);
            if wants(subscriber, event) && !stopped {
                let delivery = Delivery::new(ids.delivery(now), subscriber, event, now);
                view.new_rows.deliveries.push(delivery);
            }
        }
    }
}

fn wants(subscriber: &Subscriber, event: &Event) -> bool {
    subscriber.active
        && subscriber.wants.contains(event.event_type)
        && subscriber.format.event_name(event.event_type).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Subject, Type};
    use crate::ids::{EndpointId, RefundId};
    use crate::refund::State;
    use crate::tenant::{Mode, Tenant};
    use crate::webhook::{EventSet, Format, Status};
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn subscriber(number: u8, format: Format, wants: &str, active: bool) -> Subscriber {
        let endpoint = EndpointId::from_bytes([number; 16]);
        Subscriber { endpoint, format, active, wants: EventSet::parse(wants) }
    }

    #[test]
    fn each_event_goes_to_each_active_endpoint_of_its_scope_that_wants_and_knows_it() {
        let (here, there) = (Tenant::new(1, Mode::Test), Tenant::new(1, Mode::Live));
        let mut ids = Ids::new(ChaCha8Rng::seed_from_u64(1));
        let mut view = View::default();
        for (tenant, event_type) in
            [(here, Type::RefundCreated), (here, Type::RefundUpdated), (there, Type::RefundCreated)]
        {
            let subject = Subject::Refund(RefundId::from_bytes([9; 16]), State::Sending);
            let id = ids.event(NOW);
            view.new_rows.events.push(Event {
                tenant,
                id,
                event_type,
                subject,
                seq: 1,
                detail: None,
            });
        }
        fan_out(&mut view, NOW, &mut ids);
        assert!(view.new_rows.deliveries.is_empty(), "nobody subscribed");

        let subscribers = vec![
            subscriber(1, Format::Refundry, "", true),
            subscriber(2, Format::Plugipay, "refund.created", true),
            subscriber(3, Format::Plugipay, "refund.failed", true),
            subscriber(4, Format::Refundry, "", false),
        ];
        view.subscribers.insert(here, subscribers);
        fan_out(&mut view, NOW, &mut ids);
        let told: Vec<_> =
            view.new_rows.deliveries.iter().map(|d| (d.tenant, d.endpoint)).collect();
        let one = |number| (here, EndpointId::from_bytes([number; 16]));
        assert_eq!(told, [one(1), one(2)]);
        let first = &view.new_rows.deliveries[0];
        assert_eq!((first.event, first.seq), (view.new_rows.events[0].id, 1));
        assert_eq!((first.status, first.next_at), (Status::Pending, Some(NOW)));
        assert_eq!(first.subject, view.new_rows.events[0].subject.ulid());
    }
}
