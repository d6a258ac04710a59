//! The worked example of CONTRIBUTING.md still fits the tree.

use std::path::Path;
use std::process::Command;

const PATCH: &str = include_str!("fixtures/add-a-column.patch");

/// The files of the example. The number of the migration is left open.
const FILES: &[&str] = &[
    "crates/api/src/doors/native/refunds/wire.rs",
    "crates/domain/src/refund/mod.rs",
    "crates/store/migrations/postgres/VN__acquirer_reference.sql",
    "crates/store/migrations/sqlite/VN__acquirer_reference.sql",
    "crates/store/src/tables/refunds.rs",
];

#[test]
fn a_column_on_refunds_touches_five_files() {
    let files: Vec<_> = PATCH.lines().filter_map(|line| line.strip_prefix("+++ b/")).collect();
    assert_eq!(files, FILES);
}

#[test]
fn the_example_applies_to_the_tree() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let fixture = "crates/xtask/tests/fixtures/add-a-column.patch";
    let git = Command::new("git").args(["apply", "--check", fixture]).current_dir(root).output();
    let output = git.expect("git");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "make the example anew as CONTRIBUTING.md says: {error}");
}
