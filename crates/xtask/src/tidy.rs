//! House rules that neither the formatter nor clippy can check.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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

/// Which crates of the workspace a crate may use outside of its tests.
const MAY_USE: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("store", &["domain"]),
    ("providers", &["domain"]),
    ("simulator", &["domain", "providers"]),
    ("engine", &["domain", "store", "providers"]),
    ("api", &["domain", "engine"]),
    ("server", &["domain", "engine", "api", "simulator"]),
];

/// Every crate whose use is restricted.
const CRATES: &[&str] = &[
    "domain",
    "store",
    "providers",
    "simulator",
    "engine",
    "api",
    "server",
    "testkit",
    "sim",
    "xtask",
];

/// Checks every rule and returns what breaks one, a line each.
pub fn run(root: &Path) -> Result<Vec<String>, String> {
    let files = tracked(root)?;
    let mut wrong = Vec::new();
    for file in &files {
        let Ok(text) = fs::read_to_string(root.join(file)) else { continue };
        check_text(file, &text, &mut wrong);
        if is(file, "md") {
            check_links(root, file, &text, &mut wrong);
        }
    }
    check_dependencies(root, &mut wrong);
    check_metrics(root, &files, &mut wrong);
    check_migrations(&files, &mut wrong);
    Ok(wrong)
}

/// The files that git tracks, and the new ones that it does not ignore.
fn tracked(root: &Path) -> Result<Vec<String>, String> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("git: {error}"))?;
    let list = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(list.lines().map(str::to_owned).collect())
}

fn is(file: &str, extension: &str) -> bool {
    Path::new(file).extension().is_some_and(|found| found == extension)
}

fn check_text(file: &str, text: &str, wrong: &mut Vec<String>) {
    let generated = is(file, "lock") || file == "LICENSE" || file.starts_with("openapi/");
    for (number, line) in text.lines().enumerate() {
        if let Some(word) = FOREIGN.iter().find(|word| line.contains(**word))
            && !generated
        {
            wrong.push(format!(
                "{file}:{}: names {word}, which means nothing to others",
                number + 1
            ));
        }
        if line.contains(concat!("#[ign", "ore")) {
            wrong.push(format!(
                "{file}:{}: an ignored test; assert what happens instead",
                number + 1
            ));
        }
    }
    let lines = text.lines().count();
    if is(file, "rs") && lines > LINES && !LONG_FILES.contains(&file) {
        wrong.push(format!("{file}: {lines} lines; {LINES} are the limit, split it"));
    }
}

/// Relative links lead somewhere.
fn check_links(root: &Path, file: &str, text: &str, wrong: &mut Vec<String>) {
    let folder = root.join(file).parent().map(Path::to_owned).unwrap_or_default();
    for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        let target = link.split('#').next().unwrap_or_default();
        let outside = target.is_empty() || target.contains("://") || target.starts_with("mailto:");
        if !outside && !folder.join(target).exists() {
            wrong.push(format!("{file}: the link to {target} leads nowhere"));
        }
    }
}

/// Dependencies point one way.
fn check_dependencies(root: &Path, wrong: &mut Vec<String>) {
    for (name, allowed) in MAY_USE {
        let path = PathBuf::from("crates").join(name).join("Cargo.toml");
        let Ok(text) = fs::read_to_string(root.join(&path)) else { continue };
        let normal = text.split("[dev-dependencies]").next().unwrap_or_default();
        for used in CRATES {
            let line = |line: &str| line.trim_start().starts_with(&format!("{used}.workspace"));
            if normal.lines().any(line) && !allowed.contains(used) {
                wrong.push(format!("{}: {name} must not depend on {used}", path.display()));
            }
        }
    }
}

/// Where people look metrics up.
const METRICS: &str = "docs/operations.md";

/// Every metric is described, and no page names one that is not there.
fn check_metrics(root: &Path, files: &[String], wrong: &mut Vec<String>) {
    let (mut counted, mut described) = (BTreeSet::new(), BTreeSet::new());
    for file in files {
        let Ok(text) = fs::read_to_string(root.join(file)) else { continue };
        let counts = file.starts_with("crates/") && !file.starts_with("crates/xtask/");
        if is(file, "rs") && counts && file.contains("/src/") {
            // A metric's name is a literal of its own.
            counted.extend(names(&text, "\"refundry_", '"').map(str::to_owned));
        }
        if is(file, "md") {
            for name in names(&text, "`refundry_", '`') {
                // What belongs to a summary.
                let name = name.trim_end_matches("_count").trim_end_matches("_sum");
                described.insert((name.to_owned(), file.clone()));
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
}

/// The words of small letters that stand between `begin` and `end`, from `refundry_` on.
fn names<'a>(text: &'a str, begin: &'a str, end: char) -> impl Iterator<Item = &'a str> {
    text.match_indices(begin).filter_map(move |(at, _)| {
        let name = text.get(at + 1..)?.split(end).next()?;
        name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_').then_some(name)
    })
}

/// Migrations are numbered from 1 without a gap, and each database has every one of them under the
/// same name, if only to say that it needs nothing there.
fn check_migrations(files: &[String], wrong: &mut Vec<String>) {
    const FOLDER: &str = "crates/store/migrations";
    let of = |database: &str| -> BTreeSet<&str> {
        let folder = format!("{FOLDER}/{database}/");
        files.iter().filter_map(|file| file.strip_prefix(&folder)).collect()
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
}
