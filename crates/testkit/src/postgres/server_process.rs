//! Runs servers that end with the test process.
//!
//! A server's data is in a temporary folder. The server runs under a shell that waits for the end
//! of the test process, however that ends, and then stops the server and removes the folder. Tests
//! need no cleanup of their own.

use crate::eventually;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Start of every script. `$folder` is the temporary folder, `$programs` the folder of PostgreSQL's
/// programs.
const PREAMBLE: &str = r#"
trap '' INT TERM HUP
programs=$1; folder=$2; shift 2
cd "$folder"
fail() {
    touch failed
    while read -r _; do :; done
    kill -KILL $one $two
    rm -rf "$folder"
    exit 1
}
make() {
    "$programs/initdb" --pgdata="$1" --username=refundry --auth=trust --encoding=UTF8 --locale=C \
        >log 2>&1 || fail
}
"#;

/// A shell that runs a script in a temporary folder. The script reads one command per line and adds
/// a line to the file `done` after each. Its input ends with the test process.
pub(super) struct ServerProcess {
    folder: PathBuf,
    shell: Mutex<Child>,
}

impl ServerProcess {
    pub(super) fn start<'a>(script: &str, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        // The path of a socket must be short.
        Self::start_under(Path::new("/tmp"), script, arguments)
    }

    pub(super) fn start_under<'a>(
        parent: &Path,
        script: &str,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let folder = tempfile::Builder::new().prefix("refundry-pg-").tempdir_in(parent);
        let folder = folder.expect("a folder").keep();
        let mut command = match unprivileged() {
            None => Command::new("sh"),
            Some((_, user, group)) => {
                chown(&folder, Some(user), Some(group)).expect("the folder gets its owner");
                let mut command = Command::new("setpriv");
                command.arg(format!("--reuid={user}")).arg(format!("--regid={group}")).args([
                    "--clear-groups",
                    "--",
                    "sh",
                ]);
                command
            }
        };
        let shell = command
            .args(["-c", &format!("{PREAMBLE}{script}"), "server-process"])
            .arg(programs())
            .arg(&folder)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        Self { folder, shell: Mutex::new(shell) }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Sends a command to the script and waits until it is done.
    pub(super) async fn send(&self, line: &str) {
        let done = || fs::read(self.folder.join("done")).map_or(0, |text| text.len());
        let before = done();
        {
            let mut shell = self.shell.lock().unwrap_or_else(PoisonError::into_inner);
            let input = shell.stdin.as_mut().expect("an open pipe");
            writeln!(input, "{line}").expect("the shell reads its input");
        }
        eventually(line, async || {
            self.check();
            (done() > before).then_some(())
        })
        .await;
    }

    /// The output of the servers.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Panics when the script has failed.
    pub(super) fn check(&self) {
        let failed = self.folder.join("failed").exists();
        assert!(!failed, "the server did not start: {}", self.log());
    }
}

/// The folder of `PostgreSQL`'s programs, from `PATH` or from the place where Debian installs them.
///
/// # Panics
/// When `PostgreSQL` is not installed.
pub fn programs() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    versions.sort();
    folders.extend(versions.into_iter().rev());
    let found = folders.into_iter().find(|folder| folder.join("initdb").is_file());
    let found = found.and_then(|folder| folder.join("initdb").canonicalize().ok());
    let found =
        found.expect("PostgreSQL is needed for these tests: scripts/install-tools installs it");
    // `initdb` may be a link; the other programs are beside the real file.
    found.parent().expect("a folder").to_owned()
}

/// The user that runs the server when this process is root: PostgreSQL refuses to run as root.
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
