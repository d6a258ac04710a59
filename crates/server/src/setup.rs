//! Builds the engine from the configuration.

use crate::Failure;
use crate::clock::{SystemClock, seed};
use crate::config::{Config, Database};
use domain::provider::TraitsByName;
use engine::http::{Http, SystemResolver};
use engine::{
    AdapterOf, Engine, MasterKey, Parts, PostgresStore, ProviderKind, Registry, SqliteStore, Store,
};
use simulator::Simulator;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The simulator as accounts are configured for it. It has no credentials.
const SIMULATOR: ProviderKind = ProviderKind {
    name: simulator::NAME,
    label: "Simulator",
    config_fields: &[],
    adapter: AdapterOf::Everybody,
};
/// Exit code of a process that ends because it cannot trust its disk: `EX_IOERR` of `sysexits.h`.
const DISK_FAILED: i32 = 74;

/// Creates the data folder, readable for its owner only.
pub fn make_folder(folder: &Path) -> Result<(), Failure> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|source| Failure::File { path: folder.display().to_string(), source })
}

/// Writes a file that only its owner can read, atomically. It is on disk when this returns.
pub fn write_private(path: &Path, text: &str) -> Result<(), Failure> {
    let at = |source| Failure::File { path: path.display().to_string(), source };
    let draft = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .map_err(at)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(at)?;
    fs::rename(&draft, path).map_err(at)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = fs::File::open(folder.unwrap_or(Path::new(".")));
    folder.and_then(|folder| folder.sync_all()).map_err(at)
}

/// The file of the master key, where the configuration has none.
pub fn master_key_file(config: &Config) -> PathBuf {
    config.data.join("master.key")
}

/// Makes a master key for a database that is about to be created, unless there is one. The key comes
/// first: a database without its key is taken for one whose key was lost.
fn make_master_key(config: &Config) -> Result<(), Failure> {
    let path = master_key_file(config);
    if config.master_key.is_some() || path.exists() {
        return Ok(());
    }
    make_folder(&config.data)?;
    write_private(&path, &MasterKey::from_bytes(seed()?).to_text())
}

/// The configured master key, or the one in the data folder.
fn master_key(config: &Config, shared: bool) -> Result<MasterKey, Failure> {
    if let Some(text) = &config.master_key {
        return Ok(MasterKey::parse(text)?);
    }
    let path = master_key_file(config);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(MasterKey::parse(&text)?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && shared => {
            Err(Failure::Usage(format!(
                "nodes that share a PostgreSQL database need the same master key: set \
                 REFUNDRY_MASTER_KEY (32 bytes in base64, such as from: openssl rand -base64 32) \
                 or copy the key to {}",
                path.display()
            )))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Failure::Usage(explain_missing_key(&path)))
        }
        Err(source) => Err(Failure::File { path: path.display().to_string(), source }),
    }
}

/// A new key in its place would make the sealed secrets unreadable without a word.
pub fn explain_missing_key(path: &Path) -> String {
    let path = path.display();
    format!(
        "{path} is missing: the master key that the secrets in the database are sealed with. Copy it \
         back from its backup, or set REFUNDRY_MASTER_KEY. If it is lost for good, make a new one \
         (openssl rand -base64 32 > {path}): API keys then work as Bearer tokens only, every webhook \
         endpoint needs a new secret, and stored answers cannot be repeated"
    )
}

/// Opens the database, and creates a SQLite file that does not exist. The process ends when the file
/// can no longer be trusted; the next one recovers it.
pub async fn open_store(config: &Config) -> Result<Store, Failure> {
    let store: Store = match config.database()? {
        Database::Postgres(url) => PostgresStore::open(&url).await?.into(),
        Database::Sqlite(path) => {
            path.parent().map_or(Ok(()), make_folder)?;
            if !holds_data(&path) {
                make_master_key(config)?;
            }
            SqliteStore::open(&path)?.into()
        }
    };
    store.on_fatal(|error| {
        tracing::error!(%error, "the process ends");
        std::process::exit(DISK_FAILED);
    });
    Ok(store)
}

/// True when a file is there that something was written to.
pub fn holds_data(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|file| file.len() > 0)
}

/// Opens a database and fails if it does not exist.
pub async fn open_existing_store(config: &Config) -> Result<Store, Failure> {
    match config.database()? {
        Database::Sqlite(path) if !path.is_file() => Err(Failure::Usage(format!(
            "there is no database {}: name the folder with --data, or the file with REFUNDRY_DATABASE_URL",
            path.display()
        ))),
        Database::Sqlite(_) | Database::Postgres(_) => open_store(config).await,
    }
}

/// The client that adapters call their providers with.
fn provider_client() -> Result<Http, Failure> {
    let unusable = |error: &dyn std::error::Error| {
        Failure::Usage(format!("providers cannot be called over TLS: {error}"))
    };
    let resolver = SystemResolver::new().map_err(|error| unusable(&error))?;
    Http::new(Arc::new(resolver)).map_err(|error| unusable(&error))
}

/// The providers of a node, but for the simulator, which is opened first.
fn registry(config: &Config) -> Registry {
    // A node without the simulator confirms and prints checkouts that other nodes took.
    let registry =
        Registry::new().with_catalogue().with_payment_provider_elsewhere(simulator::NAME);
    if config.simulator.enabled { registry.with_kind(SIMULATOR) } else { registry }
}

/// The traits of the providers that a node calls, by name. Opens nothing.
pub fn called_providers(config: &Config) -> TraitsByName {
    let registry = registry(config);
    let simulator =
        config.simulator.enabled.then(|| (simulator::NAME, config.simulator.build().traits()));
    registry.called().map(|(name, traits)| (name, *traits)).chain(simulator).collect()
}

/// Starts an engine on an open database.
pub fn start_engine(
    config: &Config,
    store: Store,
    simulator: Option<&Arc<Simulator>>,
) -> Result<Engine, Failure> {
    make_folder(&config.data)?;
    let mut registry = registry(config).with_http(provider_client()?);
    if let Some(simulator) = simulator {
        registry = registry.with(simulator.clone()).with_payment_provider(simulator.clone());
    }
    let shared = store.is_shared();
    let parts = Parts {
        store,
        registry,
        master_key: master_key(config, shared)?,
        clock: Arc::new(SystemClock),
        seed: seed()?,
        config: config.engine(shared),
    };
    Ok(Engine::start_with(parts, config.webhooks.build()?))
}
