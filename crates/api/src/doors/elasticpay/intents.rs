//! Payment intents: asking somebody to pay, and taking the money.

use super::error::Problem;
use super::serve::Call;
use super::wire::{Intent, METHOD_PREFIX, Page};
use crate::body::{Least, Object, missing};
use crate::doors::native::{mark_replayed, parse_source, read_limit};
use crate::invalid::{Invalid, excerpt};
use axum::response::Response;
use domain::account::Scope;
use domain::checkout::{Checkout, State};
use domain::ids::PaymentId;
use domain::payment::Kind;
use engine::{
    CheckoutFilter, Engine, MANUAL, NewCheckout, PageQuery, SortOrder, Source, find_method,
};
use http::HeaderName;
use ulid::Ulid;

/// The ways to pay that an intent offers; `pm_` and one of them is a payment method, with one of the
/// simulator's outcomes behind it as well.
pub const METHODS: [&str; 3] = ["card", "debit", "paypal"];
/// Characters of a customer's id.
pub const LONGEST_CUSTOMER: usize = 200;
/// Characters of a payment method.
pub const LONGEST_METHOD: usize = 64;
/// Items of a page where nothing else is asked for.
pub const LIMIT: u32 = 20;

/// What a client may show that confirms without a secret key of its own.
static CLIENT_SECRET: HeaderName = HeaderName::from_static("x-client-secret");

/// Asks somebody to pay.
pub async fn create(call: Call) -> Result<Response, Problem> {
    let new = read(&call.object()?, call.scope())?;
    let answered = call.engine().open_checkout(new, call.idempotency_key()).await;
    let answered = answered.map_err(|error| Problem::of_engine(&error))?;
    // As it was when it was made, also when the request is repeated.
    let intent = Intent { checkout: Some(answered.value), payment: None };
    print(&call, &intent, answered.replayed)
}

fn read(object: &Object<'_>, scope: Scope) -> Result<NewCheckout, Invalid> {
    let amount = object.amount("amount", Least::One)?;
    let currency = object.currency("currency")?;
    Ok(NewCheckout {
        scope,
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
    let page = call.engine().list_checkouts(call.scope(), filter, paging).await;
    let page = page.map_err(|error| Problem::of_engine(&error))?;
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
        let ulid = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix)).and_then(read_ulid);
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

/// One spelling per id, as everywhere.
fn read_ulid(text: &str) -> Option<Ulid> {
    let upper = !text.bytes().any(|byte| byte.is_ascii_lowercase());
    Ulid::from_string(text).ok().filter(|_| upper)
}

/// One intent.
pub async fn get(call: Call) -> Result<Response, Problem> {
    let intent = find(&call).await?;
    print(&call, &intent, false)
}

/// The payment that the path names. Whether it exists is the engine's to say.
pub async fn resolve(call: &Call) -> Result<PaymentId, Problem> {
    let text = call.id().ok_or_else(Problem::no_intent)?;
    let source: Source = parse_source(&text);
    let found = call.engine().resolve_source(call.scope(), &source).await;
    found.map_err(|error| Problem::of_engine(&error))?.ok_or_else(Problem::no_intent)
}

/// The intent that the path names.
pub async fn find(call: &Call) -> Result<Intent, Problem> {
    let id = resolve(call).await?;
    let checkout = call.engine().find_any_checkout(call.scope(), id).await;
    let checkout = checkout.map_err(|error| Problem::of_engine(&error))?;
    // An invoice is withdrawn and sent in its own ways, and an intent only once it is paid.
    if let Some(checkout) = checkout.filter(|checkout| checkout.facts.kind != Kind::Invoice) {
        return with_payment(call, checkout).await;
    }
    let payment = find_payment(call, id).await?.ok_or_else(Problem::no_intent)?;
    Ok(Intent { checkout: None, payment: Some(payment) })
}

async fn find_payment(
    call: &Call,
    id: PaymentId,
) -> Result<Option<domain::payment::Payment>, Problem> {
    let found = call.engine().find_payment(call.scope(), id).await;
    found.map_err(|error| Problem::of_engine(&error))
}

async fn with_payment(call: &Call, checkout: Checkout) -> Result<Intent, Problem> {
    let payment = if checkout.state == State::Completed {
        find_payment(call, checkout.facts.id).await?
    } else {
        None
    };
    Ok(Intent { checkout: Some(checkout), payment })
}

/// Pays an intent. What became of it is in its status.
pub async fn confirm(call: Call) -> Result<Response, Problem> {
    let method = read_method(&call.object()?)?;
    let intent = find(&call).await?;
    check_client_secret(&call, &intent)?;
    // What was registered is paid.
    let Some(checkout) = &intent.checkout else { return print(&call, &intent, false) };
    let paid = call.engine().pay_checkout_once(checkout, &method, call.idempotency_key()).await;
    let paid = paid.map_err(|error| match error {
        engine::Error::Invalid { .. } => unknown_method(&checkout.facts.methods).into(),
        error => Problem::of_engine(&error),
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

/// A client secret need not be sent with a secret key; one that is sent must be the intent's.
fn check_client_secret(call: &Call, intent: &Intent) -> Result<(), Problem> {
    let Some(given) = crate::headers::single(call.headers(), &CLIENT_SECRET)? else {
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

/// Withdraws an intent that was not paid.
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
        _ => Problem::of_engine(&error),
    })?;
    let intent = with_payment(&call, canceled.value).await?;
    print(&call, &intent, canceled.replayed)
}
