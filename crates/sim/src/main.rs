//! `refundry-sim`: runs the simulation until so many refunds were asked for, and reports.

use sim::{History, run};
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

const USAGE: &str = "refundry-sim [--refunds N] [--seed S] [--per-run N]

  --refunds N   refunds to ask for in all (20000)
  --seed S      seed of the first run; each run takes the next one (1)
  --per-run N   refunds of one run (150)";

/// The place and the text of the last panic.
static LAST_PANIC: Mutex<String> = Mutex::new(String::new());

struct Arguments {
    refunds: usize,
    seed: u64,
    per_run: usize,
}

/// The sum of all runs.
#[derive(Default)]
struct Sum {
    runs: usize,
    requests: usize,
    refunds: usize,
    faults: BTreeMap<String, u64>,
    violations: Vec<(u64, String)>,
}

fn main() -> ExitCode {
    let arguments = match read(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    std::panic::set_hook(Box::new(|panic| {
        *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = panic.to_string();
    }));
    let sum = run_all(&arguments);
    print(&sum, &arguments);
    if sum.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn read(mut arguments: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut read = Arguments { refunds: 20_000, seed: 1, per_run: 150 };
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a number"))?;
        let number = || value.parse().map_err(|_| format!("{name} needs a number, not {value:?}"));
        match name.as_str() {
            "--refunds" => read.refunds = number()?,
            "--per-run" => read.per_run = number()?.max(1),
            "--seed" => {
                let seed = value.parse();
                read.seed = seed.map_err(|_| format!("{name} needs a number, not {value:?}"))?;
            }
            _ => return Err(format!("there is no option {name}")),
        }
    }
    Ok(read)
}

fn run_all(arguments: &Arguments) -> Sum {
    let mut sum = Sum::default();
    let mut seed = arguments.seed;
    while sum.requests < arguments.refunds {
        let left = arguments.refunds.saturating_sub(sum.requests);
        let refunds = arguments.per_run.min(left);
        match play(seed, refunds) {
            Ok(history) => {
                sum.requests += history.requests;
                sum.refunds += history.refunds.len();
                for (name, count) in history.faults {
                    *sum.faults.entry(name).or_default() += count;
                }
            }
            Err(why) => {
                eprintln!("{why}\n");
                sum.requests += refunds;
                sum.violations.push((seed, why));
            }
        }
        sum.runs += 1;
        seed = seed.wrapping_add(1);
    }
    sum
}

/// One run, or the check that failed in it.
fn play(seed: u64, refunds: usize) -> Result<History, String> {
    std::panic::catch_unwind(AssertUnwindSafe(|| run(seed, refunds)))
        .map_err(|_| LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner).clone())
}

fn print(sum: &Sum, arguments: &Arguments) {
    let first = arguments.seed;
    let last = first.saturating_add(u64::try_from(sum.runs).unwrap_or(0)).saturating_sub(1);
    for (name, count) in &sum.faults {
        println!("{count:>8}  {name}");
    }
    println!(
        "{:>8}  refunds asked for, in {} runs of seeds {first} to {last}",
        sum.requests, sum.runs
    );
    println!("{:>8}  refunds in the books", sum.refunds);
    println!("{:>8}  kinds of fault", sum.faults.len());
    println!("{:>8}  violations", sum.violations.len());
    for (seed, why) in &sum.violations {
        let first_line = why.lines().nth(1).or_else(|| why.lines().next()).unwrap_or_default();
        println!("          seed {seed}: {first_line}");
    }
}
