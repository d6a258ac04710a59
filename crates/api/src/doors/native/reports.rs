//! Reports over the ledger: profit and loss, cash flow. Nothing is computed that is not posted.

use super::Call;
use crate::http::invalid::{Invalid, excerpt};
use crate::http::problem::{Details, Problem};
use crate::http::query::Query;
use crate::http::time::{FORMAT, Iso, parse_query_time};
use axum::response::Response;
use domain::ledger::Code;
use domain::money::Currency;
use domain::time::Timestamp;
use engine::{Day, Movements};
use http::StatusCode;
use serde::Serialize;

const DAY_MS: i64 = 86_400_000;
const DEFAULT_DAYS: i64 = 30;
const MOST_DAYS: i64 = 366;

/// A span of time `[from, to)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its first moment.
    pub from: Timestamp,
    /// The first moment after it.
    pub to: Timestamp,
}

impl Span {
    /// Reads `from` and `to`. Without them, the 30 UTC days that end with today.
    pub fn read(query: &Query<'_>, now: Timestamp) -> Result<Self, Invalid> {
        let (from, to) = (read_time(query, "from")?, read_time(query, "to")?);
        let to = to.unwrap_or_else(|| now.plus_ms(DAY_MS - now.0.rem_euclid(DAY_MS)));
        let from = from.unwrap_or_else(|| Timestamp(to.plus_ms(-DEFAULT_DAYS * DAY_MS).0.max(0)));
        let span_ms = to.ms_since(from);
        if span_ms <= 0 {
            let message = format!("to is not after from: {} and {}", Iso(from), Iso(to));
            return Err(Invalid::field("to", message));
        }
        if span_ms > MOST_DAYS * DAY_MS {
            let message = format!("from and to are more than {MOST_DAYS} days apart; ask for less");
            return Err(Invalid::field("to", message));
        }
        Ok(Self { from, to })
    }
}

fn read_time(query: &Query<'_>, name: &'static str) -> Result<Option<Timestamp>, Invalid> {
    let Some(text) = query.get(name)?.filter(|text| !text.is_empty()) else { return Ok(None) };
    parse_query_time(&text).map(Some).ok_or_else(|| {
        let text = excerpt(&text);
        let message =
            format!("{name} must be a date such as 2026-05-12, or {FORMAT}; got {text:?}");
        Invalid::field(name, message)
    })
}

/// What a report is about, and what was posted.
struct Basis {
    span: Span,
    currency: Option<Currency>,
    days: Vec<Day>,
}

impl Basis {
    async fn read(call: &Call) -> Result<Self, Problem> {
        let query = call.query();
        let span = Span::read(&query, call.engine().now())?;
        let currency = find_currency(call, &query).await?;
        let days = match currency {
            Some(currency) => {
                let (engine, scope) = (call.engine(), call.scope());
                engine.movements_by_day(scope, currency, span.from, span.to).await?
            }
            None => Vec::new(),
        };
        Ok(Self { span, currency, days })
    }
}

/// The currency asked for, or the only one that was ever posted. `None` when nothing was.
async fn find_currency(call: &Call, query: &Query<'_>) -> Result<Option<Currency>, Problem> {
    if let Some(text) = query.get("currency")?.filter(|text| !text.is_empty()) {
        let unknown = |_| {
            let text = excerpt(&text);
            let message =
                format!("currency must be an ISO 4217 code in capital letters; got {text:?}");
            Invalid::field("currency", message)
        };
        return Ok(Some(Currency::parse(&text).map_err(unknown)?));
    }
    let balances = call.engine().balances(call.scope()).await?;
    let mut posted: Vec<Currency> = balances.iter().map(|balance| balance.currency).collect();
    posted.sort_unstable();
    posted.dedup();
    if let [_, _, ..] = posted.as_slice() {
        let names = posted.iter().map(Currency::to_string).collect::<Vec<_>>();
        let message = format!(
            "currency is missing and the ledger has several; give one of {}",
            names.join(", ")
        );
        let problem = Problem::from(Invalid::field("currency", message));
        return Err(problem.with(Details::Currencies { currencies: names }));
    }
    Ok(posted.pop())
}

