//! The ledger.

use super::{LIST, NEVER_POSTED};
use crate::doors::native::describe::Described;
use crate::openapi::Chapter;
use crate::openapi::components;
use crate::openapi::operation::Parameter;
use crate::openapi::schema::{Fields, Schema};
use domain::ledger::{Code, Reason, SourceType};
use domain::payment::Kind;

const TAG: &str = "Ledger";

pub fn chapter() -> Chapter {
    let operations = vec![
        Described::get("/api/v1/ledger", "listEntries", TAG, "List entries")
            .takes(filters())
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
        schemas: vec![("Entry", entry()), ("Balance", balance())],
        ..Chapter::default()
    }
}

fn filters() -> [Parameter; 4] {
    let types =
        SourceType::ALL.iter().map(|known| known.as_str()).chain(NEVER_POSTED.iter().copied());
    [
        Parameter::query(
            "code",
            "Only entries of this ledger account. One that is never posted to lists nothing.",
            Schema::string().like("cash"),
        ),
        Parameter::query(
            "sourceType",
            "Only entries about things of this kind.",
            Schema::words(types),
        ),
        Parameter::query("sourceId", "Only entries about this thing.", Schema::string()),
        Parameter::query("txId", "Only the entries of this posting.", Schema::string()),
    ]
}

fn codes() -> Schema {
    Schema::words(Code::ALL.iter().map(|code| code.as_str()))
}

fn entry() -> Schema {
    let mut prefixes = vec![SourceType::Refund.prefix()];
    prefixes.extend(Kind::ALL.iter().map(|kind| kind.prefix()));
    Fields::new()
        .must("id", components::entry_id())
        .must("accountId", components::account_id())
        .must(
            "txId",
            components::transfer_id().says("The posting: a debit and a credit of one amount."),
        )
        .must("code", codes().says("The ledger account."))
        .must("direction", Schema::words(["debit", "credit"]))
        .must("amount", Schema::integer(1).says("Minor units.").like(2500))
        .must("currency", components::currency())
        .must(
            "sourceType",
            Schema::words(SourceType::ALL.iter().map(|known| known.as_str())).like("refund"),
        )
        .must("sourceId", components::id(&prefixes).says("What it is about."))
        .must(
            "memo",
            Schema::words(Reason::ALL.iter().map(|reason| reason.as_str())).like("refund"),
        )
        .must("postedAt", Schema::time())
        .closed()
        .says("One leg of a posting.")
}

fn balance() -> Schema {
    let any = || Schema::any().with("type", "integer").with("format", "int64");
    Fields::new()
        .must("code", codes().says("The ledger account."))
        .must("currency", components::currency())
        .must("debits", components::minor("Sum of the debits.").like(10_000))
        .must("credits", components::minor("Sum of the credits.").like(2500))
        .must("balance", any().says("Debits minus credits. Minor units.").like(7500))
        .closed()
        .says("The running totals of a ledger account in one currency.")
}
