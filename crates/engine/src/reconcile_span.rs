//! Reconciling a span of time at once, after a restore or a failover: everything that changed at a provider is
//! read, and where a provider cannot tell that, every payment is listed that was registered or refunded since.

use crate::Error;
use crate::engine::Engine;
use crate::reconcile::{Asked, LISTED, PageRead, Tally};
use domain::ids::{PaymentId, RefundId};
use domain::payment::Capture;
use domain::refund::RefundView;
use domain::tenant::Tenant;
use domain::time::Timestamp;
use std::sync::Arc;
use store::{InDoubt, PageQuery, RefundFilter, SortOrder};

/// How many tenants, and how many refunds in doubt, are named at once.
const PAGE: u32 = 256;

/// A span of time.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub since: Timestamp,
    /// Until now, when `None`.
    pub until: Option<Timestamp>,
}

/// Payments to list, and behind which row the next ones are; `None` behind the last one.
type Listing = (Vec<Arc<Capture>>, Option<Box<str>>);

/// How far the reading of a span came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Among the changes, at this page.
    Changes(Option<Box<str>>),
    /// Among the payments, behind this one.
    Payments(Option<PaymentId>),
    /// Among the refunds of older payments, behind this one.
    Refunds(Option<RefundId>),
    /// Among the refunds in doubt, behind this one.
    InDoubt(Option<Box<str>>),
}

/// The result of one step through a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpanStep {
    /// A page was read, and where the next one begins; `None` behind the last one.
    Read(Tally, Option<Place>),
    /// The provider cannot be asked now, but at this time, where that is known.
    Wait(Option<Timestamp>),
    /// The provider could not be asked, and why.
    Failed(Box<str>),
}

impl Engine {
    /// Tenants that have payments, some behind `after`, in an order that stays.
    pub async fn tenants_with_payments(&self, after: Option<Tenant>) -> Result<Vec<Tenant>, Error> {
        Ok(self.store().tenants_with_payments(after, PAGE).await?)
    }

    /// Refunds that may have been made and of which nobody knows, or which wait for a person; some behind
    /// `after`, oldest first.
    pub async fn refunds_in_doubt(
        &self,
        tenant: Tenant,
        after: Option<RefundId>,
    ) -> Result<Vec<RefundView>, Error> {
        let waiting_since = self.now().plus_ms(-self.config().lease_ms);
        let filter = InDoubt { provider: None, accepted: false, waiting_since };
        Ok(self.store().all_refunds_in_doubt(tenant, filter, after, PAGE).await?)
    }

    /// Reads one page of a span at a provider and books what the books miss. The first page is that of
    /// [`Place::Changes`] without a place.
    pub async fn reconcile_span(
        &self,
        tenant: Tenant,
        asked: &Asked,
        span: Span,
        place: Place,
    ) -> Result<SpanStep, Error> {
        let Some(permit) = self.may_ask(tenant, asked, self.now()) else {
            return Ok(SpanStep::Wait(self.may_ask_at(tenant, asked)));
        };
        let read = match &place {
            Place::Changes(page) => {
                let span = (span.since, span.until);
                self.read_changes(tenant, asked, span, page.as_deref(), &permit).await?
            }
            Place::InDoubt(page) => {
                self.list_in_doubt(tenant, asked, page.as_deref(), &permit).await?
            }
            Place::Payments(after) => {
                let (payments, next) = self.payments_of(tenant, asked, span, *after).await?;
                if payments.is_empty() {
                    permit.give_back(self.now());
                    return Ok(SpanStep::Read(Tally::default(), place.next(next)));
                }
                self.list_payments_at(asked, &payments, next, &permit).await?
            }
            Place::Refunds(after) => {
                let (payments, next) = self.refunded_of(tenant, asked, span, *after).await?;
                if payments.is_empty() {
                    permit.give_back(self.now());
                    return Ok(SpanStep::Read(Tally::default(), place.next(next)));
                }
                self.list_payments_at(asked, &payments, next, &permit).await?
            }
        };
        Ok(match read {
            PageRead::Done(tally, next) => SpanStep::Read(tally, place.next(next)),
            PageRead::CannotTell if matches!(place, Place::Changes(_)) => {
                if !asked.provider.traits().lookup.list {
                    let why =
                        "the provider tells neither what changed nor the refunds of a payment";
                    return Ok(SpanStep::Failed(why.into()));
                }
                SpanStep::Read(Tally::default(), Some(Place::Payments(None)))
            }
            PageRead::CannotTell => SpanStep::Read(Tally::default(), None),
            PageRead::Failed(why) => SpanStep::Failed(why.message),
        })
    }

    /// The payments at a provider among some that were registered since the beginning of a span.
    async fn payments_of(
        &self,
        tenant: Tenant,
        asked: &Asked,
        span: Span,
        after: Option<PaymentId>,
    ) -> Result<Listing, Error> {
        let page = page_since(span.since, after.map(PaymentId::ulid));
        let found = self.store().list_payments(tenant, page).await?;
        let next = found.items.last().filter(|_| found.more);
        let next = next.map(|payment| payment.capture.id.to_string().into());
        let mut payments: Vec<_> = found.items.into_iter().map(|payment| payment.capture).collect();
        payments.retain(|capture| {
            asked.serves(capture) && span.until.is_none_or(|until| capture.captured_at <= until)
        });
        Ok((payments, next))
    }

    /// The older payments at a provider of some refunds that were asked for since the beginning of a span.
    async fn refunded_of(
        &self,
        tenant: Tenant,
        asked: &Asked,
        span: Span,
        after: Option<RefundId>,
    ) -> Result<Listing, Error> {
        let page = page_since(span.since, after.map(RefundId::ulid));
        let found = self.store().list_refunds(tenant, RefundFilter::default(), page).await?;
        let next = found.items.last().filter(|_| found.more);
        let next = next.map(|view| view.refund.id.to_string().into());
        let mut payments: Vec<_> = found.items.into_iter().map(|view| view.payment).collect();
        // Newer ones were listed among the payments.
        payments.retain(|capture| asked.serves(capture) && capture.id.at() < span.since);
        payments.sort_by_key(|capture| capture.id);
        payments.dedup_by_key(|capture| capture.id);
        Ok((payments, next))
    }
}

impl Place {
    /// Where the reading goes on behind a page.
    fn next(&self, page: Option<Box<str>>) -> Option<Self> {
        match (self, page) {
            (Self::Changes(_), Some(page)) => Some(Self::Changes(Some(page))),
            (Self::Payments(_), Some(id)) => {
                PaymentId::parse(&id).ok().map(|id| Self::Payments(Some(id)))
            }
            (Self::Payments(_), None) => Some(Self::Refunds(None)),
            (Self::Refunds(_), Some(id)) => {
                RefundId::parse(&id).ok().map(|id| Self::Refunds(Some(id)))
            }
            (Self::InDoubt(_), Some(page)) => Some(Self::InDoubt(Some(page))),
            (Self::Changes(_) | Self::Refunds(_), None) => Some(Self::InDoubt(None)),
            (Self::InDoubt(_), None) => None,
        }
    }
}

fn page_since(since: Timestamp, after: Option<ulid::Ulid>) -> PageQuery {
    let order = SortOrder::Ascending;
    PageQuery { limit: LISTED, after, order, from: Some(since), until: None }
}
