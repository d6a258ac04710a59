//! The PSP's till: taking a buyer's money.
//!
//! What happens is in the name of the way to pay: any of [`METHODS`] pays at once, and with one of
//! the [`OUTCOMES`] behind it, such as `card_declined`, it does that instead. A charge is durable
//! before it is answered and known by its key: asking again under the same key tells what became of
//! it and never takes the money twice.

use super::Simulator;
use super::book::Book;
use super::desk::Fault;
use super::rows::currency;
use domain::account::Scope;
use domain::money::Money;
use domain::outcome::Failure;
use domain::time::Timestamp;
use rusqlite::{OptionalExtension, Row, params};
use ulid::Ulid;

/// A way to pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// How it is named in requests.
    pub id: &'static str,
    /// How buyers know it.
    pub label: &'static str,
    /// Under which heading it stands.
    pub group: &'static str,
}

const fn method(id: &'static str, label: &'static str, group: &'static str) -> Method {
    Method { id, label, group }
}

/// The ways to pay that the simulator takes.
pub const METHODS: &[Method] = &[
    method("card", "Card", "card"),
    method("debit", "Direct debit", "debit"),
    method("paypal", "PayPal", "paypal"),
    method("qris", "QRIS", "qr"),
    method("ewallet", "E-wallet", "ewallet"),
    method("gopay", "GoPay", "ewallet"),
    method("ovo", "OVO", "ewallet"),
    method("dana", "DANA", "ewallet"),
    method("shopeepay", "ShopeePay", "ewallet"),
    method("linkaja", "LinkAja", "ewallet"),
    method("va", "Virtual account", "va"),
    method("va_bca", "BCA virtual account", "va"),
    method("va_bni", "BNI virtual account", "va"),
    method("va_bri", "BRI virtual account", "va"),
    method("va_mandiri", "Mandiri virtual account", "va"),
    method("va_permata", "Permata virtual account", "va"),
    method("retail", "Retail outlet", "retail"),
    method("alfamart", "Alfamart", "retail"),
    method("indomaret", "Indomaret", "retail"),
    method("bnpl", "Pay later", "bnpl"),
];

/// What can stand behind a way to pay, after an underscore, and what it does.
pub const OUTCOMES: &[(&str, &str)] = &[
    ("declined", "The payment is declined"),
    ("action", "You must approve the payment first"),
    ("processing", "The payment settles a moment later"),
    ("timeout", "The payment is made and the answer is lost"),
];

/// How long a charge that stays processing takes.
const PROCESSING_MS: i64 = 1_500;

/// A charge as it is asked for.
#[derive(Clone, Debug)]
pub struct ChargeInstruction {
    /// Whose customer pays.
    pub scope: Scope,
    /// The attempt's one idempotency key.
    pub key: Box<str>,
    /// How much.
    pub money: Money,
    /// The way to pay.
    pub method: Box<str>,
}

/// What became of a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChargeAnswer {
    /// The money was taken.
    Paid {
        /// The simulator's id of the payment.
        provider_payment_id: Box<str>,
        /// How much.
        money: Money,
        /// When.
        at: Timestamp,
    },
    /// It was not, and will not be.
    Declined(Failure),
    /// The buyer must agree first.
    ActionRequired,
    /// It is being worked on.
    Processing,
    /// No usable answer; ask again under the same key.
    Unknown(Failure),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Processing,
    ActionRequired,
    Paid,
    Declined,
}

impl Status {
    const ALL: [Self; 4] = [Self::Processing, Self::ActionRequired, Self::Paid, Self::Declined];

    const fn code(self) -> i64 {
        match self {
            Self::Processing => 1,
            Self::ActionRequired => 2,
            Self::Paid => 3,
            Self::Declined => 4,
        }
    }
}

/// A charge as it stands in the book.
struct Charge {
    id: Ulid,
    money: Money,
    status: Status,
    at: Timestamp,
}

