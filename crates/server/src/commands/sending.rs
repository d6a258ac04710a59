//! `refundry sending`: stops and starts the sending of refunds, and tells how it stands.

use super::offline::{find_account, modes, open};
use crate::Failure;
use crate::cli::{OwnedData, Sending, ThrowSwitch};
use domain::administer::sending::ThrowSwitch as Throw;
use domain::sending::{Switch, everyone};
use domain::tenant::{Mode, Tenant};
use engine::provider_accounts::LONGEST_REASON;
use engine::{Account, Engine};
use std::process::ExitCode;

pub async fn run(sending: Sending) -> Result<ExitCode, Failure> {
    match sending {
        Sending::Stop(args) => throw(&args, true).await,
        Sending::Start(args) => throw(&args, false).await,
        Sending::Status(args) => status(&args).await,
    }
}

async fn throw(args: &ThrowSwitch, stop: bool) -> Result<ExitCode, Failure> {
    let is_long = |reason: &String| {
        reason.chars().count() > LONGEST_REASON || reason.chars().any(char::is_control)
    };
    if args.reason.as_ref().is_some_and(is_long) {
        let text = format!("--reason must have at most {LONGEST_REASON} characters on one line");
        return Err(Failure::Usage(text));
    }
    let engine = open(&args.owner.data).await?;
    let account = find_account(&engine, args.owner.account.as_deref()).await?;
    for &mode in modes(args.owner.mode) {
        let tenant = account.as_ref().map(|account| Tenant::new(account.number, mode));
        let switch = Throw {
            tenant: tenant.unwrap_or_else(|| everyone(mode)),
            stop,
            reason: args.reason.as_deref().map(Box::from),
            recorded_in: recorder(&engine, account.as_ref(), mode).await?,
        };
        let thrown = engine.throw_sending_switch(switch).await?;
        let whose =
            account.as_ref().map_or("everyone".to_owned(), |account| account.id.to_string());
        let word = if stop { "stopped" } else { "started" };
        let already = if thrown { "" } else { " already" };
        println!("{mode}  {word} for {whose}{already}");
    }
    eprintln!("Every node follows within a second.");
    Ok(ExitCode::SUCCESS)
}

/// Stops the sending of both modes for everyone.
pub async fn stop_for_everyone(engine: &Engine, reason: &str) -> Result<(), Failure> {
    for &mode in modes(None) {
        let switch = Throw {
            tenant: everyone(mode),
            stop: true,
            reason: Some(reason.into()),
            recorded_in: recorder(engine, None, mode).await?,
        };
        engine.throw_sending_switch(switch).await?;
    }
    Ok(())
}

/// The event needs an account: the one that is meant, or else the oldest one.
async fn recorder(
    engine: &Engine,
    account: Option<&Account>,
    mode: Mode,
) -> Result<Option<(Tenant, domain::ids::AccountId)>, Failure> {
    let first = match account {
        Some(account) => Some(account.clone()),
        None => engine.list_accounts().await?.into_iter().next(),
    };
    Ok(first.map(|account| (Tenant::new(account.number, mode), account.id)))
}

/// Tells of the switch of everyone, and of each account whose own switch is off.
async fn status(args: &OwnedData) -> Result<ExitCode, Failure> {
    let engine = open(&args.data).await?;
    let named = find_account(&engine, args.account.as_deref()).await?;
    let accounts = match &named {
        Some(account) => vec![account.clone()],
        None => engine.list_accounts().await?,
    };
    for &mode in modes(args.mode) {
        let all = engine.sending_status(everyone(mode)).await?.everyone;
        println!("{mode}  {:<8} for everyone{}", word(all.as_ref()), reason(all.as_ref()));
        for account in &accounts {
            let status = engine.sending_status(Tenant::new(account.number, mode)).await?;
            let own = status.account.as_ref();
            if named.is_some() || own.is_some_and(|switch| switch.stopped) {
                println!("{mode}  {:<8} for {}{}", word(own), account.id, reason(own));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn word(switch: Option<&Switch>) -> &'static str {
    if switch.is_some_and(|switch| switch.stopped) { "stopped" } else { "started" }
}

fn reason(switch: Option<&Switch>) -> String {
    let reason = switch.and_then(|switch| switch.reason.as_deref());
    reason.map(|reason| format!(": {reason}")).unwrap_or_default()
}
