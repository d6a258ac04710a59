//! `refundry providers`: adds, shows and changes provider accounts. No secret is ever an argument, since arguments
//! are seen by other users of the machine and kept by shells.

use super::offline::{find_account, modes, only_account, open};
use crate::Failure;
use crate::cli::{AddProvider, NamedProvider, OwnedData, Providers, SecretsArgs};
use domain::ids::ProviderAccountId;
use domain::provider_account::Settings;
use domain::tenant::Tenant;
use engine::provider_accounts::{ProviderAccountDraft, ProviderAccountView, Secrets};
use engine::{Account, Engine, Error, PageQuery, ProviderAccountFilter, SortOrder};
use secrecy::{ExposeSecret as _, SecretString};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

/// The largest file of secrets, bytes.
const MOST_BYTES: usize = 1 << 20;

/// The beginning of the variables that secrets are read from.
const VARIABLE: &str = "REFUNDRY_SECRET_";

/// Reads a variable of the environment.
type Env<'a> = &'a (dyn Fn(&str) -> Option<String> + Sync);

pub async fn run(providers: Providers) -> Result<ExitCode, Failure> {
    let engine = open(&owner(&providers).data).await?;
    let text = act(&engine, &providers, &|name| std::env::var(name).ok()).await?;
    print!("{text}");
    Ok(ExitCode::SUCCESS)
}

const fn owner(providers: &Providers) -> &OwnedData {
    match providers {
        Providers::List(owner) => owner,
        Providers::Add(args) => &args.owner,
        Providers::Show(named) | Providers::Resume(named) | Providers::Remove(named) => {
            &named.owner
        }
        Providers::Pause(args) => &args.named.owner,
        Providers::Rotate(args) => &args.named.owner,
    }
}

/// Does what the command says. Returns the text to print.
async fn act(engine: &Engine, providers: &Providers, env: Env<'_>) -> Result<String, Failure> {
    match providers {
        Providers::List(owner) => list(engine, owner).await,
        Providers::Add(args) => add(engine, args, env).await,
        Providers::Show(named) => {
            let (account, view) = find(engine, named).await?;
            Ok(print(&account, &view))
        }
        Providers::Pause(args) => {
            let (account, view) = find(engine, &args.named).await?;
            let (of, reason) = (&view.account, args.reason.as_deref().map(Box::from));
            let paused = engine.pause_provider_account(of.tenant, of.id, reason).await?;
            Ok(print(&account, &paused))
        }
        Providers::Resume(named) => {
            let (account, view) = find(engine, named).await?;
            let of = &view.account;
            Ok(print(&account, &engine.resume_provider_account(of.tenant, of.id).await?))
        }
        Providers::Rotate(args) => {
            let (account, view) = find(engine, &args.named).await?;
            let of = &view.account;
            let secrets = read_secrets(engine, &of.provider, &args.secrets, env)?;
            let rotated = engine.rotate_provider_account(of.tenant, of.id, &secrets).await;
            Ok(print(&account, &rotated.map_err(with_hint)?))
        }
        Providers::Remove(named) => {
            let (_, view) = find(engine, named).await?;
            let of = &view.account;
            engine.delete_provider_account(of.tenant, of.id).await?;
            Ok(format!("removed {}, and forgot its secrets\n", of.id))
        }
    }
}

async fn add(engine: &Engine, args: &AddProvider, env: Env<'_>) -> Result<String, Failure> {
    let account = match find_account(engine, args.owner.account.as_deref()).await? {
        Some(account) => account,
        None => only_account(engine).await?,
    };
    let &[mode] = modes(args.owner.mode) else {
        return Err(Failure::Usage("name the mode: --mode test or --mode live".into()));
    };
    let draft = ProviderAccountDraft {
        provider: args.provider.as_str().into(),
        name: args.name.as_str().into(),
        config: read_settings(&args.settings)?,
        secrets: read_secrets(engine, &args.provider, &args.secrets, env)?,
    };
    let tenant = Tenant::new(account.number, mode);
    let done = engine.create_provider_account(tenant, draft).await;
    Ok(print(&account, &done.map_err(with_hint)?))
}

