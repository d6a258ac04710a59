//! Writing HTML: everything that is not fixed text goes through [`Text`].

use domain::money::Money;
use std::fmt::{self, Display, Write};

/// Text in an element or in an attribute in double quotes.
pub(super) struct Text<T>(pub(super) T);

impl<T: Display> Display for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
            let (plain, special) = rest.split_at(at);
            self.0.write_str(plain)?;
            self.0.write_str(match special.as_bytes().first() {
                Some(b'&') => "&amp;",
                Some(b'<') => "&lt;",
                Some(b'>') => "&gt;",
                Some(b'"') => "&quot;",
                _ => "&#39;",
            })?;
            rest = special.get(1..).unwrap_or_default();
        }
        self.0.write_str(rest)
    }
}

/// An amount as people write it, with its thousands apart: `USD 1,234.50`.
pub(super) fn amount(money: Money) -> String {
    let text = money.to_string();
    let number = text.split(' ').next().unwrap_or_default();
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut out = format!("{} {sign}", money.currency);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::money::Currency;

    #[test]
    fn nothing_breaks_out_of_text_or_attributes() {
        let evil = "</p><script>alert('1')</script>&\" onload=\"x";
        let shown = Text(evil).to_string();
        assert!(!shown.contains(['<', '>', '"', '\'']), "{shown}");
        assert_eq!(Text("Tea & biscuits é").to_string(), "Tea &amp; biscuits é");
        assert_eq!(Text("&amp;").to_string(), "&amp;amp;");
    }

    #[test]
    fn amounts_have_the_currencys_digits_and_thousands_apart() {
        for (minor, code, text) in [
            (123_456_789, "USD", "USD 1,234,567.89"),
            (5, "USD", "USD 0.05"),
            (100_000, "USD", "USD 1,000.00"),
            (99_999, "USD", "USD 999.99"),
            (1_500, "JPY", "JPY 1,500"),
            (1_234_567, "KWD", "KWD 1,234.567"),
            (-123_456, "USD", "USD -1,234.56"),
        ] {
            let currency = Currency::parse(code).expect("a currency");
            assert_eq!(amount(Money::new(minor, currency)), text);
        }
    }
}
