//! The ledger.

use super::LIST;
use super::wire::{BalanceWire, EntryWire};
use crate::doors::native::describe::Described;
use crate::openapi::{Chapter, Printed, Schema};

const TAG: &str = "Ledger";

pub fn chapter() -> Chapter {
    let operations = vec![
        Described::get("/api/v1/ledger", "listEntries", TAG, "List entries")
            .gives_pages("A page of entries.", &LIST, "Entry")
            .done(),
        Described::get("/api/v1/ledger/balances", "listBalances", TAG, "List balances")
            .says("The sums of every ledger account, per currency. Not paged.")
            .gives(200, "Every balance.", Schema::list(Schema::named("Balance")), &[])
            .done(),
    ];
    Chapter {
        tags: vec![(
            TAG,
            "Double entry, read only. Entries are never edited; a late failure is a correcting \
             entry.",
        )],
        operations,
        schemas: vec![("Entry", EntryWire::schema()), ("Balance", BalanceWire::schema())],
        ..Chapter::default()
    }
}
