//! Every list, and the index that both databases must use for it.

use super::lists::{
    ListQuery, checkouts_query, deliveries_query, events_query, invoices_query, is_rare,
    payments_query, refunds_query, transfers_query,
};
use super::{
    CheckoutFilter, DeliveryFilter, EventFilter, InvoiceFilter, PageQuery, RefundFilter, SortOrder,
    TransferFilter,
};
use domain::account::{Mode, Tenant};
use domain::event::Type;
use domain::ids::{EndpointId, PaymentId, RefundId};
use domain::ledger::{Code, SourceType};
use domain::payment::Kind;
use domain::refund::Status;
use domain::time::Timestamp;
use domain::webhook::{Format, Status as DeliveryStatus};
use domain::{checkout, invoice};
use ulid::Ulid;

/// The key of the list's table.
pub const KEY: &str = "the primary key";

/// A list.
#[derive(Clone, Debug)]
pub enum List {
    Payments,
    Refunds(RefundFilter),
    Events(EventFilter),
    Transfers(TransferFilter),
    Deliveries(DeliveryFilter),
    Checkouts(CheckoutFilter),
    Invoices(InvoiceFilter),
}

/// A list and the index that it is read off.
#[derive(Clone, Debug)]
pub struct Case {
    pub list: List,
    pub index: &'static str,
    /// The first row of a page is found in the index, and every row behind it belongs to the page.
    /// `false` where the walk along the index passes over rows that the filter leaves out, which the
    /// documentation says.
    pub seeks: bool,
    /// The database sorts the rows, at most those of one buyer.
    pub sorts: bool,
}

impl List {
    pub fn query<Q: ListQuery>(&self, page: PageQuery) -> Q {
        match self {
            Self::Payments => payments_query(tenant(), page),
            Self::Refunds(filter) => refunds_query(tenant(), *filter, page),
            Self::Events(filter) => events_query(tenant(), *filter, page),
            Self::Transfers(filter) => transfers_query(tenant(), *filter, page),
            Self::Deliveries(filter) => deliveries_query(tenant(), filter, page),
            Self::Checkouts(filter) => checkouts_query(tenant(), filter, page),
            Self::Invoices(filter) => invoices_query(tenant(), filter, page),
        }
    }
}

impl Case {
    fn new(list: List, index: &'static str) -> Self {
        Self { list, index, seeks: true, sorts: false }
    }

    fn scans(self) -> Self {
        Self { seeks: false, ..self }
    }

    fn sorting(self) -> Self {
        Self { sorts: true, ..self }
    }
}

pub fn tenant() -> Tenant {
    Tenant::new(1, Mode::Test)
}

/// The `n`th row that was made.
pub fn nth(n: u64) -> Ulid {
    Ulid::from_parts(n, 0)
}

/// Rows of the largest tables.
pub const ROWS: u64 = 30_000;

/// The first page, the page behind a row in the middle, and the pages of a span, in both directions.
pub fn pages(with_span: bool) -> Vec<PageQuery> {
    let time = |n: u64| Some(Timestamp(i64::try_from(n).expect("a time")));
    let mut pages = Vec::new();
    for order in [SortOrder::Descending, SortOrder::Ascending] {
        for after in [None, Some(nth(ROWS / 2))] {
            let page = PageQuery { limit: 20, after, order, from: None, until: None };
            pages.push(page);
            if with_span {
                pages.push(PageQuery { from: time(ROWS / 4), until: time(ROWS), ..page });
            }
        }
    }
    pages
}

fn refunds() -> Vec<Case> {
    let of = |status, payment| List::Refunds(RefundFilter { status, payment });
    let payment = Some(PaymentId::from_ulid(nth(7)));
    let mut cases = vec![
        Case::new(of(None, None), KEY),
        Case::new(of(Some(Status::Succeeded), None), KEY).scans(),
        Case::new(of(None, payment), "refunds_by_payment"),
        Case::new(of(Some(Status::Failed), payment), "refunds_by_payment").scans(),
    ];
    for status in [Status::Pending, Status::Failed, Status::Canceled] {
        cases.push(Case::new(of(Some(status), None), "refunds_not_succeeded"));
    }
    cases
}

fn events() -> Vec<Case> {
    let of = |event_type, refund| List::Events(EventFilter { event_type, refund });
    let mut cases = vec![
        Case::new(of(None, None), KEY),
        Case::new(of(None, Some(RefundId::from_ulid(nth(7)))), "events_of_refund"),
    ];
    for &event_type in Type::ALL {
        let case = if is_rare(event_type) {
            Case::new(of(Some(event_type), None), "events_by_type")
        } else {
            Case::new(of(Some(event_type), None), KEY).scans()
        };
        cases.push(case);
    }
    cases
}

