//! Operations for a buyer's browser, without a key. The id of a checkout cannot be guessed; anybody
//! who knows the id may see the checkout and pay it. Answers contain nothing confidential.

pub mod describe;

use super::checkout_sessions::wire::{ItemWire, states};
use super::invoices::wire::{InvoiceLineWire, number};
use crate::app::App;
use crate::http::admit::RateLimited;
use crate::http::body::{self, Object, missing};
use crate::http::checkout::{BANK_ACCOUNT, BANK_NAME, invoice_number, parse_checkout_id};
use crate::http::envelope;
use crate::http::problem::Problem;
use crate::http::route::Route;
use crate::http::time::Iso;
use crate::openapi::{Schema, components, printed};
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

/// Describes the id of anything that is paid on the hosted page.
fn session_id() -> Schema {
    let kinds = [Kind::CheckoutSession, Kind::PaymentIntent, Kind::Checkout, Kind::Invoice];
    components::id(&kinds.map(Kind::prefix))
}

printed! {
    #[serde(rename_all = "camelCase")]
    struct SessionShown<'a> {
        id: String = session_id(),
        amount: i64 = Schema::integer(1).says("Minor units.").like(12_500),
        currency: &'a str = components::currency(),
        status: &'static str = states(),
        mode: &'static str = components::mode(),
        expires_at: Option<Iso> = Schema::time().or_null(),
        success_url: Option<&'a str> = Schema::string().or_null(),
        cancel_url: Option<&'a str> = Schema::string().or_null(),
        line_items: Vec<ItemWire<'a>> = Schema::list(Schema::named("Item")),
        hosted_url: String = Schema::string().says("The page on which it is paid."),
    }
}

impl<'a> SessionShown<'a> {
    fn new(checkout: &'a Checkout, app: &App) -> Self {
        let terms = &*checkout.terms;
        Self {
            id: terms.name(),
            amount: terms.amount,
            currency: terms.currency.as_str(),
            status: checkout.state.as_str(),
            mode: terms.tenant.mode().as_str(),
            expires_at: terms.expires_at.map(Iso),
            success_url: terms.success_url.as_deref(),
            cancel_url: terms.cancel_url.as_deref(),
            line_items: ItemWire::all(&terms.lines),
            hosted_url: app.engine.hosted_url(terms.kind, terms.id),
        }
    }
}

printed! {
    /// A way to pay.
    #[serde(rename_all = "camelCase")]
    struct Offer<'a> {
        id: &'a str = Schema::string().like("card"),
        label: &'static str = Schema::string().says("For people."),
        group: &'static str = Schema::string(),
        currency: &'a str = components::currency(),
    }
}

fn catalog(checkout: &Checkout) -> Vec<Offer<'_>> {
    let currency = checkout.terms.currency.as_str();
    let offer = |id: &'_ str| find_method(id).map(|(method, _)| (method.label, method.group));
    let methods = checkout.terms.methods.iter();
    methods
        .filter_map(|id| offer(id).map(|(label, group)| Offer { id, label, group, currency }))
        .collect()
}

printed! {
    #[serde(rename_all = "camelCase")]
    #[expect(clippy::struct_field_names, reason = "they are the names on the wire")]
    struct Branding {
        brand_name: Box<str> = Schema::string().says("The merchant's name."),
        brand_logo_url: Option<()> = Schema::null().says("Not kept here."),
        brand_accent_color: Option<()> = Schema::null().says("Not kept here."),
        brand_tagline: Option<()> = Schema::null().says("Not kept here."),
    }
}

async fn branding(app: &App, tenant: domain::tenant::Tenant) -> Result<Branding, Problem> {
    let brand_name = app.engine.merchant_name(tenant).await?;
    Ok(Branding { brand_name, brand_logo_url: None, brand_accent_color: None, brand_tagline: None })
}

printed! {
    #[serde(rename_all = "camelCase")]
    struct PublicSession<'a> {
        session: SessionShown<'a> = SessionShown::schema(),
        methods: &'a [Box<str>] = Schema::list(Schema::string()),
        catalog: Vec<Offer<'a>> = Schema::list(Schema::named("PaymentMethod")),
        branding: Branding = Schema::named("Branding"),
        active_adapters: Vec<&'static str> = Schema::list(Schema::words(["simulator"])),
    }
}

/// Shows a session to a buyer.
async fn show(visit: Visit) -> Result<Response, Problem> {
    let checkout = visit.find().await?;
    print(&visit, &checkout).await
}

async fn print(visit: &Visit, checkout: &Checkout) -> Result<Response, Problem> {
    let (terms, engine) = (&*checkout.terms, &visit.app.engine);
    Ok(visit.answer(&PublicSession {
        session: SessionShown::new(checkout, &visit.app),
        methods: &terms.methods,
        catalog: catalog(checkout),
        branding: branding(&visit.app, terms.tenant).await?,
        active_adapters: engine.payment_provider_name(terms.tenant).into_iter().collect(),
    }))
}

