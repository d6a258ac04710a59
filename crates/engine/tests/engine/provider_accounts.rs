//! Provider accounts: what is stored, what is shown, and what is refused.

use crate::lock::tamper;
use domain::administer::provider_account::Changes;
use domain::ids::ProviderAccountId;
use domain::payment::Payment;
use domain::provider_account::{MOST_PROVIDER_ACCOUNTS, Refusal, State};
use domain::refund::NewRefund;
use domain::refund::State as RefundState;
use domain::tenant::{Mode, Tenant};
use engine::provider_accounts::{ProviderAccountDraft, ProviderAccountView, SecretHint, Secrets};
use engine::{
    Engine, Error, InboundWebhook, MasterKey, NewPayment, PageQuery, Parts, PaymentName,
    ProviderAccountFilter, Registry, SecretError, SortOrder, WebhookError,
};
use secrecy::ExposeSecret as _;
use testkit::{EngineRig, TEST_PSP};

const API_KEY: &str = "k3y-of-the-api-\u{e9}1234";
const WEBHOOK_SECRET: &str = "short-hook";

fn parts(rig: &EngineRig) -> Parts {
    let registry =
        Registry::new().with(rig.simulator.clone()).with_kind(TEST_PSP).with_http(testkit::http());
    rig.parts_with(registry, rig.config())
}

