//! Reports over the ledger: profit and loss, cash flow. Every figure is a sum of ledger entries.

pub mod describe;
mod export;
mod span;

use self::span::{Span, date};
use super::door::Call;
use crate::http::call::{counted, guarded};
use crate::http::invalid::{Invalid, excerpt};
use crate::http::limits::Class;
use crate::http::problem::{Details, Problem};
use crate::http::query::Query;
use crate::http::route::Route;
use crate::http::time::Iso;
use crate::openapi::{Schema, components, printed};
use axum::response::Response;
use domain::ledger::Code;
use domain::money::Currency;
use engine::access::KeyScope::ReportRead;
use engine::{Day, Movements};
use http::{Method, StatusCode};

pub fn routes() -> Vec<Route> {
    use Method as M;
    vec![
        guarded(M::GET, "/api/v1/reports/pnl", ReportRead, pnl),
        guarded(M::GET, "/api/v1/reports/cash-flow", ReportRead, cash_flow),
        counted(M::GET, "/api/v1/reports/ledger.csv", ReportRead, Class::Heavy, export::ledger_csv),
    ]
}

/// The span of a report, its currency and the movements in it.
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
                let (engine, tenant) = (call.engine(), call.tenant());
                engine.movements_by_day(tenant, currency, span.from, span.to).await?
            }
            None => Vec::new(),
        };
        Ok(Self { span, currency, days })
    }
}

/// The requested currency, or the only one in the ledger; `None` when the ledger is empty.
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
    let balances = call.engine().balances(call.tenant()).await?;
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

printed! {
    #[serde(rename_all = "camelCase")]
    struct PnlWire {
        from: Iso = Schema::time(),
        to: Iso = Schema::time(),
        currency: Option<String> = components::currency().or_null(),
        revenue: i64 = components::minor("Captured."),
        refunds: i64 = components::signed("Given back, less what providers took back later."),
        platform_fees: i64 = components::minor("Always 0: nothing posts fees."),
        tax: i64 = components::minor("Always 0: nothing posts taxes."),
        net: i64 = components::signed("Revenue less refunds."),
        lines: [LineWire; 2] = Schema::list(LineWire::schema()),
    }
}

printed! {
    #[serde(rename_all = "camelCase")]
    struct LineWire {
        code: &'static str = Schema::one_of(Code::ALL, Code::as_str),
        amount: i64 = components::signed("What it adds to the net, or takes from it."),
    }
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

/// Profit and loss.
pub async fn pnl(call: Call) -> Result<Response, Problem> {
    let basis = Basis::read(&call).await?;
    let report = PnlWire::new(&basis).ok_or_else(out_of_range)?;
    Ok(call.answer(StatusCode::OK, &report))
}

printed! {
    #[serde(rename_all = "camelCase")]
    struct CashFlowWire {
        from: Iso = Schema::time(),
        to: Iso = Schema::time(),
        currency: Option<String> = components::currency().or_null(),
        total_inflow: i64 = components::minor("Debits of cash."),
        total_outflow: i64 = components::minor("Credits of cash."),
        net: i64 = components::signed("Inflow less outflow."),
        buckets: Vec<BucketWire> = Schema::list(BucketWire::schema())
            .with("maxItems", 367),
    }
}

printed! {
    #[serde(rename_all = "camelCase")]
    struct BucketWire {
        day: String = Schema::matching("^[0-9]{4}-[0-9]{2}-[0-9]{2}$").says("In UTC."),
        inflow: i64 = components::minor("Debits of cash."),
        outflow: i64 = components::minor("Credits of cash."),
        net: i64 = components::signed("Inflow less outflow."),
    }
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

/// Cash flow per UTC day.
pub async fn cash_flow(call: Call) -> Result<Response, Problem> {
    let basis = Basis::read(&call).await?;
    let report = CashFlowWire::new(&basis).ok_or_else(out_of_range)?;
    Ok(call.answer(StatusCode::OK, &report))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::time::Timestamp;

    /// 2026-05-12T10:42:00Z.
    const NOW: Timestamp = Timestamp(1_778_582_520_000);

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
