//! Payment intents: requests for payment, and the payments that follow.

use super::door::Call;
use super::error::Problem;
use super::wire::{Intent, METHOD_PREFIX, Page};
use crate::http::answer::mark_replayed;
use crate::http::body::{Least, Object, missing};
use crate::http::invalid::{Invalid, excerpt};
use crate::http::payment_ref::{parse_source, parse_ulid};
use crate::http::query::read_limit;
use axum::response::Response;
use domain::checkout::{Checkout, State};
use domain::ids::PaymentId;
use domain::payment::Kind;
use domain::tenant::Tenant;
use engine::{
    CheckoutFilter, Engine, MANUAL, NewCheckout, PageQuery, PaymentName, SortOrder, find_method,
};
use http::HeaderName;

/// The ways to pay that an intent offers. A payment method is `pm_` and one of them, optionally
/// followed by a test outcome.
pub const METHODS: [&str; 3] = ["card", "debit", "paypal"];
pub const LONGEST_CUSTOMER: usize = 200;
pub const LONGEST_METHOD: usize = 64;
/// Default page size.
pub const LIMIT: u32 = 20;

/// Carries the client secret of an intent.
static CLIENT_SECRET: HeaderName = HeaderName::from_static("x-client-secret");

/// Creates a request for payment.
pub async fn create(call: Call) -> Result<Response, Problem> {
    let new = read(&call.object()?, call.tenant())?;
    let answered = call.engine().open_checkout(new, call.idempotency_key()).await?;
    // A repeated request gets the intent as it was at creation, too.
    let intent = Intent { checkout: Some(answered.value), payment: None };
    print(&call, &intent, answered.replayed)
}

fn read(object: &Object<'_>, tenant: Tenant) -> Result<NewCheckout, Invalid> {
    let amount = object.amount("amount", Least::One)?;
    let currency = object.currency("currency")?;
    Ok(NewCheckout {
        tenant,
        kind: Kind::PaymentIntent,
        amount: amount.ok_or_else(|| missing("amount", "the smallest units, such as 2000"))?,
        currency: currency.ok_or_else(|| missing("currency", "an ISO 4217 code, such as AUD"))?,
        methods: METHODS.map(Box::from).to_vec(),
        success_url: None,
        cancel_url: None,
        lines: Vec::new(),
        customer: object.name("customer_id", LONGEST_CUSTOMER)?.map(Into::into),
        template: None,
        metadata: object.metadata("metadata")?,
        extra: None,
        expires_in_ms: None,
    })
}

fn print(call: &Call, intent: &Intent, replayed: bool) -> Result<Response, Problem> {
    let wire = intent.wire(call.engine()).ok_or_else(Problem::no_intent)?;
    let mut response = call.answer(&wire);
    mark_replayed(&mut response, replayed);
    Ok(response)
}

/// Lists the intents that were made through this door, newest first.
pub async fn list(call: Call) -> Result<Response, Problem> {
    let query = call.query();
    let customer = query.get("customer_id")?.map(|text| text.into_owned().into());
    let filter = CheckoutFilter { kind: Kind::PaymentIntent, state: None, customer };
    let paging = read_paging(&call, &[Kind::PaymentIntent.prefix()])?;
    let page = call.engine().list_checkouts(call.tenant(), filter, paging).await?;
    let mut intents = Vec::with_capacity(page.items.len());
    for checkout in page.items {
        intents.push(with_payment(&call, checkout).await?);
    }
    let wires = intents.iter().filter_map(|intent| intent.wire(call.engine()));
    Ok(call.answer(&Page { data: wires.collect(), has_more: page.more }))
}

/// Reads `limit` and `starting_after`, which is an id with one of these prefixes.
pub fn read_paging(call: &Call, prefixes: &[&str]) -> Result<PageQuery, Invalid> {
    let query = call.query();
    let after = query.get("starting_after")?.map(|text| {
        let ulid = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix)).and_then(parse_ulid);
        ulid.ok_or_else(|| {
            let text = excerpt(&text);
            let message = format!(
                "starting_after must be the id of the last item of the page before, {}…; got {text:?}",
                prefixes.first().copied().unwrap_or_default()
            );
            Invalid::field("starting_after", message)
        })
    });
    Ok(PageQuery {
        limit: read_limit(&query)?.unwrap_or(LIMIT),
        after: after.transpose()?,
        order: SortOrder::Descending,
        from: None,
        until: None,
    })
}

pub async fn get(call: Call) -> Result<Response, Problem> {
    let intent = find(&call).await?;
    print(&call, &intent, false)
}

