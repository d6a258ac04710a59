//! The benchmark of Refundry. `cargo xtask bench` builds and runs it. All figures come from one run
//! on one machine; the ratio of two figures is what can be compared between machines.

#![expect(clippy::float_arithmetic, reason = "a benchmark reports rates, ratios and percentiles")]

mod axum_only;
mod batches;
mod database;
mod fixture;
mod hanging;
mod in_process;
mod load;
mod measure;
mod open_loop;
mod over_http;
mod pg;
mod prefill;
mod process;
mod report;
mod run;
mod sink;
mod sqlite_only;
mod webhooks;
mod wrk;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "Measures Refundry.")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Measure everything in one run.
    Run(Run),
    /// Serve with axum alone. The benchmark starts this to compare Refundry with it.
    AxumOnly {
        /// Address to listen on
        #[arg(long)]
        listen: SocketAddr,
    },
}

#[derive(Args)]
struct Run {
    /// The server's binary
    #[arg(long)]
    server: PathBuf,
    /// File to write the figures to, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// One short round each and a smaller database: rough figures in a minute
    #[arg(long)]
    quick: bool,
    /// Points to measure. A ratio is printed when both of its figures were measured
    #[arg(
        long,
        value_name = "POINTS",
        value_delimiter = ',',
        default_value = "a,b,c,d,e,f,g,h,i,j"
    )]
    only: Vec<char>,
    /// Folder for the databases, on the disk to measure
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

fn main() -> Result<()> {
    match Cli::parse().task {
        Task::AxumOnly { listen } => axum_only::serve(listen),
        Task::Run(args) => measure_all(args),
    }
}

fn measure_all(args: Run) -> Result<()> {
    if let Some(unknown) = args.only.iter().find(|point| !('a'..='j').contains(*point)) {
        bail!("there is no point {unknown}: the points are a to j");
    }
    if args.only.contains(&'e') && !args.only.iter().any(|point| matches!(point, 'b' | 'd')) {
        bail!("point e repeats b and d on a full database: name one of them, too");
    }
    batches::listen()?;
    let under = args.dir.unwrap_or_else(|| run::beside(&args.server));
    let plan = run::Plan { binary: args.server, under, points: args.only, quick: args.quick };
    let report = run::run(&plan)?;
    println!("{}", report.table());
    match report.missed() {
        0 => println!("every target is reached"),
        1 => println!("1 target is missed"),
        missed => println!("{missed} targets are missed"),
    }
    if let Some(file) = args.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(&file, text + "\n").with_context(|| format!("{}", file.display()))?;
    }
    Ok(())
}
