//! Provider accounts, and the switches that stop sending.

use crate::behaviour::{all, deliveries, make_endpoint, page, record};
use crate::retention::{LATER, prune_events};
use crate::world::{NOW, World};
use domain::administer::provider_account::{Act, Changes, NewProviderAccount, decide, wanted};
use domain::administer::sending::{ThrowSwitch, throw};
use domain::decide::fan_out;
use domain::event::Type;
use domain::event_view::EventSubject;
use domain::ids::{AccountId, ProviderAccountId};
use domain::provider_account::{ProviderAccount, Refusal, State};
use domain::sealed::Sealed;
use domain::sending::{Switch, everyone};
use domain::tenant::{Mode, Tenant};
use domain::time::Timestamp;
use domain::view::View;
use domain::webhook::{Delivery, Format, Status};
use store::{EventFilter, ProviderAccountFilter, SortOrder, StoreError};

const ACCOUNT: AccountId = AccountId::from_bytes([3; 16]);

impl World {
    pub async fn act(
        &self,
        now: Timestamp,
        id: ProviderAccountId,
        act: Act,
    ) -> Result<ProviderAccount, Refusal> {
        let (ids, tenant) = (self.ids.clone(), self.tenant);
        let decide = move |view: &mut View| {
            let mut ids = ids.lock().expect("the ids");
            let done = decide(view, (tenant, id), &act, now, &mut ids);
            fan_out(view, now, &mut ids);
            done
        };
        self.store.run_batch(wanted(tenant, id), decide).await.expect("a batch")
    }

    pub async fn make_provider_account(&self, provider: &str) -> ProviderAccount {
        let id = self.with_ids(|ids| ids.provider_account(NOW));
        let new = NewProviderAccount {
            provider: provider.into(),
            name: "Ours \"é\"".into(),
            config: [("merchant_account".into(), "Shop \\ \"é\"".into())].into(),
            secrets: Sealed(vec![1, 0, 255]),
        };
        self.act(NOW, id, Act::Create(new)).await.expect("it is not refused")
    }

    pub async fn throw(&self, now: Timestamp, tenant: Tenant, stop: bool) -> bool {
        let recorded_in = Some((self.tenant, ACCOUNT));
        let switch = ThrowSwitch { tenant, stop, reason: Some("é".into()), recorded_in };
        let (ids, wanted) = (self.ids.clone(), switch.wanted());
        let decide = move |view: &mut View| {
            let mut ids = ids.lock().expect("the ids");
            let thrown = throw(view, &switch, now, &mut ids);
            fan_out(view, now, &mut ids);
            thrown
        };
        self.store.run_batch(wanted, decide).await.expect("a batch")
    }
}

async fn told(world: &World) -> Vec<(Type, u32, EventSubject)> {
    let events = world.store.list_events(world.tenant, EventFilter::default(), all()).await;
    let told = events.expect("a read").items.into_iter();
    told.map(|view| (view.event.event_type, view.event.seq, view.subject)).collect()
}

