//! Refunds and holds in any order: after each command the whole book is checked.

use crate::book::Book;
use domain::decide::Refusal;
use domain::decide::hold::End;
use domain::hold::Hold;
use domain::outcome::ProviderOutcome;
use domain::refund::Refund;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

fn below(rng: &mut ChaCha8Rng, limit: usize) -> usize {
    let draw = rng.next_u64() % u64::try_from(limit).expect("small");
    usize::try_from(draw).expect("small")
}

fn run(seed: u64) -> usize {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut book = Book::open();
    let payments = [book.pay(1_000), book.pay(1)];
    let (mut refunds, mut holds): (Vec<Refund>, Vec<Hold>) = (Vec::new(), Vec::new());
    let mut done = 0;
    for _ in 0..60 {
        let payment = payments[below(&mut rng, 2)];
        let amount = i64::try_from(1 + below(&mut rng, 700)).expect("small");
        let pick = rng.next_u64();
        let pick = |count: usize| {
            let count = u64::try_from(count.max(1)).expect("small");
            usize::try_from(pick % count).expect("small")
        };
        let refund = refunds.get(pick(refunds.len())).cloned();
        let hold = holds.get(pick(holds.len())).cloned();
        let outcomes = [ProviderOutcome::Completed, ProviderOutcome::Failed];
        let outcome = outcomes[below(&mut rng, 2)];
        let end = match below(&mut rng, 3) {
            0 => End::Book { amount: None },
            1 => End::Book { amount: Some(amount) },
            _ => End::Release,
        };
        let ran: Result<(), Refusal> = match below(&mut rng, 8) {
            0 => book.refund(payment, amount).map(|refund| refunds.push(refund)),
            1 => book.refund_all(payment).map(|refund| refunds.push(refund)),
            2 => book.queue(payment, amount).map(|refund| refunds.push(refund)),
            3 => book.adopt(payment, amount).map(|refund| refunds.push(refund)),
            4 => book.hold(payment, amount).map(|hold| holds.push(hold)),
            5 => hold.map_or(Ok(()), |hold| book.end(&hold, end).map(drop)),
            6 => refund.map_or(Ok(()), |refund| book.cancel(&refund).map(drop)),
            _ => refund.map_or(Ok(()), |refund| book.say(&refund, outcome).map(drop)),
        };
        done += usize::from(ran.is_ok());
    }
    done
}

#[test]
fn balances_follow_from_refunds_and_holds_in_any_order() {
    let done: usize = (0..300).map(run).sum();
    assert!(done > 9_000, "{done} commands did something");
}
