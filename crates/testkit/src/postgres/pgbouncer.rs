//! `PgBouncer` in transaction mode in front of a server.

use super::server_process::ServerProcess;
use super::{Cluster, cluster, database_of, encoded};
use crate::eventually;
use tokio::sync::OnceCell;

/// Allows fewer connections to a database than its clients have, so that clients share them. `$1`
/// is the folder of the server.
const SCRIPT: &str = r#"
cat >bouncer.ini <<END
[databases]
* = host=$1 user=refundry
[pgbouncer]
pool_mode = transaction
default_pool_size = 3
max_client_conn = 1000
server_idle_timeout = 2
server_login_retry = 1
query_wait_timeout = 10
unix_socket_dir = $folder
listen_port = 6432
auth_type = any
END
PATH=$PATH:/usr/sbin
pgbouncer bouncer.ini >>"$folder/log" 2>&1 </dev/null &
one=$!
sleep 0.2
kill -0 $one || fail
while read -r _; do :; done
kill -KILL $one
rm -rf "$folder"
"#;

pub struct PgBouncer(ServerProcess);

impl PgBouncer {
    pub async fn start(server: &Cluster) -> Self {
        let folder = server.folder().display().to_string();
        let process = ServerProcess::start(SCRIPT, [folder.as_str()]);
        let socket = process.folder().join(".s.PGSQL.6432");
        eventually("PgBouncer to start", async || {
            process.check();
            socket.exists().then_some(())
        })
        .await;
        Self(process)
    }

    /// The URL through `PgBouncer` for a database of the server.
    pub fn url(&self, url: &str) -> String {
        let (folder, name) = (encoded(self.0.folder()), database_of(url));
        let settings = "sslmode=disable&pgbouncer=true&connect_timeout=15";
        format!("postgres://refundry@{folder}:6432/{name}?{settings}")
    }
}

/// The `PgBouncer` in front of the server of this test process.
pub async fn pgbouncer() -> &'static PgBouncer {
    static BOUNCER: OnceCell<PgBouncer> = OnceCell::const_new();
    BOUNCER.get_or_init(|| PgBouncer::start(cluster())).await
}
