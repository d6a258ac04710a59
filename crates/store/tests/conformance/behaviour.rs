//! The behaviour of every store.

use crate::world::{NOW, World, usd};
use domain::decide::webhook::WebhookCommand;
use domain::decide::{Command, Done};
use domain::event::{Subject, Type};
use domain::ids::{DeliveryId, EndpointId, PaymentId, RefundId};
use domain::ledger::{Code, Reason, Totals};
use domain::time::Timestamp;
use domain::view::{Change, Row, RowKeys, View};
use domain::webhook::{Body, Delivery, Format, Outcome, Status};
use store::{
    Backlog, DeliveryFilter, EventFilter, InvoiceFilter, Lane, NewApiKey, Once, PageQuery,
    RefundFilter, Replay, SortOrder, StoreError, TransferFilter,
};

pub fn page(limit: u32, order: SortOrder) -> PageQuery {
    PageQuery { limit, after: None, order, from: None, until: None }
}

pub fn all() -> PageQuery {
    page(100, SortOrder::Ascending)
}

fn values<K: Clone, T: Clone>(rows: &std::collections::BTreeMap<K, Row<T>>) -> Vec<(K, T)> {
    rows.iter().map(|(key, row)| (key.clone(), row.value.clone())).collect()
}

pub async fn rows_of_every_kind_are_loaded_as_they_were_saved(world: World) {
    world.account().await;
    world.run(NOW, world.endpoint()).await;
    let payment = world.pay(1, 10_000).await;
    let commands = vec![
        world.refund(payment.capture.id, 100, Some(3)),
        world.checkout(),
        world.invoice(),
        world.registration(2, 500),
        world.refund(payment.capture.id, 200, None),
        crate::holds::place(&world, payment.capture.id, 300, 77),
    ];
    let mut wanted = RowKeys::default();
    for command in &commands {
        command.wants(&mut wanted);
    }
    let ids = world.ids.clone();
    let saved = world
        .store
        .run_batch(wanted, move |view| {
            let mut ids = ids.lock().expect("the ids");
            for command in &commands {
                domain::decide::decide(view, command, NOW, &mut ids).expect("not refused");
            }
            domain::decide::fan_out(view, NOW, &mut ids);
            view.clone()
        })
        .await
        .expect("a batch");
    let wanted = RowKeys {
        keys: saved.keys.keys().copied().collect(),
        payments: saved.payments.keys().copied().collect(),
        refunds: saved.refunds.keys().copied().collect(),
        holds: saved.holds.keys().copied().collect(),
        checkouts: saved.checkouts.keys().copied().collect(),
        invoices: saved.invoices.keys().copied().collect(),
        invoice_numbers: saved.invoice_numbers.keys().copied().collect(),
        endpoints: std::collections::BTreeSet::default(),
        deliveries: saved.new_rows.deliveries.iter().map(|d| (d.tenant, d.id)).collect(),
        ..RowKeys::default()
    };
    let found = world.look(wanted).await;
    assert_eq!(values(&found.payments), values(&saved.payments));
    assert_eq!(values(&found.refunds), values(&saved.refunds));
    assert_eq!(values(&found.holds), values(&saved.holds));
    assert_eq!(values(&found.keys), values(&saved.keys));
    assert_eq!(values(&found.checkouts), values(&saved.checkouts));
    assert_eq!(values(&found.invoices), values(&saved.invoices));
    assert_eq!(values(&found.invoice_numbers), values(&saved.invoice_numbers));
    assert_eq!(found.subscribers, saved.subscribers);
    assert!(found.payments.values().all(|row| row.change == Change::None));
    assert_eq!((found.refunds.len(), found.checkouts.len(), found.invoices.len()), (2, 2, 1));
    assert!(found.deliveries.len() >= 5, "{} deliveries", found.deliveries.len());
    for delivery in &saved.new_rows.deliveries {
        let mut stored = found.deliveries[&(delivery.tenant, delivery.id)].value.clone();
        // The store decides whether the delivery waits for an earlier one of its subject.
        stored.next_at = delivery.next_at;
        assert_eq!(&stored, delivery);
    }
    let events = world.store.list_events(world.tenant, EventFilter::default(), all()).await;
    let events: Vec<_> = events.expect("a read").items.into_iter().map(|e| e.event).collect();
    let mut told = saved.new_rows.events.clone();
    told.sort_by_key(|event| event.id);
    assert!(told.iter().all(|event| events.contains(event)), "{told:#?} in {events:#?}");
    world.verify_clean().await;
}

