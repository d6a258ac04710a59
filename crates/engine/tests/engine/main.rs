//! The engine from the outside: real SQLite, the simulator as the provider, a clock that stands
//! still until a test moves it.

mod ageing;
mod backup;
mod by_hand;
mod cancel;
mod chains;
mod committer;
#[cfg(target_os = "linux")]
mod connections;
mod crashes;
mod dashboard;
mod disputes;
mod hanging;
mod hostile;
mod hostile_names;
mod hostile_words;
mod keyless;
mod lists;
mod lock;
mod one_at_a_time;
mod provider_accounts;
mod races;
mod reconcile;
mod retention;
mod scripts;
mod sending;
mod steps;
mod tampering;
mod waiting;
mod webhooks;
