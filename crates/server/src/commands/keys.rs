//! `refundry keys`: creates, lists and revokes API keys.

use super::offline::{only_account, open, read_account_id};
use crate::Failure;
use crate::cli::{CreateKey, DataArgs, KeyMode, Keys, RevokeKey};
use domain::ids::AccountId;
use domain::tenant::Mode;
use engine::KeyRequest;
use engine::access::{ErrorProfile, KeyForm};
use secrecy::ExposeSecret as _;
use std::process::ExitCode;

pub async fn run(keys: Keys) -> Result<ExitCode, Failure> {
    match keys {
        Keys::Create(args) => create(args).await,
        Keys::List(args) => list(&args).await,
        Keys::Revoke(args) => revoke(&args).await,
    }
}

async fn create(args: CreateKey) -> Result<ExitCode, Failure> {
    let engine = open(&args.data).await?;
    let error_profile = ErrorProfile::from_text(&args.error_profile)
        .ok_or_else(|| Failure::Usage("--error-profile must be node or go".into()))?;
    let form = KeyForm::from_text(&args.format).ok_or_else(|| {
        let known = KeyForm::ALL.iter().map(|form| form.as_str()).collect::<Vec<_>>();
        Failure::Usage(format!("--format must be one of {}", known.join(", ")))
    })?;
    if matches!(args.mode, KeyMode::Platform) && form.prefix(None, true).is_none() {
        return Err(Failure::Usage(format!(
            "a platform's key in the form of {} works in one mode: --platform --mode test or live",
            form.as_str()
        )));
    }
    let account: AccountId = match (&args.account, &args.new_account) {
        (_, Some(name)) => engine.create_account(name).await?.id,
        (Some(id), None) => read_account_id(id)?,
        (None, None) => only_account(&engine).await?.id,
    };
    let mode = match args.mode {
        KeyMode::Test => Some(Mode::Test),
        KeyMode::Live => Some(Mode::Live),
        KeyMode::Platform => None,
    };
    let request = KeyRequest {
        account,
        mode,
        platform: args.platform,
        form,
        scopes: args.scopes,
        error_profile,
        name: args.name,
    };
    let key = engine.create_key(request).await?;
    println!("account  {account}");
    println!("key id   {}", key.key_id);
    println!("secret   {}", key.secret.expose_secret());
    println!("bearer   {}", key.bearer.expose_secret());
    eprintln!("The secret and the bearer token are not shown again.");
    Ok(ExitCode::SUCCESS)
}

async fn list(args: &DataArgs) -> Result<ExitCode, Failure> {
    for key in open(args).await?.list_keys().await? {
        println!(
            "{}  {}  {:<8}  {:<7}  {}  {}",
            key.id,
            key.account,
            key.mode.map_or("platform", Mode::as_str),
            if key.revoked_at.is_some() { "revoked" } else { "works" },
            key.scopes,
            key.name
        );
    }
    Ok(ExitCode::SUCCESS)
}

async fn revoke(args: &RevokeKey) -> Result<ExitCode, Failure> {
    if open(&args.data).await?.revoke_key(&args.key_id).await? {
        println!("revoked {}", args.key_id);
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failure::Usage(format!(
        "there is no working key {}: refundry keys list shows them",
        args.key_id
    )))
}