printed! {
    #[serde(rename_all = "camelCase")]
    struct Charged<'a> {
        kind: &'static str = Schema::words(["redirect", "instructions"]),
        redirect_url?: String = Schema::string().says("Where to send the buyer; with `redirect`."),
        instructions?: Instructions<'a> = Instructions::schema()
            .says("How to pay by hand; with `instructions`."),
        status: &'static str = states(),
        action_required: bool = Schema::boolean().says("The buyer must agree to it first."),
        failure_code: Option<&'a str> = Schema::text_or_null("Why it was declined."),
        failure_message: Option<&'a str> = Schema::text_or_null("The same for people."),
    }
}

printed! {
    #[serde(rename_all = "camelCase")]
    struct Instructions<'a> {
        heading: &'static str = Schema::string(),
        note: String = Schema::string(),
        bank_accounts: [BankAccount; 1] = Schema::list(BankAccount::schema()),
        amount: i64 = components::minor("To be sent."),
        currency: &'a str = components::currency(),
    }
}

printed! {
    #[serde(rename_all = "camelCase")]
    struct BankAccount {
        bank_name: &'static str = Schema::string(),
        account_number: &'static str = Schema::string(),
        account_holder: Box<str> = Schema::string(),
    }
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
    let terms = &*paid.terms;
    let failure = paid.failure.as_ref();
    let hosted = || engine.hosted_url(terms.kind, terms.id);
    let done = terms.success_url.as_ref().filter(|_| paid.state == State::Completed);
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
    let holder = app.engine.merchant_name(checkout.terms.tenant).await?;
    Ok(Instructions {
        heading: "Send the money by bank transfer",
        note: format!(
            "Write {} into the transfer, then say that you sent it.",
            checkout.terms.name()
        ),
        bank_accounts: [BankAccount {
            bank_name: BANK_NAME,
            account_number: BANK_ACCOUNT,
            account_holder: holder,
        }],
        amount: checkout.terms.amount,
        currency: checkout.terms.currency.as_str(),
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
    print(&visit, &claimed).await
}

printed! {
    #[serde(rename_all = "camelCase")]
    struct InvoiceShown<'a> {
        id: String = components::id(&[InvoiceId::PREFIX]),
        number: String = number(),
        status: &'static str = Schema::one_of(invoice::State::ALL, invoice::State::as_str),
        currency: &'a str = components::currency(),
        subtotal: i64 = components::minor("Sum of the lines."),
        discount: i64 = components::minor("Off the subtotal."),
        tax: i64 = components::minor("On top."),
        total: i64 = components::minor("What is asked for."),
        amount_paid: i64 = components::minor("What was paid."),
        amount_due: i64 = components::minor("What remains to be paid."),
        issued_at: Option<Iso> = Schema::time().or_null(),
        due_at: Option<Iso> = Schema::time().or_null(),
        paid_at: Option<Iso> = Schema::time().or_null(),
        memo: Option<&'a str> = Schema::string().or_null(),
        lines: Vec<InvoiceLineWire<'a>> = Schema::list(Schema::named("InvoiceLine")),
        hosted_invoice_url: String = Schema::string().says("The page on which it is paid."),
    }
}

impl<'a> InvoiceShown<'a> {
    fn new(invoice: &'a Invoice, app: &App) -> Self {
        let (terms, paid) = (&*invoice.terms, invoice.amount_paid());
        Self {
            id: terms.id.to_string(),
            number: invoice_number(invoice),
            status: invoice.state.as_str(),
            currency: terms.currency.as_str(),
            subtotal: terms.totals.subtotal,
            discount: terms.totals.discount,
            tax: terms.totals.tax,
            total: terms.totals.total,
            amount_paid: paid,
            amount_due: terms.totals.total.saturating_sub(paid),
            issued_at: invoice.issued_at.map(Iso),
            due_at: terms.due_at.map(Iso),
            paid_at: invoice.paid_at.map(Iso),
            memo: terms.memo.as_deref(),
            lines: InvoiceLineWire::all(invoice),
            hosted_invoice_url: app.engine.hosted_url(Kind::Invoice, invoice.payment()),
        }
    }
}

printed! {
    #[serde(rename_all = "camelCase")]
    struct PublicInvoice<'a> {
        invoice: InvoiceShown<'a> = InvoiceShown::schema(),
        methods: &'a [Box<str>] = Schema::list(Schema::string()),
        catalog: Vec<Offer<'a>> = Schema::list(Schema::named("PaymentMethod")),
        branding: Branding = Schema::named("Branding"),
    }
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
        methods: checkout.as_ref().map_or(&[], |checkout| &checkout.terms.methods),
        catalog: checkout.as_ref().map(catalog).unwrap_or_default(),
        branding: branding(&visit.app, invoice.terms.tenant).await?,
    };
    Ok(visit.answer(&shown))
}
