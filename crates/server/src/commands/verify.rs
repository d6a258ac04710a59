//! `refundry verify`: derives every balance and the ledger again and compares them with the stored
//! ones.

use crate::cli::DataArgs;
use crate::config::Config;
use crate::{Failure, setup};
use std::process::ExitCode;

/// Prints every difference. Exits with 1 if there is one.
pub async fn run(args: &DataArgs) -> Result<ExitCode, Failure> {
    let config = Config::load(args, None)?;
    let report = setup::open_existing_store(&config).await?.verify().await?;
    for difference in &report.differences {
        println!("{difference}");
    }
    println!(
        "checked {} payments, {} refunds and {} transfers: {}",
        report.payments,
        report.refunds,
        report.transfers,
        match report.differences.len() {
            0 => "everything fits".to_owned(),
            1 => "1 difference".to_owned(),
            n => format!("{n} differences"),
        }
    );
    Ok(ExitCode::from(u8::from(!report.differences.is_empty())))
}
