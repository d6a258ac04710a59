//! Every source file of a crate has a header, and no file has too many lines, a path of one machine, an ignored test or a dead link.

use crate::tree::{File, Tree};
use std::path::{Component, Path, PathBuf};

/// Lines that a source file may have. A file that passes this is usually two things.
const LINES: usize = 600;

/// Files that may be longer. This list may only shrink.
const LONG_FILES: &[&str] = &[];

/// Words that say where something was written instead of what it is.
const FOREIGN: &[&str] = &[
    concat!("/wor", "k/"),
    concat!("/roo", "t/"),
    concat!("/tmp/bash", "_jobs"),
    concat!("crates", ".io/"),
    concat!("pypi", ".org"),
    concat!("registry.npmjs", ".org"),
    concat!("proxy.golang", ".org"),
    concat!("deb.debian", ".org"),
];

/// Every file that breaks one of these rules.
pub fn check(tree: &Tree) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in &tree.files {
        check_words(file, &mut wrong);
        let lines = file.text.lines().count();
        let path = &file.path;
        if file.is("rs") && lines > LINES && !LONG_FILES.contains(&path.as_str()) {
            wrong.push(format!("{path}: {lines} lines; {LINES} are the limit, split it"));
        }
        if file.is("rs") && path.starts_with("crates/") && path.contains("/src/") {
            check_header(file, &mut wrong);
        }
        if file.is("md") {
            check_links(tree, file, &mut wrong);
        }
    }
    wrong
}

fn check_header(file: &File, wrong: &mut Vec<String>) {
    if !file.text.lines().any(|line| line.starts_with("//!")) {
        wrong.push(format!("{}:1: the file has no header (`//!`)", file.path));
    }
}

fn check_words(file: &File, wrong: &mut Vec<String>) {
    let path = &file.path;
    let generated = file.is("lock") || path == "LICENSE" || path.starts_with("openapi/");
    for (at, line) in file.text.lines().enumerate() {
        let number = at + 1;
        let foreign = FOREIGN.iter().find(|word| line.contains(**word));
        if let Some(word) = foreign.filter(|_| !generated) {
            wrong.push(format!("{path}:{number}: names {word}, which means nothing to others"));
        }
        if line.contains(concat!("#[ign", "ore")) {
            wrong.push(format!("{path}:{number}: an ignored test; assert what happens instead"));
        }
    }
}

/// Relative links lead to a file or a folder of the tree.
fn check_links(tree: &Tree, page: &File, wrong: &mut Vec<String>) {
    for link in page.text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        let target = link.split('#').next().unwrap_or_default();
        let outside = target.is_empty() || target.contains("://") || target.starts_with("mailto:");
        let path = join(&page.path, target);
        if !outside && !tree.files.iter().any(|file| Path::new(&file.path).starts_with(&path)) {
            wrong.push(format!("{}: the link to {target} leads nowhere", page.path));
        }
    }
}

/// Where a link on a page leads.
fn join(page: &str, target: &str) -> PathBuf {
    let mut path = Path::new(page).parent().map(Path::to_owned).unwrap_or_default();
    for part in Path::new(target).components() {
        match part {
            Component::ParentDir => {
                path.pop();
            }
            Component::Normal(name) => path.push(name),
            Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
        }
    }
    path
}
