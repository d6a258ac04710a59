//! Stored responses and other work under a key, settlement, visits, filtered lists: on every store.

use crate::behaviour::{all, deliveries, make_endpoint, page};
use crate::world::{NOW, World};
use domain::decide::checkout::{Act, ActOnCheckout};
use domain::decide::{Command, Done, KEY_LIFETIME_MS, fan_out, invoice as invoices};
use domain::ids::EventId;
use domain::payment::Kind;
use domain::time::Timestamp;
use domain::unique_keys::{KeyHash, KeyTarget, UniqueKey};
use domain::view::{RowKeys, View};
use domain::webhook::Delivery;
use domain::{checkout, invoice};
use store::{
    CheckoutFilter, EventFilter, IdempotentRequest, InvoiceFilter, NewApiKey, NewRequest, Once,
    Replay, SortOrder, StoreError,
};
use ulid::Ulid;

const LEASE_MS: i64 = 30_000;

pub fn request(world: &World, key: u8, now: Timestamp) -> NewRequest {
    NewRequest {
        tenant: world.tenant,
        hash: KeyHash([key; 16]),
        request: [1; 16],
        generation: world.with_ids(|ids| ids.ulid(now)),
        lease_until: now.plus_ms(LEASE_MS),
        expires_at: now.plus_ms(KEY_LIFETIME_MS),
    }
}

async fn begin(world: &World, new: NewRequest, now: Timestamp) -> IdempotentRequest {
    world.store.begin_request(new, now).await.expect("a request")
}

pub async fn a_request_is_begun_once_and_its_answer_repeated(world: World) {
    let first = request(&world, 1, NOW);
    assert_eq!(begin(&world, first, NOW).await, IdempotentRequest::Process(first.generation));
    let later = NOW.plus_ms(1);
    assert_eq!(begin(&world, request(&world, 1, later), later).await, IdempotentRequest::Running);
    let other = NewRequest { request: [2; 16], ..request(&world, 1, later) };
    assert_eq!(begin(&world, other, later).await, IdempotentRequest::Other);
    let elsewhere =
        NewRequest { tenant: domain::tenant::Tenant::new(2, domain::tenant::Mode::Test), ..other };
    assert_eq!(begin(&world, elsewhere, later).await, IdempotentRequest::Process(other.generation));
    let at = (world.tenant, first.hash, first.generation);
    let stranger = (world.tenant, first.hash, other.generation);
    world.store.keep_answer(stranger, 500, vec![9]).await.expect("it is not its to answer");
    assert_eq!(begin(&world, request(&world, 1, later), later).await, IdempotentRequest::Running);
    world.store.keep_answer(at, 409, vec![0, 1, 255]).await.expect("an answer");
    world.store.keep_answer(at, 200, vec![7]).await.expect("an answer too many");
    world.store.abandon_request(at, later).await.expect("it was answered");
    let answered = IdempotentRequest::Answered {
        generation: first.generation,
        status: 409,
        body: vec![0, 1, 255],
    };
    let much_later = NOW.plus_ms(KEY_LIFETIME_MS - 1);
    for now in [later, much_later] {
        assert_eq!(begin(&world, request(&world, 1, now), now).await, answered);
        let other = NewRequest { request: [2; 16], ..request(&world, 1, now) };
        assert_eq!(begin(&world, other, now).await, IdempotentRequest::Other);
    }
}

pub async fn a_request_is_taken_over_when_its_lease_ran_out(world: World) {
    let first = request(&world, 1, NOW);
    begin(&world, first, NOW).await;
    let before = NOW.plus_ms(LEASE_MS - 1);
    assert_eq!(begin(&world, request(&world, 1, before), before).await, IdempotentRequest::Running);
    let then = NOW.plus_ms(LEASE_MS);
    let other = NewRequest { request: [2; 16], ..request(&world, 1, then) };
    assert_eq!(begin(&world, other, then).await, IdempotentRequest::Other);
    // The generation of the first request is kept, so that its effects are not repeated.
    let second = request(&world, 1, then);
    assert_eq!(begin(&world, second, then).await, IdempotentRequest::Process(first.generation));
    assert_eq!(begin(&world, request(&world, 1, then), then).await, IdempotentRequest::Running);
}

