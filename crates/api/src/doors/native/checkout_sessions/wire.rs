//! The shapes of checkout sessions (`reference/plugipay.md` §8).

use crate::http::print::{PrefixedId, Raw, ResourceName, Shown};
use crate::http::time::Iso;
use domain::checkout::Checkout;
use domain::ids::AccountId;
use domain::line_item::LineItem;
use engine::{Engine, MANUAL};
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemWire<'a> {
    name: &'a str,
    quantity: i64,
    unit_amount: i64,
}

impl<'a> ItemWire<'a> {
    pub fn all(lines: &'a [LineItem]) -> Vec<Self> {
        let print = |line: &'a LineItem| Self {
            name: &line.text,
            quantity: line.quantity,
            unit_amount: line.unit_amount,
        };
        lines.iter().map(print).collect()
    }
}

/// A checkout session as its merchant sees it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionWire<'a> {
    id: Shown<PrefixedId>,
    arn: Shown<ResourceName<PrefixedId>>,
    account_id: Shown<AccountId>,
    workspace_name: Option<&'a str>,
    customer_id: Option<&'a str>,
    /// Customers are not kept here.
    customer: Option<()>,
    mode: &'static str,
    status: &'static str,
    amount: i64,
    currency: &'a str,
    methods: &'a [Box<str>],
    payment_method: Option<&'a str>,
    adapter: Option<&'static str>,
    line_items: Vec<ItemWire<'a>>,
    success_url: Option<&'a str>,
    cancel_url: Option<&'a str>,
    hosted_url: String,
    expires_at: Option<Iso>,
    completed_at: Option<Iso>,
    payment_id: Option<&'a str>,
    failure_code: Option<&'a str>,
    failure_message: Option<&'a str>,
    proof_url: Option<&'a str>,
    template_id: Option<&'a str>,
    metadata: Option<Raw<'a>>,
    created_at: Iso,
    updated_at: Iso,
}

impl<'a> SessionWire<'a> {
    pub fn new(checkout: &'a Checkout, account: AccountId, engine: &Engine) -> Self {
        let facts = &*checkout.facts;
        let id = || PrefixedId::new(facts.kind.prefix(), facts.id.ulid());
        let failure = checkout.failure.as_ref();
        let adapter = checkout.method.as_deref().and_then(|method| {
            let by_hand = method == MANUAL.id;
            if by_hand { Some(MANUAL.id) } else { engine.payment_provider_name(facts.tenant) }
        });
        Self {
            id: Shown(id()),
            arn: Shown(ResourceName::new("checkout-session", account, id())),
            account_id: Shown(account),
            workspace_name: None,
            customer_id: facts.customer.as_deref(),
            customer: None,
            mode: facts.tenant.mode().as_str(),
            status: checkout.state.as_str(),
            amount: facts.amount,
            currency: facts.currency.as_str(),
            methods: &facts.methods,
            payment_method: checkout.method.as_deref(),
            adapter,
            line_items: ItemWire::all(&facts.lines),
            success_url: facts.success_url.as_deref(),
            cancel_url: facts.cancel_url.as_deref(),
            hosted_url: engine.hosted_url(facts.kind, facts.id),
            expires_at: facts.expires_at.map(Iso),
            completed_at: checkout.completed_at.map(Iso),
            payment_id: checkout.provider_payment_id.as_deref(),
            failure_code: failure.map(|failure| &*failure.code),
            failure_message: failure.map(|failure| &*failure.message),
            proof_url: checkout.proof_url.as_deref(),
            template_id: facts.template.as_deref(),
            metadata: facts.metadata.as_deref().map(Raw),
            created_at: Iso(facts.id.at()),
            updated_at: Iso(checkout.updated_at),
        }
    }
}