fn secrets(given: &[(&str, &str)]) -> Secrets {
    given.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

fn draft() -> ProviderAccountDraft {
    ProviderAccountDraft {
        provider: "test_psp".into(),
        name: "Shop".into(),
        config: [("merchant_account".into(), "ShopECOM".into())].into(),
        secrets: secrets(&[("api_key", API_KEY), ("webhook_secret", WEBHOOK_SECRET)]),
    }
}

async fn make(engine: &Engine, tenant: Tenant) -> ProviderAccountView {
    engine.create_provider_account(tenant, draft()).await.expect("it is not refused")
}

/// The secrets that the engine would speak to the provider with.
async fn opened(engine: &Engine, tenant: Tenant, id: ProviderAccountId) -> Vec<(String, String)> {
    let found = engine.provider_credentials(tenant, id).await.expect("a read");
    let credentials = found.expect("there are credentials");
    let plain = |(name, value): (Box<str>, secrecy::SecretString)| {
        (name.into(), value.expose_secret().to_owned())
    };
    credentials.secrets.into_iter().map(plain).collect()
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn refused<T: std::fmt::Debug>(done: Result<T, Error>) -> (&'static str, String) {
    match done {
        Err(Error::Invalid { field, message }) => (field, message),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn secrets_are_sealed_and_opened_for_the_provider_only() {
    let rig = EngineRig::open().await;
    let engine = Engine::start(parts(&rig));
    let made = make(&engine, rig.tenant).await;
    let hint = |name: &str, last4: Option<&str>| SecretHint {
        name: name.into(),
        set: true,
        last4: last4.map(Box::from),
    };
    let hints = [hint("api_key", Some("1234")), hint("webhook_secret", None)];
    assert_eq!(made.secrets.as_deref(), Ok(hints.as_slice()));
    let id = made.account.id;
    let expected = [pair("api_key", API_KEY), pair("webhook_secret", WEBHOOK_SECRET)];
    assert_eq!(opened(&engine, rig.tenant, id).await, expected);
    let other = Tenant::new(rig.tenant.account(), Mode::Live);
    assert!(engine.provider_credentials(other, id).await.expect("a read").is_none());

    let found = engine.provider_credentials(rig.tenant, id).await.expect("a read");
    let printed = format!("{made:?} {found:?} {:?}", draft());
    let sealed = made.account.secrets.expect("they are stored").0;
    let stored = String::from_utf8_lossy(&sealed);
    for secret in [API_KEY, WEBHOOK_SECRET] {
        assert!(!printed.contains(secret), "{printed}");
        assert!(!stored.contains(secret));
    }
}

#[tokio::test]
async fn rotated_and_deleted_secrets_are_gone() {
    let rig = EngineRig::open().await;
    let (engine, tenant) = (Engine::start(parts(&rig)), rig.tenant);
    let made = make(&engine, tenant).await.account;
    let new = secrets(&[("api_key", "another-key-5678"), ("webhook_secret", "another-hook")]);
    rig.clock.advance(5);
    let rotated = engine.rotate_provider_account(tenant, made.id, &new).await.expect("rotated");
    assert_eq!((made.version, rotated.account.version), (1, 2));
    assert_eq!(rotated.account.updated_at, made.updated_at.plus_ms(5));
    let expected = [pair("api_key", "another-key-5678"), pair("webhook_secret", "another-hook")];
    assert_eq!(opened(&engine, tenant, made.id).await, expected);
    assert_ne!(rotated.account.secrets, made.secrets);

    let paused = engine.pause_provider_account(tenant, made.id, Some("look".into())).await;
    assert_eq!(paused.expect("paused").account.state, State::Paused);
    let states = engine.provider_account_states(tenant).await.expect("a read");
    let states: Vec<_> = states.iter().map(|s| (s.id, s.state, s.version)).collect();
    assert_eq!(states, [(made.id, State::Paused, 2)]);
    assert!(engine.provider_credentials(tenant, made.id).await.expect("a read").is_some());
    let deleted = engine.delete_provider_account(tenant, made.id).await.expect("deleted");
    assert_eq!((deleted.account.secrets, deleted.secrets), (None, Ok(Vec::new())));
    assert!(engine.provider_credentials(tenant, made.id).await.expect("a read").is_none());
    assert!(engine.provider_account_states(tenant).await.expect("a read").is_empty());
    let again = engine.rotate_provider_account(tenant, made.id, &new).await;
    assert!(matches!(again, Err(Error::ProviderAccount(Refusal::Deleted))), "{again:?}");
    let found = engine.find_provider_account(tenant, made.id).await.expect("a read");
    assert!(found.expect("the row stays").account.deleted_at.is_some());
    let filter = ProviderAccountFilter::default();
    let order = SortOrder::Ascending;
    let page = PageQuery { limit: 100, after: None, order, from: None, until: None };
    let listed = engine.list_provider_accounts(tenant, filter, page).await.expect("a read");
    assert!(listed.items.is_empty());
}

#[tokio::test]
async fn settings_are_changed_as_a_whole_and_counted() {
    let rig = EngineRig::open().await;
    let (engine, tenant) = (Engine::start(parts(&rig)), rig.tenant);
    let made = make(&engine, tenant).await.account;
    let change = async |changes| engine.change_provider_account(tenant, made.id, changes).await;
    let named = change(Changes { name: Some("Other".into()), config: None }).await;
    let named = named.expect("changed").account;
    assert_eq!((&*named.name, named.version, &named.config), ("Other", 1, &made.config));
    let config = [("merchant_account".into(), "OtherECOM".into())].into();
    let changed = change(Changes { name: None, config: Some(config) }).await;
    let changed = changed.expect("changed").account;
    assert_eq!((&*changed.config["merchant_account"], changed.version), ("OtherECOM", 2));
    assert_eq!(changed.secrets, made.secrets);
    let (field, message) =
        refused(change(Changes { config: Some([].into()), ..Changes::default() }).await);
    assert_eq!(field, "config");
    assert!(message.contains("merchant_account is missing"), "{message}");
    let nobody = ProviderAccountId::from_bytes([9; 16]);
    let nobody = engine.change_provider_account(tenant, nobody, Changes::default()).await;
    assert!(matches!(nobody, Err(Error::ProviderAccount(Refusal::NotFound))), "{nobody:?}");
}

/// Makes a draft unacceptable.
type Spoil<'a> = &'a dyn Fn(&mut ProviderAccountDraft);

#[tokio::test]
async fn drafts_that_cannot_be_accepted_change_nothing() {
    let rig = EngineRig::open().await;
    let (engine, tenant) = (Engine::start(parts(&rig)), rig.tenant);
    let long = "n".repeat(81);
    let cases: [(&str, &str, Spoil<'_>); 7] = [
        ("provider", "did you mean test_psp?", &|d| d.provider = "tset_psp".into()),
        ("provider", "provider is one of test_psp", &|d| d.provider = "simulator".into()),
        ("name", "say what you call", &|d| d.name = " ".into()),
        ("name", "at most 80 characters", &|d| d.name = long.as_str().into()),
        ("config", "merchant_account is missing", &|d| d.config.clear()),
        ("secrets", "these are missing: api_key", &|d| d.secrets.clear()),
        ("secrets", "did you mean api_key?", &|d| d.secrets = secrets(&[("api-key", API_KEY)])),
    ];
    for (expected, part, spoil) in cases {
        let mut draft = draft();
        spoil(&mut draft);
        let (field, message) = refused(engine.create_provider_account(tenant, draft).await);
        assert_eq!(field, expected, "{message}");
        assert!(message.contains(part), "{message}");
        assert!(!message.contains(API_KEY), "{message}");
    }
    let without = Engine::start(rig.parts(rig.simulator.clone()));
    let (_, message) = refused(without.create_provider_account(tenant, draft()).await);
    assert!(message.contains("no provider that needs an account"), "{message}");
    let reason = "r".repeat(501);
    let made = make(&engine, tenant).await.account.id;
    let paused = engine.pause_provider_account(tenant, made, Some(reason.into())).await;
    assert_eq!(refused(paused).0, "reason");
    assert_eq!(engine.provider_account_states(tenant).await.expect("a read").len(), 1);
}

#[tokio::test]
async fn an_account_has_a_bounded_number_of_them() {
    let rig = EngineRig::open().await;
    let (engine, tenant) = (Engine::start(parts(&rig)), rig.tenant);
    let mut last = None;
    for _ in 0..MOST_PROVIDER_ACCOUNTS {
        last = Some(make(&engine, tenant).await.account.id);
    }
    let more = engine.create_provider_account(tenant, draft()).await;
    assert!(matches!(more, Err(Error::ProviderAccount(Refusal::TooMany))), "{more:?}");
    let last = last.expect("an account");
    engine.delete_provider_account(tenant, last).await.expect("deleted");
    make(&engine, tenant).await;
}

#[tokio::test]
async fn another_master_key_shows_the_account_and_names_the_key_that_is_needed() {
    let rig = EngineRig::open().await;
    let (engine, tenant) = (Engine::start(parts(&rig)), rig.tenant);
    let made = make(&engine, tenant).await.account;
    let (needed, key) = (MasterKey::from_bytes([9; 32]).id(), MasterKey::from_bytes([8; 32]));
    let given = key.id();
    let other = Engine::start(Parts { master_key: key, ..parts(&rig) });
    let seen = other.find_provider_account(tenant, made.id).await.expect("a read");
    let seen = seen.expect("it is there");
    assert_eq!(seen.secrets, Err(SecretError::OtherKey { needed, given }));
    let credentials = other.provider_credentials(tenant, made.id).await;
    let Err(Error::Store(why)) = credentials else { panic!("{credentials:?}") };
    assert!(why.to_string().contains(&needed.to_string()), "{why}");
    // New secrets are the way out.
    let new = secrets(&[("api_key", "another-key-5678"), ("webhook_secret", "another-hook")]);
    let rotated = other.rotate_provider_account(tenant, made.id, &new).await.expect("rotated");
    assert!(rotated.secrets.is_ok());
}

#[tokio::test]
async fn secrets_of_another_row_do_not_open() {
    let rig = EngineRig::open().await;
    let (engine, tenant) = (Engine::start(parts(&rig)), rig.tenant);
    let (one, other) = (make(&engine, tenant).await, make(&engine, tenant).await);
    assert!(one.secrets.is_ok() && other.secrets.is_ok());
    tamper(
        &rig,
        "UPDATE provider_accounts SET secrets_sealed = (SELECT secrets_sealed \
         FROM provider_accounts ORDER BY id LIMIT 1)",
    );
    let shown = async |id| {
        let found = engine.find_provider_account(tenant, id).await.expect("a read");
        found.expect("it is there").secrets
    };
    assert!(shown(one.account.id).await.is_ok());
    assert_eq!(shown(other.account.id).await, Err(SecretError::Changed));
}

/// A refund of a new payment at this account, once everything about it is done. Returns the provider's id.
async fn refunded_through(
    rig: &EngineRig,
    engine: &Engine,
    account: ProviderAccountId,
    charge: &str,
) -> (RefundState, Option<Box<str>>) {
    let new = NewPayment {
        provider: "test_psp".into(),
        provider_account: Some(account.to_string().into()),
        ..rig.new_payment(charge, 1_000, "USD")
    };
    let payment = engine.register_payment(new, None).await.expect("registered").value;
    let refund = rig.refund(&payment).amount(10).of(engine).create().await;
    engine.step_due(10).await.expect("a step");
    let refund = rig.reload(&refund).await;
    (refund.state, refund.provider_refund_id)
}

/// The payment with this id at its provider.
async fn find_payment(rig: &EngineRig, charge: &str) -> Payment {
    let order = SortOrder::Ascending;
    let page = PageQuery { limit: 100, after: None, order, from: None, until: None };
    let all = rig.engine.list_payments(rig.tenant, page).await.expect("a read").items;
    let found = all.into_iter().find(|payment| &*payment.capture.provider_payment_id == charge);
    found.expect("it is there")
}

#[tokio::test]
async fn refunds_go_through_the_credentials_of_their_payments_account() {
    let rig = EngineRig::open().await;
    let engine = Engine::start(parts(&rig));
    let one = make(&engine, rig.tenant).await.account.id;
    let second = ProviderAccountDraft {
        config: [("merchant_account".into(), "Second".into())].into(),
        secrets: secrets(&[("api_key", "second-key"), ("webhook_secret", WEBHOOK_SECRET)]),
        ..draft()
    };
    let second = engine.create_provider_account(rig.tenant, second).await.expect("made").account.id;
    let through = async |account, charge: &str| {
        let (state, id) = refunded_through(&rig, &engine, account, charge).await;
        assert_eq!(state, RefundState::Succeeded);
        let id = id.expect("an id");
        id.rsplit_once('/').expect("a key").0.to_owned()
    };
    assert_eq!(through(one, "ch_1").await, format!("ShopECOM/{API_KEY}"));
    assert_eq!(through(second, "ch_2").await, "Second/second-key");
    // New secrets are used from the next call on.
    let new = secrets(&[("api_key", "third-key"), ("webhook_secret", WEBHOOK_SECRET)]);
    engine.rotate_provider_account(rig.tenant, one, &new).await.expect("rotated");
    assert_eq!(through(one, "ch_3").await, "ShopECOM/third-key");
    // So are new settings, and those that cannot be used send nothing.
    let config = Some([("merchant_account".into(), "Broken".into())].into());
    let changes = Changes { name: None, config };
    engine.change_provider_account(rig.tenant, one, changes).await.expect("changed");
    assert_eq!(refunded_through(&rig, &engine, one, "ch_4").await, (RefundState::Queued, None));
    // Nothing is taken from an account that is gone, and nothing is written.
    engine.delete_provider_account(rig.tenant, second).await.expect("deleted");
    assert_eq!(engine.step_due(10).await.expect("a step"), 0);
    let payment = find_payment(&rig, "ch_2").await;
    let refused = rig.refund(&payment).amount(1).of(&engine).try_create().await;
    let message = refused.expect_err("it is refused").to_string();
    assert!(message.contains(&format!("{second} was deleted")), "{message}");
}

#[tokio::test]
async fn an_adapter_is_made_for_the_mode_of_its_account() {
    let rig = EngineRig::open().await;
    let engine = Engine::start(parts(&rig));
    for (mode, state) in [(Mode::Test, RefundState::Queued), (Mode::Live, RefundState::Succeeded)] {
        let tenant = Tenant::new(rig.tenant.account(), mode);
        let config = [("merchant_account".into(), "LiveOnly".into())].into();
        let account = ProviderAccountDraft { config, ..draft() };
        let account = engine.create_provider_account(tenant, account).await.expect("made").account;
        let new = NewPayment {
            tenant,
            provider: "test_psp".into(),
            provider_account: Some(account.id.to_string().into()),
            ..rig.new_payment("ch_1", 1_000, "USD")
        };
        let payment = engine.register_payment(new, None).await.expect("registered").value;
        let new = NewRefund::of(tenant, payment.capture.id);
        let refund = engine.create_refund(new, None).await.expect("a refund").value.refund;
        engine.step_due(10).await.expect("a step");
        let refund = engine.find_refund(tenant, refund.id).await.expect("a read").expect("one");
        assert_eq!(refund.refund.state, state, "{mode}");
    }
}

#[tokio::test]
async fn a_paused_account_is_not_asked_to_take_a_refund_back() {
    let rig = EngineRig::open().await;
    let engine = Engine::start(parts(&rig));
    let config = [("merchant_account".into(), "Holds".into())].into();
    let account = ProviderAccountDraft { config, ..draft() };
    let account = engine.create_provider_account(rig.tenant, account).await.expect("made");
    let id = account.account.id;
    let (state, _) = refunded_through(&rig, &engine, id, "ch_1").await;
    assert_eq!(state, RefundState::Held);
    let payment = find_payment(&rig, "ch_1").await;
    let refund = rig.refunds_of(&payment).await.remove(0);
    engine.pause_provider_account(rig.tenant, id, None).await.expect("paused");
    let refused = engine.cancel_refund(rig.tenant, refund.id, None).await;
    assert!(matches!(refused, Err(Error::NotTakenBack)), "{refused:?}");
    assert_eq!(rig.reload(&refund).await.state, RefundState::Held);
    engine.resume_provider_account(rig.tenant, id).await.expect("resumed");
    let canceled = engine.cancel_refund(rig.tenant, refund.id, None).await.expect("canceled");
    assert_eq!(canceled.value.refund.state, RefundState::Canceled);
}

#[tokio::test]
async fn a_payment_is_found_by_the_providers_id_unless_two_accounts_have_it() {
    let rig = EngineRig::open().await;
    let engine = Engine::start(parts(&rig));
    let (one, other) =
        (make(&engine, rig.tenant).await.account.id, make(&engine, rig.tenant).await.account.id);
    let named = async |charge: &str| {
        engine.resolve_source(rig.tenant, &PaymentName::Charge(charge.into())).await
    };
    refunded_through(&rig, &engine, one, "ch_1").await;
    let of_one = find_payment(&rig, "ch_1").await.capture.id;
    assert_eq!(named("ch_1").await.expect("a look-up"), Some(of_one));
    assert_eq!(named("ch_2").await.expect("a look-up"), None);
    refunded_through(&rig, &engine, other, "ch_1").await;
    let refused = named("ch_1").await.expect_err("there are two").to_string();
    assert!(refused.contains("several providers or provider accounts"), "{refused}");
    engine.delete_provider_account(rig.tenant, other).await.expect("deleted");
    let left = named("ch_1").await.expect("a look-up");
    assert_eq!(left, Some(of_one), "a deleted account refunds nothing");
}

#[tokio::test]
async fn the_account_of_a_payment_must_be_one_of_its_provider() {
    let rig = EngineRig::open().await;
    let engine = Engine::start(parts(&rig));
    let register = async |provider: &str, account: Option<&str>, charge: &str| {
        let new = NewPayment {
            provider: provider.into(),
            provider_account: account.map(Box::from),
            ..rig.new_payment(charge, 1_000, "USD")
        };
        engine
            .register_payment(new, None)
            .await
            .map(|done| done.value.capture.provider_account.clone())
    };
    let (field, message) = refused(register("test_psp", None, "ch_1").await);
    assert_eq!(field, "providerAccount");
    assert_eq!(
        message,
        "there is no account at test_psp; make one with POST /api/v1/provider-accounts"
    );
    let one = make(&engine, rig.tenant).await.account.id.to_string();
    // The only one is meant, and the same request under its key means the same for ever.
    let only = register("test_psp", None, "ch_2").await.expect("registered");
    assert_eq!(only.as_deref(), Some(&*one));
    let other = make(&engine, rig.tenant).await.account.id;
    let (_, message) = refused(register("test_psp", None, "ch_3").await);
    assert_eq!(message, "there are several accounts at test_psp; say which");
    let (_, message) = refused(register("simulator", Some(&one), "ch_4").await);
    assert_eq!(message, format!("{one} is an account at test_psp, not at simulator"));
    engine.delete_provider_account(rig.tenant, other).await.expect("deleted");
    let gone = other.to_string();
    let (_, message) = refused(register("test_psp", Some(&gone), "ch_5").await);
    assert_eq!(message, format!("there is no provider account {gone}, or it was deleted"));
    assert_eq!(register("simulator", None, "ch_6").await.expect("registered"), None);
}

#[tokio::test]
async fn a_registration_under_a_key_is_replayed_after_another_account_was_made() {
    let rig = EngineRig::open().await;
    let engine = Engine::start(parts(&rig));
    make(&engine, rig.tenant).await;
    let key = engine::IdempotencyKey { door: "native", value: "k".into() };
    let mut ids = Vec::new();
    for replayed in [false, true] {
        let new =
            NewPayment { provider: "test_psp".into(), ..rig.new_payment("ch_1", 1_000, "USD") };
        let done = engine.register_payment(new, Some(&key)).await.expect("registered");
        assert_eq!(done.replayed, replayed);
        ids.push(done.value.capture.id);
        make(&engine, rig.tenant).await;
    }
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test]
async fn a_refund_of_the_only_account_is_refused_once_it_is_deleted() {
    let rig = EngineRig::open().await;
    let engine = Engine::start(parts(&rig));
    let only = make(&engine, rig.tenant).await.account.id;
    refunded_through(&rig, &engine, only, "ch_1").await;
    engine.delete_provider_account(rig.tenant, only).await.expect("deleted");
    let payment = find_payment(&rig, "ch_1").await;
    for _ in 0..2 {
        let refused = rig.refund(&payment).amount(1).of(&engine).try_create().await;
        let message = refused.expect_err("it is refused").to_string();
        assert!(message.contains(&format!("{only} was deleted")), "{message}");
    }
    // Payments without an account go on.
    let payment = rig.pay(1_000, "USD").await;
    rig.refund(&payment).amount(1).of(&engine).create().await;
}

#[tokio::test]
async fn an_account_that_another_node_has_just_made_is_used_at_once() {
    let rig = EngineRig::open().await;
    let (one, other) = (Engine::start(parts(&rig)), Engine::start(parts(&rig)));
    assert!(other.provider_account_states(rig.tenant).await.expect("a read").is_empty());
    let account = make(&one, rig.tenant).await.account.id;
    let (state, id) = refunded_through(&rig, &other, account, "ch_1").await;
    assert_eq!((state, id.is_some()), (RefundState::Succeeded, true));
}

#[tokio::test]
async fn a_webhook_of_an_account_that_cannot_be_used_is_to_be_sent_again() {
    let rig = EngineRig::open().await;
    let engine = Engine::start(parts(&rig));
    for merchant in ["Broken", "Panics"] {
        let config = [("merchant_account".into(), merchant.into())].into();
        let draft = ProviderAccountDraft { config, ..draft() };
        let made = engine.create_provider_account(rig.tenant, draft).await.expect("made");
        let account = made.account.id.to_string();
        let webhook = InboundWebhook {
            url: "".into(),
            headers: Vec::new(),
            body: Vec::new(),
            received_at: engine.now(),
        };
        let answer = engine.receive_webhook(rig.tenant, "test_psp", Some(&account), webhook).await;
        let Err(WebhookError::NotAsked(why)) = answer else { panic!("{answer:?}") };
        assert!(why.contains("cannot be used") && !why.contains(API_KEY), "{why}");
        let charge = format!("ch_{merchant}");
        let refunded = refunded_through(&rig, &engine, made.account.id, &charge).await;
        assert_eq!(refunded, (RefundState::Queued, None));
    }
}
