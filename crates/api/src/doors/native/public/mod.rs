//! Operations for a buyer's browser, without a key. The id of a checkout cannot be guessed; anybody
//! who knows the id may see the checkout and pay it. Answers contain nothing confidential.

pub mod describe;

use super::checkout_sessions::wire::ItemWire;
use super::invoices::wire::InvoiceLineWire;
use crate::app::App;
use crate::http::admit::RateLimited;
use crate::http::body::{self, Object, missing};
use crate::http::checkout::{BANK_ACCOUNT, BANK_NAME, invoice_number, parse_checkout_id};
use crate::http::envelope;
use crate::http::problem::Problem;
use crate::http::route::Route;
use crate::http::time::Iso;
use axum::body::Bytes;
use axum::extract::Request;
use axum::response::Response;
use domain::checkout::{Checkout, PaymentAttempt, State};
use domain::ids::InvoiceId;
use domain::invoice::{self, Invoice};
use domain::payment::Kind;
use engine::{MANUAL, find_method};
use http::{Method, StatusCode};
use serde::Serialize;
use std::sync::Arc;

/// Refuses a request over the rate limit.
fn over_limit(app: &App, limited: RateLimited) -> Response {
    envelope::refuse(app, app.engine.request_id(), &Problem::from(limited))
}

/// An operation for everybody.
fn public<E, F>(method: Method, path: &'static str, endpoint: E) -> Route
where
    E: Fn(Visit) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = Result<Response, Problem>> + Send + 'static,
{
    Route::public(method, path, over_limit, move |app, request| async move {
        let request_id = app.engine.request_id();
        let answered = match Visit::prepare(&app, request).await {
            Ok(visit) => endpoint(visit).await,
            Err(problem) => Err(problem),
        };
        answered.unwrap_or_else(|problem| envelope::refuse(&app, request_id, &problem))
    })
}

/// Every operation for buyers.
pub fn routes() -> Vec<Route> {
    use Method as M;
    vec![
        public(M::GET, "/api/v1/public/checkout/sessions/{id}", show),
        public(M::POST, "/api/v1/public/checkout/sessions/{id}/charge", charge),
        public(M::POST, "/api/v1/public/checkout/sessions/{id}/buyer-claim", claim),
        public(M::GET, "/api/v1/public/checkout/invoices/{id}", show_invoice),
    ]
}

struct Visit {
    app: Arc<App>,
    parts: http::request::Parts,
    body: Bytes,
}

impl Visit {
    async fn prepare(app: &Arc<App>, request: Request) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let limits = &app.config;
        let body =
            body::read(&parts.headers, body, limits.max_body_bytes, limits.body_timeout).await?;
        Ok(Self { app: Arc::clone(app), parts, body })
    }

    fn id(&self) -> &str {
        self.parts.uri.path().split('/').nth(6).unwrap_or_default()
    }

    fn object(&self) -> Result<Option<Object<'_>>, Problem> {
        if self.body.is_empty() {
            return Ok(None);
        }
        body::check_json(&self.parts.headers)?;
        Ok(Some(Object::parse(&self.body)?))
    }

    fn answer<T: Serialize>(&self, data: &T) -> Response {
        let request_id = self.app.engine.request_id();
        envelope::answer(&self.app, request_id, StatusCode::OK, data, None)
    }

    async fn find(&self) -> Result<Checkout, Problem> {
        let not_found = || Problem::not_found("checkout session");
        let (kind, id) = parse_checkout_id(self.id()).ok_or_else(not_found)?;
        self.app.engine.find_public_checkout(kind, id).await?.ok_or_else(not_found)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SessionShown<'a> {
    id: String,
    amount: i64,
    currency: &'a str,
    status: &'static str,
    mode: &'static str,
    expires_at: Option<Iso>,
    success_url: Option<&'a str>,
    cancel_url: Option<&'a str>,
    line_items: Vec<ItemWire<'a>>,
    hosted_url: String,
}

