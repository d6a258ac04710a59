//! Both databases have the same migrations.

use crate::tree::Tree;
use std::collections::BTreeSet;

const FOLDER: &str = "crates/store/migrations";

/// Migrations are numbered from 1 without a gap, and each database has every one of them under the
/// same name, if only to say that it needs nothing there.
pub fn check(tree: &Tree) -> Vec<String> {
    let mut wrong = Vec::new();
    let of = |database: &str| -> BTreeSet<&str> {
        let folder = format!("{FOLDER}/{database}/");
        tree.files.iter().filter_map(|file| file.path.strip_prefix(&folder)).collect()
    };
    let (sqlite, postgres) = (of("sqlite"), of("postgres"));
    let number = |name: &&str| name.strip_prefix('V')?.split("__").next()?.parse().ok();
    let mut numbers: Vec<u32> = sqlite.iter().filter_map(number).collect();
    numbers.sort_unstable();
    if numbers.iter().copied().ne(1..=u32::try_from(numbers.len()).unwrap_or(0)) {
        wrong.push(format!("{FOLDER}/sqlite: numbers {numbers:?} have a gap or a twin"));
    }
    for alone in sqlite.symmetric_difference(&postgres) {
        wrong.push(format!("{FOLDER}: {alone} is there for one database only"));
    }
    wrong
}
