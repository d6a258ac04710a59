//! A `PostgreSQL` server of the tests' own: one per test process, one database per test.
//!
//! The server lives in a temporary folder and listens on a socket in it. It runs under a shell that
//! waits for the test process to be gone, however it goes, and then stops the server and removes the
//! folder; no test has to do that, and none can fail to.

use crate::eventually;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};
use store::PostgresStore;
use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls};

/// Runs a server until its standard input ends; at each line of it, the server is killed and started
/// again. `$1` is the folder of the programs, `$2` ours.
const KEEPER: &str = r#"
trap '' INT TERM HUP
cd "$2"
"$1/initdb" --pgdata="$2/data" --username=refundry --auth=trust --encoding=UTF8 --locale=C \
    >"$2/log" 2>&1 || exit 1
start() {
    "$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c max_connections=250 \
        >>"$2/log" 2>&1 </dev/null &
    server=$!
}
start "$@"
while read -r _; do
    kill -KILL $server
    wait $server
    # What is left of it must be gone before another one starts.
    until start "$@"; sleep 0.3; kill -0 $server; do :; done 2>/dev/null
    echo again >>"$2/restarts"
done
kill -QUIT $server
wait $server
rm -rf "$2"
"#;

/// The server of this process.
pub struct Cluster {
    folder: PathBuf,
    databases: AtomicU32,
    template: OnceCell<()>,
    /// Ends with this process, and so does its standard input.
    keeper: Mutex<Child>,
}

/// The server of this process, started when it is first asked for.
pub fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::start)
}

/// The folder of `initdb` and `postgres`: out of PATH, or where Debian puts them.
///
/// # Panics
/// When there is none.
pub fn programs() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    versions.sort();
    folders.extend(versions.into_iter().rev());
    let found = folders.into_iter().find(|folder| folder.join("initdb").is_file());
    found.expect("PostgreSQL is needed for these tests: scripts/install-tools installs it")
}

/// Who runs the server, when this process is root, as whom it refuses to run.
fn unprivileged() -> Option<(String, u32, u32)> {
    let own = fs::metadata("/proc/self").expect("/proc");
    if own.uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("a list of users");
    let find = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2).map(str::parse);
        Some((name.to_owned(), fields.next()?.ok()?, fields.next()?.ok()?))
    };
    Some(find("postgres").or_else(|| find("nobody")).expect("an unprivileged user"))
}

impl Cluster {
    /// Starts a server besides that of this process, for a test that is rough with it.
    pub fn start() -> Self {
        Self::start_under(Path::new("/tmp"))
    }

    /// The same with its folder on a disk that is chosen. The path must be short, since that of a
    /// socket is, and open to the user as whom the server runs.
    pub fn start_under(parent: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("refundry-pg-").tempdir_in(parent);
        let folder = folder.expect("a folder").keep();
        let mut command = match unprivileged() {
            None => Command::new("sh"),
            Some((_, user, group)) => {
                chown(&folder, Some(user), Some(group)).expect("the folder is given away");
                let mut command = Command::new("setpriv");
                command.arg(format!("--reuid={user}")).arg(format!("--regid={group}")).args([
                    "--clear-groups",
                    "--",
                    "sh",
                ]);
                command
            }
        };
        let keeper = command
            .args(["-c", KEEPER, "keeper"])
            .arg(programs())
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        Self {
            folder,
            databases: AtomicU32::new(0),
            template: OnceCell::new(),
            keeper: Mutex::new(keeper),
        }
    }

    /// `kill -9`, and a new start.
    pub async fn kill_and_restart(&self) {
        let restarts = || fs::read(self.folder.join("restarts")).map_or(0, |text| text.len());
        let before = restarts();
        self.tell_keeper();
        eventually("PostgreSQL to start again", async || (restarts() > before).then_some(())).await;
    }

    fn tell_keeper(&self) {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        let input = keeper.stdin.as_mut().expect("an open pipe");
        input.write_all(b"again\n").expect("the keeper listens");
    }

    /// The folder of the server.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The address of a database of this server.
    pub fn url(&self, database: &str) -> String {
        let socket = self.folder.display().to_string().replace('/', "%2F");
        format!("postgres://refundry@{socket}/{database}?sslmode=disable")
    }

    /// A connection, as soon as there is a server.
    async fn connect(&self, database: &str) -> Client {
        let url = self.url(database);
        eventually("PostgreSQL to start", async || {
            self.check_keeper();
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await.ok()?;
            tokio::spawn(connection);
            Some(client)
        })
        .await
    }

    fn check_keeper(&self) {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(Some(status)) = keeper.try_wait() {
            let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            panic!("PostgreSQL did not start, {status}: {log}");
        }
    }

    /// A new database without anything in it. Gives its address.
    pub async fn empty_database(&self) -> String {
        self.create("template0").await
    }

    /// A new database with the schema of today. Gives its address.
    pub async fn database(&self) -> String {
        let prepare = async {
            let client = self.connect("postgres").await;
            client.batch_execute("CREATE DATABASE prepared").await.expect("a database");
            PostgresStore::open(&self.url("prepared")).await.expect("the schema is made");
        };
        self.template.get_or_init(|| prepare).await;
        self.create("prepared").await
    }

    async fn create(&self, template: &str) -> String {
        let number = self.databases.fetch_add(1, Ordering::SeqCst);
        let name = format!("test_{number}");
        let client = self.connect("postgres").await;
        let create = format!("CREATE DATABASE {name} TEMPLATE {template}");
        // Whoever made the template may not be gone yet.
        eventually("a database", async || client.batch_execute(&create).await.ok()).await;
        self.url(&name)
    }
}

/// A connection of a second process, which blocks whoever uses it.
pub struct Outsider {
    statements: mpsc::Sender<String>,
    answers: mpsc::Receiver<Result<u64, String>>,
}

impl Outsider {
    /// Connects.
    pub fn connect(url: &str) -> Self {
        let (statements, inbox) = mpsc::channel::<String>();
        let (outbox, answers) = mpsc::channel();
        let url = url.to_owned();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime");
            let (client, connection) =
                runtime.block_on(tokio_postgres::connect(&url, NoTls)).expect("a connection");
            let connection = runtime.spawn(connection);
            while let Ok(sql) = inbox.recv() {
                let done = runtime.block_on(client.simple_query(&sql));
                let rows = |messages: Vec<_>| {
                    messages
                        .iter()
                        .map(|message| match message {
                            tokio_postgres::SimpleQueryMessage::CommandComplete(rows) => *rows,
                            _ => 0,
                        })
                        .sum()
                };
                if outbox.send(done.map(rows).map_err(|error| format!("{error:?}"))).is_err() {
                    break;
                }
            }
            connection.abort();
        });
        Self { statements, answers }
    }

    /// Runs SQL, and gives how many rows it changed.
    pub fn run(&self, sql: &str) -> u64 {
        self.statements.send(sql.to_owned()).expect("the connection lives");
        let answer = self.answers.recv_timeout(crate::LIMIT).expect("an answer");
        answer.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }
}