impl<'a> SessionShown<'a> {
    fn new(checkout: &'a Checkout, app: &App) -> Self {
        let facts = &*checkout.facts;
        Self {
            id: facts.name(),
            amount: facts.amount,
            currency: facts.currency.as_str(),
            status: checkout.state.as_str(),
            mode: facts.tenant.mode().as_str(),
            expires_at: facts.expires_at.map(Iso),
            success_url: facts.success_url.as_deref(),
            cancel_url: facts.cancel_url.as_deref(),
            line_items: ItemWire::all(&facts.lines),
            hosted_url: app.engine.hosted_url(facts.kind, facts.id),
        }
    }
}

#[derive(Serialize)]
struct Offer<'a> {
    id: &'a str,
    label: &'static str,
    group: &'static str,
    currency: &'a str,
}

fn catalog(checkout: &Checkout) -> Vec<Offer<'_>> {
    let currency = checkout.facts.currency.as_str();
    let offer = |id: &'_ str| find_method(id).map(|(method, _)| (method.label, method.group));
    let methods = checkout.facts.methods.iter();
    methods
        .filter_map(|id| offer(id).map(|(label, group)| Offer { id, label, group, currency }))
        .collect()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "they are the names on the wire")]
struct Branding {
    brand_name: Box<str>,
    brand_logo_url: Option<()>,
    brand_accent_color: Option<()>,
    brand_tagline: Option<()>,
}

async fn branding(app: &App, tenant: domain::account::Tenant) -> Result<Branding, Problem> {
    let brand_name = app.engine.merchant_name(tenant).await?;
    Ok(Branding { brand_name, brand_logo_url: None, brand_accent_color: None, brand_tagline: None })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PublicSession<'a> {
    session: SessionShown<'a>,
    methods: &'a [Box<str>],
    catalog: Vec<Offer<'a>>,
    branding: Branding,
    active_adapters: Vec<&'static str>,
}

/// Shows a session to a buyer.
async fn show(visit: Visit) -> Result<Response, Problem> {
    let checkout = visit.find().await?;
    let shown = PublicSession {
        session: SessionShown::new(&checkout, &visit.app),
        methods: &checkout.facts.methods,
        catalog: catalog(&checkout),
        branding: branding(&visit.app, checkout.facts.tenant).await?,
        active_adapters: adapters(&visit.app, &checkout),
    };
    Ok(visit.answer(&shown))
}

fn adapters(app: &App, checkout: &Checkout) -> Vec<&'static str> {
    app.engine.payment_provider_name(checkout.facts.tenant).into_iter().collect()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Charged<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    redirect_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<Instructions<'a>>,
    status: &'static str,
    /// The buyer must approve the payment.
    action_required: bool,
    failure_code: Option<&'a str>,
    failure_message: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Instructions<'a> {
    heading: &'static str,
    note: String,
    bank_accounts: [BankAccount; 1],
    amount: i64,
    currency: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BankAccount {
    bank_name: &'static str,
    account_number: &'static str,
    account_holder: Box<str>,
}

/// Pays with the chosen method.
async fn charge(visit: Visit) -> Result<Response, Problem> {
    let object = visit.object()?;
    let method = object.map(|object| object.name("method", 64).map(|text| text.map(String::from)));
    let method = method.transpose()?.flatten();
    let method = method.ok_or_else(|| missing("method", "one of the session's methods"))?;
    let checkout = visit.find().await?;
    let engine = &visit.app.engine;
    let paid = engine.pay_checkout(&checkout, &method).await?;
    let by_hand = matches!(paid.state, State::Open | State::Failed) && method == MANUAL.id;
    let instructions = if by_hand { Some(instructions(&visit.app, &paid).await?) } else { None };
    let facts = &*paid.facts;
    let failure = paid.failure.as_ref();
    let hosted = || engine.hosted_url(facts.kind, facts.id);
    let done = facts.success_url.as_ref().filter(|_| paid.state == State::Completed);
    let charged = Charged {
        kind: if by_hand { "instructions" } else { "redirect" },
        redirect_url: (!by_hand).then(|| done.map_or_else(hosted, ToString::to_string)),
        instructions,
        status: paid.state.as_str(),
        action_required: paid.flight == PaymentAttempt::ActionRequired,
        failure_code: failure.map(|failure| &*failure.code),
        failure_message: failure.map(|failure| &*failure.message),
    };
    Ok(visit.answer(&charged))
}