pub async fn a_batch_that_a_guard_stops_saves_nothing(world: World) {
    let (one, two) = (world.pay(1, 1_000).await, world.pay(2, 1_000).await);
    let keys = [one.capture.id, two.capture.id].map(|id| (world.tenant, id));
    let wanted = RowKeys { payments: keys.into(), ..RowKeys::default() };
    let stopped = world.store.run_batch(wanted.clone(), move |view| {
        view.payments.get_mut(&keys[0]).expect("it is there").change().reserved = 500;
        view.payments.get_mut(&keys[1]).expect("it is there").change().reserved = 1_001;
    });
    let stopped = stopped.await;
    assert!(matches!(stopped, Err(StoreError::Guard(_))), "{stopped:?}");
    let found = world.look(wanted).await;
    assert!(found.payments.values().all(|row| row.value.reserved == 0));
}

pub async fn a_batch_that_panics_saves_nothing_and_the_next_one_works(world: World) {
    let payment = world.pay(1, 1_000).await;
    let key = (world.tenant, payment.capture.id);
    let wanted = RowKeys { payments: [key].into(), ..RowKeys::default() };
    let stopped = world.store.run_batch(wanted.clone(), move |view: &mut View| {
        view.payments.get_mut(&key).expect("it is there").change().reserved = 500;
        assert!(view.refunds.len() > 7, "this does not hold");
    });
    let Err(StoreError::Inconsistent(said)) = stopped.await else { panic!("it was saved") };
    assert!(said.contains("this does not hold"), "{said}");
    assert_eq!(world.look(wanted).await.payments[&key].value.reserved, 0);
    world.create(NOW, payment.capture.id, 10).await;
}

pub async fn a_row_that_is_already_there_is_a_guard(world: World) {
    let payment = world.pay(1, 1_000).await;
    let refund = world.create(NOW, payment.capture.id, 10).await;
    let twin = refund.clone();
    let stopped = world.store.run_batch(RowKeys::default(), move |view| {
        view.refunds.insert((twin.tenant, twin.id), Row::inserted(twin.clone()));
    });
    let stopped = stopped.await;
    assert!(matches!(stopped, Err(StoreError::Guard(_))), "{stopped:?}");
    let found = world.store.find_refund(world.tenant, refund.id).await.expect("a read");
    assert_eq!(found.map(|view| view.refund), Some(refund));
}

pub async fn an_update_of_a_row_that_is_gone_saves_nothing(world: World) {
    let payment = world.pay(1, 1_000).await;
    let mut ghost = world.create(NOW, payment.capture.id, 10).await;
    ghost.id = world.with_ids(|ids| ids.refund(NOW));
    let key = (world.tenant, payment.capture.id);
    let wanted = RowKeys { payments: [key].into(), ..RowKeys::default() };
    let stopped = world.store.run_batch(wanted.clone(), move |view| {
        view.payments.get_mut(&key).expect("it is there").change().reserved = 500;
        let row = Row { value: ghost.clone(), change: Change::Updated };
        view.refunds.insert((ghost.tenant, ghost.id), row);
    });
    let stopped = stopped.await;
    assert!(matches!(stopped, Err(StoreError::Inconsistent(_))), "{stopped:?}");
    assert_eq!(world.look(wanted).await.payments[&key].value.reserved, 10);
}

