//! `refundry backup`: copies the database while the server runs.

use crate::cli::Backup;
use crate::config::Config;
use crate::{Failure, setup};
use std::process::ExitCode;

/// Copies the database into a new file.
pub async fn run(args: &Backup) -> Result<ExitCode, Failure> {
    let config = Config::load(&args.data, None)?;
    setup::open_existing_store(&config).await?.backup(&args.file).await?;
    println!("copied the database to {}", args.file.display());
    println!("keep the master key with it: without it the signing secrets cannot be read");
    Ok(ExitCode::SUCCESS)
}
