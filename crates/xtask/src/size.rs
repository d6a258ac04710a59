//! `cargo xtask size`: how large the crates and their functions are. Test modules do not count.

use crate::source::{Token, after_braces};
use crate::tidy;
use crate::tree::{Rust, Tree};
use std::collections::BTreeMap;
use std::fmt::Write;

/// How many of the longest files and functions are shown.
const SHOWN: usize = 5;

/// A function and its lines, signature and braces among them.
struct Function<'a> {
    name: &'a str,
    lines: usize,
}

/// The report, as text.
pub fn report(tree: &Tree) -> String {
    let rust = tree.rust();
    let files: Vec<&Rust> = rust.iter().filter(|rust| rust.is_production()).collect();
    let mut text = crates(&files);
    text += &functions(&files);
    text += &longest_files(&files);
    text + &format!("circles of imports: {}\n", tidy::circles(&rust))
}

fn lines(rust: &Rust) -> usize {
    rust.file.text.lines().count() - rust.source.test_lines
}

fn crates(files: &[&Rust]) -> String {
    let mut crates = BTreeMap::<&str, [usize; 2]>::new();
    let mut all = [0, 0];
    for rust in files {
        for sums in [crates.entry(rust.krate).or_default(), &mut all] {
            sums[0] += lines(rust);
            sums[1] += rust.file.text.lines().count();
        }
    }
    let rows = crates.iter().chain([(&"in all", &all)]);
    let head = "lines of crates/*/src, and with test modules\n".to_owned();
    rows.fold(head, |mut text, (name, [lines, with_tests])| {
        let _ = writeln!(text, "  {name:<10} {lines:>6} {with_tests:>6}");
        text
    })
}

fn functions(files: &[&Rust]) -> String {
    let mut all: Vec<(Function, &str)> = Vec::new();
    for rust in files {
        let functions = functions_of(&rust.source.code).into_iter();
        all.extend(functions.map(|function| (function, rust.file.path.as_str())));
    }
    all.sort_by_key(|(function, _)| function.lines);
    let at = |percent: usize| all.get((all.len() * percent / 100).min(all.len().saturating_sub(1)));
    let length = |percent| at(percent).map_or(0, |(function, _)| function.lines);
    let over = |limit| all.iter().filter(|(function, _)| function.lines > limit).count();
    let mut text = format!(
        "functions: {}, lines: median {}, p90 {}, p99 {}, over 40: {}, over 70: {}\n",
        all.len(),
        length(50),
        length(90),
        length(99),
        share(over(40), all.len()),
        share(over(70), all.len()),
    );
    for (function, file) in all.iter().rev().take(SHOWN) {
        let _ = writeln!(text, "  {:>6} {} in {file}", function.lines, function.name);
    }
    text
}

/// Per cent, with one decimal.
fn share(part: usize, all: usize) -> String {
    let per_mille = (part * 1000).checked_div(all).unwrap_or(0);
    format!("{part} ({}.{} %)", per_mille / 10, per_mille % 10)
}

/// Functions with a body. A function within another counts for both.
fn functions_of<'a>(code: &[Token<'a>]) -> Vec<Function<'a>> {
    let named = |at: &usize| code[*at].is("fn") && !code[*at + 1].is("(");
    let keywords = (0..code.len().saturating_sub(1)).filter(named);
    keywords.filter_map(|at| function(code, at)).collect()
}

fn function<'a>(code: &[Token<'a>], at: usize) -> Option<Function<'a>> {
    let mut depth = 0_usize;
    for open in at..code.len() {
        match code[open].text {
            "(" | "[" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            ";" if depth == 0 => return None,
            "{" if depth == 0 => {
                let end = code[after_braces(code, open) - 1].line;
                return Some(Function { name: code[at + 1].text, lines: end - code[at].line + 1 });
            }
            _ => {}
        }
    }
    None
}

fn longest_files(files: &[&Rust]) -> String {
    let mut all: Vec<(usize, &str)> =
        files.iter().map(|rust| (lines(rust), rust.file.path.as_str())).collect();
    all.sort_unstable();
    let rows = all.iter().rev().take(SHOWN);
    rows.fold("longest files\n".to_owned(), |mut text, (lines, file)| {
        let _ = writeln!(text, "  {lines:>6} {file}");
        text
    })
}
