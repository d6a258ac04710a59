//! A store with an account, and commands to run on it.

use domain::checkout::NewCheckout;
use domain::decide::checkout::OpenCheckout;
use domain::decide::invoice::CreateInvoice;
use domain::decide::webhook::{NewEndpoint, WebhookCommand};
use domain::decide::{
    Command, CreateRefund, Done, KeyedRequest, Refusal, RegisterPayment, Start, decide, fan_out,
};
use domain::ids::{AccountId, Ids, PaymentId};
use domain::invoice::{NewInvoice, Totals};
use domain::line_item::LineItem;
use domain::money::Currency;
use domain::payment::{Kind, NewPayment, Payment};
use domain::provider::Traits;
use domain::refund::{NewRefund, Refund};
use domain::tenant::{Mode, Tenant};
use domain::time::Timestamp;
use domain::unique_keys::KeyHash;
use domain::view::{RowKeys, View};
use domain::webhook::{Format, Sealed};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng as _;
use std::sync::{Arc, Mutex};
use store::{PostgresStore, SqliteStore, Store, StoreError};
use tempfile::TempDir;

pub const NOW: Timestamp = Timestamp(1_778_582_520_000);

pub struct World {
    pub store: Store,
    pub tenant: Tenant,
    pub ids: Arc<Mutex<Ids<ChaCha8Rng>>>,
    pub url: String,
    folder: Option<TempDir>,
}

pub fn usd() -> Currency {
    Currency::parse("USD").expect("a currency")
}

