//! Reports.

use crate::doors::native::describe::Described;
use crate::openapi::Chapter;
use crate::openapi::components;
use crate::openapi::operation::{Answer, Operation, Parameter};
use crate::openapi::schema::{Fields, Schema};
use domain::ledger::Code;

const TAG: &str = "Reports";

pub fn chapter() -> Chapter {
    Chapter {
        tags: vec![(TAG, "Sums of the ledger over at most 366 days, the end not included.")],
        operations: vec![
            report("/api/v1/reports/pnl", "getPnl", "Profit and loss", "ProfitAndLoss"),
            report("/api/v1/reports/cash-flow", "getCashFlow", "Cash flow", "CashFlow"),
            export(),
        ],
        schemas: vec![("ProfitAndLoss", pnl()), ("CashFlow", cash_flow())],
        ..Chapter::default()
    }
}

fn span() -> [Parameter; 2] {
    [
        Parameter::query(
            "from",
            "The first moment; 30 days before `to`.",
            components::query_time(),
        ),
        Parameter::query(
            "to",
            "The first moment after; the end of the current UTC day.",
            components::query_time(),
        ),
    ]
}

fn report(path: &'static str, id: &'static str, summary: &'static str, data: &str) -> Operation {
    let currency = Parameter::query(
        "currency",
        "Can be left out while the ledger has only one.",
        components::currency(),
    );
    Described::get(path, id, TAG, summary)
        .takes(span())
        .takes([currency])
        .gives(200, "The report.", Schema::named(data), &[])
        .done()
}

fn export() -> Operation {
    let path = "/api/v1/reports/ledger.csv";
    let file = "RFC 4180 with a header line, oldest entry first, sent in chunks.";
    let answer =
        Answer::of(200, file, "text/csv", Schema::string()).with_headers(&["X-Request-Id"]);
    let described = Described::get(path, "exportLedger", TAG, "Export the ledger").takes(span());
    described.answers_bare(answer).done()
}

/// Whole minor units of either sign.
fn signed(text: &str) -> Schema {
    Schema::any()
        .with("type", "integer")
        .with("format", "int64")
        .says(&format!("{text} Minor units."))
}

fn pnl() -> Schema {
    let line = Fields::new()
        .must("code", Schema::words(Code::ALL.iter().map(|code| code.as_str())))
        .must("amount", signed("What it adds to the net, or takes from it."))
        .closed();
    Fields::new()
        .must("from", Schema::time())
        .must("to", Schema::time())
        .must("currency", components::currency().or_null())
        .must("revenue", components::minor("Captured."))
        .must("refunds", signed("Given back, less what providers took back later."))
        .must("platformFees", components::minor("Always 0: nothing posts fees."))
        .must("tax", components::minor("Always 0: nothing posts taxes."))
        .must("net", signed("Revenue less refunds."))
        .must("lines", Schema::list(line))
        .closed()
        .says("What was earned and given back.")
}

fn cash_flow() -> Schema {
    let bucket = Fields::new()
        .must("day", Schema::matching("^[0-9]{4}-[0-9]{2}-[0-9]{2}$").says("In UTC."))
        .must("inflow", components::minor("Debits of cash."))
        .must("outflow", components::minor("Credits of cash."))
        .must("net", signed("Inflow less outflow."))
        .closed();
    Fields::new()
        .must("from", Schema::time())
        .must("to", Schema::time())
        .must("currency", components::currency().or_null())
        .must("totalInflow", components::minor("Debits of cash."))
        .must("totalOutflow", components::minor("Credits of cash."))
        .must("net", signed("Inflow less outflow."))
        .must("buckets", Schema::list(bucket).with("maxItems", 367))
        .closed()
        .says("What came in and went out, per UTC day.")
}