pub async fn provider_accounts_are_kept_with_their_history(world: World) {
    let made = world.make_provider_account("one_psp").await;
    let find = async |tenant| world.store.find_provider_account(tenant, made.id).await;
    assert_eq!(find(world.tenant).await.expect("a read"), Some(made.clone()));
    assert_eq!(find(Tenant::new(1, Mode::Live)).await.expect("a read"), None);
    let changes = Changes { name: Some("Theirs".into()), config: Some([].into()) };
    let steps = [
        (Act::Pause { reason: Some("é".into()) }, Type::ProviderAccountPaused),
        (Act::Rotate(Sealed(vec![7])), Type::ProviderAccountRotated),
        (Act::Resume, Type::ProviderAccountResumed),
        (Act::Change(changes), Type::ProviderAccountCreated),
        (Act::Delete, Type::ProviderAccountDeleted),
    ];
    for (at, (act, event)) in (1..).zip(steps) {
        let now = NOW.plus_ms(at);
        let done = world.act(now, made.id, act.clone()).await.expect("it is not refused");
        assert_eq!(find(world.tenant).await.expect("a read").as_ref(), Some(&done), "{event}");
        assert_eq!(done.updated_at, now);
        // An act that was done already is not done again.
        let seq = told(&world).await.len();
        if !matches!(act, Act::Rotate(_)) {
            assert_eq!(world.act(now.plus_ms(1), made.id, act).await.expect("a no-op"), done);
        }
        assert_eq!(told(&world).await.len(), seq);
    }
    let deleted = find(world.tenant).await.expect("a read").expect("the row stays");
    assert_eq!((deleted.secrets, deleted.version), (None, 3));
    assert_eq!((&*deleted.name, deleted.config.len()), ("Theirs", 0));
    assert_eq!(world.act(NOW, made.id, Act::Resume).await, Err(Refusal::Deleted));
    let other = world.with_ids(|ids| ids.provider_account(NOW));
    assert_eq!(world.act(NOW, other, Act::Resume).await, Err(Refusal::NotFound));
    let told = told(&world).await;
    let types: Vec<_> = told.iter().map(|(event, seq, _)| (*event, *seq)).collect();
    let expected = [
        (Type::ProviderAccountCreated, 1),
        (Type::ProviderAccountPaused, 2),
        (Type::ProviderAccountRotated, 3),
        (Type::ProviderAccountResumed, 4),
        (Type::ProviderAccountDeleted, 5),
    ];
    assert_eq!(types, expected);
    let EventSubject::ProviderAccount(paused) = &told[1].2 else { panic!("{told:?}") };
    assert_eq!((&*paused.state, paused.paused_reason.as_deref()), ("paused", Some("é")));
    assert_eq!((&*paused.provider, paused.version, paused.deleted), ("one_psp", 1, false));
    let EventSubject::ProviderAccount(gone) = &told[4].2 else { panic!("{told:?}") };
    assert_eq!((gone.version, gone.deleted), (3, true));
    world.verify_clean().await;
}

pub async fn provider_accounts_are_listed_without_the_deleted_ones(world: World) {
    let mut made = Vec::new();
    for provider in ["one_psp", "two_psp", "one_psp", "two_psp", "one_psp"] {
        made.push(world.make_provider_account(provider).await.id);
    }
    world.act(NOW, made[0], Act::Delete).await.expect("it is not refused");
    let paused = world.act(NOW, made[3], Act::Pause { reason: None }).await;
    assert_eq!(paused.expect("it is not refused").state, State::Paused);
    let list = async |tenant, provider: Option<&str>, state, page| {
        let filter = ProviderAccountFilter { provider: provider.map(Box::from), state };
        let page = world.store.list_provider_accounts(tenant, filter, page).await.expect("a read");
        (page.items.iter().map(|account| account.id).collect::<Vec<_>>(), page.more)
    };
    let here = world.tenant;
    assert_eq!(list(here, None, None, all()).await, (made[1..].to_vec(), false));
    assert_eq!(list(here, Some("one_psp"), None, all()).await.0, [made[2], made[4]]);
    assert_eq!(list(here, None, Some(State::Paused), all()).await.0, [made[3]]);
    assert_eq!(list(here, Some("one_psp"), Some(State::Paused), all()).await.0, []);
    assert_eq!(list(Tenant::new(1, Mode::Live), None, None, all()).await.0, []);
    let mut first = page(3, SortOrder::Descending);
    assert_eq!(list(here, None, None, first).await, (vec![made[4], made[3], made[2]], true));
    first.after = Some(made[2].ulid());
    assert_eq!(list(here, None, None, first).await, (vec![made[1]], false));
    let states = world.store.provider_account_states(here).await.expect("a read");
    let states: Vec<_> = states.iter().map(|s| (s.id, &*s.provider, s.state, s.version)).collect();
    let expected = [
        (made[1], "two_psp", State::Active, 1),
        (made[2], "one_psp", State::Active, 1),
        (made[3], "two_psp", State::Paused, 1),
        (made[4], "one_psp", State::Active, 1),
    ];
    assert_eq!(states, expected);
}

pub async fn a_provider_account_without_secrets_is_a_guard(world: World) {
    let made = world.make_provider_account("one_psp").await;
    let (tenant, id) = (made.tenant, made.id);
    let forget = move |view: &mut View| {
        view.provider_accounts.get_mut(&(tenant, id)).expect("a row").change().secrets = None;
    };
    let saved = world.store.run_batch(wanted(tenant, id), forget).await;
    assert!(matches!(saved, Err(StoreError::Guard(_))), "{saved:?}");
    let found = world.store.find_provider_account(tenant, id).await.expect("a read");
    assert_eq!(found, Some(made));
}

