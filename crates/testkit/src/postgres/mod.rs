//! Starts `PostgreSQL` for tests: one server per test process, one database per test. Also starts a
//! standby, a network with faults and `PgBouncer`.

mod blocking_session;
mod pgbouncer;
mod proxy;
mod replicated_pair;
mod server_process;

pub use blocking_session::BlockingSession;
pub use pgbouncer::{PgBouncer, pgbouncer};
pub use proxy::{Fault, Proxy};
pub use replicated_pair::{ReplicatedPair, Role};
pub use server_process::programs;

use crate::eventually;
use server_process::ServerProcess;
use std::net::TcpListener;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use store::PostgresStore;
use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls};

/// Runs `$1`, then a server with the settings in its other arguments. Each line of input kills the
/// server and starts it again.
const SERVER: &str = r#"
make "$folder/data"
eval "$1" >>"$folder/log" 2>&1 || fail
shift
start() {
    "$programs/postgres" -D "$folder/data" -k "$folder" -c max_connections=250 "$@" \
        >>"$folder/log" 2>&1 </dev/null &
    one=$!
}
start "$@"
while read -r _; do
    kill -KILL $one
    wait $one
    # A server cannot start before all processes of the killed one have ended.
    until start "$@"; sleep 0.3; kill -0 $one; do :; done 2>/dev/null
    echo again >>"$folder/done"
done
kill -QUIT $one
wait $one
rm -rf "$folder"
"#;

pub struct Cluster {
    process: ServerProcess,
    port: u16,
    databases: AtomicU32,
    template: OnceCell<()>,
}

/// The server of this test process, started on the first call.
pub fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::start)
}

impl Cluster {
    /// Starts another server, for a test that kills it or changes its settings.
    pub fn start() -> Self {
        Self::start_with("", 5432, &["listen_addresses="])
    }

    /// Starts another server with default settings and its data under `parent`. The path must be
    /// short, since it becomes part of a socket's path, and the user that runs the server must have
    /// access.
    pub fn start_under(parent: &Path) -> Self {
        let settings = ["", "-c", "listen_addresses="];
        Self::with_process(ServerProcess::start_under(parent, SERVER, settings), 5432)
    }

    /// Starts another server with settings of its own. A shell runs `prepare` in the server's
    /// folder first.
    pub fn start_with(prepare: &str, port: u16, settings: &[&str]) -> Self {
        let own = format!("port={port}");
        let settings = settings.iter().copied().chain([own.as_str()]);
        let settings = settings.flat_map(|setting| ["-c", setting]);
        let process = ServerProcess::start(SERVER, [prepare].into_iter().chain(settings));
        Self::with_process(process, port)
    }

    fn with_process(process: ServerProcess, port: u16) -> Self {
        Self { process, port, databases: AtomicU32::new(0), template: OnceCell::new() }
    }

    /// Kills the server with `kill -9` and starts it again.
    pub async fn kill_and_restart(&self) {
        self.process.send("again").await;
    }

    /// The folder of the server, which contains its socket.
    pub fn folder(&self) -> &Path {
        self.process.folder()
    }

    /// The URL of a database of this server.
    pub fn url(&self, database: &str) -> String {
        let folder = encoded(self.folder());
        format!("postgres://refundry@{folder}:{}/{database}?sslmode=disable", self.port)
    }

    /// Connects as soon as the server accepts connections.
    async fn connect(&self, database: &str) -> Client {
        let url = self.url(database);
        eventually("PostgreSQL to start", async || {
            self.process.check();
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await.ok()?;
            tokio::spawn(connection);
            Some(client)
        })
        .await
    }

    /// Creates an empty database and returns its URL.
    pub async fn empty_database(&self) -> String {
        self.create("template0").await
    }

    /// Creates a database with the current schema and returns its URL.
    pub async fn database(&self) -> String {
        let prepare = async {
            let client = self.connect("postgres").await;
            client.batch_execute("CREATE DATABASE prepared").await.expect("a database");
            PostgresStore::open(&self.url("prepared")).await.expect("the schema is made");
        };
        self.template.get_or_init(|| prepare).await;
        self.create("prepared").await
    }

    /// Copies the database at `url`, which nobody uses, and returns the URL of the copy.
    pub async fn copy_of(&self, url: &str) -> String {
        self.create(database_of(url)).await
    }

    async fn create(&self, template: &str) -> String {
        let number = self.databases.fetch_add(1, Ordering::SeqCst);
        let name = format!("test_{number}");
        let client = self.connect("postgres").await;
        let create = format!("CREATE DATABASE {name} TEMPLATE {template}");
        // The connection that made the template may not be closed yet.
        eventually("a database", async || client.batch_execute(&create).await.ok()).await;
        self.url(&name)
    }
}

/// Encodes a folder as the host of a URL.
fn encoded(folder: &Path) -> String {
    folder.display().to_string().replace('/', "%2F")
}

/// The name of the database in the URL.
pub fn database_of(url: &str) -> &str {
    let name = url.split('/').next_back().and_then(|rest| rest.split('?').next());
    name.expect("a database")
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}
