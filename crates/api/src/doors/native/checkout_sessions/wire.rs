//! The shapes of checkout sessions, with the field names of Plugipay.

use crate::doors::native::line::{LONGEST_LINE, MOST_ITEMS};
use crate::http::print::{PrefixedId, Raw, ResourceName, Shown};
use crate::http::time::Iso;
use crate::openapi::{Schema, components, printed};
use domain::checkout::{Checkout, State};
use domain::ids::AccountId;
use domain::line_item::LineItem;
use domain::payment::Kind;
use engine::{Engine, MANUAL};
use serde_json::json;

printed! {
    /// A line of a session.
    #[serde(rename_all = "camelCase")]
    pub struct ItemWire<'a> {
        name: &'a str = Schema::name(LONGEST_LINE).like("Chair"),
        quantity: i64 = Schema::integer(1).with("maximum", MOST_ITEMS).like(1),
        unit_amount: i64 = components::amount(0).says("Minor units for one.").like(12_500),
    }
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

printed! {
    /// A checkout session.
    #[serde(rename_all = "camelCase")]
    pub struct SessionWire<'a> {
        id: Shown<PrefixedId> = components::source_id().like("cs_01KREAEM40E8TXW4VNC0XM1R2P"),
        arn: Shown<ResourceName<PrefixedId>> = arn(),
        account_id: Shown<AccountId> = components::account_id(),
        workspace_name: Option<&'a str> = Schema::null().says("Not kept here."),
        customer_id: Option<&'a str> = Schema::rare_text("As it was sent."),
        customer: Option<()> = Schema::null().says("Not kept here."),
        mode: &'static str = components::mode(),
        status: &'static str = states(),
        amount: i64 = Schema::integer(1).says("Minor units.").like(12_500),
        currency: &'a str = components::currency(),
        methods: &'a [Box<str>] = Schema::list(Schema::string()).like(json!(["card", "manual"])),
        payment_method: Option<&'a str> = Schema::rare_text("How it was paid, or tried."),
        adapter: Option<&'static str> = Schema::words(["manual", "simulator"]).or_null(),
        line_items: Vec<ItemWire<'a>> = Schema::list(Schema::named("Item")),
        success_url: Option<&'a str> = Schema::string().or_null()
            .like("https://shop.example/thanks"),
        cancel_url: Option<&'a str> = Schema::string().or_null().like("https://shop.example/cart"),
        hosted_url: String = Schema::string().says("The page to send the buyer to."),
        expires_at: Option<Iso> = Schema::time().says("When it can no longer be paid.").or_null(),
        completed_at: Option<Iso> = Schema::time().says("When it was paid.").or_null(),
        payment_id: Option<&'a str> = Schema::rare_text("The provider's id of the charge."),
        failure_code: Option<&'a str> = Schema::rare_text("Why the last attempt was declined."),
        failure_message: Option<&'a str> = Schema::rare_text("The same for people."),
        proof_url: Option<&'a str> =
            Schema::rare_text("What the buyer gave as proof of a payment by hand."),
        template_id: Option<&'a str> = Schema::rare_text("As it was sent."),
        metadata: Option<Raw<'a>> = components::printed_metadata(),
        created_at: Iso = Schema::time(),
        updated_at: Iso = Schema::time(),
    }
}

impl<'a> SessionWire<'a> {
    pub fn new(checkout: &'a Checkout, account: AccountId, engine: &Engine) -> Self {
        let terms = &*checkout.terms;
        let id = || PrefixedId::new(terms.kind.prefix(), terms.id.ulid());
        let failure = checkout.failure.as_ref();
        let adapter = checkout.method.as_deref().and_then(|method| {
            let by_hand = method == MANUAL.id;
            if by_hand { Some(MANUAL.id) } else { engine.payment_provider_name(terms.tenant) }
        });
        Self {
            id: Shown(id()),
            arn: Shown(ResourceName::new("checkout-session", account, id())),
            account_id: Shown(account),
            workspace_name: None,
            customer_id: terms.customer.as_deref(),
            customer: None,
            mode: terms.tenant.mode().as_str(),
            status: checkout.state.as_str(),
            amount: terms.amount,
            currency: terms.currency.as_str(),
            methods: &terms.methods,
            payment_method: checkout.method.as_deref(),
            adapter,
            line_items: ItemWire::all(&terms.lines),
            success_url: terms.success_url.as_deref(),
            cancel_url: terms.cancel_url.as_deref(),
            hosted_url: engine.hosted_url(terms.kind, terms.id),
            expires_at: terms.expires_at.map(Iso),
            completed_at: checkout.completed_at.map(Iso),
            payment_id: checkout.provider_payment_id.as_deref(),
            failure_code: failure.map(|failure| &*failure.code),
            failure_message: failure.map(|failure| &*failure.message),
            proof_url: checkout.proof_url.as_deref(),
            template_id: terms.template.as_deref(),
            metadata: terms.metadata.as_deref().map(Raw),
            created_at: Iso(terms.id.at()),
            updated_at: Iso(checkout.updated_at),
        }
    }
}

/// Describes every status of a session.
pub fn states() -> Schema {
    Schema::one_of(State::ALL, State::as_str)
}

fn arn() -> Schema {
    let prefixes: Vec<_> = Kind::ALL.iter().map(|kind| kind.prefix()).collect();
    let prefixes = prefixes.join("|");
    Schema::matching(&format!(
        "^arn:refundry:checkout-session:acc_[0-9A-Z]{{26}}:({prefixes})[0-9A-Z]{{26}}$"
    ))
}