/// The id of the payment that the path names. The payment may not exist.
pub async fn resolve(call: &Call) -> Result<PaymentId, Problem> {
    let text = call.id().ok_or_else(Problem::no_intent)?;
    let source: PaymentName = parse_source(&text);
    call.engine().resolve_source(call.tenant(), &source).await?.ok_or_else(Problem::no_intent)
}

/// The intent that the path names.
pub async fn find(call: &Call) -> Result<Intent, Problem> {
    let id = resolve(call).await?;
    let checkout = call.engine().find_any_checkout(call.tenant(), id).await?;
    // An invoice has its own operations and becomes an intent only once it is paid.
    if let Some(checkout) = checkout.filter(|checkout| checkout.terms.kind != Kind::Invoice) {
        return with_payment(call, checkout).await;
    }
    let payment =
        call.engine().find_payment(call.tenant(), id).await?.ok_or_else(Problem::no_intent)?;
    Ok(Intent { checkout: None, payment: Some(payment) })
}

async fn with_payment(call: &Call, checkout: Checkout) -> Result<Intent, Problem> {
    let payment = if checkout.state == State::Completed {
        call.engine().find_payment(call.tenant(), checkout.terms.id).await?
    } else {
        None
    };
    Ok(Intent { checkout: Some(checkout), payment })
}

/// Pays an intent. The status in the answer says whether that succeeded.
pub async fn confirm(call: Call) -> Result<Response, Problem> {
    let method = read_method(&call.object()?)?;
    let intent = find(&call).await?;
    check_client_secret(&call, &intent)?;
    // A registered payment is already paid.
    let Some(checkout) = &intent.checkout else { return print(&call, &intent, false) };
    let paid = call.engine().pay_checkout_once(checkout, &method, call.idempotency_key()).await;
    let paid = paid.map_err(|error| {
        if matches!(error, engine::Error::Invalid { .. }) {
            return Problem::from(unknown_method(&checkout.terms.methods));
        }
        error.into()
    })?;
    let intent = with_payment(&call, paid.value).await?;
    print(&call, &intent, paid.replayed)
}

/// Reads `payment_method`, without its prefix.
fn read_method(object: &Object<'_>) -> Result<String, Invalid> {
    let field = "payment_method";
    let text = object.name(field, LONGEST_METHOD)?;
    let text = text.ok_or_else(|| missing(field, "one such as \"pm_card\""))?;
    let method = text.strip_prefix(METHOD_PREFIX);
    let known = |id: &&str| *id != MANUAL.id && find_method(id).is_some();
    let method = method.filter(known).map(str::to_owned);
    method.ok_or_else(|| unknown_method(&METHODS.map(Box::from)))
}

fn unknown_method(offered: &[Box<str>]) -> Invalid {
    let names = offered.iter().filter(|id| ***id != *MANUAL.id);
    let names: Vec<_> = names.map(|id| format!("{METHOD_PREFIX}{id}")).collect();
    let message = format!("payment_method must be one of {}", names.join(", "));
    Invalid::field("payment_method", message)
}

/// Checks a client secret, which callers with a key may leave out.
fn check_client_secret(call: &Call, intent: &Intent) -> Result<(), Problem> {
    let Some(given) = crate::http::headers::single(call.headers(), &CLIENT_SECRET)? else {
        return Ok(());
    };
    if is_secret_of(call.engine(), intent, given.as_bytes()) {
        return Ok(());
    }
    let message =
        "X-Client-Secret is not the client_secret of this payment intent; send that, or none";
    Err(Invalid::field("X-Client-Secret", message).into())
}

fn is_secret_of(engine: &Engine, intent: &Intent, given: &[u8]) -> bool {
    use subtle::ConstantTimeEq as _;
    let wire = intent.wire(engine);
    wire.is_some_and(|wire| bool::from(wire.client_secret().as_bytes().ct_eq(given)))
}

/// Cancels an unpaid intent.
pub async fn cancel(call: Call) -> Result<Response, Problem> {
    call.optional_object()?;
    let intent = find(&call).await?;
    let Some(checkout) = &intent.checkout else {
        return Err(Problem::unexpected_state(intent.status()));
    };
    let canceled = call.engine().cancel_checkout(checkout, call.idempotency_key()).await;
    let canceled = canceled.map_err(|error| match (&error, &intent.payment) {
        (engine::Error::Refused(domain::decide::Refusal::CheckoutIs { .. }), Some(_)) => {
            Problem::unexpected_state(intent.status())
        }
        _ => error.into(),
    })?;
    let intent = with_payment(&call, canceled.value).await?;
    print(&call, &intent, canceled.replayed)
}
