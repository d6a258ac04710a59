//! `refundry doctor`: checks whether the server would run, and run well.

use crate::cli::DataArgs;
use crate::config::{Config, Database};
use crate::{Failure, setup};
use domain::provider::TraitsByName;
use domain::provider_words::describe;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitCode;

/// Result of one check.
enum Finding {
    Good(String),
    Warning(String),
    Wrong(String),
}

/// Prints one line per check, and a block for each provider that the server calls; exit 1 if anything is
/// wrong.
pub async fn run(args: &DataArgs) -> Result<ExitCode, Failure> {
    let mut wrong = false;
    let mut say = |what: &str, finding: Finding| {
        let (word, text) = match finding {
            Finding::Good(text) => ("ok", text),
            Finding::Warning(text) => ("warning", text),
            Finding::Wrong(text) => {
                wrong = true;
                ("wrong", text)
            }
        };
        println!("{word:<8} {what:<14} {text}");
    };
    let config = match Config::load(args, None) {
        Ok(config) => config,
        Err(failure) => {
            say("configuration", Finding::Wrong(failure.to_string()));
            return Ok(ExitCode::FAILURE);
        }
    };
    say("configuration", Finding::Good("reads".into()));
    say("data folder", folder(&config.data));
    say("master key", master_key(&config));
    say("database", database(&config).await);
    say("free space", free_space(&config.data));
    say("address", address(&config).await);
    let called = setup::called_providers(&config);
    say("providers", providers(&called));
    for (name, traits) in &called {
        println!("\n{name}");
        for (topic, words) in describe(traits).iter().filter(|(_, words)| !words.is_empty()) {
            println!("  {topic:<14} {words}");
        }
    }
    Ok(ExitCode::from(u8::from(wrong)))
}

fn folder(path: &Path) -> Finding {
    let probe = path.join(".doctor");
    match fs::metadata(path) {
        Err(_) => Finding::Warning(format!("{} is made at the first start", path.display())),
        Ok(meta) if !meta.is_dir() => Finding::Wrong(format!("{} is no folder", path.display())),
        Ok(meta) => match fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)) {
            Err(error) => {
                Finding::Wrong(format!("{} cannot be written to: {error}", path.display()))
            }
            Ok(()) if meta.permissions().mode() & 0o077 != 0 => Finding::Warning(format!(
                "{} can be read by others: chmod 700 {}",
                path.display(),
                path.display()
            )),
            Ok(()) => Finding::Good(path.display().to_string()),
        },
    }
}

fn master_key(config: &Config) -> Finding {
    if let Some(text) = &config.master_key {
        return match engine::MasterKey::parse(text) {
            Ok(key) => Finding::Good(format!("configured, id {}", key.id())),
            Err(error) => Finding::Wrong(error.to_string()),
        };
    }
    let path = setup::master_key_file(config);
    let has_data =
        matches!(config.database(), Ok(Database::Sqlite(file)) if setup::holds_data(&file));
    match fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && has_data => {
            Finding::Wrong(setup::explain_missing_key(&path))
        }
        Err(_) => Finding::Warning(format!("{} is made at the first start", path.display())),
        Ok(text) => match engine::MasterKey::parse(&text) {
            Ok(key) => Finding::Good(format!("{}, id {}", path.display(), key.id())),
            Err(error) => Finding::Wrong(format!("{}: {error}", path.display())),
        },
    }
}

/// The text of a failure and of all its causes.
fn explain(failure: &Failure) -> String {
    failure.causes().fold(failure.to_string(), |text, cause| format!("{text}: {cause}"))
}

async fn database(config: &Config) -> Finding {
    match config.database() {
        Err(failure) => return Finding::Wrong(failure.to_string()),
        Ok(Database::Sqlite(path)) if !path.exists() => {
            return Finding::Warning(format!("{} is made at the first start", path.display()));
        }
        Ok(Database::Sqlite(_) | Database::Postgres(_)) => {}
    }
    match setup::open_existing_store(config).await {
        Err(failure) => Finding::Wrong(explain(&failure)),
        Ok(store) => match store.next_due().await {
            Ok(_) => Finding::Good(store.location()),
            Err(error) => Finding::Wrong(error.to_string()),
        },
    }
}

/// Writes and fsyncs a few megabytes, since the standard library cannot read the free space.
fn free_space(data: &Path) -> Finding {
    const BYTES: usize = 16 * 1024 * 1024;
    let probe = data.join(".doctor-space");
    if !data.is_dir() {
        return Finding::Warning("not checked: the data folder does not exist yet".into());
    }
    let written = fs::write(&probe, vec![0_u8; BYTES])
        .and_then(|()| fs::File::open(&probe))
        .and_then(|file| file.sync_all());
    let _ = fs::remove_file(&probe);
    match written {
        Ok(()) => Finding::Good("at least 16 MiB".into()),
        Err(error) => Finding::Wrong(format!("16 MiB cannot be written: {error}")),
    }
}

fn providers(called: &TraitsByName) -> Finding {
    if called.is_empty() {
        return Finding::Warning("none is configured: no refund is sent anywhere".into());
    }
    let names: Vec<_> = called.keys().copied().collect();
    Finding::Good(format!("{}; their rules are below", names.join(", ")))
}

async fn address(config: &Config) -> Finding {
    match tokio::net::TcpListener::bind(config.listen).await {
        Ok(_) => Finding::Good(format!("{} is free", config.listen)),
        Err(error) => {
            Finding::Warning(format!("{} is taken (a running server?): {error}", config.listen))
        }
    }
}
