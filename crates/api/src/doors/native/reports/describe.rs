//! Reports.

use super::{CashFlowWire, PnlWire};
use crate::doors::native::describe::Described;
use crate::openapi::{Answer, Chapter, Operation, Parameter, Printed, Schema, components};

const TAG: &str = "Reports";

pub fn chapter() -> Chapter {
    Chapter {
        tags: vec![(TAG, "Sums of the ledger over at most 366 days, the end not included.")],
        operations: vec![
            report("/api/v1/reports/pnl", "getPnl", "Profit and loss", "ProfitAndLoss"),
            report("/api/v1/reports/cash-flow", "getCashFlow", "Cash flow", "CashFlow"),
            export(),
        ],
        schemas: vec![
            ("ProfitAndLoss", PnlWire::schema().says("What was earned and given back.")),
            ("CashFlow", CashFlowWire::schema().says("What came in and went out, per UTC day.")),
        ],
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
