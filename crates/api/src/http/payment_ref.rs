//! How callers name the payment to refund: by `sourceType` and `sourceId`, by `chargeId`, or by
//! `paymentId`. A payment shares its ULID with what it paid for, so an id of ours needs no look-up;
//! anything else is the provider's own id of the charge.

use super::body::{Object, missing};
use super::invalid::{Invalid, one_of};
use super::problem::Problem;
use super::query::Query;
use domain::ids::PaymentId;
use domain::payment::Kind;
use domain::tenant::Tenant;
use engine::{Engine, PaymentName};
use std::borrow::Cow;
use ulid::Ulid;

pub const LONGEST_ID: usize = 200;

/// The prefixes under which a payment can be named, and the kind that goes with each. `pay_` names
/// a payment of any kind.
const PREFIXES: &[(&str, Option<Kind>)] = &[
    ("pay_", None),
    ("cs_", Some(Kind::CheckoutSession)),
    ("inv_", Some(Kind::Invoice)),
    ("in_", Some(Kind::Invoice)),
    ("pi_", Some(Kind::PaymentIntent)),
    ("ch_", Some(Kind::Checkout)),
];

/// One name of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Name<'a> {
    Id(PaymentId, Option<Kind>),
    Charge(Cow<'a, str>),
}

impl<'a> Name<'a> {
    fn parse(text: Cow<'a, str>) -> Self {
        let id = PREFIXES.iter().find_map(|(prefix, kind)| {
            let ulid = parse_ulid(text.strip_prefix(prefix)?)?;
            Some(Self::Id(PaymentId::from_ulid(ulid), *kind))
        });
        // Providers use such prefixes too: `pi_3Mtw…` is no ULID and so is theirs.
        id.unwrap_or(Self::Charge(text))
    }

    /// Reads an id that must be one of the given kind.
    fn parse_as(kind: Kind, text: Cow<'a, str>) -> Result<Self, Mismatch> {
        let name = Self::parse(text);
        match &name {
            Self::Id(_, named) if *named == Some(kind) => Ok(name),
            Self::Id(_, None) | Self::Charge(_) if kind == Kind::Payment => Ok(name),
            Self::Charge(text) if has_prefix_of(kind, text) => Err(Mismatch::NoSuchId),
            Self::Id(..) | Self::Charge(_) => Err(Mismatch::OtherKind),
        }
    }

    const fn kind(&self) -> Option<Kind> {
        match self {
            Self::Id(_, kind) => *kind,
            Self::Charge(_) => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mismatch {
    /// The right prefix, but no ULID behind it.
    NoSuchId,
    /// The name of something else.
    OtherKind,
}

/// Reads a ULID in its only spelling, the one of `domain::ids`.
pub fn parse_ulid(text: &str) -> Option<Ulid> {
    let upper = !text.bytes().any(|byte| byte.is_ascii_lowercase());
    Ulid::from_string(text).ok().filter(|_| upper)
}

fn has_prefix_of(kind: Kind, text: &str) -> bool {
    PREFIXES.iter().any(|(prefix, named)| *named == Some(kind) && text.starts_with(prefix))
}

/// The names of the payment in the body of a refund.
#[derive(Debug, PartialEq, Eq)]
pub struct PaymentNames<'a> {
    kind: Option<Kind>,
    first: (&'static str, Name<'a>),
    others: Vec<(&'static str, Name<'a>)>,
}

/// The payment that a request refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaymentRef {
    /// The payment may not exist.
    pub payment: PaymentId,
    /// The kind that the caller expects.
    pub kind: Option<Kind>,
    /// The field of the body with the name.
    pub field: &'static str,
}

impl<'a> PaymentNames<'a> {
    /// Reads `sourceType`, `sourceId`, `chargeId` and `paymentId`.
    pub fn read(object: &Object<'a>) -> Result<Self, Problem> {
        let source_type = object.text("sourceType", LONGEST_ID)?;
        let source_type = source_type
            .map(|text| one_of("sourceType", &text, Kind::ALL, Kind::as_str))
            .transpose()?;
        let source = match (object.name("sourceId", LONGEST_ID)?, source_type) {
            (Some(text), Some(kind)) => {
                Some(Name::parse_as(kind, text).map_err(|why| does_not_fit(kind, why))?)
            }
            (text, _) => text.map(Name::parse),
        };
        let charge = object.name("chargeId", LONGEST_ID)?.map(Name::parse);
        let payment = object.name("paymentId", LONGEST_ID)?.map(Name::parse);
        let mut names = [("sourceId", source), ("chargeId", charge), ("paymentId", payment)]
            .into_iter()
            .filter_map(|(field, name)| Some((field, name?)));
        let first = names.next().ok_or_else(|| {
            missing(
                "sourceId",
                "sourceType and sourceId, or chargeId, or paymentId, to name the payment",
            )
        })?;
        // `payment` fits every kind.
        let kind = source_type.filter(|kind| *kind != Kind::Payment);
        Ok(Self { kind, first, others: names.collect() })
    }