/// The accounts that are meant, at most 1,000.
async fn accounts(engine: &Engine, owner: &OwnedData) -> Result<Vec<Account>, Failure> {
    match find_account(engine, owner.account.as_deref()).await? {
        Some(account) => Ok(vec![account]),
        None => Ok(engine.list_accounts().await?),
    }
}

async fn list(engine: &Engine, owner: &OwnedData) -> Result<String, Failure> {
    let mut text = String::new();
    let page =
        PageQuery { limit: 100, after: None, order: SortOrder::Ascending, from: None, until: None };
    for account in accounts(engine, owner).await? {
        for &mode in modes(owner.mode) {
            let tenant = Tenant::new(account.number, mode);
            let filter = ProviderAccountFilter::default();
            for view in engine.list_provider_accounts(tenant, filter, page).await?.items {
                let of = view.account;
                let _ = writeln!(
                    text,
                    "{}  {}  {mode:<4}  {:<6}  {}  {}",
                    of.id, account.id, of.state, of.provider, of.name
                );
            }
        }
    }
    Ok(text)
}

/// The provider account with this id, in whichever account and mode it is.
async fn find(
    engine: &Engine,
    named: &NamedProvider,
) -> Result<(Account, ProviderAccountView), Failure> {
    let id = ProviderAccountId::parse(&named.id)
        .map_err(|error| Failure::Usage(format!("{}: {error}", named.id)))?;
    for account in accounts(engine, &named.owner).await? {
        for &mode in modes(named.owner.mode) {
            let tenant = Tenant::new(account.number, mode);
            if let Some(view) = engine.find_provider_account(tenant, id).await? {
                return Ok((account, view));
            }
        }
    }
    let text = format!("there is no provider account {id}: refundry providers list shows them");
    Err(Failure::Usage(text))
}

fn print(account: &Account, view: &ProviderAccountView) -> String {
    let of = &view.account;
    let mut text = String::new();
    let mut say = |name: &str, value: &dyn std::fmt::Display| {
        let _ = writeln!(text, "{name:<9} {value}");
    };
    say("id", &of.id);
    say("account", &account.id);
    say("mode", &of.tenant.mode());
    say("provider", &of.provider);
    say("name", &of.name);
    match (of.deleted_at, &of.paused_reason) {
        (Some(_), _) => say("state", &"removed"),
        (None, Some(reason)) => say("state", &format_args!("{}: {reason}", of.state)),
        (None, None) => say("state", &of.state),
    }
    say("version", &of.version);
    for (name, value) in &of.config {
        say("setting", &format_args!("{name} = {value}"));
    }
    match &view.secrets {
        Err(error) => say("secrets", error),
        Ok(hints) => {
            for hint in hints {
                let value = match (hint.set, &hint.last4) {
                    (false, _) => "not set".to_owned(),
                    (true, None) => "set".to_owned(),
                    (true, Some(last4)) => format!("set, ends with {last4}"),
                };
                say("secret", &format_args!("{}: {value}", hint.name));
            }
        }
    }
    text
}

fn read_settings(given: &[String]) -> Result<Settings, Failure> {
    let mut settings = Settings::new();
    for setting in given {
        let Some((name, value)) = setting.split_once('=') else {
            return Err(Failure::Usage("--set takes NAME=VALUE".into()));
        };
        if settings.insert(name.into(), value.into()).is_some() {
            return Err(Failure::Usage(format!("--set {name} is given twice")));
        }
    }
    Ok(settings)
}

/// The secrets in the file, on standard input, or in the environment.
fn read_secrets(
    engine: &Engine,
    provider: &str,
    args: &SecretsArgs,
    env: Env<'_>,
) -> Result<Secrets, Failure> {
    if let Some(path) = &args.secrets {
        return parse_secrets(read_file(path)?.expose_secret());
    }
    let kind = engine.provider_kinds().find(|kind| kind.name == provider);
    let fields = kind.into_iter().flat_map(|kind| kind.config_fields);
    let fields = fields.filter(|field| field.secret);
    let value = |name: &str| env(&format!("{VARIABLE}{}", name.to_ascii_uppercase()));
    let found = fields.filter_map(|field| Some((field.name.into(), value(field.name)?.into())));
    Ok(found.collect())
}