/// Sums of the same currency that do not fit cannot come from a ledger that balances.
fn out_of_range() -> Problem {
    tracing::error!("a report's sum is out of range");
    Problem::internal()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PnlWire {
    from: Iso,
    to: Iso,
    currency: Option<String>,
    revenue: i64,
    refunds: i64,
    platform_fees: i64,
    tax: i64,
    net: i64,
    lines: [LineWire; 2],
}

/// One ledger account's part of the net: positive adds to it, negative takes from it.
#[derive(Serialize)]
struct LineWire {
    code: &'static str,
    amount: i64,
}

impl PnlWire {
    /// Fees and tax are 0: no provider reports them to us yet, and so nothing posts them.
    fn new(basis: &Basis) -> Option<Self> {
        let mut sums = basis.days.iter().map(|day| day.movements);
        let all = sums.try_fold(Movements::default(), Movements::checked_add)?;
        let (revenue, refunds) = (all.captured, all.refunded.checked_sub(all.returned)?);
        let line = |code: Code, amount| LineWire { code: code.as_str(), amount };
        Some(Self {
            from: Iso(basis.span.from),
            to: Iso(basis.span.to),
            currency: basis.currency.map(|currency| currency.to_string()),
            revenue,
            refunds,
            platform_fees: 0,
            tax: 0,
            net: revenue.checked_sub(refunds)?,
            lines: [
                line(Code::Revenue, revenue),
                line(Code::RevenueRefund, refunds.checked_neg()?),
            ],
        })
    }
}

/// What was earned and given back.
pub async fn pnl(call: Call) -> Result<Response, Problem> {
    let basis = Basis::read(&call).await?;
    let report = PnlWire::new(&basis).ok_or_else(out_of_range)?;
    Ok(call.answer(StatusCode::OK, &report))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CashFlowWire {
    from: Iso,
    to: Iso,
    currency: Option<String>,
    total_inflow: i64,
    total_outflow: i64,
    net: i64,
    buckets: Vec<BucketWire>,
}

#[derive(Serialize)]
struct BucketWire {
    day: String,
    inflow: i64,
    outflow: i64,
    net: i64,
}

impl BucketWire {
    fn new(day: &Day) -> Option<Self> {
        let (inflow, outflow) = (day.movements.inflow()?, day.movements.refunded);
        let net = inflow.checked_sub(outflow)?;
        Some(Self { day: date(day.from), inflow, outflow, net })
    }
}

impl CashFlowWire {
    fn new(basis: &Basis) -> Option<Self> {
        let buckets: Vec<_> = basis.days.iter().map(BucketWire::new).collect::<Option<_>>()?;
        let sum = |amount: fn(&BucketWire) -> i64| {
            buckets.iter().map(amount).try_fold(0_i64, i64::checked_add)
        };
        let (total_inflow, total_outflow) = (sum(|day| day.inflow)?, sum(|day| day.outflow)?);
        Some(Self {
            from: Iso(basis.span.from),
            to: Iso(basis.span.to),
            currency: basis.currency.map(|currency| currency.to_string()),
            total_inflow,
            total_outflow,
            net: total_inflow.checked_sub(total_outflow)?,
            buckets,
        })
    }
}

/// What came in and went out, per UTC day.
pub async fn cash_flow(call: Call) -> Result<Response, Problem> {
    let basis = Basis::read(&call).await?;
    let report = CashFlowWire::new(&basis).ok_or_else(out_of_range)?;
    Ok(call.answer(StatusCode::OK, &report))
}

/// The UTC date of a moment: `2026-05-12`.
pub fn date(at: Timestamp) -> String {
    let mut text = Iso(at).to_string();
    text.truncate(10);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-05-12T10:42:00Z.
    const NOW: Timestamp = Timestamp(1_778_582_520_000);

    fn span(query: &str) -> Result<(String, String), String> {
        let span = Span::read(&Query::parse(Some(query)), NOW);
        span.map(|span| (Iso(span.from).to_string(), Iso(span.to).to_string()))
            .map_err(|invalid| invalid.field.unwrap_or_default().into_owned())
    }

    #[test]
    fn a_span_is_half_open_and_defaults_to_the_30_days_that_end_with_today() {
        for (query, from, to) in [
            ("", "2026-04-13T00:00:00.000Z", "2026-05-13T00:00:00.000Z"),
            ("from=2026-05-01", "2026-05-01T00:00:00.000Z", "2026-05-13T00:00:00.000Z"),
            ("to=2026-02-01", "2026-01-02T00:00:00.000Z", "2026-02-01T00:00:00.000Z"),
            (
                "from=2026-01-01T12:00:00Z&to=2026-01-01T13:00:00%2B00:30",
                "2026-01-01T12:00:00.000Z",
                "2026-01-01T12:30:00.000Z",
            ),
            ("from=&to=", "2026-04-13T00:00:00.000Z", "2026-05-13T00:00:00.000Z"),
            (
                "from=2024-01-01&to=2025-01-01",
                "2024-01-01T00:00:00.000Z",
                "2025-01-01T00:00:00.000Z",
            ),
        ] {
            assert_eq!(span(query), Ok((from.to_owned(), to.to_owned())), "{query}");
        }
    }

    #[test]
    fn a_span_that_is_empty_backwards_or_longer_than_366_days_is_refused() {
        for (query, field) in [
            ("from=2026-05-01&to=2026-05-01", "to"),
            ("from=2026-05-02&to=2026-05-01", "to"),
            ("from=2027-01-01", "to"),
            ("from=2024-01-01&to=2025-01-02", "to"),
            ("from=soon", "from"),
            ("to=2026-13-01", "to"),
            ("from=1&from=1", "from"),
        ] {
            assert_eq!(span(query), Err(field.to_owned()), "{query}");
        }
    }

    #[test]
    fn a_sum_out_of_range_is_an_error_and_never_wraps() {
        let day =
            |captured| Day { from: NOW, movements: Movements { captured, ..Movements::default() } };
        let of = |days| Basis { span: Span { from: NOW, to: NOW }, currency: None, days };
        assert!(PnlWire::new(&of(vec![day(i64::MAX), day(0)])).is_some());
        assert!(PnlWire::new(&of(vec![day(i64::MAX), day(1)])).is_none());
        assert!(CashFlowWire::new(&of(vec![day(i64::MAX), day(1)])).is_none());
        assert_eq!(date(NOW), "2026-05-12");
    }
}