/// Splits a way to pay into what it is and what it does; `None` when it is not one of the
/// simulator's.
pub fn parse_method(text: &str) -> Option<(&'static Method, Option<&'static str>)> {
    let find = |id: &str| METHODS.iter().find(|method| method.id == id);
    if let Some(method) = find(text) {
        return Some((method, None));
    }
    let (base, word) = text.rsplit_once('_')?;
    let (outcome, _) = OUTCOMES.iter().find(|(outcome, _)| *outcome == word)?;
    Some((find(base)?, Some(outcome)))
}

impl Simulator {
    /// Takes the money, or tells what became of the charge with this key.
    pub async fn charge(&self, order: ChargeInstruction) -> ChargeAnswer {
        self.at_the_till(move |book| take(book, &order)).await
    }

    /// The buyer agrees to a charge that needs it.
    pub async fn approve_charge(&self, scope: Scope, key: &str) -> ChargeAnswer {
        let key: Box<str> = key.into();
        self.at_the_till(move |book| approve(book, scope, &key)).await
    }

    /// Sees to it that a charge is not made any more, unless it is made already. A key that was
    /// never seen is remembered, so that a call that comes late takes nothing.
    pub async fn stop_charge(&self, scope: Scope, key: &str, money: Money) -> ChargeAnswer {
        let key: Box<str> = key.into();
        self.at_the_till(move |book| stop(book, scope, &key, money)).await
    }

    async fn at_the_till<F>(&self, work: F) -> ChargeAnswer
    where
        F: FnOnce(&mut Book) -> rusqlite::Result<ChargeAnswer> + Send + 'static,
    {
        self.desk.ask(work).await.unwrap_or_else(|fault| {
            ChargeAnswer::Unknown(match fault {
                Fault::Busy => Failure::new("overloaded", "too many calls"),
                Fault::Failed => Failure::new("internal_error", "the book could not be written"),
                Fault::Closed => Failure::new("connection_refused", "the simulator is closed"),
            })
        })
    }
}

fn take(book: &mut Book, order: &ChargeInstruction) -> rusqlite::Result<ChargeAnswer> {
    let now = book.now();
    if let Some(charge) = find_settled(book, order.scope, &order.key, now)? {
        if charge.status != Status::Declined && charge.money != order.money {
            let message = "this key belongs to a charge of another amount";
            return Ok(ChargeAnswer::Unknown(Failure::new("idempotency_key_reused", message)));
        }
        return Ok(answer(&charge));
    }
    let outcome = parse_method(&order.method).map(|(_, outcome)| outcome);
    let status = match outcome {
        None | Some(Some("declined")) => Status::Declined,
        Some(Some("action")) => Status::ActionRequired,
        Some(Some("processing")) => Status::Processing,
        Some(_) => Status::Paid,
    };
    let charge = Charge { id: book.new_id(now), money: order.money, status, at: now };
    book.insert_charge(order.scope, &order.key, &charge)?;
    if status == Status::Paid {
        learn(book, order.scope, &charge)?;
    }
    if outcome == Some(Some("timeout")) {
        let message = "the request was sent and no answer came back";
        return Ok(ChargeAnswer::Unknown(Failure::new("timeout", message)));
    }
    Ok(answer(&charge))
}

fn approve(book: &mut Book, scope: Scope, key: &str) -> rusqlite::Result<ChargeAnswer> {
    let now = book.now();
    let Some(mut charge) = find_settled(book, scope, key, now)? else {
        return Ok(ChargeAnswer::Unknown(Failure::new(
            "no_such_charge",
            "there is no such charge",
        )));
    };
    if charge.status == Status::ActionRequired {
        charge.status = Status::Paid;
        charge.at = now;
        book.update_charge(scope, key, &charge)?;
        learn(book, scope, &charge)?;
    }
    Ok(answer(&charge))
}