fn read_file(path: &Path) -> Result<SecretString, Failure> {
    let at = |source| Failure::File { path: path.display().to_string(), source };
    let input: Box<dyn std::io::Read> = if path == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(path).map_err(at)?)
    };
    let mut text = String::new();
    let limit = u64::try_from(MOST_BYTES + 1).unwrap_or(u64::MAX);
    input.take(limit).read_to_string(&mut text).map_err(at)?;
    if text.len() > MOST_BYTES {
        let text = format!("{} holds more than {MOST_BYTES} bytes", path.display());
        return Err(Failure::Usage(text));
    }
    Ok(text.into())
}

/// Reads a JSON object of texts, or lines `NAME=VALUE`. Errors repeat nothing of the text.
fn parse_secrets(text: &str) -> Result<Secrets, Failure> {
    let text = text.trim();
    if text.starts_with('{') {
        let secrets: BTreeMap<Box<str>, String> = serde_json::from_str(text).map_err(|_| {
            Failure::Usage("the secrets are no JSON object whose values are texts".into())
        })?;
        return Ok(secrets.into_iter().map(|(name, value)| (name, value.into())).collect());
    }
    let mut secrets = Secrets::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |what| Failure::Usage(format!("line {number} of the secrets {what}"));
        let (name, value) = line.split_once('=').ok_or_else(|| wrong("is not NAME=VALUE"))?;
        if secrets.insert(name.trim().into(), value.trim().into()).is_some() {
            return Err(wrong("names a secret a second time"));
        }
    }
    Ok(secrets)
}