pub async fn pages_go_forth_and_back_without_a_gap(world: World) {
    let payment = world.pay(1, 100_000).await.capture.id;
    let mut made = Vec::new();
    for number in 0..7 {
        made.push(world.create(NOW.plus_ms(number), payment, 10).await.id);
    }
    let walk = async |order: SortOrder, filter: RefundFilter| {
        let (mut seen, mut query) = (Vec::<RefundId>::new(), page(3, order));
        loop {
            let page = world.store.list_refunds(world.tenant, filter, query).await.expect("a read");
            assert!(page.items.len() == 3 || !page.more, "a short page is the last one");
            seen.extend(page.items.iter().map(|view| view.refund.id));
            assert!(page.items.iter().all(|view| view.payment.id == payment));
            if !page.more {
                return seen;
            }
            query.after = seen.last().map(|id| id.ulid());
        }
    };
    let everything = RefundFilter::default();
    assert_eq!(walk(SortOrder::Ascending, everything).await, made);
    let status = Some(domain::refund::Status::Pending);
    let pending = RefundFilter { payment: Some(payment), status };
    let backwards: Vec<_> = made.iter().rev().copied().collect();
    assert_eq!(walk(SortOrder::Descending, pending).await, backwards);
    let status = Some(domain::refund::Status::Succeeded);
    assert!(walk(SortOrder::Ascending, RefundFilter { payment: None, status }).await.is_empty());
    let some = PageQuery { from: Some(NOW.plus_ms(2)), until: Some(NOW.plus_ms(5)), ..all() };
    let found = world.store.list_refunds(world.tenant, everything, some).await.expect("a read");
    let found: Vec<_> = found.items.iter().map(|view| view.refund.id).collect();
    assert_eq!(found, made[2..5]);
    let timeline = EventFilter { event_type: None, refund: Some(made[0]) };
    let events = world.store.list_events(world.tenant, timeline, all()).await.expect("a read");
    let [event] = &events.items[..] else { panic!("{events:#?}") };
    assert!(matches!(event.event.subject, Subject::Refund(id, _) if id == made[0]));
}

pub async fn what_is_posted_adds_up(world: World) {
    for number in 1..=40 {
        world.pay(number, 1_000).await;
    }
    let balances = world.store.balances(world.tenant).await.expect("a read");
    let of = |code| {
        let found = balances.iter().find(|balance| balance.code == code).expect("a balance");
        assert_eq!(found.currency, usd());
        found.totals
    };
    let (debit, credit) = Reason::Capture.legs();
    assert_eq!(of(debit), Totals { debits: 40_000, credits: 0 });
    assert_eq!(of(credit), Totals { debits: 0, credits: 40_000 });
    assert_eq!(balances.len(), 2, "one row per account, of however many parts");
    let sum = world.store.sum_transfers(world.tenant, usd(), NOW, NOW.plus_ms(1)).await;
    let [sum] = &sum.expect("a read")[..] else { panic!("one reason") };
    assert_eq!((sum.reason, sum.amount), (Reason::Capture, 40_000));
    let none = world.store.sum_transfers(world.tenant, usd(), NOW.plus_ms(1), NOW.plus_ms(2)).await;
    assert!(none.expect("a read").is_empty());
    let filter = TransferFilter { code: Some(Code::Cash), ..TransferFilter::default() };
    let transfers = world.store.list_transfers(world.tenant, filter, all()).await.expect("a read");
    assert_eq!(transfers.items.len(), 40);
    world.verify_clean().await;
}

pub async fn due_work_comes_longest_due_first(world: World) {
    let payment = world.pay(1, 100_000).await.capture.id;
    assert_eq!(world.store.next_due().await.expect("a read"), None);
    let later = world.create(NOW.plus_ms(5), payment, 10).await;
    let sooner = world.create(NOW, payment, 10).await;
    assert_eq!(world.store.next_due().await.expect("a read"), sooner.due_at);
    let lane = sooner.lane;
    let claim = async |now: Timestamp, limit| {
        let until = now.plus_ms(30_000);
        let claimed = world.store.claim_refunds(lane, now, until, limit).await.expect("a claim");
        claimed.iter().map(|c| (c.refund, c.payment, c.lease)).collect::<Vec<_>>()
    };
    let lanes = world.store.refund_lanes(None, 10).await.expect("a read");
    assert_eq!(lanes, [Lane { lane, due_at: NOW }]);
    assert_eq!(world.store.refund_lanes(Some(lane), 10).await.expect("a read"), []);
    let owner = world.store.lane_owner(lane).await.expect("a read").expect("an owner");
    assert_eq!((owner.tenant, &*owner.provider), (world.tenant, "simulator"));
    assert_eq!(owner.provider_account.as_deref(), Some("pa_1"));
    assert_eq!(claim(NOW.plus_ms(5), 1).await, [(sooner.id, payment, 1)]);
    assert_eq!(claim(NOW, 10).await, [], "the other one is not due yet");
    assert_eq!(claim(NOW.plus_ms(5), 10).await, [(later.id, payment, 1)]);
    assert_eq!(claim(NOW.plus_ms(6), 10).await, [], "both are leased");
    assert_eq!(world.store.next_due().await.expect("a read"), Some(NOW.plus_ms(30_005)));
    let mut again = claim(NOW.plus_ms(30_005), 10).await;
    again.sort_unstable_by_key(|(id, ..)| std::cmp::Reverse(*id == sooner.id));
    assert_eq!(again, [(sooner.id, payment, 2), (later.id, payment, 2)], "taken over");
    world.run(NOW, world.invoice()).await;
    world.run(NOW, world.checkout()).await;
    let invoices = world.store.due_invoices(NOW.plus_ms(1_000), 10).await.expect("a read");
    assert_eq!(invoices.len(), 1);
    let next = world.store.next_checkout_due().await.expect("a read");
    assert_eq!(next, Some(NOW.plus_ms(1_000)));
    assert!(world.store.due_checkouts(NOW, 10).await.expect("a read").is_empty());
    let listed = world.store.list_invoices(world.tenant, InvoiceFilter::default(), all()).await;
    assert_eq!(listed.expect("a read").items.len(), 1);
}

