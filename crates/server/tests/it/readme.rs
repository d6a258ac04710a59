//! Runs the commands of the README in order, unchanged.

use crate::harness::{eventually, free_port};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The shell blocks of the README up to the section on running a real server.
fn blocks(readme: &str) -> Vec<String> {
    let tried = readme.split("\n## Run it").next().expect("a first part");
    tried
        .split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().expect("a closed block").to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_readme_run() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let readme = std::fs::read_to_string(format!("{root}/README.md")).unwrap();
    let blocks = blocks(&readme);
    assert_eq!(blocks[0].trim(), "make run");
    assert_eq!(blocks[2].trim(), "make test");

    // Runs the first block on a free port, in a new folder, with the binary under test.
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("refundry-data");
    let port = free_port();
    let mut server = Command::new("make")
        .args(["--no-print-directory", "-C", root, "run"])
        .env("REFUNDRY_PROFILE", "dev")
        .env("REFUNDRY_LISTEN", format!("127.0.0.1:{port}"))
        .env("REFUNDRY_DATA", &data)
        .stdout(Stdio::null())
        .spawn()
        .expect("make runs");
    eventually("the demo", Duration::from_mins(5), async || {
        assert!(server.try_wait().expect("wait").is_none(), "make run ended");
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    })
    .await;

    let script = format!("set -euo pipefail\n{}", blocks[1])
        .replace("127.0.0.1:8080", &format!("127.0.0.1:{port}"));
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(folder.path())
        .output()
        .expect("bash runs");
    let _ = Command::new("pkill").args(["-TERM", "-P", &server.id().to_string()]).status();
    let _ = Command::new("pkill").args(["-TERM", "-f", &format!("{}", data.display())]).status();
    let _ = server.wait();

    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    let lines: Vec<&str> = text.lines().collect();
    assert!(text.contains("\"status\": \"succeeded\""), "{text}");
    let made = lines.iter().find_map(|line| line.trim().strip_prefix("\"id\": ")).expect("an id");
    let again = made.trim_end_matches(',');
    assert!(lines.contains(&again), "the repeated request returns {again}: {text}");
    assert!(lines.contains(&"6500"), "what remains: {text}");
}
