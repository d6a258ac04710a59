//! House rules that neither the formatter nor clippy can check, a file each.
//!
//! Rules that the tree does not keep everywhere have a list in `crates/xtask/exceptions/`, which may
//! only shrink ([`exceptions`]).

mod circles;
mod crates;
mod english;
mod exceptions;
mod metrics;
mod migrations;
mod modules;
mod paths;
mod text;

use crate::tree::{Rust, Tree};
use exceptions::{Found, List, Names};
use modules::Modules;
use std::fs;
use std::path::Path;

/// Where the lists of exceptions are.
const LISTS: &str = "crates/xtask/exceptions";

/// A place that breaks a rule.
struct Finding {
    file: String,
    message: String,
}

fn finding(file: &str, line: usize, text: &str) -> Finding {
    Finding { file: file.to_owned(), message: format!("{file}:{line}: {text}") }
}

/// Everything that breaks a rule, a line each.
pub fn check(tree: &Tree) -> Vec<String> {
    let mut wrong = text::check(tree);
    wrong.extend(crates::check(tree));
    wrong.extend(metrics::check(tree));
    wrong.extend(migrations::check(tree));
    wrong.extend(lists(tree).iter().flat_map(List::check));
    wrong
}

/// Lowers the lists of exceptions in the repository at `root` to what its files need.
pub fn count(root: &Path) -> Result<(), String> {
    for (path, text) in shrunk(&Tree::read(root)?) {
        fs::write(root.join(&path), text).map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(())
}

/// The lists of exceptions as they should be: path and content.
pub fn shrunk(tree: &Tree) -> Vec<(String, String)> {
    lists(tree).iter().map(|list| (list.path.clone(), list.shrunk())).collect()
}

/// How many circles of imports the tree has.
pub fn circles(files: &[Rust]) -> usize {
    circles::find(&Modules::of(files)).len()
}

/// The rules that have exceptions, checked.
fn lists(tree: &Tree) -> Vec<List<'_>> {
    let rust = tree.rust();
    let modules = Modules::of(&rust);
    let pages = tree.files.iter().filter(|file| file.is("md")).flat_map(english::check_page);
    let comments = rust.iter().flat_map(english::check_comments);
    vec![
        list(tree, "paths", Names::Files, by_file(paths::check(&modules))),
        list(tree, "circles", Names::Circles, circles::find(&modules)),
        list(tree, "english", Names::Files, by_file(pages.chain(comments))),
    ]
}

fn list<'a>(tree: &'a Tree, rule: &str, names: Names, found: Found) -> List<'a> {
    let path = format!("{LISTS}/{rule}.txt");
    List { text: tree.text(&path), path, found, names }
}

fn by_file(findings: impl IntoIterator<Item = Finding>) -> Found {
    let mut found = Found::new();
    for Finding { file, message } in findings {
        found.entry(file).or_default().push(message);
    }
    found
}
