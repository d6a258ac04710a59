//! The line items of checkouts and invoices: goods, quantity and price.

use crate::money::MAX_AMOUNT;
use serde::{Deserialize, Serialize};

/// How many lines a checkout or an invoice can have.
pub const MAX_LINES: usize = 100;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineItem {
    /// The name of the product.
    #[serde(rename = "t")]
    pub text: Box<str>,
    /// How many, at least 1.
    #[serde(rename = "q")]
    pub quantity: i64,
    /// Minor units for one, not negative.
    #[serde(rename = "u")]
    pub unit_amount: i64,
}

impl LineItem {
    /// Minor units of the whole line; `None` when that passes [`MAX_AMOUNT`].
    pub fn amount(&self) -> Option<i64> {
        self.quantity.checked_mul(self.unit_amount).filter(|sum| (0..=MAX_AMOUNT).contains(sum))
    }
}

/// Minor units of all lines; `None` when that passes [`MAX_AMOUNT`].
pub fn sum(lines: &[LineItem]) -> Option<i64> {
    lines.iter().try_fold(0_i64, |sum, line| {
        sum.checked_add(line.amount()?).filter(|sum| *sum <= MAX_AMOUNT)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(quantity: i64, unit_amount: i64) -> LineItem {
        LineItem { text: "Tea".into(), quantity, unit_amount }
    }

    #[test]
    fn sums_are_exact_or_refused() {
        assert_eq!(sum(&[]), Some(0));
        assert_eq!(sum(&[line(3, 250), line(1, 0)]), Some(750));
        assert_eq!(sum(&[line(1, MAX_AMOUNT)]), Some(MAX_AMOUNT));
        assert_eq!(sum(&[line(1, MAX_AMOUNT), line(1, 1)]), None);
        assert_eq!(sum(&[line(2, MAX_AMOUNT)]), None);
        assert_eq!(sum(&[line(i64::MAX, i64::MAX)]), None);
    }
}