fn stop(book: &mut Book, scope: Scope, key: &str, money: Money) -> rusqlite::Result<ChargeAnswer> {
    let now = book.now();
    let Some(mut charge) = find_settled(book, scope, key, now)? else {
        let charge = Charge { id: book.new_id(now), money, status: Status::Declined, at: now };
        book.insert_charge(scope, key, &charge)?;
        return Ok(answer(&charge));
    };
    if charge.status != Status::Paid {
        charge.status = Status::Declined;
        charge.at = now;
        book.update_charge(scope, key, &charge)?;
    }
    Ok(answer(&charge))
}

/// The charge as it is now: one that was being worked on long enough is paid.
fn find_settled(
    book: &mut Book,
    scope: Scope,
    key: &str,
    now: Timestamp,
) -> rusqlite::Result<Option<Charge>> {
    let Some(mut charge) = book.find_charge(scope, key)? else { return Ok(None) };
    if charge.status == Status::Processing && now.ms_since(charge.at) >= PROCESSING_MS {
        charge.status = Status::Paid;
        charge.at = now;
        book.update_charge(scope, key, &charge)?;
        learn(book, scope, &charge)?;
    }
    Ok(Some(charge))
}

/// Refunds of it are checked against what was taken.
fn learn(book: &Book, scope: Scope, charge: &Charge) -> rusqlite::Result<()> {
    book.insert_payment(scope, &print_id(charge.id), charge.money)
}

fn answer(charge: &Charge) -> ChargeAnswer {
    match charge.status {
        Status::Processing => ChargeAnswer::Processing,
        Status::ActionRequired => ChargeAnswer::ActionRequired,
        Status::Paid => ChargeAnswer::Paid {
            provider_payment_id: print_id(charge.id).into(),
            money: charge.money,
            at: charge.at,
        },
        Status::Declined => {
            ChargeAnswer::Declined(Failure::new("payment_declined", "The payment was declined."))
        }
    }
}

fn print_id(id: Ulid) -> String {
    format!("sim_{id}")
}

impl Book {
    fn find_charge(&self, scope: Scope, key: &str) -> rusqlite::Result<Option<Charge>> {
        const SQL: &str =
            "SELECT id, amount, currency, status, at FROM charge WHERE scope = ?1 AND key = ?2";
        self.prepare(SQL)?.query_row(params![scope.code(), key], read_charge).optional()
    }

    fn insert_charge(&self, scope: Scope, key: &str, charge: &Charge) -> rusqlite::Result<()> {
        const SQL: &str = "
            INSERT INTO charge (scope, key, id, amount, currency, status, at)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let values = params![
            scope.code(),
            key,
            charge.id.to_bytes(),
            charge.money.minor,
            charge.money.currency.as_str(),
            charge.status.code(),
            charge.at.0,
        ];
        self.prepare(SQL)?.execute(values).map(|_| ())
    }

    fn update_charge(&self, scope: Scope, key: &str, charge: &Charge) -> rusqlite::Result<()> {
        const SQL: &str = "UPDATE charge SET status = ?3, at = ?4 WHERE scope = ?1 AND key = ?2";
        let values = params![scope.code(), key, charge.status.code(), charge.at.0];
        self.prepare(SQL)?.execute(values).map(|_| ())
    }
}

fn read_charge(row: &Row<'_>) -> rusqlite::Result<Charge> {
    let code: i64 = row.get(3)?;
    let status = Status::ALL.into_iter().find(|status| status.code() == code);
    Ok(Charge {
        id: Ulid::from_bytes(row.get(0)?),
        money: Money::new(row.get(1)?, currency(row, 2)?),
        status: status.ok_or_else(|| super::rows::out_of_range(row, 3))?,
        at: Timestamp(row.get(4)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_to_pay_may_say_what_becomes_of_it() {
        let read = |text| parse_method(text).map(|(method, outcome)| (method.id, outcome));
        assert_eq!(read("card"), Some(("card", None)));
        assert_eq!(read("va_bca"), Some(("va_bca", None)));
        assert_eq!(read("va_bca_declined"), Some(("va_bca", Some("declined"))));
        for text in
            ["", "cards", "card_", "card_paid", "declined", "card_declined_action", "manual"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
