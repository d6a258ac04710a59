//! Names that a file must not use, beyond the table of crates:
//!
//! - a door never names another door;
//! - what the doors share (`http/`, `openapi/`) never names a door;
//! - `sqlite/` and `postgres/` never name each other, and of the store's other files only `store.rs`
//!   and the declarations in `lib.rs` name either;
//! - `simulator` is named by itself, the server and what serves tests.
//!
//! Tests may name anything.

use super::modules::{Absolute, Module, Modules, Name};
use super::{Finding, finding};

const DOORS: &str = "crates/api/src/doors/";
const NO_DOORS: &[&str] = &["crates/api/src/http", "crates/api/src/openapi"];
const STORE: &str = "crates/store/src/";
const DATABASES: &[&str] = &["sqlite", "postgres"];
const SEES_DATABASES: &[&str] = &["crates/store/src/store.rs", "crates/store/src/lib.rs"];
const SIMULATOR: &str = "simulator";
const SEES_SIMULATOR: &[&str] =
    &["crates/simulator/", "crates/server/", "crates/testkit/", "crates/sim/", "bench/"];

/// Every name that breaks a rule.
pub fn check(modules: &Modules) -> Vec<Finding> {
    let mut wrong = Vec::new();
    for module in &modules.all {
        for name in &module.names {
            let import = module.import_of(name);
            if import.is_some_and(|import| broken(modules, module, import).is_some()) {
                // The import is what breaks the rule.
                continue;
            }
            if let Some(reason) = broken(modules, module, name) {
                let path = name.path.join("::");
                let text = format!("`{path}`: {reason}");
                wrong.push(finding(&module.rust.file.path, name.line, &text));
            }
        }
    }
    wrong
}

fn broken<'a>(modules: &Modules<'a>, module: &Module<'a>, name: &Name<'a>) -> Option<String> {
    let file = module.rust.file.path.as_str();
    let target = modules.resolve(module, name);
    if name.path.contains(&SIMULATOR) || target.as_ref().is_some_and(|to| to.krate == SIMULATOR) {
        let sees = SEES_SIMULATOR.iter().any(|folder| file.starts_with(folder));
        return (!sees).then(|| "only the server and tests name the simulator".to_owned());
    }
    let target = target.filter(|target| target.krate == module.rust.krate)?;
    door(modules, file, &target).or_else(|| database(file, &target))
}

/// A door that `file` must not name.
fn door<'a>(modules: &Modules<'a>, file: &str, target: &Absolute<'a>) -> Option<String> {
    if target.krate != "api" || target.path.first() != Some(&"doors") {
        return None;
    }
    if NO_DOORS.iter().any(|room| in_module(file, room)) {
        return Some("what doors share names no door".to_owned());
    }
    let own = file.strip_prefix(DOORS).filter(|below| *below != "mod.rs")?;
    let own = own.split_once('/').map_or(own.trim_end_matches(".rs"), |(folder, _)| folder);
    let other = target.path.get(1).filter(|other| **other != own)?;
    // An item of `doors/mod.rs` is no door.
    let is_door = modules.is_module(target.krate, &target.path[..2]);
    is_door.then(|| format!("the door `{own}` does not name the door `{other}`"))
}

/// A database that `file` must not name.
fn database(file: &str, target: &Absolute) -> Option<String> {
    let database = target.path.first().filter(|first| DATABASES.contains(first))?;
    let own = in_module(file, &format!("{STORE}{database}"));
    if !file.starts_with(STORE) || own || SEES_DATABASES.contains(&file) {
        return None;
    }
    Some(format!("only `store.rs` and `{database}/` name `{database}`"))
}

/// Whether a file is the module `module` or below it.
fn in_module(file: &str, module: &str) -> bool {
    file.strip_prefix(module).is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
}
