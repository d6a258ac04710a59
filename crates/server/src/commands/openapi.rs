//! `refundry openapi`: prints an OpenAPI document, as `/openapi.json` and `/openapi/{door}.json`
//! serve it.

use crate::Failure;
use crate::cli::Openapi;
use std::io::Write as _;
use std::process::ExitCode;

pub fn run(args: &Openapi) -> Result<ExitCode, Failure> {
    let Some((_, text)) = api::openapi().find(|(name, _)| *name == args.door) else {
        let known = api::openapi().map(|(name, _)| name).collect::<Vec<_>>().join(", ");
        let door = &args.door;
        return Err(Failure::Usage(format!("there is no document {door:?}; there are {known}")));
    };
    let printed = std::io::stdout().write_all(text.as_bytes());
    printed.map_err(|source| Failure::File { path: "standard output".into(), source })?;
    Ok(ExitCode::SUCCESS)
}