/// The endpoint of a world and all deliveries to it.
pub async fn deliveries(world: &World) -> Vec<Delivery> {
    let listed = world.store.list_deliveries(world.tenant, DeliveryFilter::default(), all()).await;
    listed.expect("a read").items.into_iter().map(|due| due.delivery).collect()
}

pub async fn make_endpoint(world: &World) -> EndpointId {
    match world.run(NOW, world.endpoint()).await {
        Done::Endpoint(endpoint) => endpoint.id,
        other => panic!("{other:?}"),
    }
}

fn outcome(at: Timestamp) -> Outcome {
    Outcome {
        attempted_at: at,
        duration_ms: 3,
        response_code: Some(200),
        error: None,
        retry_after_ms: None,
    }
}

pub fn record(world: &World, delivery: DeliveryId, endpoint: EndpointId) -> Command {
    let record = WebhookCommand::Record { delivery, endpoint, outcome: outcome(NOW.plus_ms(9)) };
    Command::Webhook(world.tenant, Box::new(record))
}

pub async fn what_waits_is_counted(world: World) {
    let payment = world.pay(1, 1_000).await;
    make_endpoint(&world).await;
    for _ in 0..3 {
        world.create(NOW, payment.capture.id, 10).await;
    }
    let at = async |time| world.store.backlog(time).await.expect("a count");
    assert_eq!(at(NOW).await, Backlog::default());
    let later = at(NOW.plus_ms(1)).await;
    assert_eq!((later.overdue_refunds, later.overdue_deliveries), (3, 3), "{later:?}");
    assert_eq!((later.unknown_refunds, later.refunds_in_review), (0, 0));
}

pub async fn deliveries_of_one_subject_wait_for_each_other(world: World) {
    world.account().await;
    let endpoint = make_endpoint(&world).await;
    let payment = world.pay(1, 10_000).await.capture.id;
    let refund = world.create(NOW, payment, 10).await;
    let of = domain::decide::RefundRef::from(&refund);
    world.run(NOW.plus_ms(1), Command::Cancel { of, key: None }).await;
    let of_refund = async |world: &World| -> Vec<Delivery> {
        let mut found = deliveries(world).await;
        found.retain(|delivery| delivery.subject == refund.id.ulid());
        found
    };
    let [first, second] = &of_refund(&world).await[..] else { panic!("two events") };
    assert!(first.next_at.is_some() && second.next_at.is_none(), "{first:?} {second:?}");
    let due = world.store.due_deliveries(NOW.plus_ms(1), None, 100, |_| 100).await;
    let due = due.expect("a read");
    assert!(due.due.iter().any(|due| due.delivery.id == first.id));
    assert!(due.due.iter().all(|due| due.delivery.id != second.id));
    assert!(due.due.iter().all(|due| due.event.is_some() && due.body.is_none()));
    assert_eq!((due.endpoints.len(), due.accounts.len(), due.place), (1, 1, None));
    world.run(NOW.plus_ms(9), record(&world, first.id, endpoint)).await;
    let [first, second] = &of_refund(&world).await[..] else { panic!("two events") };
    assert_eq!((first.status, first.next_at), (Status::Succeeded, None));
    assert_eq!(second.next_at, Some(NOW.plus_ms(9)), "it is let go");
    // A replayed delivery waits for the pending ones of its subject, although its event is the
    // first one.
    let again = vec![first.event];
    let ids = world.ids.clone();
    let fan_out = move |view: &mut View| {
        domain::decide::fan_out(view, NOW.plus_ms(10), &mut ids.lock().expect("the ids"));
    };
    let answer = |deliveries: &[Delivery]| deliveries.len().to_string();
    let name = (None, NOW.plus_ms(10));
    let replay = world.store.replay_events(world.tenant, again, name, fan_out, answer).await;
    assert!(matches!(replay, Ok(Once::Done(Replay::Queued(_)))), "{replay:?}");
    let [_, _, third] = &of_refund(&world).await[..] else { panic!("three deliveries") };
    assert_eq!((third.event, third.next_at), (first.event, None));
    let (_, attempts) = world
        .store
        .find_delivery(world.tenant, first.id)
        .await
        .expect("a read")
        .expect("it exists");
    assert_eq!((attempts.len(), &attempts[0].outcome), (1, &outcome(NOW.plus_ms(9))));
    let key = (world.tenant, endpoint);
    let failed = world.store.fail_queued_deliveries(key, "gone", NOW, 100).await;
    assert_eq!(failed.expect("a write"), 0, "the endpoint is active");
    let remove = WebhookCommand::Remove(endpoint);
    world.run(NOW, Command::Webhook(world.tenant, Box::new(remove))).await;
    while world.store.fail_queued_deliveries(key, "gone", NOW, 1).await.expect("a write") > 0 {}
    assert!(deliveries(&world).await.iter().all(|delivery| delivery.status != Status::Pending));
}

