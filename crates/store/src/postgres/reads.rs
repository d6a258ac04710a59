//! Read queries: pages that stay on one index however much is stored.

use super::PostgresStore;
use super::statement::{Query, Statement, ulid};
use super::value::{Columns, Id, Value};
use crate::StoreError;
use crate::cells::{Cells as _, inconsistent};
use crate::query::{
    Balance, CheckoutFilter, DeliveryFilter, DueBatch, DueDelivery, DueRefund, EventFilter,
    InvoiceFilter, Order, Page, PageQuery, PostingFilter, PostingSum, RefundFilter, StoredEvent,
    StoredSubject,
};
use crate::sqlite::Place;
use crate::sqlite::batch::{PAYMENT_COLUMNS, REFUND_COLUMNS, read_key, read_payment, read_posting};
use crate::sqlite::checkouts::{CHECKOUT_COLUMNS, read_checkout};
use crate::sqlite::invoices::{INVOICE_COLUMNS, read_invoice};
use crate::sqlite::outbox::read_attempt;
use crate::sqlite::reads::{
    Joined, POSTING_COLUMNS, first_at, of, read_balance, read_due, read_joined, read_refund_view,
};
use crate::sqlite::webhooks::{
    DELIVERY_COLUMNS, ENDPOINT_COLUMNS, read_delivery, read_endpoint, read_subscriber,
};
use domain::account::Scope;
use domain::checkout::Checkout;
use domain::ids::{AccountId, DeliveryId, EndpointId, EventId, InvoiceId, PaymentId, RefundId};
use domain::invoice::Invoice;
use domain::keys::{Key, KeyHash};
use domain::ledger::{Posting, Reason};
use domain::money::Currency;
use domain::payment::{Facts, Payment};
use domain::refund::{Refund, Status};
use domain::time::Timestamp;
use domain::webhook::{Attempt, Body, Delivery, Endpoint, Subscriber};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use tokio_postgres::Row;

/// Endpoints that one look goes through at most. The next look goes on behind the last one.
const ENDPOINTS_PER_LOOK: i64 = 256;

/// The first delivery of each of the next endpoints that have one to be sent. The walk goes from
/// endpoint to endpoint along the index, however many deliveries each has.
const NEXT_ENDPOINTS: &str = "WITH RECURSIVE walk (scope, endpoint, next_at, step) AS ( \
     (SELECT scope, endpoint, next_at, 1 FROM deliveries \
      WHERE next_at IS NOT NULL AND (scope, endpoint) > ($1, $2) \
      ORDER BY scope, endpoint, next_at LIMIT 1) \
     UNION ALL \
     SELECT n.scope, n.endpoint, n.next_at, walk.step + 1 FROM walk CROSS JOIN LATERAL \
     (SELECT d.scope, d.endpoint, d.next_at FROM deliveries d WHERE d.next_at IS NOT NULL \
      AND (d.scope, d.endpoint) > (walk.scope, walk.endpoint) \
      ORDER BY d.scope, d.endpoint, d.next_at LIMIT 1) n WHERE walk.step < $3) \
     SELECT scope, endpoint, next_at FROM walk ORDER BY step";

const SELECT_ATTEMPTS: &str = "SELECT number, attempted_at, duration_ms, response_code, next_at, \
     error FROM delivery_attempts WHERE scope = $1 AND delivery = $2 ORDER BY number LIMIT 1000";

fn number(value: i64) -> Value<'static> {
    Value::Int(Some(value))
}

fn page<T>(
    rows: &[Row],
    limit: u32,
    read: impl Fn(&mut Columns<'_>) -> Result<T, StoreError>,
) -> Result<Page<T>, StoreError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let items = rows.iter().take(limit).map(|row| read(&mut Columns::new(row)));
    Ok(Page { items: items.collect::<Result<_, _>>()?, more: rows.len() > limit })
}