/// An error about secrets, with the ways to give them.
fn with_hint(error: Error) -> Failure {
    match error {
        Error::Invalid { field: "secrets", message } => Failure::Usage(format!(
            "{message}\nSecrets are read from --secrets FILE, from standard input with --secrets -, or from \
             variables such as {VARIABLE}API_KEY for api_key."
        )),
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use crate::clock::SystemClock;
    use clap::Parser as _;
    use engine::{EngineConfig, MasterKey, Parts, Registry, SqliteStore};
    use std::sync::Arc;
    use tempfile::TempDir;

    const KEY: &str = "s3cret-api-key-1";

    struct Shop {
        folder: TempDir,
        engine: Engine,
    }

    impl Shop {
        async fn open() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = SqliteStore::open(&folder.path().join("refundry.db")).unwrap();
            let engine = Engine::start(Parts {
                store: store.into(),
                registry: Registry::new().with_kind(testkit::TEST_PSP),
                master_key: MasterKey::from_bytes([5; 32]),
                clock: Arc::new(SystemClock),
                seed: [6; 32],
                config: EngineConfig::default(),
            });
            engine.create_account("Shop").await.unwrap();
            Self { folder, engine }
        }

        fn file(&self, text: &str) -> String {
            let path = self.folder.path().join("secrets");
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        }

        /// Runs `refundry providers` with these words and variables.
        async fn run(&self, words: &str, env: &[(&str, &str)]) -> Result<String, String> {
            let words = ["refundry", "providers"].into_iter().chain(words.split(' '));
            let Ok(Cli { command: Command::Providers(providers), .. }) = Cli::try_parse_from(words)
            else {
                panic!("the words are no such command")
            };
            let env = |name: &str| {
                let found = env.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            let done = act(&self.engine, &providers, &env).await.map_err(|error| error.to_string());
            let text = done.as_ref().unwrap_or_else(|text| text);
            assert!(!text.contains("s3cret"), "{text}");
            done
        }
    }

    fn id(text: &str) -> &str {
        text.lines().next().and_then(|line| line.strip_prefix("id")).unwrap().trim()
    }

    #[tokio::test]
    async fn an_account_is_added_shown_paused_rotated_and_removed() {
        let shop = Shop::open().await;
        assert_eq!(shop.run("list", &[]).await.unwrap(), "");
        let file =
            shop.file(&format!("# of the shop\napi_key = {KEY}\n\nwebhook_secret=s3cret=h\n"));
        let add = "add test_psp --mode live --name Shop --set merchant_account=ShopECOM";
        let made = shop.run(&format!("{add} --secrets {file}"), &[]).await.unwrap();
        for line in [
            "mode      live",
            "provider  test_psp",
            "state     active",
            "setting   merchant_account = ShopECOM",
            "secret    api_key: set, ends with ey-1",
            "secret    webhook_secret: set",
        ] {
            assert!(made.lines().any(|known| known.trim_end() == line), "{line} in {made}");
        }
        let id = id(&made);
        assert_eq!(shop.run(&format!("show {id}"), &[]).await.unwrap(), made);
        let listed = shop.run("list", &[]).await.unwrap();
        assert!(listed.contains(id) && listed.contains("live  active  test_psp  Shop"), "{listed}");
        assert_eq!(shop.run("list --mode test", &[]).await.unwrap(), "");
        let paused = shop.run(&format!("pause {id} --reason checking"), &[]).await.unwrap();
        assert!(paused.contains("state     paused: checking"), "{paused}");
        let resumed = shop.run(&format!("resume {id}"), &[]).await.unwrap();
        assert_eq!(resumed, made);
        let env = [
            ("REFUNDRY_SECRET_API_KEY", "s3cret-api-key-2"),
            ("REFUNDRY_SECRET_WEBHOOK_SECRET", "s3cret"),
        ];
        let rotated = shop.run(&format!("rotate {id}"), &env).await.unwrap();
        assert!(rotated.contains("version   2") && rotated.contains("ends with ey-2"), "{rotated}");
        let json = shop.file(r#"{"api_key": "s3cret\n-api-key-3", "webhook_secret": "s3cret"}"#);
        let rotated = shop.run(&format!("rotate {id} --secrets {json}"), &[]).await.unwrap();
        assert!(rotated.contains("version   3") && rotated.contains("ends with ey-3"), "{rotated}");
        shop.run(&format!("remove {id}"), &[]).await.unwrap();
        let removed = shop.run(&format!("show {id}"), &[]).await.unwrap();
        assert!(removed.contains("state     removed") && !removed.contains("secret "), "{removed}");
        assert_eq!(shop.run("list", &[]).await.unwrap(), "");
    }

    #[tokio::test]
    async fn secrets_that_cannot_be_read_are_refused_and_not_repeated() {
        let shop = Shop::open().await;
        let add = "add test_psp --mode test --name Shop --set merchant_account=ShopECOM";
        for (text, part) in [
            ("{\"api_key\": [\"s3cret\"]}", "no JSON object whose values are texts"),
            ("{s3cret", "no JSON object whose values are texts"),
            ("api_key=s3cret\ns3cret\n", "line 2 of the secrets is not NAME=VALUE"),
            (
                "api_key=s3cret\napi_key=s3cret\n",
                "line 2 of the secrets names a secret a second time",
            ),
            ("s3cret=api_key\nwebhook_secret=s3cret", "it has api_key, webhook_secret"),
            ("api_key=s3cret", "webhook_secret is missing"),
            ("", "these are missing: api_key"),
        ] {
            let file = shop.file(text);
            let why = shop.run(&format!("{add} --secrets {file}"), &[]).await.unwrap_err();
            assert!(why.contains(part), "{why}");
        }
        let missing = shop.run(&format!("{add} --secrets /nowhere/s"), &[]).await.unwrap_err();
        assert!(missing.contains("/nowhere/s"), "{missing}");
        let without = shop.run(add, &[]).await.unwrap_err();
        assert!(without.contains("REFUNDRY_SECRET_API_KEY"), "{without}");
        let as_setting = format!("{add} --set api_key=s3cret");
        let why = shop.run(&as_setting, &[]).await.unwrap_err();
        assert!(why.contains("give it among the secrets"), "{why}");
        for (words, part) in [
            ("add test_psp --name Shop", "--mode test or --mode live"),
            ("add test_psp --mode test --name S --set x", "--set takes NAME=VALUE"),
            ("add test_psp --mode test --name S --set x=1 --set x=2", "given twice"),
            ("add tset_psp --mode test --name S", "did you mean test_psp?"),
            ("add test_psp --mode test --name S --account acc_1", "--account"),
            ("show pa_01KREAEM40E8TXW4VNC0XM1R2P", "there is no provider account"),
            ("show acc_01KREAEM40E8TXW4VNC0XM1R2P", "must start with pa_"),
        ] {
            let why = shop.run(words, &[]).await.unwrap_err();
            assert!(why.contains(part), "{words}: {why}");
        }
        assert_eq!(shop.run("list", &[]).await.unwrap(), "");
    }
}
