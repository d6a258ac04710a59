//! The engine's tests once more, on PostgreSQL. The target's name says so to
//! `testkit::Backend::of_these_tests`.

#[path = "../engine/ageing.rs"]
mod ageing;
mod bad_text;
#[path = "../engine/by_hand.rs"]
mod by_hand;
#[path = "../engine/cancel.rs"]
mod cancel;
#[path = "../engine/committer.rs"]
mod committer;
#[path = "../engine/crashes.rs"]
mod crashes;
#[path = "../engine/dashboard.rs"]
mod dashboard;
#[path = "../engine/keyless.rs"]
mod keyless;
mod lock;
mod locked_rows;
mod nodes;
#[path = "../engine/provider_accounts.rs"]
mod provider_accounts;
#[path = "../engine/races.rs"]
mod races;
#[path = "../engine/reconcile.rs"]
mod reconcile;
#[path = "../engine/retention.rs"]
mod retention;
#[path = "../engine/scripts.rs"]
mod scripts;
#[path = "../engine/sending.rs"]
mod sending;
#[path = "../engine/steps.rs"]
mod steps;
#[path = "../engine/tampering.rs"]
mod tampering;
#[path = "../engine/waiting.rs"]
mod waiting;
#[path = "../engine/webhooks.rs"]
mod webhooks;
