//! `refundry migrate-store`: copies a SQLite database into PostgreSQL.

use crate::Failure;
use crate::cli::MigrateStore;
use crate::config::Database;
use engine::{Copied, PostgresStore};
use indicatif::{ProgressBar, ProgressStyle};
use std::process::ExitCode;

/// Copies every table and verifies the copy. Exits with 1 if anything differs.
pub async fn run(args: &MigrateStore) -> Result<ExitCode, Failure> {
    let wrong = |text: &str| Failure::Usage(text.to_owned());
    let Database::Sqlite(file) = Database::parse(&args.from)? else {
        return Err(wrong("--from must be sqlite:FILE"));
    };
    let Database::Postgres(url) = Database::parse(&args.to)? else {
        return Err(wrong("--to must be postgres://USER:PASSWORD@HOST/DATABASE"));
    };
    if !file.is_file() {
        return Err(Failure::Usage(format!("--from: there is no file {}", file.display())));
    }
    // The bar is hidden unless standard error is a terminal.
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{msg:20} {wide_bar} {pos}/{len} {elapsed}") {
        bar.set_style(style);
    }
    let mut rows = std::collections::BTreeMap::new();
    let report = PostgresStore::copy_from(&url, &file, None, |copied: Copied<'_>| {
        rows.insert(copied.table.to_owned(), copied.of);
        bar.set_message(copied.table.to_owned());
        bar.set_length(copied.of);
        bar.set_position(copied.rows);
    })
    .await;
    bar.finish_and_clear();
    let report = report?;
    for difference in &report.differences {
        println!("{difference}");
    }
    if !report.differences.is_empty() {
        println!("the copy differs and cannot be used: verify the file first");
        return Ok(ExitCode::FAILURE);
    }
    println!(
        "copied {} rows of {} tables; everything fits",
        rows.values().sum::<u64>(),
        rows.len()
    );
    println!("the database needs the master key of the file: copy it to every node");
    Ok(ExitCode::SUCCESS)
}
