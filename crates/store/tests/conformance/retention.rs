//! Old rows that are deleted after a while, and rows that stay.

use crate::behaviour::{all, deliveries, make_endpoint, page, record};
use crate::world::{NOW, World};
use domain::decide::webhook::WebhookCommand;
use domain::decide::{Command, Done, RefundRef, checkout, fan_out, invoice};
use domain::ids::{EndpointId, EventId, InvoiceId, PaymentId};
use domain::refund::Refund;
use domain::time::Timestamp;
use domain::view::View;
use domain::webhook::{Delivery, Status};
use store::{EventFilter, Once, Pruned, Replay, SortOrder, StoreError};
use testkit::eventually;
use testkit::postgres::BlockingSession;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Every row that is made at `NOW` is older than this.
pub const LATER: Timestamp = Timestamp(NOW.0 + DAY_MS);

async fn walk(
    mut step: impl AsyncFnMut(store::Mark) -> Result<Pruned, StoreError>,
) -> (usize, usize) {
    let (mut after, mut removed, mut steps) = (None, 0, 0);
    loop {
        let pruned = step(after).await.expect("a step");
        removed += pruned.removed;
        steps += 1;
        assert!(steps < 1_000, "it has no end");
        if pruned.after.is_none() {
            return (removed, steps);
        }
        after = pruned.after;
    }
}

/// Walks through all events, two at a time. Returns how many were deleted.
pub async fn prune_events(world: &World, before: Timestamp) -> usize {
    walk(async |after| world.store.prune_events(before, after, 2).await).await.0
}

async fn prune_deliveries(world: &World, before: Timestamp) -> usize {
    walk(async |after| world.store.prune_deliveries(before, after, 2).await).await.0
}

pub async fn cancel(world: &World, now: Timestamp, refund: &Refund) {
    let of = RefundRef::from(refund);
    world.run(now, Command::Cancel { of, key: None }).await;
}

async fn timeline(world: &World, refund: &Refund) -> Vec<EventId> {
    let filter = EventFilter { event_type: None, refund: Some(refund.id) };
    let events = world.store.list_events(world.tenant, filter, all()).await.expect("a read");
    events.items.iter().map(|stored| stored.event.id).collect()
}

async fn pruned(world: &World, refund: &Refund) -> (u32, u32) {
    let found = world.store.find_refund(world.tenant, refund.id).await.expect("a read");
    let refund = found.expect("a refund is never forgotten").refund;
    (refund.pruned, refund.last_seq)
}

pub async fn events_of_what_is_finished_are_forgotten_and_counted(world: World) {
    let payment = world.pay(1, 10_000).await.capture.id;
    let old = world.create(NOW, payment, 1).await;
    cancel(&world, NOW.plus_ms(1), &old).await;
    let open = world.create(NOW, payment, 2).await;
    let late = world.create(NOW, payment, 3).await;
    cancel(&world, LATER, &late).await;
    world.run(NOW, world.checkout()).await;
    world.run(NOW, world.invoice()).await;
    let [_, told] = timeline(&world, &old).await[..] else { panic!("two events") };
    let kept = (timeline(&world, &open).await, timeline(&world, &late).await);
    assert_eq!(prune_events(&world, NOW).await, 0, "nothing is that old");
    // The events of the canceled refund and of the payment are deleted.
    assert_eq!(prune_events(&world, LATER).await, 3);
    assert!(timeline(&world, &old).await.is_empty());
    assert_eq!((timeline(&world, &open).await, timeline(&world, &late).await), kept);
    assert_eq!(pruned(&world, &old).await, (2, 2));
    assert_eq!((pruned(&world, &open).await, pruned(&world, &late).await), ((0, 1), (0, 2)));
    assert!(world.store.find_event(world.tenant, told).await.expect("a read").is_none());
    assert_eq!(prune_events(&world, LATER).await, 0, "once");
    world.verify_clean().await;
    // A later event has the next number.
    cancel(&world, LATER, &open).await;
    assert_eq!(pruned(&world, &open).await, (0, 2));
    assert_eq!(prune_events(&world, LATER.plus_ms(1)).await, 4);
    world.verify_clean().await;
}

