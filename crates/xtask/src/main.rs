//! `cargo xtask`: reads which task to run and prints its result.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use xtask::tree::Tree;
use xtask::{bench, sim, size, tidy};

const USAGE: &str = "\
cargo xtask tidy            house rules: who imports whom, circles, English, file lengths, links
cargo xtask tidy --count    lowers the lists of exceptions to today's counts; fills a missing list
cargo xtask size            lines per crate, lengths of functions and files, import circles
cargo xtask bench           measures, as ratios within one run; --help after it shows its options
cargo xtask sim             faults at random, from a seed: --refunds N --seed S";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((task, rest)) = arguments.split_first() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let done = match (task.as_str(), rest) {
        ("tidy", []) => check(),
        ("tidy", [option]) if option == "--count" => tidy::count(&root()),
        ("size", []) => Tree::read(&root()).map(|tree| print!("{}", size::report(&tree))),
        ("bench", rest) => bench::run(&root(), rest),
        ("sim", rest) => sim::run(&root(), rest),
        _ => Err(format!("there is no task `{}`\n{USAGE}", arguments.join(" "))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn check() -> Result<(), String> {
    let wrong = tidy::check(&Tree::read(&root())?);
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// The repository.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}
