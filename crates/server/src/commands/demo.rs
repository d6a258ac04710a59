//! `refundry demo`: serves an account with keys and paid payments at the simulated provider.

use crate::cli::Demo;
use crate::commands::serve::Server;
use crate::config::Config;
use crate::{Failure, setup};
use domain::money::{Currency, Money};
use domain::payment::Kind;
use domain::tenant::{Mode, Tenant};
use engine::access::{ErrorProfile, KeyForm};
use engine::{Engine, KeyRequest, NewPayment};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::ExitCode;

/// Payments of the demo's account: amount in minor units, currency, the provider's id.
const PAID: &[(i64, &str, &str)] = &[
    (10_000, "USD", "sim_ch_usd"),
    (15_000_000, "IDR", "sim_ch_idr"),
    (5_000, "JPY", "sim_ch_jpy"),
    (12_500, "KWD", "sim_ch_kwd"),
    (99_900, "ZAR", "sim_ch_zar"),
    (5_000, "AUD", "sim_ch_aud"),
];

/// The demo's account, keys and payments. They are kept in the folder, so that the demo can be
/// resumed, and written to the ready file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DemoFile {
    base_url: String,
    account_id: String,
    test: DemoKey,
    live: DemoKey,
    platform: DemoKey,
    payments: Vec<DemoPayment>,
    live_payments: Vec<DemoPayment>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DemoKey {
    key_id: String,
    secret: String,
    bearer: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DemoPayment {
    id: String,
    amount: i64,
    currency: String,
    provider_payment_id: String,
}

/// Serves the demo until SIGINT or SIGTERM.
pub async fn run(args: Demo) -> Result<ExitCode, Failure> {
    let mut config = Config::load(&args.server.data, args.server.listen)?;
    config.simulator.enabled = true;
    config.webhooks.loopback = true;
    config.rate_limits.enabled.get_or_insert(false);
    let file = config.data.join("demo.json");
    let server = Server::open(config).await?;
    let mut demo = match read_demo(&file)? {
        Some(demo) => demo,
        None => create_demo(&server.engine, &file).await?,
    };
    demo.base_url = server.base_url();
    let announce = || {
        print_guide(&demo);
        let Some(ready) = &args.ready_file else { return Ok(()) };
        setup::write_private(ready, &to_json(&demo)?)
    };
    server.run(announce).await
}

fn to_json(demo: &DemoFile) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(demo)
        .map_err(|error| Failure::Usage(format!("the demo file cannot be written: {error}")))?;
    Ok(text + "\n")
}

fn read_demo(file: &Path) -> Result<Option<DemoFile>, Failure> {
    match std::fs::read_to_string(file) {
        Ok(text) => serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| Failure::Usage(format!("{}: {error}", file.display()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Failure::File { path: file.display().to_string(), source }),
    }
}

/// Makes the account, its keys and its payments. After a crash in the middle, a second run makes
/// another account and never pays twice into the first one.
async fn create_demo(engine: &Engine, file: &Path) -> Result<DemoFile, Failure> {
    let account = engine.create_account("Demo shop").await?;
    let key = async |mode| {
        let request = KeyRequest {
            account: account.id,
            mode,
            platform: mode.is_none(),
            form: KeyForm::default(),
            scopes: "*".into(),
            error_profile: ErrorProfile::Node,
            name: "demo".into(),
        };
        let key = engine.create_key(request).await?;
        Ok::<_, Failure>(DemoKey {
            key_id: key.key_id,
            secret: key.secret.expose_secret().to_owned(),
            bearer: key.bearer.expose_secret().to_owned(),
        })
    };
    let demo = DemoFile {
        base_url: String::new(),
        account_id: account.id.to_string(),
        test: key(Some(Mode::Test)).await?,
        live: key(Some(Mode::Live)).await?,
        platform: key(None).await?,
        payments: pay(engine, Tenant::new(account.number, Mode::Test), "").await?,
        live_payments: pay(engine, Tenant::new(account.number, Mode::Live), "_live").await?,
    };
    setup::write_private(file, &to_json(&demo)?)?;
    Ok(demo)
}

async fn pay(engine: &Engine, tenant: Tenant, suffix: &str) -> Result<Vec<DemoPayment>, Failure> {
    let mut payments = Vec::new();
    for &(captured, code, charge) in PAID {
        let currency =
            Currency::parse(code).map_err(|error| Failure::Usage(format!("{code}: {error}")))?;
        let charge = format!("{charge}{suffix}");
        let new = NewPayment {
            tenant,
            kind: Kind::Payment,
            captured,
            currency,
            provider: simulator::NAME.into(),
            provider_account: None,
            provider_data: None,
            provider_payment_id: charge.as_str().into(),
            captured_at: None,
            settled_at: None,
            reference: None,
            metadata: None,
        };
        let payment = engine.register_payment(new, None).await?.value;
        payments.push(DemoPayment {
            id: payment.capture.id.to_string(),
            amount: captured,
            currency: code.to_owned(),
            provider_payment_id: charge,
        });
    }
    Ok(payments)
}

fn print_guide(demo: &DemoFile) {
    let (url, bearer) = (&demo.base_url, &demo.test.bearer);
    println!("Refundry demo on {url}, account {}", demo.account_id);
    println!("\nPaid payments at the simulated provider (test mode):");
    for payment in &demo.payments {
        let shown = Currency::parse(&payment.currency)
            .map_or_else(|_| String::new(), |c| Money::new(payment.amount, c).to_string());
        println!("  {}  {shown}", payment.id);
    }
    let Some(payment) = demo.payments.first() else { return };
    println!("\nTry:");
    println!("  # refund a part of a payment, and wait for the provider's answer");
    println!("  curl -s {url}/api/v1/refunds -H 'Authorization: Bearer {bearer}' \\");
    println!(
        "    -H 'Content-Type: application/json' -H 'Prefer: wait=5' -H \"Idempotency-Key: $RANDOM-1\" \\"
    );
    println!(
        "    -d '{{\"sourceType\":\"payment\",\"sourceId\":\"{}\",\"amount\":2500,\"reason\":\"requested_by_customer\"}}'",
        payment.id
    );
    println!("  # what remains");
    println!("  curl -s {url}/api/v1/payments/{} -H 'Authorization: Bearer {bearer}'", payment.id);
    println!("  # a refund whose answer is lost: it is paid once and found out");
    println!("  curl -s {url}/api/v1/refunds -H 'Authorization: Bearer {bearer}' \\");
    println!("    -H 'Content-Type: application/json' -H 'Prefer: wait=10' \\");
    println!(
        "    -d '{{\"chargeId\":\"{}\",\"amount\":100,\"metadata\":{{\"simulate\":\"timeout_after_booking\"}}}}'",
        payment.provider_payment_id
    );
    println!("  # what the simulated provider really paid out");
    println!("  curl -s {url}/simulator/payments/{}", payment.provider_payment_id);
    println!("  # the ledger");
    println!("  curl -s {url}/api/v1/ledger/balances -H 'Authorization: Bearer {bearer}'");
    println!("\nStop with Ctrl-C; the same folder resumes where it stood.\n");
}