pub async fn lists_go_on_behind_an_event_that_is_forgotten(world: World) {
    let payment = world.pay(1, 10_000).await.capture.id;
    let mut refunds = Vec::new();
    for ms in 0..4 {
        refunds.push(world.create(NOW.plus_ms(ms), payment, 1).await);
    }
    cancel(&world, NOW.plus_ms(9), &refunds[1]).await;
    let seen = timeline(&world, &refunds[1]).await;
    prune_events(&world, LATER).await;
    for order in [SortOrder::Ascending, SortOrder::Descending] {
        let mut query = page(10, order);
        query.after = Some(seen[0].ulid());
        let list = world.store.list_events(world.tenant, EventFilter::default(), query).await;
        let list: Vec<_> = list.expect("a read").items.iter().map(|e| e.event.subject).collect();
        let expected = if order == SortOrder::Ascending { &refunds[2..] } else { &refunds[..1] };
        let about = |subject: &domain::event::Subject| subject.ulid();
        let expected: Vec<_> = expected.iter().map(|refund| refund.id.ulid()).collect();
        assert_eq!(list.iter().map(about).collect::<Vec<_>>(), expected);
    }
    // On a timeline every remaining event comes behind the deleted ones.
    cancel(&world, NOW.plus_ms(9), &refunds[2]).await;
    let kept = timeline(&world, &refunds[2]).await;
    for (order, count) in [(SortOrder::Ascending, 2), (SortOrder::Descending, 0)] {
        let mut query = page(10, order);
        query.after = Some(seen[0].ulid());
        let filter = EventFilter { event_type: None, refund: Some(refunds[2].id) };
        let list = world.store.list_events(world.tenant, filter, query).await.expect("a read");
        assert_eq!(list.items.len(), count, "{order:?} of {kept:?}");
    }
}

pub async fn checkouts_and_invoices_keep_their_events_until_they_are_finished(world: World) {
    let mut made = Vec::new();
    for _ in 0..2 {
        let Done::Checkout { checkout, .. } = world.run(NOW, world.checkout()).await else {
            panic!("a checkout")
        };
        let Done::Invoice { invoice, .. } = world.run(NOW, world.invoice()).await else {
            panic!("an invoice")
        };
        made.push((checkout.terms.id, invoice.terms.id));
    }
    let (tenant, key) = (world.tenant, None);
    let (checkout, invoice) = made[0];
    let act = checkout::ActOnCheckout { tenant, id: checkout, act: checkout::Act::Cancel, key };
    world.run(NOW, Command::Checkout(Box::new(act))).await;
    let act = invoice::ActOnInvoice { tenant, id: invoice, act: invoice::Act::Void, key };
    world.run(NOW, Command::Invoice(Box::new(act))).await;
    let events = async || {
        let list = world.store.list_events(tenant, EventFilter::default(), all()).await;
        let list = list.expect("a read").items.into_iter();
        list.map(|stored| stored.event.subject.ulid()).collect::<Vec<_>>()
    };
    let of = |(checkout, invoice): (PaymentId, InvoiceId)| [checkout.ulid(), invoice.ulid()];
    let before = events().await;
    let gone = before.iter().filter(|subject| of(made[0]).contains(subject)).count();
    assert!(gone >= 4 && before.len() > gone, "{before:?}");
    assert_eq!(prune_events(&world, LATER).await, gone);
    let after = events().await;
    assert_eq!(after.len(), before.len() - gone);
    assert!(after.iter().all(|subject| of(made[1]).contains(subject)));
    world.verify_clean().await;
}

async fn replay(world: &World, events: Vec<EventId>) -> Once<Replay> {
    let ids = world.ids.clone();
    let again = move |view: &mut View| fan_out(view, LATER, &mut ids.lock().expect("the ids"));
    let answer = |deliveries: &[Delivery]| deliveries.len().to_string();
    let told = world.store.replay_events(world.tenant, events, (None, LATER), again, answer).await;
    told.expect("a write")
}

/// A canceled refund, with an endpoint that receives its events.
async fn told(world: &World) -> (EndpointId, Refund) {
    world.account().await;
    let endpoint = make_endpoint(world).await;
    let payment = world.pay(1, 10_000).await.capture.id;
    let refund = world.create(NOW, payment, 10).await;
    cancel(world, NOW.plus_ms(1), &refund).await;
    (endpoint, refund)
}

/// Sends the due deliveries, with a stored text.
async fn deliver(world: &World, endpoint: EndpointId) {
    for delivery in deliveries(world).await.into_iter().filter(|d| d.next_at.is_some()) {
        let claim = WebhookCommand::Lease {
            delivery: delivery.id,
            seen_at: delivery.next_at.expect("it is due"),
            lease_until: NOW.plus_ms(30_000),
            body: Some("{}".into()),
        };
        world.run(NOW, Command::Webhook(world.tenant, Box::new(claim))).await;
        world.run(NOW.plus_ms(9), record(world, delivery.id, endpoint)).await;
    }
}