pub async fn an_abandoned_request_goes_on_at_once(world: World) {
    let first = request(&world, 1, NOW);
    begin(&world, first, NOW).await;
    let now = NOW.plus_ms(5);
    let stranger = (world.tenant, first.hash, world.with_ids(|ids| ids.ulid(NOW)));
    world.store.abandon_request(stranger, now).await.expect("it is not its to abandon");
    assert_eq!(begin(&world, request(&world, 1, now), now).await, IdempotentRequest::Running);
    let at = (world.tenant, first.hash, first.generation);
    world.store.abandon_request(at, now).await.expect("it is abandoned");
    assert_eq!(
        begin(&world, request(&world, 1, now), now).await,
        IdempotentRequest::Process(first.generation)
    );
}

pub async fn answers_that_ran_out_are_forgotten(world: World) {
    for key in 1..=5 {
        let new = request(&world, key, NOW);
        begin(&world, new, NOW).await;
        let at = (world.tenant, new.hash, new.generation);
        world.store.keep_answer(at, 200, vec![key]).await.expect("an answer");
    }
    let end = NOW.plus_ms(KEY_LIFETIME_MS);
    // An expired key is free again, for any request.
    let again = NewRequest { request: [2; 16], ..request(&world, 1, end) };
    assert_eq!(begin(&world, again, end).await, IdempotentRequest::Process(again.generation));
    assert_eq!(world.store.forget_answers(end.plus_ms(-1), 100).await.expect("a write"), 0);
    assert_eq!(world.store.forget_answers(end, 3).await.expect("a write"), 3);
    assert_eq!(world.store.forget_answers(end, 3).await.expect("a write"), 1);
    assert_eq!(world.store.forget_answers(end, 3).await.expect("a write"), 0);
    let late = NewRequest { request: [2; 16], ..request(&world, 1, end) };
    assert_eq!(begin(&world, late, end).await, IdempotentRequest::Running, "the new one is kept");
}

pub async fn requests_that_come_at_once_are_begun_once(world: World) {
    for key in 1..=10 {
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (store, new) = (world.store.clone(), request(&world, key, NOW));
            calls.spawn(async move { store.begin_request(new, NOW).await.expect("a request") });
        }
        let begun = calls.join_all().await;
        let process = begun.iter().filter(|begun| matches!(begun, IdempotentRequest::Process(_)));
        assert_eq!(process.count(), 1, "{begun:?}");
        let running = begun.iter().filter(|begun| **begun == IdempotentRequest::Running);
        assert_eq!(running.count(), 7, "{begun:?}");
    }
}

pub fn name(world: &World, key: u8, request: u8, now: Timestamp) -> UniqueKey {
    UniqueKey {
        tenant: world.tenant,
        hash: KeyHash([key; 16]),
        request: [request; 16],
        target: KeyTarget::Answer,
        id: world.with_ids(|ids| ids.ulid(now)),
        state: None,
        expires_at: Some(now.plus_ms(KEY_LIFETIME_MS)),
    }
}

pub fn api_key(number: u8) -> NewApiKey {
    NewApiKey {
        id: format!("ak_test_{number}").into(),
        account: 1,
        mode: Some(domain::tenant::Mode::Test),
        platform: false,
        scopes: "*".into(),
        error_profile: "node".into(),
        name: "mine".into(),
        bearer_hash: [number; 32],
        bearer_prefix: None,
        secret_sealed: vec![number],
        created_at: NOW,
    }
}

async fn make_key(world: &World, number: u8, name: UniqueKey) -> Result<Once<()>, StoreError> {
    world.store.create_api_key(api_key(number), [number + 100; 32], Some(name)).await
}

fn before<T: std::fmt::Debug>(once: Result<Once<T>, StoreError>) -> Box<str> {
    match once.expect("a write") {
        Once::Before(answer) => answer,
        other => panic!("{other:?}"),
    }
}