fn select_refunds() -> String {
    format!(
        "SELECT {}, {} FROM refunds r JOIN payments p ON p.scope = r.scope \
         AND p.id = r.payment WHERE r.scope = $1",
        of("r", REFUND_COLUMNS),
        of("p", PAYMENT_COLUMNS)
    )
}

/// Events joined with the refund and the payment they speak of, where they speak of one.
fn select_events() -> String {
    format!(
        "SELECT e.scope, e.id, e.type, e.payment, e.refund, e.state, e.seq, e.detail, e.checkout, \
         e.invoice, e.endpoint, {}, {} \
         FROM events e LEFT JOIN refunds r ON r.scope = e.scope AND r.id = e.refund \
         LEFT JOIN payments p ON p.scope = e.scope AND p.id = coalesce(e.payment, r.payment) \
         WHERE e.scope = $1",
        of("p", PAYMENT_COLUMNS),
        of("r", REFUND_COLUMNS)
    )
}

impl PostgresStore {
    async fn one<T>(
        &self,
        sql: String,
        values: Vec<Value<'_>>,
        read: impl Fn(&mut Columns<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let rows = self.read(Statement::new(sql, values)).await?;
        rows.first().map(|row| read(&mut Columns::new(row))).transpose()
    }

    async fn list<T>(
        &self,
        statement: Statement<'_>,
        read: impl Fn(&mut Columns<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = self.read(statement).await?;
        rows.iter().map(|row| read(&mut Columns::new(row))).collect()
    }

    async fn page<T>(
        &self,
        query: Query,
        limit: u32,
        read: impl Fn(&mut Columns<'_>) -> Result<T, StoreError>,
    ) -> Result<Page<T>, StoreError> {
        page(&self.read(query.into_statement()).await?, limit, read)
    }

    /// The payment with this id.
    pub async fn find_payment(
        &self,
        scope: Scope,
        id: PaymentId,
    ) -> Result<Option<Payment>, StoreError> {
        let sql = format!("SELECT {PAYMENT_COLUMNS} FROM payments WHERE scope = $1 AND id = $2");
        self.one(sql, vec![number(scope.code()), ulid(id.ulid())], |c| read_payment(c)).await
    }

    /// Payments, by id and so by time.
    pub async fn list_payments(
        &self,
        scope: Scope,
        page: PageQuery,
    ) -> Result<Page<Payment>, StoreError> {
        let sql = format!("SELECT {PAYMENT_COLUMNS} FROM payments WHERE scope = $1");
        let mut query = Query::new(sql, scope);
        query.page("id", page);
        self.page(query, page.limit, |c| read_payment(c)).await
    }

    /// The refund with this id, and the unchanging part of its payment.
    pub async fn find_refund(
        &self,
        scope: Scope,
        id: RefundId,
    ) -> Result<Option<(Refund, Arc<Facts>)>, StoreError> {
        let sql = format!("{} AND r.id = $2", select_refunds());
        self.one(sql, vec![number(scope.code()), ulid(id.ulid())], |c| read_refund_view(c)).await
    }

    /// Refunds with their payments, by id and so by time.
    pub async fn list_refunds(
        &self,
        scope: Scope,
        filter: RefundFilter,
        page: PageQuery,
    ) -> Result<Page<(Refund, Arc<Facts>)>, StoreError> {
        let mut query = Query::new(select_refunds(), scope);
        if let Some(payment) = filter.payment {
            query.and("r.payment = ?", ulid(payment.ulid()));
        }
        if let Some(status) = filter.status {
            query.and("r.status = ?", number(status.code()));
            if status != Status::Succeeded {
                // Said in these words, the index of the refunds that did not succeed can be used.
                query.push(" AND r.status <> 2");
            }
        }
        query.page("r.id", page);
        self.page(query, page.limit, |c| read_refund_view(c)).await
    }

    /// What a name leads to.
    pub async fn find_key(&self, scope: Scope, hash: KeyHash) -> Result<Option<Key>, StoreError> {
        let sql = "SELECT scope, hash, request, target, id, state, expires_at FROM keys \
                   WHERE scope = $1 AND hash = $2";
        self.one(sql.into(), vec![number(scope.code()), Value::Id(hash.0)], |c| read_key(c)).await
    }

    /// Events with the rows they speak of: by id, or by sequence number for one refund.
    pub async fn list_events(
        &self,
        scope: Scope,
        filter: EventFilter,
        page: PageQuery,
    ) -> Result<Page<StoredEvent>, StoreError> {
        let mut query = Query::new(select_events(), scope);
        if let Some(event_type) = filter.event_type {
            query.and("e.type = ?", number(event_type.code()));
        }
        if let Some(refund) = filter.refund {
            query.and("e.refund = ?", ulid(refund.ulid()));
            let (comparison, direction) = match page.order {
                Order::Descending => ("<", "DESC"),
                Order::Ascending => (">", "ASC"),
            };
            if let Some(after) = page.after {
                let seq = "(SELECT seq FROM events a WHERE a.scope = e.scope AND a.id = ?)";
                query.and(&format!("e.seq {comparison} {seq}"), ulid(after));
            }
            query.finish(&format!("e.seq {direction}"), page.limit);
        } else {
            query.page("e.id", page);
        }
        let found = self.page(query, page.limit, |c| read_joined(c)).await?;
        let mut items = Vec::with_capacity(found.items.len());
        for joined in found.items {
            items.push(self.complete(joined).await?);
        }
        Ok(Page { items, more: found.more })
    }

    /// Looks up what was not joined to an event.
    async fn complete(&self, joined: Joined) -> Result<StoredEvent, StoreError> {
        let broken = || inconsistent("events");
        Ok(match joined {
            Joined::Whole(whole) => whole,
            Joined::Checkout(event, id) => {
                let found = self.find_checkout(event.scope, id).await?.ok_or_else(broken)?;
                StoredEvent { event, subject: StoredSubject::Checkout(Box::new(found)) }
            }
            Joined::Invoice(event, id) => {
                let found = self.find_invoice(event.scope, id).await?.ok_or_else(broken)?;
                StoredEvent { event, subject: StoredSubject::Invoice(Box::new(found)) }
            }
        })
    }

    /// The event with this id.
    pub async fn find_event(
        &self,
        scope: Scope,
        id: EventId,
    ) -> Result<Option<StoredEvent>, StoreError> {
        let sql = format!("{} AND e.id = $2", select_events());
        let values = vec![number(scope.code()), ulid(id.ulid())];
        match self.one(sql, values, |c| read_joined(c)).await? {
            Some(joined) => self.complete(joined).await.map(Some),
            None => Ok(None),
        }
    }

    /// Postings, by id and so by time. A posting counts when either of its accounts fits.
    pub async fn list_postings(
        &self,
        scope: Scope,
        filter: PostingFilter,
        page: PageQuery,
    ) -> Result<Page<Posting>, StoreError> {
        let sql = format!("SELECT {POSTING_COLUMNS} FROM postings WHERE scope = $1");
        let mut query = Query::new(sql, scope);
        if let Some(source) = filter.source {
            query.and("source = ?", ulid(source));
        }
        if let Some(source_type) = filter.source_type {
            query.and("source_type = ?", number(source_type.code()));
        }
        if let Some(posting) = filter.posting {
            query.and("id = ?", ulid(posting));
        }
        if let Some(code) = filter.code {
            // The accounts of a posting follow from its reason: at most three numbers, no input.
            let reasons: Vec<String> = Reason::ALL
                .iter()
                .filter(|reason| reason.legs().0 == code || reason.legs().1 == code)
                .map(|reason| reason.code().to_string())
                .collect();
            query.push(&format!(" AND reason IN ({})", reasons.join(", ")));
        }
        query.page("id", page);
        self.page(query, page.limit, |c| read_posting(c)).await
    }

    /// The running totals of every ledger account and currency.
    pub async fn balances(&self, scope: Scope) -> Result<Vec<Balance>, StoreError> {
        // The schema bounds the parts so that their sum fits.
        let sql = "SELECT code, currency, sum(debits)::bigint, sum(credits)::bigint FROM totals \
                   WHERE scope = $1 GROUP BY currency, code ORDER BY currency, code";
        self.list(Statement::new(sql, vec![number(scope.code())]), |c| read_balance(c)).await
    }

    /// What was posted in one currency from `from` until before `until`, per reason.
    pub async fn sum_postings(
        &self,
        scope: Scope,
        currency: Currency,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<PostingSum>, StoreError> {
        let sql = "SELECT reason, sum(amount)::bigint FROM postings \
                   WHERE scope = $1 AND id >= $2 AND id < $3 AND currency = $4 \
                   GROUP BY reason ORDER BY reason";
        let values = vec![
            number(scope.code()),
            ulid(first_at(from)),
            ulid(first_at(until)),
            Value::Text(currency.as_str().to_owned().into()),
        ];
        self.list(Statement::new(sql, values), |c| {
            let reason = c.code(Reason::from_code, "postings.reason")?;
            Ok(PostingSum { reason, amount: c.take()? })
        })
        .await
    }

    /// Refunds due at `now`, the longest due first.
    pub async fn due_refunds(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueRefund>, StoreError> {
        let sql = "SELECT scope, id, payment, due_at FROM refunds WHERE due_at <= $1 \
                   ORDER BY due_at LIMIT $2";
        let values = vec![number(now.0), number(limit.into())];
        self.list(Statement::new(sql, values), |c| read_due(c)).await
    }

    /// When the next refund is due.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT due_at FROM refunds WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1";
        self.one(sql.into(), Vec::new(), |c| Ok(Timestamp(c.take()?))).await
    }

    /// The checkout with this id, also a deleted one.
    pub async fn find_checkout(
        &self,
        scope: Scope,
        id: PaymentId,
    ) -> Result<Option<Checkout>, StoreError> {
        let sql = format!("SELECT {CHECKOUT_COLUMNS} FROM checkouts WHERE scope = $1 AND id = $2");
        self.one(sql, vec![number(scope.code()), ulid(id.ulid())], |c| read_checkout(c)).await
    }

    /// The checkout with this id, whoever's it is. For buyers, who know no account.
    pub async fn find_checkout_anywhere(
        &self,
        id: PaymentId,
    ) -> Result<Option<Checkout>, StoreError> {
        let sql = format!("SELECT {CHECKOUT_COLUMNS} FROM checkouts WHERE id = $1");
        self.one(sql, vec![ulid(id.ulid())], |c| read_checkout(c)).await
    }

    /// Checkouts that are not deleted, by id and so by time.
    pub async fn list_checkouts(
        &self,
        scope: Scope,
        filter: CheckoutFilter,
        page: PageQuery,
    ) -> Result<Page<Checkout>, StoreError> {
        let sql =
            format!("SELECT {CHECKOUT_COLUMNS} FROM checkouts WHERE scope = $1 AND deleted = 0");
        let mut query = Query::new(sql, scope);
        query.and("kind = ?", number(filter.kind.code()));
        if let Some(state) = filter.state {
            query.and("state = ?", number(state.code()));
        }
        if let Some(customer) = &filter.customer {
            query.and("customer = ?", Value::Text(customer.to_string().into()));
        }
        query.page("id", page);
        self.page(query, page.limit, |c| read_checkout(c)).await
    }

    /// Checkouts due at `now`, the longest due first.
    pub async fn due_checkouts(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Scope, PaymentId)>, StoreError> {
        let sql = "SELECT scope, id FROM checkouts WHERE due_at <= $1 ORDER BY due_at LIMIT $2";
        let values = vec![number(now.0), number(limit.into())];
        let read = |c: &mut Columns<'_>| Ok((c.scope()?, PaymentId::from_ulid(c.ulid()?)));
        self.list(Statement::new(sql, values), read).await
    }

    /// The invoice with this id.
    pub async fn find_invoice(
        &self,
        scope: Scope,
        id: InvoiceId,
    ) -> Result<Option<Invoice>, StoreError> {
        let sql = format!("SELECT {INVOICE_COLUMNS} FROM invoices WHERE scope = $1 AND id = $2");
        self.one(sql, vec![number(scope.code()), ulid(id.ulid())], |c| read_invoice(c)).await
    }

    /// The invoice with this id, whoever's it is. For buyers, who know no account.
    pub async fn find_invoice_anywhere(
        &self,
        id: InvoiceId,
    ) -> Result<Option<Invoice>, StoreError> {
        let sql = format!("SELECT {INVOICE_COLUMNS} FROM invoices WHERE id = $1");
        self.one(sql, vec![ulid(id.ulid())], |c| read_invoice(c)).await
    }

    /// Invoices, by id and so by time.
    pub async fn list_invoices(
        &self,
        scope: Scope,
        filter: InvoiceFilter,
        page: PageQuery,
    ) -> Result<Page<Invoice>, StoreError> {
        let sql = format!("SELECT {INVOICE_COLUMNS} FROM invoices WHERE scope = $1");
        let mut query = Query::new(sql, scope);
        if let Some(state) = filter.state {
            query.and("state = ?", number(state.code()));
        }
        if let Some(customer) = &filter.customer {
            query.and("customer = ?", Value::Text(customer.to_string().into()));
        }
        if let Some(subscription) = &filter.subscription {
            query.and("subscription = ?", Value::Text(subscription.to_string().into()));
        }
        query.page("id", page);
        self.page(query, page.limit, |c| read_invoice(c)).await
    }

    /// Invoices that fall due by `now`, the longest due first.
    pub async fn due_invoices(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Scope, InvoiceId)>, StoreError> {
        let sql = "SELECT scope, id FROM invoices WHERE wake_at <= $1 ORDER BY wake_at LIMIT $2";
        let values = vec![number(now.0), number(limit.into())];
        let read = |c: &mut Columns<'_>| Ok((c.scope()?, InvoiceId::from_ulid(c.ulid()?)));
        self.list(Statement::new(sql, values), read).await
    }

    /// When the next checkout or invoice is due.
    pub async fn next_checkout_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT min(at) FROM \
             (SELECT min(due_at) AS at FROM checkouts WHERE due_at IS NOT NULL \
             UNION ALL SELECT min(wake_at) FROM invoices WHERE wake_at IS NOT NULL) AS due";
        let at = self.one(sql.into(), Vec::new(), |c| c.take::<Option<i64>>()).await?;
        Ok(at.flatten().map(Timestamp))
    }

    /// The webhook endpoints of an account and mode, newest first.
    pub async fn list_endpoints(&self, scope: Scope) -> Result<Vec<Endpoint>, StoreError> {
        let sql = format!(
            "SELECT {ENDPOINT_COLUMNS} FROM webhook_endpoints WHERE scope = $1 ORDER BY id DESC"
        );
        self.list(Statement::new(sql, vec![number(scope.code())]), |c| read_endpoint(c)).await
    }

    /// The webhook endpoint with this id.
    pub async fn find_endpoint(
        &self,
        scope: Scope,
        id: EndpointId,
    ) -> Result<Option<Endpoint>, StoreError> {
        let sql = format!(
            "SELECT {ENDPOINT_COLUMNS} FROM webhook_endpoints WHERE scope = $1 AND id = $2"
        );
        self.one(sql, vec![number(scope.code()), ulid(id.ulid())], |c| read_endpoint(c)).await
    }

    /// The endpoints of a scope, as a batch sees them.
    pub async fn subscribers(&self, scope: Scope) -> Result<Vec<Subscriber>, StoreError> {
        let sql = "SELECT id, format, active, events FROM webhook_endpoints WHERE scope = $1 \
                   ORDER BY id";
        self.list(Statement::new(sql, vec![number(scope.code())]), |c| read_subscriber(c)).await
    }

    /// Deliveries, by id and so by time, each with its body where it has one, or else its event.
    pub async fn list_deliveries(
        &self,
        scope: Scope,
        filter: DeliveryFilter,
        page: PageQuery,
    ) -> Result<Page<DueDelivery>, StoreError> {
        let sql = format!("SELECT {DELIVERY_COLUMNS} FROM deliveries WHERE scope = $1");
        let mut query = Query::new(sql, scope);
        if let Some(endpoint) = filter.endpoint {
            query.and("endpoint = ?", ulid(endpoint.ulid()));
        }
        if let Some(status) = filter.status {
            // Written out, so that the partial indexes can be used; one digit, no input.
            query.push(&format!(" AND status = {}", status.code()));
        }
        if let Some(types) = &filter.types {
            let codes: Vec<String> = types.iter().map(|event| event.code().to_string()).collect();
            query.push(&format!(" AND type IN ({})", codes.join(", ")));
        }
        if let Some(format) = filter.format {
            query.and("format = ?", number(format.code()));
        }
        query.page("id", page);
        let found = self.page(query, page.limit, |c| read_delivery(c)).await?;
        Ok(Page { items: self.with_texts(scope, found.items).await?, more: found.more })
    }

    /// The delivery with this id, and the attempts at it, oldest first.
    pub async fn find_delivery(
        &self,
        scope: Scope,
        id: DeliveryId,
    ) -> Result<Option<(DueDelivery, Vec<Attempt>)>, StoreError> {
        let sql = format!("SELECT {DELIVERY_COLUMNS} FROM deliveries WHERE scope = $1 AND id = $2");
        let values = || vec![number(scope.code()), ulid(id.ulid())];
        let Some(delivery) = self.one(sql, values(), |c| read_delivery(c)).await? else {
            return Ok(None);
        };
        let select = Statement::new(SELECT_ATTEMPTS, values());
        let attempts = self.list(select, |c| read_attempt(c, &delivery)).await?;
        Ok(self.with_texts(scope, vec![delivery]).await?.pop().map(|due| (due, attempts)))
    }

    /// Adds to deliveries of one scope what is sent: their bodies or, where there is none yet, their
    /// events.
    async fn with_texts(
        &self,
        scope: Scope,
        deliveries: Vec<Delivery>,
    ) -> Result<Vec<DueDelivery>, StoreError> {
        let stored = |delivery: &Delivery| match delivery.body {
            Body::Stored(number) => Some(number),
            Body::None | Body::New(_) => None,
        };
        let numbers: Vec<_> = deliveries.iter().filter_map(stored).map(Some).collect();
        let mut bodies = BTreeMap::new();
        if !numbers.is_empty() {
            let sql = "SELECT no, body FROM delivery_bodies WHERE no = ANY ($1)";
            let read = |c: &mut Columns<'_>| Ok((c.take::<i64>()?, c.required_text()?));
            bodies.extend(self.list(Statement::new(sql, vec![Value::Ints(numbers)]), read).await?);
        }
        let fresh = deliveries.iter().filter(|delivery| stored(delivery).is_none());
        let fresh: Vec<_> = fresh.map(|delivery| delivery.event).collect();
        let events = self.find_events(scope, &fresh).await?;
        let mut due = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            let event = events.get(&delivery.event).cloned();
            due.push(match stored(&delivery) {
                None => DueDelivery { delivery, body: None, event },
                Some(number) => {
                    let body = bodies.get(&number).cloned();
                    let body = body.ok_or_else(|| inconsistent("deliveries.body"))?;
                    DueDelivery { delivery, body: Some(body), event: None }
                }
            });
        }
        Ok(due)
    }

    async fn find_events(
        &self,
        scope: Scope,
        ids: &[EventId],
    ) -> Result<BTreeMap<EventId, StoredEvent>, StoreError> {
        let mut found = BTreeMap::new();
        if ids.is_empty() {
            return Ok(found);
        }
        let sql = format!("{} AND e.id = ANY ($2)", select_events());
        let ids = Value::Ids(ids.iter().map(|id| Some(Id(id.bytes()))).collect());
        let values = vec![number(scope.code()), ids];
        for joined in self.list(Statement::new(sql, values), |c| read_joined(c)).await? {
            let stored = self.complete(joined).await?;
            found.insert(stored.event.id, stored);
        }
        Ok(found)
    }

    /// Finds deliveries that are due at `now`, of at most 256 endpoints behind `after`: of each
    /// what `room` gives it, `limit` in all.
    pub async fn due_deliveries(
        &self,
        now: Timestamp,
        after: Place,
        limit: u32,
        room: impl Fn(&Endpoint) -> u32 + Send + 'static,
    ) -> Result<DueBatch, StoreError> {
        let (scope, endpoint) =
            after.map_or((-1, [0; 16]), |(scope, endpoint)| (scope.code(), endpoint.bytes()));
        let values = vec![number(scope), Value::Id(endpoint), number(ENDPOINTS_PER_LOOK)];
        let next = self
            .list(Statement::new(NEXT_ENDPOINTS, values), |c| {
                Ok((c.scope()?, EndpointId::from_ulid(c.ulid()?), Timestamp(c.take()?)))
            })
            .await?;
        let mut batch = DueBatch::default();
        let whole = i64::try_from(next.len()).unwrap_or(i64::MAX) < ENDPOINTS_PER_LOOK;
        let mut left = limit;
        for (scope, id, first_at) in next {
            batch.place = Some((scope, id));
            if first_at > now {
                batch.next_at = Some(batch.next_at.map_or(first_at, |at| at.min(first_at)));
                continue;
            }
            let endpoint = self.find_endpoint(scope, id).await?;
            let Some(endpoint) = endpoint.filter(|endpoint| endpoint.active) else {
                batch.stopped.push((scope, id));
                continue;
            };
            let wanted = room(&endpoint).min(left);
            if wanted > 0 {
                left -= self.take_due(&endpoint, now, wanted, &mut batch).await?;
                batch.endpoints.insert((scope, id), endpoint);
            }
            if left == 0 {
                return Ok(batch);
            }
        }
        if whole {
            // Around the end and once more from the beginning, up to where this look began.
            batch.place = None;
        }
        Ok(batch)
    }

    async fn take_due(
        &self,
        endpoint: &Endpoint,
        now: Timestamp,
        limit: u32,
        batch: &mut DueBatch,
    ) -> Result<u32, StoreError> {
        let sql = format!(
            "SELECT {DELIVERY_COLUMNS} FROM deliveries WHERE scope = $1 AND endpoint = $2 \
             AND next_at <= $3 ORDER BY next_at, id LIMIT $4"
        );
        let scope = endpoint.scope;
        let values = vec![
            number(scope.code()),
            ulid(endpoint.id.ulid()),
            number(now.0),
            number(limit.into()),
        ];
        let due = self.list(Statement::new(sql, values), |c| read_delivery(c)).await?;
        let due = self.with_texts(scope, due).await?;
        let taken = u32::try_from(due.len()).unwrap_or(u32::MAX);
        batch.due.extend(due);
        if let Entry::Vacant(entry) = batch.accounts.entry(scope.account()) {
            let sql = "SELECT id FROM accounts WHERE no = $1";
            let values = vec![number(scope.account().into())];
            let read = |c: &mut Columns<'_>| Ok(AccountId::from_ulid(c.ulid()?));
            if let Some(account) = self.one(sql.into(), values, read).await? {
                entry.insert(account);
            }
        }
        Ok(taken)
    }
}
