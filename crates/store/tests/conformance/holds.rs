//! Holds on every store.

use crate::behaviour::{all, page};
use crate::world::{NOW, World, usd};
use domain::decide::hold::{End, EndHold, HoldRef, PlaceHold};
use domain::decide::{Command, Done, KeyedRequest};
use domain::event::Type;
use domain::event_view::EventSubject;
use domain::hold::{Hold, NewHold, State};
use domain::ids::PaymentId;
use domain::outcome::Source;
use domain::payment::Payment;
use domain::unique_keys::KeyHash;
use domain::view::{RowKeys, View};
use store::{EventFilter, PageQuery, SortOrder, StoreError};

fn name(number: u8) -> KeyedRequest {
    KeyedRequest { hash: KeyHash([number; 16]), request: [number; 16] }
}

/// A hold for the dispute `number`.
pub fn place(world: &World, payment: PaymentId, amount: i64, number: u8) -> Command {
    let new = NewHold {
        tenant: world.tenant,
        payment,
        amount,
        currency: Some(usd()),
        reason: "chargeback \"é\"".into(),
        reference: Some(format!("dp_{number}").into()),
        source: Source::Webhook,
    };
    Command::PlaceHold(Box::new(PlaceHold { new, dispute: Some(name(number)), key: None }))
}

pub fn end(hold: &Hold, end: End) -> Command {
    let of = HoldRef { tenant: hold.tenant, hold: hold.id, payment: hold.payment };
    Command::EndHold(Box::new(EndHold { of, end, source: Source::Webhook, key: None }))
}

pub async fn hold(world: &World, command: Command) -> Hold {
    match world.run(NOW, command).await {
        Done::Hold { hold, .. } => *hold,
        other => panic!("{other:?}"),
    }
}

async fn listed(world: &World, payment: PaymentId, page: PageQuery) -> Vec<Hold> {
    world.store.list_holds(world.tenant, payment, page).await.expect("a read").items
}

pub async fn holds_are_found_as_they_were_saved(world: World) {
    let payment = world.pay(1, 1_000).await.capture.id;
    let other = world.pay(2, 1_000).await.capture.id;
    world.create(NOW, payment, 300).await;
    let first = hold(&world, place(&world, payment, 500, 51)).await;
    let second = hold(&world, place(&world, payment, 400, 52)).await;
    let elsewhere = hold(&world, place(&world, other, 100, 53)).await;
    assert_eq!(hold(&world, place(&world, payment, 500, 51)).await, first, "it is held once");
    world.verify_clean().await;

    let tenant = world.tenant;
    let found = world.store.find_hold(tenant, first.id).await.expect("a read");
    assert_eq!(found.as_ref(), Some(&first));
    // The key of a dispute leads to its hold.
    let keys = [(tenant, name(51).hash)].into();
    let view = world.look(RowKeys { keys, ..RowKeys::default() }).await;
    assert_eq!(view.holds.get(&(tenant, first.id)).map(|row| &row.value), Some(&first));
    assert_eq!(listed(&world, payment, all()).await, [first.clone(), second.clone()]);
    assert_eq!(listed(&world, other, all()).await, std::slice::from_ref(&elsewhere));
    let newest = page(1, SortOrder::Descending);
    assert_eq!(listed(&world, payment, newest).await, std::slice::from_ref(&second));
    let older = PageQuery { after: Some(second.id.ulid()), ..newest };
    assert_eq!(listed(&world, payment, older).await, std::slice::from_ref(&first));
    let balance = async || {
        let found = world.store.find_payment(tenant, payment).await.expect("a read");
        let found = found.expect("it is there");
        [found.refunded, found.reserved, found.held, found.held_excess, found.excess]
    };
    assert_eq!(balance().await, [0, 300, 700, 200, 0]);

    let booked = hold(&world, end(&first, End::Book { amount: None })).await;
    assert_eq!(balance().await, [500, 300, 200, 200, 0]);
    let released = hold(&world, end(&second, End::Release)).await;
    assert_eq!(balance().await, [500, 300, 0, 0, 0]);
    assert_eq!((booked.state, released.state), (State::Booked, State::Released));
    assert_eq!(listed(&world, payment, all()).await, [booked.clone(), released]);
    let refund = booked.refund.expect("a refund");
    let refund =
        world.store.find_refund(tenant, refund).await.expect("a read").expect("it is there");
    assert_eq!((refund.refund.amount, refund.refund.reason.as_deref()), (500, Some("dispute")));
    for (event_type, held, amount) in
        [(Type::PaymentHoldBooked, (200, 200), 500), (Type::PaymentHoldReleased, (0, 0), 400)]
    {
        let filter = EventFilter { event_type: Some(event_type), refund: None };
        let events = world.store.list_events(tenant, filter, all()).await.expect("a read").items;
        let [event] = &events[..] else { panic!("{events:?}") };
        let EventSubject::Payment(then) = &event.subject else { panic!("{event:?}") };
        assert_eq!((then.held, then.held_excess), held);
        let detail = event.event.detail.as_deref().expect("a detail");
        assert_eq!(detail.hold.as_ref().map(|hold| hold.amount), Some(amount));
    }
    world.verify_clean().await;
}