pub async fn switches_stop_one_account_or_everyone_in_one_mode(world: World) {
    let all_of = everyone(world.tenant.mode());
    assert_ne!(all_of, world.tenant);
    let switches = async |tenant| {
        let mut found = world.store.switches(tenant).await.expect("a read");
        found.sort_by_key(|switch| switch.tenant);
        found.into_iter().map(|switch| (switch.tenant, switch.stopped)).collect::<Vec<_>>()
    };
    assert_eq!(switches(world.tenant).await, []);
    assert!(!world.throw(NOW, world.tenant, false).await, "it was never stopped");
    assert_eq!(switches(world.tenant).await, []);
    assert!(world.throw(NOW, all_of, true).await);
    assert!(!world.throw(NOW, all_of, true).await, "it is stopped already");
    let other = Tenant::new(2, world.tenant.mode());
    assert_eq!(switches(world.tenant).await, [(all_of, true), (world.tenant, false)]);
    assert_eq!(switches(other).await, [(all_of, true)]);
    assert_eq!(switches(Tenant::new(2, Mode::Live)).await, [], "the other mode goes on");
    assert!(world.throw(NOW.plus_ms(1), world.tenant, true).await);
    assert!(world.throw(NOW.plus_ms(2), all_of, false).await);
    assert_eq!(switches(world.tenant).await, [(all_of, false), (world.tenant, true)]);
    let found = world.store.switches(world.tenant).await.expect("a read");
    let own = found.into_iter().find(|switch| switch.tenant == world.tenant);
    let own = own.expect("a row");
    let expected = Switch {
        tenant: world.tenant,
        stopped: true,
        reason: Some("é".into()),
        thrown_at: Some(NOW.plus_ms(1)),
        updated_at: NOW.plus_ms(2),
        last_seq: 3,
    };
    assert_eq!(own, expected);
    let told = told(&world).await;
    let told: Vec<_> = told
        .iter()
        .map(|(event, seq, subject)| match subject {
            EventSubject::Sending(sending) => (*event, *seq, sending.stopped, &*sending.reach),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        (Type::SendingStopped, 1, true, "everyone"),
        (Type::SendingStopped, 2, true, "account"),
        (Type::SendingStarted, 3, false, "everyone"),
    ];
    assert_eq!(told, expected);
    world.verify_clean().await;
}

pub async fn a_switch_that_many_throw_at_once_is_thrown_once(world: World) {
    for (round, stop) in (0..).zip([true, false, true, false]) {
        let now = NOW.plus_ms(round);
        let once = || world.throw(now, world.tenant, stop);
        let (a, b, c, d) = tokio::join!(once(), once(), once(), once());
        assert_eq!([a, b, c, d].iter().filter(|done| **done).count(), 1, "{a} {b} {c} {d}");
    }
    let seqs: Vec<_> = told(&world).await.iter().map(|(_, seq, _)| *seq).collect();
    assert_eq!(seqs, [1, 2, 3, 4]);
}

pub async fn what_is_told_of_them_is_delivered_and_then_forgotten(world: World) {
    let endpoint = make_endpoint(&world).await;
    let made = world.make_provider_account("one_psp").await;
    world.act(NOW, made.id, Act::Delete).await.expect("it is not refused");
    world.throw(NOW, world.tenant, true).await;
    let waiting = deliveries(&world).await;
    let subjects: Vec<_> = waiting.iter().map(|delivery| delivery.subject).collect();
    assert_eq!(subjects, [made.id.ulid(), made.id.ulid(), ACCOUNT.ulid()]);
    assert!(waiting.iter().all(|delivery| delivery.format == Format::Refundry));
    let due: Vec<_> = waiting.iter().map(|delivery| delivery.next_at.is_some()).collect();
    assert_eq!(due, [true, false, true], "the second waits for the first");
    assert_eq!(prune_events(&world, LATER).await, 0, "nothing is delivered");
    let deliver = async |delivery: &Delivery| {
        world.run(NOW, record(&world, delivery.id, endpoint)).await;
    };
    deliver(&waiting[2]).await;
    assert_eq!(prune_events(&world, LATER).await, 1);
    deliver(&waiting[0]).await;
    assert_eq!(prune_events(&world, LATER).await, 0, "the second is to be delivered");
    deliver(&waiting[1]).await;
    assert_eq!(prune_events(&world, LATER).await, 2);
    assert!(deliveries(&world).await.iter().all(|d| d.status == Status::Succeeded));
    world.verify_clean().await;
}