impl World {
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(&folder.path().join("refundry.db")).expect("a database");
        Self::on(store.into(), String::new(), Some(folder))
    }

    pub async fn postgres() -> Self {
        Self::at(testkit::postgres::cluster().database().await).await
    }

    /// A world behind `PgBouncer`.
    pub async fn pgbouncer() -> Self {
        let url = testkit::postgres::cluster().database().await;
        Self::at(testkit::postgres::pgbouncer().await.url(&url)).await
    }

    /// A store at an address.
    pub async fn at(url: String) -> Self {
        // A server may start slowly on a busy machine.
        let store = testkit::eventually("a database", async || {
            PostgresStore::open(&url).await.inspect_err(|error| eprintln!("{error}")).ok()
        })
        .await;
        Self::on(store.into(), url, None)
    }

    fn on(store: Store, url: String, folder: Option<TempDir>) -> Self {
        let ids = Arc::new(Mutex::new(Ids::new(ChaCha8Rng::seed_from_u64(7))));
        Self { store, tenant: Tenant::new(1, Mode::Test), ids, url, folder }
    }

    /// The file of a world on `SQLite`.
    pub fn file(&self) -> std::path::PathBuf {
        self.folder.as_ref().expect("a folder").path().join("refundry.db")
    }

    pub fn with_ids<T>(&self, make: impl FnOnce(&mut Ids<ChaCha8Rng>) -> T) -> T {
        make(&mut self.ids.lock().expect("the ids"))
    }

    /// The account of the tenant.
    pub async fn account(&self) -> AccountId {
        let id = AccountId::from_ulid(self.with_ids(|ids| ids.ulid(NOW)));
        let made = self.store.create_account(id, "Merchant", NOW).await.expect("an account");
        assert_eq!((made.number, made.id), (1, id));
        id
    }

    /// Decides commands in one batch at `now`.
    pub async fn try_run(
        &self,
        now: Timestamp,
        commands: Vec<Command>,
    ) -> Result<Vec<Result<Done, Refusal>>, StoreError> {
        let mut wanted = RowKeys::default();
        for command in &commands {
            command.wants(&mut wanted);
        }
        let ids = self.ids.clone();
        let decide_all = move |view: &mut View| {
            let mut ids = ids.lock().expect("the ids");
            let answers = commands.iter().map(|one| decide(view, one, now, &mut ids)).collect();
            fan_out(view, now, &mut ids);
            answers
        };
        self.store.run_batch(wanted, decide_all).await
    }

    pub async fn run(&self, now: Timestamp, command: Command) -> Done {
        let mut answers = self.try_run(now, vec![command]).await.expect("a batch");
        answers.remove(0).expect("it is not refused")
    }

    /// The rows as they are, without changing them.
    pub async fn look(&self, wanted: RowKeys) -> View {
        self.store.run_batch(wanted, |view| view.clone()).await.expect("a batch")
    }

    pub fn registration(&self, number: u8, captured: i64) -> Command {
        let id = self.with_ids(|ids| ids.payment(NOW));
        let use_of = |kind: u8| KeyedRequest {
            hash: KeyHash([kind, number, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]),
            request: [number; 16],
        };
        Command::Register(Box::new(RegisterPayment {
            charge: use_of(1),
            key: Some(use_of(2)),
            id,
            settles_after_ms: None,
            new: NewPayment {
                tenant: self.tenant,
                kind: Kind::Payment,
                captured,
                currency: usd(),
                provider: "simulator".into(),
                provider_account: Some("pa_1".into()),
                provider_payment_id: format!("ch_{number}").into(),
                provider_data: Some("{\"capture\":\"é\"}".into()),
                captured_at: Some(NOW),
                settled_at: None,
                reference: Some("order \"7\"".into()),
                metadata: Some("{\"a\":\"é\\n\"}".into()),
            },
        }))
    }

    pub async fn pay(&self, number: u8, captured: i64) -> Payment {
        match self.run(NOW, self.registration(number, captured)).await {
            Done::Payment { payment, .. } => payment,
            other => panic!("{other:?}"),
        }
    }

    pub fn refund(&self, payment: PaymentId, amount: i64, key: Option<u8>) -> Command {
        let new = NewRefund {
            amount: Some(amount),
            reason: Some("broken".into()),
            ..NewRefund::of(self.tenant, payment)
        };
        Command::Create(Box::new(CreateRefund {
            new,
            reference: None,
            key: key.map(|key| KeyHash([key; 16])),
            request: [9; 16],
            start: Start::Queue,
            accounts: Arc::default(),
            providers: Arc::new([("simulator", Traits::UNKNOWN)].into()),
        }))
    }

    /// Creates a refund under a given key.
    pub fn refund_under(&self, payment: PaymentId, amount: i64, key: [u8; 16]) -> Command {
        let mut command = self.refund(payment, amount, None);
        if let Command::Create(create) = &mut command {
            create.key = Some(KeyHash(key));
        }
        command
    }

    pub async fn create(&self, now: Timestamp, payment: PaymentId, amount: i64) -> Refund {
        match self.run(now, self.refund(payment, amount, None)).await {
            Done::Refund { refund, .. } => *refund,
            other => panic!("{other:?}"),
        }
    }

    pub fn endpoint(&self) -> Command {
        let id = self.with_ids(|ids| ids.endpoint(NOW));
        let new = NewEndpoint {
            id,
            url: "https://example.com/hook".into(),
            events: "".into(),
            format: Format::Refundry,
            description: Some("ours".into()),
            active: true,
            secret: Sealed(vec![0, 1, 2, 255]),
        };
        Command::Webhook(self.tenant, Box::new(WebhookCommand::Create(new)))
    }

    pub fn checkout(&self) -> Command {
        let id = self.with_ids(|ids| ids.payment(NOW));
        let new = NewCheckout {
            tenant: self.tenant,
            kind: Kind::CheckoutSession,
            amount: 1_500,
            currency: usd(),
            methods: vec!["card".into()],
            success_url: Some("https://example.com/done".into()),
            cancel_url: None,
            lines: vec![LineItem { text: "tea".into(), quantity: 3, unit_amount: 500 }],
            customer: Some("cus_1".into()),
            template: None,
            metadata: None,
            extra: None,
            expires_in_ms: Some(60_000),
        };
        Command::OpenCheckout(Box::new(OpenCheckout { new, id, key: None }))
    }

    pub fn invoice(&self) -> Command {
        self.invoice_at(NOW)
    }

    /// An invoice that is issued at this time, which is also the time of its id.
    pub fn invoice_at(&self, now: Timestamp) -> Command {
        let id = domain::ids::InvoiceId::from_ulid(self.with_ids(|ids| ids.ulid(now)));
        let lines = vec![LineItem { text: "tea".into(), quantity: 3, unit_amount: 500 }];
        let totals = Totals { subtotal: 1_500, discount: 100, tax: 50, total: 1_450 };
        let new = NewInvoice {
            tenant: self.tenant,
            customer: "cus_1".into(),
            subscription: Some("sub_1".into()),
            template: None,
            memo: None,
            metadata: None,
            currency: usd(),
            lines,
            discount: 100,
            tax: 50,
            open: true,
            due_at: Some(NOW.plus_ms(1_000)),
        };
        let methods = vec!["card".into()];
        Command::CreateInvoice(Box::new(CreateInvoice { new, totals, id, methods, key: None }))
    }

    /// How many rows a table has.
    pub fn rows(&self, table: &str) -> u64 {
        if self.folder.is_some() {
            let connection = rusqlite::Connection::open(self.file()).expect("it opens");
            let sql = format!("SELECT count(*) FROM {table}");
            let rows: u32 = connection.query_row(&sql, [], |row| row.get(0)).expect("a count");
            return rows.into();
        }
        let url = self.url.replace("&pgbouncer=true", "");
        testkit::postgres::BlockingSession::connect(&url).run(&format!("SELECT 1 FROM {table}"))
    }

    pub async fn verify_clean(&self) {
        let report = self.store.verify().await.expect("a verification");
        assert!(report.differences.is_empty(), "{:#?}", report.differences);
    }
}