pub async fn what_is_still_to_be_told_is_kept(world: World) {
    let (endpoint, refund) = told(&world).await;
    let events = timeline(&world, &refund).await;
    // The first is due, the second waits for it.
    assert_eq!((events.len(), deliveries(&world).await.len()), (2, 2));
    prune_events(&world, LATER).await;
    assert_eq!(prune_deliveries(&world, LATER).await, 0);
    assert_eq!(timeline(&world, &refund).await, events);
    deliver(&world, endpoint).await;
    prune_events(&world, LATER).await;
    assert_eq!(timeline(&world, &refund).await, events, "one is left to be told");
    deliver(&world, endpoint).await;
    // A replayed event stays until it is delivered again.
    assert!(matches!(replay(&world, events[..1].to_vec()).await, Once::Done(Replay::Queued(_))));
    prune_events(&world, LATER).await;
    assert_eq!(timeline(&world, &refund).await, events);
    deliver(&world, endpoint).await;
    assert_eq!(prune_events(&world, LATER).await, 2);
    let Once::Done(Replay::Unknown(unknown)) = replay(&world, events.clone()).await else {
        panic!("they are gone")
    };
    assert_eq!(unknown, events);
    world.verify_clean().await;
}

pub async fn deliveries_go_with_their_attempts_and_bodies(world: World) {
    let (endpoint, _) = told(&world).await;
    deliver(&world, endpoint).await;
    let [first, second] = &deliveries(&world).await[..] else { panic!("two deliveries") };
    assert_eq!((first.status, second.status), (Status::Succeeded, Status::Pending));
    assert_eq!(prune_deliveries(&world, NOW.plus_ms(5)).await, 0, "it was touched after that");
    assert_eq!(prune_deliveries(&world, LATER).await, 1);
    let found = world.store.find_delivery(world.tenant, first.id).await.expect("a read");
    assert!(found.is_none());
    assert_eq!(&deliveries(&world).await[..], std::slice::from_ref(second));
    deliver(&world, endpoint).await;
    assert_eq!(prune_deliveries(&world, LATER).await, 1);
    assert!(deliveries(&world).await.is_empty());
    assert_eq!(world.rows("delivery_attempts") + world.rows("delivery_bodies"), 0);
    world.verify_clean().await;
}

pub async fn several_prune_at_once_while_others_work(world: World) {
    let (endpoint, _) = told(&world).await;
    let payment = world.pay(2, 1_000_000).await.capture.id;
    let mut made = Vec::new();
    for amount in 1..=30 {
        let refund = world.create(NOW, payment, amount).await;
        if amount % 2 == 0 {
            cancel(&world, NOW.plus_ms(1), &refund).await;
        }
        made.push(refund);
    }
    for _ in 0..2 {
        deliver(&world, endpoint).await;
    }
    let pruner = async || {
        let events = walk(async |after| world.store.prune_events(LATER, after, 5).await).await.0;
        let step = async |after| world.store.prune_deliveries(LATER, after, 5).await;
        (events, walk(step).await.0)
    };
    let writer = async {
        for refund in made.iter().filter(|refund| refund.amount % 2 == 1) {
            cancel(&world, LATER, refund).await;
        }
    };
    let (one, two, three, ()) = tokio::join!(pruner(), pruner(), pruner(), writer);
    let (mut events, mut sent) = (one.0 + two.0 + three.0, one.1 + two.1 + three.1);
    // The events of 16 refunds and 2 payments, each once; rows that another transaction had locked
    // are left for the next walk.
    events += prune_events(&world, LATER).await;
    sent += prune_deliveries(&world, LATER).await;
    assert_eq!((events, sent), (34, 32 + 15));
    world.verify_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_are_just_told_again_on_another_node_are_kept() {
    let world = World::postgres().await;
    let (endpoint, refund) = told(&world).await;
    for _ in 0..2 {
        deliver(&world, endpoint).await;
    }
    let events = timeline(&world, &refund).await;
    // Another node replays the first event, up to its commit.
    let other = BlockingSession::connect(&world.url);
    other.run(
        "BEGIN; SELECT 1 FROM events WHERE refund IS NOT NULL AND seq = 1 FOR KEY SHARE; \
         INSERT INTO deliveries SELECT (d).* FROM (SELECT jsonb_populate_record(d, jsonb_build_object( \
         'id', gen_random_uuid(), 'status', 1, 'next_at', 5)) AS d FROM deliveries d LIMIT 1) AS twin",
    );
    let waits = async {
        let looker = BlockingSession::connect(&world.url);
        eventually("the pruning to wait", async || {
            let waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
            (looker.run(waiting) > 0).then_some(())
        })
        .await;
        other.run("COMMIT");
    };
    let (removed, ()) = tokio::join!(prune_events(&world, LATER), waits);
    // The event of the payment is deleted.
    assert_eq!((removed, timeline(&world, &refund).await), (1, events));
}
