//! `PgBouncer` in transaction mode in front of the server of this process.

use super::keeper::Keeper;
use super::{cluster, database_of, encoded};
use crate::eventually;
use std::path::Path;
use std::sync::OnceLock;

/// Fewer connections to a database than its clients have, so that they are shared; `$1` is the
/// folder of the server.
const SCRIPT: &str = r#"
cat >bouncer.ini <<END
[databases]
* = host=$1 user=refundry
[pgbouncer]
pool_mode = transaction
default_pool_size = 3
max_client_conn = 1000
server_idle_timeout = 2
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

/// The address of a database of this process's server through `PgBouncer`.
pub async fn through_pgbouncer(url: &str) -> String {
    static BOUNCER: OnceLock<Keeper> = OnceLock::new();
    let keeper = BOUNCER.get_or_init(|| {
        let server = cluster().folder().display().to_string();
        Keeper::start(SCRIPT, [server.as_str()])
    });
    let socket = |folder: &Path| folder.join(".s.PGSQL.6432");
    eventually("PgBouncer to start", async || {
        keeper.check();
        socket(keeper.folder()).exists().then_some(())
    })
    .await;
    format!(
        "postgres://refundry@{}:6432/{}?sslmode=disable&pgbouncer=true",
        encoded(keeper.folder()),
        database_of(url)
    )
}
