//! Commands that work on the database themselves, whether a server runs or not.

use crate::cli::{DataArgs, OneMode};
use crate::config::Config;
use crate::settings::Switch;
use crate::{Failure, setup, simulated};
use domain::ids::AccountId;
use domain::tenant::Mode;
use engine::{Account, Engine};

/// An engine on a database that exists. It calls the providers when it is asked to, sends no refunds and no
/// webhooks.
pub async fn open_with_providers(args: &DataArgs) -> Result<Engine, Failure> {
    let mut config = Config::load(args, None)?;
    config.webhooks.send = Switch::Off;
    config.dispatch = Switch::Off;
    let store = setup::open_existing_store(&config).await?;
    let simulator = simulated::open(&config)?;
    setup::start_engine(&config, store, simulator.as_ref())
}

/// An engine on the database that makes no calls.
pub async fn open(args: &DataArgs) -> Result<Engine, Failure> {
    let mut config = Config::load(args, None)?;
    config.webhooks.send = Switch::Off;
    setup::make_folder(&config.data)?;
    setup::start_engine(&config, setup::open_store(&config).await?, None)
}

pub fn read_account_id(text: &str) -> Result<AccountId, Failure> {
    AccountId::parse(text).map_err(|error| Failure::Usage(format!("--account: {error}")))
}

/// The account with this id, if one is named.
pub async fn find_account(
    engine: &Engine,
    named: Option<&str>,
) -> Result<Option<Account>, Failure> {
    let Some(text) = named else { return Ok(None) };
    let found = engine.find_account(read_account_id(text)?).await?;
    let missing = || Failure::Usage(format!("there is no account {text}"));
    Ok(Some(Account::clone(&*found.ok_or_else(missing)?)))
}

/// The account of a database that has one.
pub async fn only_account(engine: &Engine) -> Result<Account, Failure> {
    let accounts = engine.list_accounts().await?;
    match accounts.as_slice() {
        [account] => Ok(account.clone()),
        [] => Err(Failure::Usage("there is no account yet: add --new-account NAME".into())),
        accounts => {
            let names: Vec<String> =
                accounts.iter().map(|a| format!("  {}  {}", a.id, a.name)).collect();
            Err(Failure::Usage(format!(
                "there are several accounts, name one with --account:\n{}",
                names.join("\n")
            )))
        }
    }
}

/// The modes that are meant: the one that is named, or both.
pub fn modes(named: Option<OneMode>) -> &'static [Mode] {
    match named {
        Some(OneMode::Test) => &[Mode::Test],
        Some(OneMode::Live) => &[Mode::Live],
        None => &[Mode::Test, Mode::Live],
    }
}
