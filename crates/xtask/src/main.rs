//! Repository tasks.

mod bench;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask tidy     house rules: file lengths, links, dependencies, migrations
cargo xtask bench    measures, as ratios within one run; --help after it shows its options";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((task, rest)) = arguments.split_first() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let done = match task.as_str() {
        "tidy" => tidy(),
        "bench" => bench::run(&root(), rest),
        unknown => Err(format!("there is no task {unknown}\n{USAGE}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn tidy() -> Result<(), String> {
    let wrong = tidy::run(&root())?;
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// The repository.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}
