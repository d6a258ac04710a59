//! Metrics and the page that describes them agree.

use crate::tree::Tree;
use std::collections::BTreeSet;

/// Where people look metrics up.
const METRICS: &str = "docs/operations.md";

/// Every metric is described, and no page names one that is not there.
pub fn check(tree: &Tree) -> Vec<String> {
    let mut wrong = Vec::new();
    let (mut counted, mut described) = (BTreeSet::new(), BTreeSet::new());
    for file in &tree.files {
        let (path, text) = (&file.path, file.text.as_str());
        let counts = path.starts_with("crates/") && !path.starts_with("crates/xtask/");
        if file.is("rs") && counts && path.contains("/src/") {
            // A metric's name is a literal of its own.
            counted.extend(names(text, "\"refundry_", '"').map(str::to_owned));
        }
        if file.is("md") {
            for name in names(text, "`refundry_", '`') {
                // The parts of a summary.
                let name = name.trim_end_matches("_count").trim_end_matches("_sum");
                described.insert((name.to_owned(), path.clone()));
            }
        }
    }
    for (name, file) in described.iter().filter(|(name, _)| !counted.contains(name)) {
        wrong.push(format!("{file}: there is no metric {name}"));
    }
    for name in counted {
        if !described.contains(&(name.clone(), METRICS.to_owned())) {
            wrong.push(format!("{METRICS}: the metric {name} is not described"));
        }
    }
    wrong
}

/// The words of small letters that stand between `begin` and `end`, from `refundry_` on.
fn names<'a>(text: &'a str, begin: &'a str, end: char) -> impl Iterator<Item = &'a str> {
    text.match_indices(begin).filter_map(move |(at, _)| {
        let name = text.get(at + 1..)?.split(end).next()?;
        name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_').then_some(name)
    })
}