fn transfers() -> Vec<Case> {
    let all = TransferFilter::default();
    let of = |filter| List::Transfers(filter);
    let source = Some(nth(7));
    let source_type = Some(SourceType::Refund);
    vec![
        Case::new(of(all), KEY),
        Case::new(of(TransferFilter { code: Some(Code::Revenue), ..all }), KEY).scans(),
        Case::new(of(TransferFilter { source_type, ..all }), KEY).scans(),
        Case::new(of(TransferFilter { source, ..all }), "postings_by_source"),
        Case::new(of(TransferFilter { source_type, source, ..all }), "postings_by_source"),
        Case::new(of(TransferFilter { transfer: source, ..all }), KEY),
    ]
}

fn deliveries() -> Vec<Case> {
    let all = DeliveryFilter::default();
    let of = |filter| List::Deliveries(filter);
    let endpoint = Some(EndpointId::from_ulid(nth(1)));
    let types = Some(vec![Type::RefundFailed, Type::RefundCreated]);
    let format = Some(Format::Yoco);
    let by = |status| DeliveryFilter { status: Some(status), ..DeliveryFilter::default() };
    let both = |status| DeliveryFilter { endpoint, ..by(status) };
    vec![
        Case::new(of(all.clone()), KEY),
        Case::new(of(DeliveryFilter { types, ..all.clone() }), KEY).scans(),
        Case::new(of(DeliveryFilter { format, ..all.clone() }), KEY).scans(),
        Case::new(of(DeliveryFilter { endpoint, ..all }), "deliveries_by_endpoint"),
        Case::new(of(by(DeliveryStatus::Succeeded)), KEY).scans(),
        Case::new(of(by(DeliveryStatus::Pending)), "deliveries_not_succeeded"),
        Case::new(of(by(DeliveryStatus::Failed)), "deliveries_not_succeeded"),
        Case::new(of(both(DeliveryStatus::Succeeded)), "deliveries_by_endpoint").scans(),
        Case::new(of(both(DeliveryStatus::Failed)), "deliveries_not_succeeded").scans(),
    ]
}

fn checkouts() -> Vec<Case> {
    let of = |state, customer: Option<&str>| {
        let customer = customer.map(Into::into);
        List::Checkouts(CheckoutFilter { kind: Kind::CheckoutSession, state, customer })
    };
    let open = Some(checkout::State::Open);
    vec![
        Case::new(of(None, None), "checkouts_by_kind"),
        Case::new(of(open, None), "checkouts_by_state"),
        Case::new(of(None, Some("7")), "checkouts_by_customer").scans(),
        Case::new(of(open, Some("7")), "checkouts_by_customer").scans(),
    ]
}

fn invoices() -> Vec<Case> {
    let all = InvoiceFilter::default();
    let of = |filter| List::Invoices(filter);
    let span = InvoiceFilter {
        issued_from: Some(Timestamp(100)),
        issued_until: Some(Timestamp(20_000)),
        ..all.clone()
    };
    let state = Some(invoice::State::Open);
    let customer: Option<Box<str>> = Some("7".into());
    let subscription = customer.clone();
    let by = |filter: &InvoiceFilter| {
        [
            InvoiceFilter { state, ..filter.clone() },
            InvoiceFilter { customer: customer.clone(), ..filter.clone() },
            InvoiceFilter { subscription: subscription.clone(), ..filter.clone() },
        ]
    };
    let [state_only, customer_only, subscription_only] = by(&all);
    let [state_in_span, customer_in_span, subscription_in_span] = by(&span);
    vec![
        Case::new(of(all), KEY),
        Case::new(of(state_only), "invoices_by_state"),
        Case::new(of(customer_only), "invoices_by_customer"),
        Case::new(of(subscription_only), "invoices_by_subscription"),
        Case::new(of(span), "invoices_by_issue"),
        Case::new(of(state_in_span), "invoices_by_state_and_issue"),
        Case::new(of(customer_in_span), "invoices_by_customer").scans().sorting(),
        Case::new(of(subscription_in_span), "invoices_by_subscription").scans().sorting(),
    ]
}

/// Every list with every filter.
pub fn cases() -> Vec<Case> {
    let payments = vec![Case::new(List::Payments, KEY)];
    [payments, refunds(), events(), transfers(), deliveries(), checkouts(), invoices()].concat()
}
