//! Builds the engine from the configuration.

use crate::Failure;
use crate::clock::{SystemClock, seed};
use crate::config::{Config, Database};
use engine::{Engine, MasterKey, Parts, PostgresStore, Registry, SqliteStore, Store};
use simulator::Simulator;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

/// Creates the data folder, readable for its owner only.
pub fn make_folder(folder: &Path) -> Result<(), Failure> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|source| Failure::File { path: folder.display().to_string(), source })
}

/// Writes a file that only its owner can read, atomically and fsynced.
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
    fs::rename(&draft, path).map_err(at)
}

/// The configured master key, or the one in the data folder, which the first start creates. Nodes
/// that share a database must be configured with one key, since each would create its own.
fn master_key(config: &Config, shared: bool) -> Result<MasterKey, Failure> {
    if let Some(text) = &config.master_key {
        return Ok(MasterKey::parse(text)?);
    }
    let path = config.data.join("master.key");
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
            let key = MasterKey::from_bytes(seed()?);
            write_private(&path, &key.to_text())?;
            Ok(key)
        }
        Err(source) => Err(Failure::File { path: path.display().to_string(), source }),
    }
}

/// Opens the database, and creates a SQLite file that does not exist.
pub async fn open_store(config: &Config) -> Result<Store, Failure> {
    match config.database()? {
        Database::Postgres(url) => Ok(PostgresStore::open(&url).await?.into()),
        Database::Sqlite(path) => {
            path.parent().map_or(Ok(()), make_folder)?;
            Ok(SqliteStore::open(&path)?.into())
        }
    }
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

/// Starts an engine on an open database.
pub fn start_engine(
    config: &Config,
    store: Store,
    simulator: Option<&Arc<Simulator>>,
) -> Result<Engine, Failure> {
    make_folder(&config.data)?;
    // A node without the simulator confirms and prints checkouts that other nodes took.
    let mut registry = Registry::new().with_payment_provider_elsewhere(simulator::NAME);
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