pub async fn a_dispute_that_is_told_twice_at_once_is_held_once(world: World) {
    let payment = world.pay(1, 1_000).await.capture.id;
    for number in 1..=10 {
        let told = || world.try_run(NOW, vec![place(&world, payment, 10, number)]);
        let (one, other) = tokio::join!(told(), told());
        let of = |batch: Result<Vec<_>, StoreError>| match batch.expect("a batch").remove(0) {
            Ok(Done::Hold { hold, replayed }) => (hold.id, replayed),
            other => panic!("{other:?}"),
        };
        let (one, other) = (of(one), of(other));
        assert_eq!(one.0, other.0);
        assert!(one.1 != other.1, "one of them placed it");
    }
    assert_eq!(world.rows("holds"), 10);
    world.verify_clean().await;
}

fn payment_in(view: &mut View) -> &mut Payment {
    view.payments.values_mut().next().expect("a payment").change()
}

fn hold_in(view: &mut View) -> &mut Hold {
    view.holds.values_mut().next().expect("a hold").change()
}

pub async fn sums_that_holds_do_not_explain_are_noticed(world: World) {
    let payment = world.pay(1, 1_000).await.capture.id;
    let placed = hold(&world, place(&world, payment, 1_300, 51)).await;
    let at = (world.tenant, payment);
    let of_hold = (world.tenant, placed.id);
    let wanted = RowKeys { payments: [at].into(), holds: [of_hold].into(), ..RowKeys::default() };
    let differences = async || {
        let report = world.store.verify().await.expect("a verification");
        report.differences.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let change = async |change: fn(&mut View)| world.store.run_batch(wanted.clone(), change).await;
    assert_eq!(differences().await, [""; 0]);
    change(|view| payment_in(view).held = 999).await.expect("a batch");
    let [wrong] = &differences().await[..] else { panic!("one difference") };
    assert!(wrong.contains("held/held excess: stored 999/300, derived 1000/300"), "{wrong}");
    change(|view| payment_in(view).held = 1_000).await.expect("a batch");
    change(|view| payment_in(view).held_excess = 299).await.expect("a batch");
    let [wrong] = &differences().await[..] else { panic!("one difference") };
    assert!(wrong.contains("stored 1000/299, derived 1000/300"), "{wrong}");
    change(|view| payment_in(view).held_excess = 300).await.expect("a batch");
    change(|view| hold_in(view).state = State::Released).await.expect("a batch");
    let [wrong] = &differences().await[..] else { panic!("one difference") };
    assert!(wrong.contains("stored 1000/300, derived 0/0"), "{wrong}");
    // A booked hold names a refund, and that refund is there.
    let booked = change(|view| hold_in(view).state = State::Booked).await;
    assert!(matches!(booked, Err(StoreError::Guard(_))), "{booked:?}");
    change(|view| {
        let one = hold_in(view);
        one.state = State::Booked;
        one.refund = Some(domain::ids::RefundId::from_bytes([7; 16]));
    })
    .await
    .expect("a batch");
    let wrong = differences().await;
    assert!(wrong.iter().any(|wrong| wrong.contains("in state 3 refund")), "{wrong:?}");
    let negative = change(|view| payment_in(view).held_excess = -1).await;
    assert!(matches!(negative, Err(StoreError::Guard(_))), "{negative:?}");
}
