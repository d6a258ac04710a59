//! Which crate may use which. Dependencies of tests are free.

use crate::tree::Tree;

/// The crates of the workspace that each crate may use outside of its tests.
const MAY_USE: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("store", &["domain"]),
    ("providers", &["domain"]),
    ("simulator", &["domain", "providers"]),
    ("engine", &["domain", "store", "providers"]),
    ("api", &["domain", "engine"]),
    ("server", PRODUCTION),
    // Only for tests, tasks and measurements; no crate above uses one of these.
    ("testkit", PRODUCTION),
    ("sim", FOR_TESTS),
    ("bench", FOR_TESTS),
    ("xtask", &[]),
];

const PRODUCTION: &[&str] =
    &["domain", "store", "providers", "simulator", "engine", "api", "server"];
const FOR_TESTS: &[&str] =
    &["domain", "store", "providers", "simulator", "engine", "api", "server", "testkit"];

/// Every dependency that points the wrong way.
pub fn check(tree: &Tree) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in &tree.files {
        let Some(folder) = file.path.strip_suffix("/Cargo.toml") else { continue };
        let name = folder.strip_prefix("crates/").unwrap_or(folder);
        match MAY_USE.iter().find(|(known, _)| *known == name) {
            Some((_, allowed)) => {
                for used in used(&file.text).filter(|used| !allowed.contains(used)) {
                    wrong.push(format!("{}: {name} must not depend on {used}", file.path));
                }
            }
            None => wrong.push(format!("{}: {name} is not in the table of crates", file.path)),
        }
    }
    wrong
}

/// The crates of the workspace among the dependencies that are not for tests.
fn used(manifest: &str) -> impl Iterator<Item = &'static str> {
    let mut normal = false;
    let mut names = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            normal = line.contains("dependencies") && !line.contains("dev-dependencies");
            // `[dependencies.store]`
            names.extend(line.trim_end_matches(']').rsplit('.').next().filter(|_| normal));
        } else if normal {
            names.extend(line.split(['.', ' ', '=']).next());
        }
    }
    let used =
        move |name: &&str| names.iter().any(|found| found.trim_start_matches("refundry-") == *name);
    MAY_USE.iter().map(|(name, _)| *name).filter(used)
}