pub async fn a_key_is_made_once_under_a_name(world: World) {
    world.account().await;
    let made = make_key(&world, 1, name(&world, 1, 1, NOW)).await;
    assert!(matches!(made, Ok(Once::Done(()))), "{made:?}");
    let again = make_key(&world, 2, name(&world, 1, 1, NOW)).await;
    assert_eq!(&*before(again), "ak_test_1");
    let other = make_key(&world, 3, name(&world, 1, 2, NOW)).await;
    assert!(matches!(other, Ok(Once::Taken)), "{other:?}");
    // Work that failed takes no key.
    let twin = make_key(&world, 1, name(&world, 2, 1, NOW)).await;
    assert!(matches!(twin, Err(StoreError::Guard(_))), "{twin:?}");
    let fourth = make_key(&world, 4, name(&world, 2, 1, NOW)).await;
    assert!(matches!(fourth, Ok(Once::Done(()))), "{fourth:?}");
    let keys = world.store.list_api_keys().await.expect("a read");
    let keys: Vec<_> = keys.iter().map(|row| &*row.key.id).collect();
    assert_eq!(keys, ["ak_test_1", "ak_test_4"]);
    // A key that leads to a refund is taken, too, and the other way round.
    let payment = world.pay(9, 100).await.capture.id;
    world.run(NOW, world.refund(payment, 10, Some(7))).await;
    let taken = make_key(&world, 5, name(&world, 7, 9, NOW)).await;
    assert!(matches!(taken, Ok(Once::Taken)), "{taken:?}");
    let refused = world.try_run(NOW, vec![world.refund(payment, 10, Some(1))]).await;
    assert!(refused.expect("a batch")[0].is_err());
    world.verify_clean().await;
}

pub async fn keys_made_at_once_under_a_name_are_one(world: World) {
    world.account().await;
    for round in 0..5 {
        let mut calls = tokio::task::JoinSet::new();
        for number in 0..8 {
            let (store, name) = (world.store.clone(), name(&world, round + 1, 1, NOW));
            let key = api_key(round * 8 + number);
            let secret = [round * 8 + number + 100; 32];
            calls.spawn(async move { store.create_api_key(key, secret, Some(name)).await });
        }
        let (mut done, mut answers) = (0, Vec::new());
        for once in calls.join_all().await {
            match once.expect("a write") {
                Once::Done(()) => done += 1,
                Once::Before(id) => answers.push(id),
                Once::Taken => panic!("it is the same request"),
            }
        }
        answers.dedup();
        assert_eq!((done, answers.len()), (1, 1), "{answers:?}");
    }
    assert_eq!(world.store.list_api_keys().await.expect("a read").len(), 5);
}

async fn replay(
    world: &World,
    name: UniqueKey,
    events: Vec<EventId>,
) -> Result<Once<Replay>, StoreError> {
    let ids = world.ids.clone();
    let again = move |view: &mut View| fan_out(view, NOW, &mut ids.lock().expect("the ids"));
    let answer = |deliveries: &[Delivery]| format!("{} told", deliveries.len());
    world.store.replay_events(world.tenant, events, (Some(name), NOW), again, answer).await
}

pub async fn a_replay_is_told_once_under_a_name(world: World) {
    world.account().await;
    make_endpoint(&world).await;
    let payment = world.pay(1, 10_000).await.capture.id;
    world.create(NOW, payment, 10).await;
    let events = world.store.list_events(world.tenant, EventFilter::default(), all()).await;
    let events: Vec<_> = events.expect("a read").items.iter().map(|e| e.event.id).collect();
    let told = deliveries(&world).await.len();
    let unknown = EventId::from_ulid(world.with_ids(|ids| ids.ulid(NOW)));
    let nothing = replay(&world, name(&world, 1, 1, NOW), vec![events[0], unknown]).await;
    let Ok(Once::Done(Replay::Unknown(missing))) = &nothing else { panic!("{nothing:?}") };
    assert_eq!(missing, &[unknown]);
    // Work that did nothing leaves the key free.
    let done = replay(&world, name(&world, 1, 2, NOW), events.clone()).await;
    let Ok(Once::Done(Replay::Queued(queued))) = &done else { panic!("{done:?}") };
    let answer = format!("{} told", queued.len());
    assert!(!queued.is_empty());
    let again = replay(&world, name(&world, 1, 2, NOW), events.clone()).await;
    assert_eq!(&*before(again), answer);
    let other = replay(&world, name(&world, 1, 3, NOW), events).await;
    assert!(matches!(other, Ok(Once::Taken)), "{other:?}");
    assert_eq!(deliveries(&world).await.len(), told + queued.len());
    world.verify_clean().await;
}

