//! A primary and its synchronous standby, each on its own port.

use super::server_process::ServerProcess;
use super::{BlockingSession, free_port};
use crate::eventually;
use tokio_postgres::NoTls;

/// `$1` and `$2` are the ports. Each line of input is a command and the server that it is for.
const SCRIPT: &str = r#"
make "$folder/one"
for which in one two; do mkdir "$folder/$which.sock"; done
echo "host replication all 127.0.0.1/32 trust" >>"$folder/one/pg_hba.conf"
start() {
    which=$1; port=$2; shift 2
    "$programs/postgres" -D "$folder/$which" -k "$folder/$which.sock" -c port=$port \
        -c listen_addresses=127.0.0.1 -c max_connections=100 -c wal_keep_size=64 "$@" \
        >>"$folder/log" 2>&1 </dev/null &
}
start one $1 -c synchronous_standby_names=standby
one=$!
tries=0
until "$programs/pg_basebackup" --pgdata="$folder/two" --checkpoint=fast --write-recovery-conf \
    --dbname="host=127.0.0.1 port=$1 user=refundry application_name=standby" \
    >>"$folder/log" 2>&1; do
    sleep 0.1
    tries=$((tries + 1))
    [ $tries -lt 100 ] || fail
done
start two $2
two=$!
while read -r what which; do
    case $which in
        Primary) postgres=$one ;;
        Standby) postgres=$two ;;
    esac
    case $what in
        kill) kill -KILL $postgres; wait $postgres ;;
        promote) "$programs/pg_ctl" --pgdata="$folder/two" promote >>"$folder/log" 2>&1 ;;
        freeze) kill -STOP $postgres $(cat /proc/$postgres/task/$postgres/children) ;;
        thaw) kill -CONT $postgres $(cat /proc/$postgres/task/$postgres/children) ;;
    esac
    echo "$what" >>"$folder/done"
done
kill -CONT $one $two
kill -QUIT $one $two
wait
rm -rf "$folder"
"#;

/// A primary, and a standby that follows the primary.
pub struct ReplicatedPair {
    process: ServerProcess,
    ports: [u16; 2],
}

impl ReplicatedPair {
    /// Starts both servers and creates a database.
    pub async fn start() -> Self {
        let ports = [free_port(), free_port()];
        let process = ServerProcess::start(
            SCRIPT,
            ports.map(|port| port.to_string()).each_ref().map(String::as_str),
        );
        let pair = Self { process, ports };
        eventually("a standby that follows the primary", async || {
            pair.process.check();
            let url = pair.url_of(0, "postgres");
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await.ok()?;
            tokio::spawn(connection);
            let following = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'";
            (client.query(following, &[]).await.ok()?.len() == 1).then_some(())
        })
        .await;
        BlockingSession::connect(&pair.url_of(0, "postgres")).run("CREATE DATABASE refundry");
        pair
    }

    fn url_of(&self, which: usize, database: &str) -> String {
        format!("postgres://refundry@127.0.0.1:{}/{database}?sslmode=disable", self.ports[which])
    }

    /// A URL that names both servers.
    pub fn url(&self) -> String {
        let [one, two] = self.ports;
        format!("postgres://refundry@127.0.0.1:{one},127.0.0.1:{two}/refundry?sslmode=disable")
    }

    /// The log of both servers.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Kills the first primary with `kill -9`.
    pub async fn kill_primary(&self) {
        self.process.send("kill Primary").await;
    }

    pub async fn promote_standby(&self) {
        self.process.send("promote Standby").await;
    }

    /// Stops the processes of a server with SIGSTOP; its connections stay open.
    pub async fn freeze(&self, role: Role) {
        self.process.send(&format!("freeze {role:?}")).await;
    }

    /// Lets the stopped processes continue.
    pub async fn thaw(&self, role: Role) {
        self.process.send(&format!("thaw {role:?}")).await;
    }
}

/// A server of the pair, named after its first role. The script knows the servers by these names.
#[derive(Clone, Copy, Debug)]
pub enum Role {
    Primary,
    Standby,
}