/// A checkout and its payment share an id, and each has a first event.
pub async fn what_is_told_of_a_payment_waits_for_what_is_told_of_asking_for_it(world: World) {
    world.account().await;
    let endpoint = make_endpoint(&world).await;
    let subject = world.with_ids(|ids| ids.payment(NOW)).ulid();
    for (event_type, seq) in [(Type::CheckoutPending, 2), (Type::PaymentCreated, 1)] {
        let (id, event) = world.with_ids(|ids| (ids.delivery(NOW), ids.event(NOW)));
        let delivery = Delivery {
            tenant: world.tenant,
            id,
            endpoint,
            format: Format::ElasticPay,
            event,
            event_type,
            subject,
            seq,
            status: Status::Pending,
            attempts: 0,
            once: false,
            next_at: Some(NOW),
            last_attempt_at: None,
            delivered_at: None,
            response_code: None,
            last_error: None,
            body: Body::None,
            updated_at: NOW,
        };
        let queue = move |view: &mut View| view.new_rows.deliveries.push(delivery.clone());
        world.store.run_batch(RowKeys::default(), queue).await.expect("it is queued");
    }
    let told = deliveries(&world).await;
    let due: Vec<_> = told.iter().map(|told| (told.event_type, told.next_at)).collect();
    assert_eq!(due, [(Type::CheckoutPending, Some(NOW)), (Type::PaymentCreated, None)]);
}

pub async fn a_delivery_keeps_its_text(world: World) {
    world.account().await;
    make_endpoint(&world).await;
    let payment = world.pay(1, 10_000).await.capture.id;
    world.create(NOW, payment, 10).await;
    let [delivery] = &deliveries(&world).await[..] else { panic!("one event") };
    let claim = WebhookCommand::Lease {
        delivery: delivery.id,
        seen_at: delivery.next_at.expect("it is due"),
        lease_until: NOW.plus_ms(30_000),
        body: Some("{\"text\":\"é\"}".into()),
    };
    world.run(NOW, Command::Webhook(world.tenant, Box::new(claim))).await;
    let (found, _) = world
        .store
        .find_delivery(world.tenant, delivery.id)
        .await
        .expect("a read")
        .expect("it exists");
    assert_eq!(found.body.as_deref(), Some("{\"text\":\"é\"}"));
    assert_eq!(found.delivery.next_at, Some(NOW.plus_ms(30_000)));
    let due = world.store.due_deliveries(NOW.plus_ms(30_000), None, 10, |_| 10).await;
    let due = due.expect("a read").due;
    assert_eq!(due[0].body, found.body);
}

pub async fn names_that_ran_out_are_forgotten(world: World) {
    let payment = world.pay(1, 10_000).await.capture.id;
    world.run(NOW, world.refund(payment, 10, Some(3))).await;
    assert_eq!(world.store.forget_keys(NOW, 100).await.expect("a write"), 0);
    let later = NOW.plus_ms(domain::decide::KEY_LIFETIME_MS + 1);
    assert_eq!(world.store.forget_keys(later, 100).await.expect("a write"), 1);
    let hash = domain::unique_keys::KeyHash([3; 16]);
    let kept = world.store.find_key(world.tenant, hash).await.expect("a read");
    assert!(kept.is_some(), "a refund's name is kept for ever");
}