    /// Finds the payment, and checks that every name given means the same one.
    pub async fn resolve(self, engine: &Engine, tenant: Tenant) -> Result<PaymentRef, Problem> {
        let (field, name) = self.first;
        let payment = find(engine, tenant, &name).await?.ok_or_else(|| not_found(field))?;
        let mut kind =
            agree(self.kind, name.kind()).ok_or_else(|| disagree(field, "sourceType"))?;
        for (other, name) in self.others {
            let found = find(engine, tenant, &name).await?.ok_or_else(|| not_found(other))?;
            let same = (found == payment).then(|| agree(kind, name.kind())).flatten();
            kind = same.ok_or_else(|| disagree(other, field))?;
        }
        Ok(PaymentRef { payment, kind, field })
    }
}

fn does_not_fit(kind: Kind, why: Mismatch) -> Problem {
    let takes = match kind {
        Kind::Payment => "pay_… or the provider's id of the charge",
        Kind::CheckoutSession => "cs_…",
        Kind::Invoice => "inv_… or in_…",
        Kind::PaymentIntent => "pi_…",
        Kind::Checkout => "ch_…",
    };
    match why {
        Mismatch::NoSuchId => not_found("sourceId"),
        Mismatch::OtherKind => {
            let message = format!("sourceId must be {takes} where sourceType is {kind}");
            Invalid::field("sourceId", message).into()
        }
    }
}

fn not_found(field: &'static str) -> Problem {
    Problem::not_found("payment").about(field)
}

fn disagree(field: &'static str, with: &'static str) -> Problem {
    let message = format!("{field} names another payment than {with}; give one of them");
    Invalid::field(field, message).into()
}

/// The common kind of two names; `None` when the kinds differ.
#[expect(clippy::option_option, reason = "no kind named is not the same as two kinds named")]
fn agree(one: Option<Kind>, other: Option<Kind>) -> Option<Option<Kind>> {
    match (one, other) {
        (Some(a), Some(b)) if a != b => None,
        (a, b) => Some(a.or(b)),
    }
}

async fn find(
    engine: &Engine,
    tenant: Tenant,
    name: &Name<'_>,
) -> Result<Option<PaymentId>, engine::Error> {
    let charge = match name {
        Name::Id(id, _) => return Ok(Some(*id)),
        Name::Charge(charge) => PaymentName::Charge((**charge).into()),
    };
    engine.resolve_source(tenant, &charge).await
}

/// The payments that a list is restricted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    Any,
    One(PaymentId),
    /// No payment matches the names.
    Nothing,
}

/// Reads the id of a payment in a path: ours under any prefix, or else the provider's id of the
/// charge.
pub fn parse_source(text: &str) -> PaymentName {
    match Name::parse(text.into()) {
        Name::Id(id, _) => PaymentName::Id(id),
        Name::Charge(charge) => PaymentName::Charge((*charge).into()),
    }
}

/// Reads the filters `sourceId`, `chargeId` and `paymentId` of a list.
pub async fn filter(engine: &Engine, tenant: Tenant, query: &Query<'_>) -> Result<Filter, Problem> {
    let mut filter = Filter::Any;
    for field in ["sourceId", "chargeId", "paymentId"] {
        let Some(text) = query.get(field)? else { continue };
        let found = find_existing(engine, tenant, &Name::parse(text)).await?;
        filter = match (filter, found) {
            (Filter::Any, Some(payment)) => Filter::One(payment),
            (Filter::One(known), Some(payment)) if known == payment => filter,
            _ => Filter::Nothing,
        };
    }
    Ok(filter)
}

