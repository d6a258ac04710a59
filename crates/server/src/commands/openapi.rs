//! `refundry openapi`: the OpenAPI document, as `/openapi.json` serves it.

use crate::Failure;
use std::io::Write as _;
use std::process::ExitCode;

/// Prints it.
pub fn run() -> Result<ExitCode, Failure> {
    let printed = std::io::stdout().write_all(api::openapi().as_bytes());
    printed.map_err(|source| Failure::File { path: "standard output".into(), source })?;
    Ok(ExitCode::SUCCESS)
}