pub async fn a_name_that_ran_out_is_taken_over(world: World) {
    world.account().await;
    let early = NOW.plus_ms(-KEY_LIFETIME_MS);
    let expired = UniqueKey { expires_at: Some(NOW), ..name(&world, 1, 1, early) };
    let made = world.store.create_api_key(
        NewApiKey { created_at: early, ..api_key(1) },
        [101; 32],
        Some(expired),
    );
    assert!(matches!(made.await, Ok(Once::Done(()))));
    let again = make_key(&world, 2, name(&world, 1, 2, NOW)).await;
    assert!(matches!(again, Ok(Once::Done(()))), "{again:?}");
    assert_eq!(&*before(make_key(&world, 3, name(&world, 1, 2, NOW)).await), "ak_test_2");
    // A batch that takes the key removes the stored answer.
    let then = NOW.plus_ms(KEY_LIFETIME_MS);
    let payment = world.pay(1, 1_000).await.capture.id;
    world.run(then, world.refund(payment, 10, Some(1))).await;
    let found = world.store.find_key(world.tenant, KeyHash([1; 16])).await.expect("a read");
    assert_eq!(found.expect("it is there").target, KeyTarget::Refund);
    world.verify_clean().await;
}

pub async fn a_payment_settles_when_somebody_says_so(world: World) {
    let payment = world.pay(1, 1_000).await;
    assert_eq!(payment.settled_at, None);
    let settle = |at| Command::Settle { tenant: world.tenant, payment: payment.capture.id, at };
    for (now, at) in [(NOW.plus_ms(1), NOW.plus_ms(90)), (NOW.plus_ms(2), NOW.plus_ms(3))] {
        world.run(now, settle(at)).await;
        let found = world.store.find_payment(world.tenant, payment.capture.id).await;
        let found = found.expect("a read").expect("it exists");
        assert_eq!((found.settled_at, found.updated_at), (Some(at), now));
    }
    let unknown = domain::ids::PaymentId::from_ulid(Ulid(7));
    let command = Command::Settle { tenant: world.tenant, payment: unknown, at: NOW };
    assert!(world.try_run(NOW, vec![command]).await.expect("a batch")[0].is_err());
    world.verify_clean().await;
}

pub async fn the_first_visit_is_noted(world: World) {
    let mut open = world.checkout();
    if let Command::OpenCheckout(open) = &mut open {
        open.new.extra = Some("{\"line\":\"é\"}".into());
    }
    let Done::Checkout { checkout, .. } = world.run(NOW, open).await else { panic!("a checkout") };
    let find = async || {
        let id = checkout.terms.id;
        let found = world.store.find_checkout(world.tenant, id).await.expect("a read");
        found.expect("it exists")
    };
    assert_eq!(find().await, *checkout);
    assert_eq!(find().await.terms.extra.as_deref(), Some("{\"line\":\"é\"}"));
    for ms in [5, 9] {
        let visit = ActOnCheckout {
            tenant: world.tenant,
            id: checkout.terms.id,
            act: Act::Visit,
            key: None,
        };
        world.run(NOW.plus_ms(ms), Command::Checkout(Box::new(visit))).await;
        assert_eq!(find().await.visited_at, Some(NOW.plus_ms(5)));
    }
    let key = (world.tenant, checkout.terms.id);
    let seen = world.look(RowKeys { checkouts: [key].into(), ..RowKeys::default() }).await;
    assert_eq!(seen.checkouts[&key].value, find().await);
}