/// Finds the payment of a name; a name with the prefix of another kind finds nothing.
async fn find_existing(
    engine: &Engine,
    tenant: Tenant,
    name: &Name<'_>,
) -> Result<Option<PaymentId>, engine::Error> {
    let Some(id) = find(engine, tenant, name).await? else { return Ok(None) };
    let Some(kind) = name.kind() else { return Ok(Some(id)) };
    let payment = engine.find_payment(tenant, id).await?;
    Ok(payment.filter(|payment| payment.capture.kind == kind).map(|_| id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

    const ULID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

    fn read(body: &str) -> Result<(Option<Kind>, usize), (u16, String)> {
        let body = body.replace("<U>", ULID);
        let object = Object::parse(body.as_bytes()).expect("valid JSON");
        PaymentNames::read(&object)
            .map(|named| (agree(named.kind, named.first.1.kind()).flatten(), named.others.len()))
            .map_err(|problem| {
                let field = problem.field.unwrap_or_default().into_owned();
                (problem.status.as_u16(), field)
            })
    }

    #[test]
    fn ids_of_ours_are_told_from_ids_of_providers() {
        for (text, kind) in [
            ("pay_<U>", None),
            ("cs_<U>", Some(Kind::CheckoutSession)),
            ("in_<U>", Some(Kind::Invoice)),
            ("inv_<U>", Some(Kind::Invoice)),
            ("pi_<U>", Some(Kind::PaymentIntent)),
            ("ch_<U>", Some(Kind::Checkout)),
        ] {
            let id = PaymentId::from_ulid(Ulid::from_string(ULID).expect("a ULID"));
            let text = text.replace("<U>", ULID);
            assert_eq!(Name::parse(text.into()), Name::Id(id, kind));
        }
        for text in ["pi_3MtwBwLkdIwHu7ix28a3tqPa", "pay_29QQoUBi66xm2f", "ch_", "cs_01hx", "x"] {
            assert_eq!(Name::parse(text.into()), Name::Charge(text.into()));
        }
        let lower = format!("pay_{}", ULID.to_lowercase());
        assert!(matches!(Name::parse(lower.into()), Name::Charge(_)));
    }

    #[test]
    fn each_way_of_naming_a_payment_is_read() {
        for (body, expected) in [
            (r#"{"sourceType":"payment","sourceId":"pay_<U>"}"#, (None, 0)),
            (r#"{"sourceType":"payment","sourceId":"ch_3Mtw"}"#, (None, 0)),
            (
                r#"{"sourceType":"checkout_session","sourceId":"cs_<U>"}"#,
                (Some(Kind::CheckoutSession), 0),
            ),
            (r#"{"sourceType":"invoice","sourceId":"in_<U>"}"#, (Some(Kind::Invoice), 0)),
            (r#"{"sourceType":"invoice","sourceId":"inv_<U>"}"#, (Some(Kind::Invoice), 0)),
            (
                r#"{"sourceType":"payment_intent","sourceId":"pi_<U>"}"#,
                (Some(Kind::PaymentIntent), 0),
            ),
            (r#"{"sourceType":"checkout","sourceId":"ch_<U>"}"#, (Some(Kind::Checkout), 0)),
            (r#"{"sourceId":"cs_<U>"}"#, (Some(Kind::CheckoutSession), 0)),
            (r#"{"sourceId":"anything"}"#, (None, 0)),
            (r#"{"chargeId":"pay_<U>","sourceId":null}"#, (None, 0)),
            (r#"{"chargeId":"in_<U>"}"#, (Some(Kind::Invoice), 0)),
            (r#"{"paymentId":"pay_<U>"}"#, (None, 0)),
            (r#"{"sourceType":"invoice","chargeId":"x"}"#, (Some(Kind::Invoice), 0)),
            (r#"{"sourceId":"pay_<U>","chargeId":"x","paymentId":"y"}"#, (None, 2)),
        ] {
            assert_eq!(read(body), Ok(expected), "{body}");
        }
    }

    #[test]
    fn a_source_that_cannot_be_one_is_refused() {
        for (body, status, field) in [
            ("{}", 400, "sourceId"),
            (r#"{"sourceType":"invoice"}"#, 400, "sourceId"),
            (r#"{"sourceId":null,"chargeId":null}"#, 400, "sourceId"),
            (r#"{"sourceId":""}"#, 400, "sourceId"),
            (r#"{"sourceId":5}"#, 400, "sourceId"),
            (r#"{"sourceType":"subscription","sourceId":"cs_<U>"}"#, 400, "sourceType"),
            (r#"{"sourceType":"invoice","sourceId":"cs_<U>"}"#, 400, "sourceId"),
            (r#"{"sourceType":"invoice","sourceId":"pay_<U>"}"#, 400, "sourceId"),
            (r#"{"sourceType":"invoice","sourceId":"whatever"}"#, 400, "sourceId"),
            (r#"{"sourceType":"payment","sourceId":"cs_<U>"}"#, 400, "sourceId"),
            (r#"{"sourceType":"checkout_session","sourceId":"cs_01HX..."}"#, 404, "sourceId"),
            (r#"{"sourceType":"invoice","sourceId":"in_../../x"}"#, 404, "sourceId"),
        ] {
            assert_eq!(read(body), Err((status, field.to_owned())), "{body}");
        }
        let long = format!(r#"{{"chargeId":"{}"}}"#, "x".repeat(201));
        assert_eq!(read(&long), Err((400, "chargeId".to_owned())));
    }

    #[test]
    fn two_kinds_do_not_agree() {
        assert_eq!(agree(None, None), Some(None));
        assert_eq!(agree(Some(Kind::Invoice), None), Some(Some(Kind::Invoice)));
        assert_eq!(agree(Some(Kind::Invoice), Some(Kind::Checkout)), None);
        assert_eq!(disagree("chargeId", "sourceId").status, StatusCode::BAD_REQUEST);
    }
}
