//! The PSP's charges: taking a buyer's money.
//!
//! The name of the payment method decides the outcome: a plain method pays at once, and a method with
//! one of the `OUTCOMES` behind it, such as `card_declined`, has that outcome. A charge is durable
//! before it is answered and is found by its key: a second call under the same key returns the stored
//! charge and never takes the money twice.

use crate::Simulator;
use crate::book::Book;
use crate::rows::{currency, stored};
use crate::worker::Fault;
use async_trait::async_trait;
use domain::money::Money;
use domain::outcome::Failure;
use domain::tenant::Tenant;
use domain::time::Timestamp;
use providers::{ChargeAnswer, ChargeInstruction, TakesPayments, parse_method};
use rusqlite::{Result, Row, params};
use ulid::Ulid;

/// Time until a processing charge is paid.
const PROCESSING_MS: i64 = 1_500;

stored! {
    enum Status {
        Processing = 1,
        ActionRequired = 2,
        Paid = 3,
        Declined = 4,
    }
}

/// A row of the table `charge`.
struct Charge {
    id: Ulid,
    money: Money,
    status: Status,
    at: Timestamp,
}

#[async_trait]
impl TakesPayments for Simulator {
    async fn charge(&self, order: ChargeInstruction) -> ChargeAnswer {
        self.work_on_charge(move |book| take(book, &order)).await
    }

    async fn approve_charge(&self, tenant: Tenant, key: &str) -> ChargeAnswer {
        let key: Box<str> = key.into();
        self.work_on_charge(move |book| approve(book, tenant, &key)).await
    }

    /// Stores a declined charge under a key that the book does not have, so that a call that arrives
    /// late takes nothing.
    async fn stop_charge(&self, tenant: Tenant, key: &str, money: Money) -> ChargeAnswer {
        let key: Box<str> = key.into();
        self.work_on_charge(move |book| stop(book, tenant, &key, money)).await
    }
}

impl Simulator {
    async fn work_on_charge<F>(&self, work: F) -> ChargeAnswer
    where
        F: FnOnce(&mut Book) -> Result<ChargeAnswer> + Send + 'static,
    {
        self.worker.ask(work).await.unwrap_or_else(|fault| {
            ChargeAnswer::Unknown(match fault {
                Fault::Busy => Failure::new("overloaded", "too many calls"),
                Fault::Failed => Failure::new("internal_error", "the book could not be written"),
                Fault::Closed => Failure::new("connection_refused", "the simulator is closed"),
            })
        })
    }
}

fn take(book: &mut Book, order: &ChargeInstruction) -> Result<ChargeAnswer> {
    let now = book.now();
    if let Some(charge) = find_settled(book, order.tenant, &order.key, now)? {
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
    book.save_charge(order.tenant, &order.key, &charge)?;
    if outcome == Some(Some("timeout")) {
        let message = "the request was sent and no answer came back";
        return Ok(ChargeAnswer::Unknown(Failure::new("timeout", message)));
    }
    Ok(answer(&charge))
}

fn approve(book: &mut Book, tenant: Tenant, key: &str) -> Result<ChargeAnswer> {
    let now = book.now();
    let Some(mut charge) = find_settled(book, tenant, key, now)? else {
        return Ok(ChargeAnswer::Unknown(Failure::new(
            "no_such_charge",
            "there is no such charge",
        )));
    };
    if charge.status == Status::ActionRequired {
        (charge.status, charge.at) = (Status::Paid, now);
        book.save_charge(tenant, key, &charge)?;
    }
    Ok(answer(&charge))
}

fn stop(book: &mut Book, tenant: Tenant, key: &str, money: Money) -> Result<ChargeAnswer> {
    let now = book.now();
    let Some(mut charge) = find_settled(book, tenant, key, now)? else {
        let charge = Charge { id: book.new_id(now), money, status: Status::Declined, at: now };
        book.save_charge(tenant, key, &charge)?;
        return Ok(answer(&charge));
    };
    if charge.status != Status::Paid {
        (charge.status, charge.at) = (Status::Declined, now);
        book.save_charge(tenant, key, &charge)?;
    }
    Ok(answer(&charge))
}

/// Finds a charge, and pays it first if it has been processing for long enough.
fn find_settled(
    book: &mut Book,
    tenant: Tenant,
    key: &str,
    now: Timestamp,
) -> Result<Option<Charge>> {
    let Some(mut charge) = book.find_charge(tenant, key)? else { return Ok(None) };
    if charge.status == Status::Processing && now.ms_since(charge.at) >= PROCESSING_MS {
        (charge.status, charge.at) = (Status::Paid, now);
        book.save_charge(tenant, key, &charge)?;
    }
    Ok(Some(charge))
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
    fn find_charge(&self, tenant: Tenant, key: &str) -> Result<Option<Charge>> {
        const SQL: &str =
            "SELECT id, amount, currency, status, at FROM charge WHERE scope = ?1 AND key = ?2";
        self.find(SQL, params![tenant.code(), key], read_charge)
    }

    /// Inserts a charge, or updates its status. The amount of a paid charge is what refunds of the
    /// payment are checked against.
    fn save_charge(&self, tenant: Tenant, key: &str, charge: &Charge) -> Result<()> {
        const SQL: &str = "
            INSERT INTO charge (scope, key, id, amount, currency, status, at)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
            ON CONFLICT (scope, key) DO UPDATE SET status = excluded.status, at = excluded.at";
        let values = params![
            tenant.code(),
            key,
            charge.id.to_bytes(),
            charge.money.minor,
            charge.money.currency.as_str(),
            charge.status,
            charge.at.0,
        ];
        self.execute(SQL, values)?;
        if charge.status == Status::Paid {
            self.insert_payment(tenant, &print_id(charge.id), charge.money)?;
        }
        Ok(())
    }
}

fn read_charge(row: &Row<'_>) -> Result<Charge> {
    Ok(Charge {
        id: Ulid::from_bytes(row.get(0)?),
        money: Money::new(row.get(1)?, currency(row, 2)?),
        status: row.get(3)?,
        at: Timestamp(row.get(4)?),
    })
}