pub async fn accounts_and_keys_are_kept(world: World) {
    let account = world.account().await;
    let key = |number: u8| NewApiKey {
        id: format!("ak_test_{number}").into(),
        account: 1,
        mode: Some(domain::tenant::Mode::Test),
        platform: false,
        scopes: "*".into(),
        error_profile: "node".into(),
        name: "mine".into(),
        bearer_hash: [number; 32],
        bearer_prefix: (number == 1).then(|| "rf_1".into()),
        secret_sealed: vec![number, 0, 255],
        created_at: NOW.plus_ms(number.into()),
    };
    for number in 1..=2 {
        let made = world.store.create_api_key(key(number), [number + 10; 32], None).await;
        assert!(matches!(made, Ok(Once::Done(()))), "{made:?}");
    }
    let twice = world.store.create_api_key(key(1), [11; 32], None).await;
    assert!(matches!(twice, Err(StoreError::Guard(_))), "{twice:?}");
    let found = world.store.find_api_key_by_bearer([1; 32]).await.expect("a read");
    let found = found.expect("it exists");
    assert_eq!((found.account, found.key.secret_sealed), (account, vec![1, 0, 255]));
    assert_eq!(found.key.bearer_prefix.as_deref(), Some("rf_1"));
    let found = world.store.find_api_key_by_bearer([12; 32]).await.expect("a read");
    assert_eq!(found.expect("it exists").key.id, "ak_test_2".into(), "by its secret");
    assert!(world.store.find_api_key_by_bearer([9; 32]).await.expect("a read").is_none());
    assert!(world.store.revoke_api_key("ak_test_1", NOW).await.expect("a write"));
    assert!(!world.store.revoke_api_key("ak_test_1", NOW.plus_ms(1)).await.expect("a write"));
    world.store.note_api_key_use("ak_test_2", NOW).await.expect("a write");
    let listed = world.store.list_api_keys_of(1, None).await.expect("a read");
    let listed: Vec<_> = listed.iter().map(|row| (&*row.key.id, row.revoked_at)).collect();
    assert_eq!(listed, [("ak_test_2", None), ("ak_test_1", Some(NOW))], "those that work first");
    let second = domain::ids::AccountId::from_ulid(world.with_ids(|ids| ids.ulid(NOW)));
    let second = world.store.create_account(second, "Second", NOW).await.expect("an account");
    assert_eq!(second.number, 2);
    assert_eq!(world.store.list_accounts().await.expect("a read").len(), 2);
}

pub async fn queries_about_nothing_find_nothing(world: World) {
    let (store, tenant) = (&world.store, world.tenant);
    let ulid = world.with_ids(|ids| ids.ulid(NOW));
    assert!(store.find_payment(tenant, PaymentId::from_ulid(ulid)).await.expect("ok").is_none());
    assert!(store.find_checkout(tenant, PaymentId::from_ulid(ulid)).await.expect("ok").is_none());
    assert!(store.find_refund(tenant, RefundId::from_ulid(ulid)).await.expect("ok").is_none());
    assert!(store.find_account_by_number(7).await.expect("ok").is_none());
    assert!(store.balances(tenant).await.expect("ok").is_empty());
    assert!(store.list_endpoints(tenant).await.expect("ok").is_empty());
    assert!(store.list_payments(tenant, all()).await.expect("ok").items.is_empty());
    let due = store.due_deliveries(NOW, None, 10, |_| 10).await.expect("ok");
    assert!(due.due.is_empty() && due.place.is_none());
    world.verify_clean().await;
}

pub async fn a_probe_commits_and_changes_no_row(world: World) {
    let payment = world.pay(1, 1_000).await;
    let log = || std::fs::read(world.file().with_extension("db-wal")).expect("a log");
    for _ in 0..3 {
        let before = world.url.is_empty().then(log);
        world.store.probe().await.expect("it commits");
        if let Some(before) = before {
            assert!(log() != before, "it is written");
        }
    }
    let found = world.store.find_payment(world.tenant, payment.capture.id).await.expect("a read");
    assert_eq!(found, Some(payment));
    world.verify_clean().await;
}