pub async fn lists_are_filtered(world: World) {
    let mut made = Vec::new();
    for ms in 0..6 {
        let now = NOW.plus_ms(ms);
        let mut open = world.checkout();
        if let Command::OpenCheckout(open) = &mut open {
            open.new.customer = Some(if ms % 2 == 0 { "even" } else { "odd" }.into());
        }
        let Done::Checkout { checkout, .. } = world.run(now, open).await else { panic!("one") };
        made.push(checkout.terms.id);
    }
    let act = ActOnCheckout { tenant: world.tenant, id: made[0], act: Act::Delete, key: None };
    world.run(NOW, Command::Checkout(Box::new(act))).await;
    let list = async |state, customer: Option<&str>, order| {
        let customer = customer.map(Into::into);
        let filter = CheckoutFilter { kind: Kind::CheckoutSession, state, customer };
        let listed = world.store.list_checkouts(world.tenant, filter, page(3, order)).await;
        let listed = listed.expect("a read");
        (listed.items.iter().map(|c| c.terms.id).collect::<Vec<_>>(), listed.more)
    };
    let open = Some(checkout::State::Open);
    let (up, down) = (SortOrder::Ascending, SortOrder::Descending);
    assert_eq!(list(None, Some("even"), up).await, (vec![made[2], made[4]], false));
    assert_eq!(list(open, Some("odd"), down).await, (vec![made[5], made[3], made[1]], false));
    assert_eq!(list(open, None, up).await, (made[1..4].to_vec(), true));
    assert_eq!(list(None, None, down).await, (vec![made[5], made[4], made[3]], true));
    assert_eq!(list(Some(checkout::State::Completed), None, up).await, (Vec::new(), false));
    assert_eq!(list(open, Some("nobody"), up).await, (Vec::new(), false));

    let mut invoices = Vec::new();
    for ms in [0, 10, 20] {
        let Done::Invoice { invoice, .. } = world.run(NOW, world.invoice_at(NOW.plus_ms(ms))).await
        else {
            panic!("an invoice")
        };
        invoices.push(invoice.terms.id);
    }
    let list = async |filter: InvoiceFilter| {
        let listed = world.store.list_invoices(world.tenant, filter, all()).await;
        listed.expect("a read").items.iter().map(|i| i.terms.id).collect::<Vec<_>>()
    };
    let from = |ms| Some(NOW.plus_ms(ms));
    let spans = [((None, None), 0..3), ((from(10), None), 1..3), ((from(1), from(20)), 1..2)];
    for ((issued_from, issued_until), expected) in spans {
        let span = InvoiceFilter { issued_from, issued_until, ..InvoiceFilter::default() };
        assert_eq!(list(span.clone()).await, invoices[expected.clone()]);
        let (state, customer) = (Some(invoice::State::Open), Some("cus_1".into()));
        assert_eq!(list(InvoiceFilter { state, ..span.clone() }).await, invoices[expected.clone()]);
        assert_eq!(list(InvoiceFilter { customer, ..span }).await, invoices[expected]);
    }
    let draft = InvoiceFilter { state: Some(invoice::State::Draft), ..InvoiceFilter::default() };
    assert!(list(draft).await.is_empty());
    let subscription = Some("sub_2".into());
    assert!(list(InvoiceFilter { subscription, ..InvoiceFilter::default() }).await.is_empty());
}

pub async fn invoices_of_a_span_run_by_the_time_of_asking(world: World) {
    let mut made = Vec::new();
    for ms in 0..6 {
        let mut create = world.invoice_at(NOW.plus_ms(ms));
        if let Command::CreateInvoice(create) = &mut create {
            create.new.open = false;
        }
        let Done::Invoice { invoice, .. } = world.run(NOW, create).await else { panic!("one") };
        made.push(invoice.terms.id);
    }
    // Two of the invoices at the same time, and the last one never.
    for (number, at) in [(3, 10), (0, 20), (4, 30), (1, 30), (2, 40)] {
        let act = invoices::Act::Finalize { methods: vec!["card".into()] };
        let id = made[number];
        let act = invoices::ActOnInvoice { tenant: world.tenant, id, act, key: None };
        world.run(NOW.plus_ms(at), Command::Invoice(Box::new(act))).await;
    }
    let walk = async |filter: InvoiceFilter, order| {
        let (mut seen, mut query) = (Vec::new(), page(1, order));
        loop {
            let page = world.store.list_invoices(world.tenant, filter.clone(), query).await;
            let page = page.expect("a read");
            seen.extend(page.items.iter().map(|invoice| invoice.terms.id));
            query.after = seen.last().map(|id| id.ulid());
            if !page.more {
                return seen;
            }
        }
    };
    let expected = [0, 1, 4, 2].map(|number: usize| made[number]);
    let span = InvoiceFilter { issued_from: Some(NOW.plus_ms(20)), ..InvoiceFilter::default() };
    let (state, customer) = (Some(invoice::State::Open), Some("cus_1".into()));
    for filter in [
        span.clone(),
        InvoiceFilter { state, ..span.clone() },
        InvoiceFilter { customer, ..span.clone() },
        InvoiceFilter { subscription: Some("sub_1".into()), ..span },
    ] {
        assert_eq!(walk(filter.clone(), SortOrder::Ascending).await, expected);
        let mut backwards = walk(filter, SortOrder::Descending).await;
        backwards.reverse();
        assert_eq!(backwards, expected);
    }
}