async fn instructions<'a>(app: &App, checkout: &'a Checkout) -> Result<Instructions<'a>, Problem> {
    let holder = app.engine.merchant_name(checkout.facts.tenant).await?;
    Ok(Instructions {
        heading: "Send the money by bank transfer",
        note: format!(
            "Write {} into the transfer, then say that you sent it.",
            checkout.facts.name()
        ),
        bank_accounts: [BankAccount {
            bank_name: BANK_NAME,
            account_number: BANK_ACCOUNT,
            account_holder: holder,
        }],
        amount: checkout.facts.amount,
        currency: checkout.facts.currency.as_str(),
    })
}

/// Records the buyer's claim that the money was sent by hand.
async fn claim(visit: Visit) -> Result<Response, Problem> {
    let proof_url = match visit.object()? {
        Some(object) => object.url("proofUrl")?,
        None => None,
    };
    let checkout = visit.find().await?;
    let claimed = visit.app.engine.claim_checkout(&checkout, proof_url).await?;
    let shown = PublicSession {
        session: SessionShown::new(&claimed, &visit.app),
        methods: &claimed.facts.methods,
        catalog: catalog(&claimed),
        branding: branding(&visit.app, claimed.facts.tenant).await?,
        active_adapters: adapters(&visit.app, &claimed),
    };
    Ok(visit.answer(&shown))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InvoiceShown<'a> {
    id: String,
    number: String,
    status: &'static str,
    currency: &'a str,
    subtotal: i64,
    discount: i64,
    tax: i64,
    total: i64,
    amount_paid: i64,
    amount_due: i64,
    issued_at: Option<Iso>,
    due_at: Option<Iso>,
    paid_at: Option<Iso>,
    memo: Option<&'a str>,
    lines: Vec<InvoiceLineWire<'a>>,
    hosted_invoice_url: String,
}

impl<'a> InvoiceShown<'a> {
    fn new(invoice: &'a Invoice, app: &App) -> Self {
        let (facts, paid) = (&*invoice.facts, invoice.amount_paid());
        Self {
            id: facts.id.to_string(),
            number: invoice_number(invoice),
            status: invoice.state.as_str(),
            currency: facts.currency.as_str(),
            subtotal: facts.totals.subtotal,
            discount: facts.totals.discount,
            tax: facts.totals.tax,
            total: facts.totals.total,
            amount_paid: paid,
            amount_due: facts.totals.total.saturating_sub(paid),
            issued_at: invoice.issued_at.map(Iso),
            due_at: facts.due_at.map(Iso),
            paid_at: invoice.paid_at.map(Iso),
            memo: facts.memo.as_deref(),
            lines: InvoiceLineWire::all(invoice),
            hosted_invoice_url: app.engine.hosted_url(Kind::Invoice, invoice.payment()),
        }
    }
}

#[derive(Serialize)]
struct PublicInvoice<'a> {
    invoice: InvoiceShown<'a>,
    methods: &'a [Box<str>],
    catalog: Vec<Offer<'a>>,
    branding: Branding,
}

/// Shows an invoice to a buyer. Drafts are not shown.
async fn show_invoice(visit: Visit) -> Result<Response, Problem> {
    let not_found = || Problem::not_found("invoice");
    let id = InvoiceId::parse(visit.id()).map_err(|_| not_found())?;
    let engine = &visit.app.engine;
    let invoice = engine.find_public_invoice(id).await?;
    let invoice = invoice.filter(|invoice| invoice.state != invoice::State::Draft);
    let invoice = invoice.filter(|invoice| invoice.issued_at.is_some()).ok_or_else(not_found)?;
    let checkout = engine.find_public_checkout(Kind::Invoice, invoice.payment()).await?;
    let shown = PublicInvoice {
        invoice: InvoiceShown::new(&invoice, &visit.app),
        methods: checkout.as_ref().map_or(&[], |checkout| &checkout.facts.methods),
        catalog: checkout.as_ref().map(catalog).unwrap_or_default(),
        branding: branding(&visit.app, invoice.facts.tenant).await?,
    };
    Ok(visit.answer(&shown))
}
