//! `refundry reconcile`: asks the providers what changed since a time and books what the books miss.

use super::offline::{find_account, modes, open_with_providers};
use crate::Failure;
use crate::cli::Reconcile;
use crate::loops::{milliseconds, rest};
use api::parse_query_time;
use domain::refund::RefundView;
use domain::tenant::Tenant;
use domain::time::Timestamp;
use engine::{Asked, Engine, MANUAL, Place, Span, SpanStep, Tally};
use std::process::ExitCode;
use std::time::Duration;

/// How often a page is asked for again, and the pause before that.
const RETRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// The longest wait for a provider that must not be asked now, milliseconds.
const LONGEST_WAIT_MS: i64 = 5 * 60_000;

/// How many refunds in doubt are printed.
const PRINTED: usize = 50;

/// The providers and how they were reconciled.
#[derive(Default)]
struct Summary {
    asked: u32,
    failed: u32,
    tally: Tally,
}

pub async fn run(args: &Reconcile) -> Result<ExitCode, Failure> {
    let span = read_span(args)?;
    let engine = open_with_providers(&args.owner.data).await?;
    if span.since > engine.now() {
        return Err(Failure::Usage("--since is in the future; give a time that is over".into()));
    }
    let account = find_account(&engine, args.owner.account.as_deref()).await?;
    let modes = modes(args.owner.mode);
    let is_meant = |tenant: &Tenant| {
        modes.contains(&tenant.mode())
            && account.as_ref().is_none_or(|account| account.number == tenant.account())
    };
    check_provider(&engine, args.provider.as_deref())?;
    let (mut summary, mut tenants) = (Summary::default(), Vec::new());
    while let more = engine.tenants_with_payments(tenants.last().copied()).await?
        && !more.is_empty()
    {
        tenants.extend(more);
    }
    tenants.retain(is_meant);
    for &tenant in &tenants {
        for asked in engine.askable(tenant).await? {
            if args.provider.as_deref().is_none_or(|only| only == asked.name()) {
                ask(&engine, tenant, &asked, span, &mut summary).await?;
            }
        }
    }
    let left = print_in_doubt(&engine, &tenants).await?;
    let Summary { asked, failed, tally } = summary;
    println!(
        "{asked} providers asked, {failed} of them in vain; {}; {left} refunds in doubt",
        words(tally)
    );
    if left > 0 {
        eprintln!(
            "A running server goes on asking about refunds in doubt once sending is started; \
             those that need a person are decided with POST /api/v1/refunds/{{id}}/resolve."
        );
    }
    Ok(ExitCode::from(u8::from(left > 0 || failed > 0)))
}

fn read_span(args: &Reconcile) -> Result<Span, Failure> {
    let read = |name: &str, text: &str| {
        parse_query_time(text).ok_or_else(|| {
            Failure::Usage(format!(
                "{name} {text:?} is no time; give one such as 2026-05-12T10:42:00Z, or a date"
            ))
        })
    };
    let since = read("--since", &args.since)?;
    let until = args.until.as_deref().map(|text| read("--until", text)).transpose()?;
    if until.is_some_and(|until| until < since) {
        return Err(Failure::Usage("--until is before --since; swap them".into()));
    }
    Ok(Span { since, until })
}

/// Refuses a provider that no account can have, as its name may be misspelled.
fn check_provider(engine: &Engine, named: Option<&str>) -> Result<(), Failure> {
    let Some(named) = named else { return Ok(()) };
    let known = engine.provider_names();
    if known.contains(&named) {
        return Ok(());
    }
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Err(Failure::Usage(format!(
        "no provider {named:?} that can be asked is configured; configured: {known}"
    )))
}

/// Reads a span at one provider of a tenant.
async fn ask(
    engine: &Engine,
    tenant: Tenant,
    asked: &Asked,
    span: Span,
    summary: &mut Summary,
) -> Result<(), Failure> {
    summary.asked += 1;
    let (mut tally, mut lists) = (Tally::default(), false);
    let (mut failures, mut waited_ms) = (0, 0);
    let mut place = Some(Place::Changes(None));
    let mut trouble = None;
    while let Some(here) = place.clone() {
        match engine.reconcile_span(tenant, asked, span, here).await? {
            SpanStep::Read(some, next) => {
                tally += some;
                lists |= matches!(next, Some(Place::Payments(_)));
                (place, failures) = (next, 0);
            }
            SpanStep::Wait(until) => {
                let ms = until.map_or(1_000, |until| until.ms_since(engine.now())).clamp(10, 5_000);
                waited_ms += ms;
                if waited_ms > LONGEST_WAIT_MS {
                    trouble = Some("calls to the provider are suspended".into());
                    break;
                }
                rest(milliseconds(ms)).await;
            }
            SpanStep::Failed(why) if failures >= RETRIES => {
                trouble = Some(why);
                break;
            }
            SpanStep::Failed(_) => {
                failures += 1;
                rest(PAUSE).await;
            }
        }
    }
    summary.tally += tally;
    let accounts = engine.list_accounts().await?;
    let account = accounts.iter().find(|account| account.number == tenant.account());
    let account = account.map(|account| account.id.to_string()).unwrap_or_default();
    let at = asked.account().map_or_else(String::new, |account| format!(" {account}"));
    let whose = format!("{account}  {}  {}{at}", tenant.mode(), asked.name());
    let how = if lists { "cannot tell what changed, so payments were listed; " } else { "" };
    match trouble {
        Some(why) => {
            summary.failed += 1;
            println!("{whose}  could not be asked: {why}; until then {}", words(tally));
        }
        None => println!("{whose}  {how}{}", words(tally)),
    }
    Ok(())
}

fn words(tally: Tally) -> String {
    let Tally { read, booked, known, unmatched } = tally;
    format!("{read} statements read, {booked} booked, {known} known already, {unmatched} unmatched")
}

/// Prints refunds that are left in doubt. Returns how many there are.
async fn print_in_doubt(engine: &Engine, tenants: &[Tenant]) -> Result<usize, Failure> {
    let mut left = 0;
    for &tenant in tenants {
        let mut after = None;
        loop {
            let found = engine.refunds_in_doubt(tenant, after).await?;
            let Some(last) = found.last() else { break };
            after = Some(last.refund.id);
            // Nothing is in doubt about a refund that is paid by hand.
            for view in found.iter().filter(|view| *view.payment.provider != *MANUAL.id) {
                if left < PRINTED {
                    println!("{}", line_of(view, engine.now()));
                } else if left == PRINTED {
                    println!("and more");
                }
                left += 1;
            }
        }
    }
    Ok(left)
}

fn line_of(view: &RefundView, now: Timestamp) -> String {
    let RefundView { refund, payment } = view;
    let minutes = now.ms_since(refund.updated_at) / 60_000;
    let (provider, money) = (&payment.provider, refund.money());
    format!("in doubt: {}  {money}  {}  {provider}  for {minutes} min", refund.id, refund.state)
}
