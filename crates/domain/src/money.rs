//! Money: an integer of minor units and an ISO 4217 currency. No float, ever.

use std::fmt;

/// An ISO 4217 currency that has minor units, such as `IDR` (exponent 2) or `JPY` (exponent 0).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// The text is not the three-letter code of a currency that payments can be made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an ISO 4217 currency code")]
pub struct UnknownCurrency;

impl Currency {
    /// Reads a code of three capital letters. Codes without minor units (`XAU`, `XXX`) are refused.
    pub fn parse(code: &str) -> Result<Self, UnknownCurrency> {
        let bytes: [u8; 3] = code.as_bytes().try_into().map_err(|_| UnknownCurrency)?;
        // `from_code` is a linear table walk; the everyday currencies skip it.
        if !matches!(&bytes, b"USD" | b"EUR" | b"IDR" | b"GBP" | b"JPY" | b"ZAR" | b"AUD") {
            iso_currency::Currency::from_code(code)
                .and_then(iso_currency::Currency::exponent)
                .ok_or(UnknownCurrency)?;
        }
        Ok(Self(bytes))
    }

    /// The three letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// How many digits of an amount stand behind the decimal point (ISO 4217: 0, 2, 3 or 4).
    pub fn exponent(self) -> u32 {
        iso_currency::Currency::from_code(self.as_str())
            .and_then(iso_currency::Currency::exponent)
            .map_or(0, u32::from)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The largest amount of one payment in minor units: 2^53 - 1, which every client language reads
/// exactly, JavaScript included.
pub const MAX_AMOUNT: i64 = 9_007_199_254_740_991;

/// An amount in minor units together with its currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Money {
    /// Minor units: cents for `USD`, whole yen for `JPY`.
    pub minor: i64,
    pub currency: Currency,
}

impl Money {
    /// `minor` units of `currency`.
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Reads a decimal such as `12.50` as an amount of `currency`. Digits beyond the currency's
    /// exponent are refused rather than rounded.
    pub fn from_decimal(text: &str, currency: Currency) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let exponent = usize::try_from(currency.exponent()).ok()?;
        let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty()
            || !all_digits(whole)
            || !all_digits(fraction)
            || fraction.len() > exponent
        {
            return None;
        }
        if digits.ends_with('.') {
            return None;
        }
        let mut minor: i64 = 0;
        for digit in
            whole.bytes().chain(fraction.bytes().chain(std::iter::repeat(b'0')).take(exponent))
        {
            minor = minor.checked_mul(10)?.checked_add(i64::from(digit - b'0'))?;
        }
        Some(Self::new(if negative { minor.checked_neg()? } else { minor }, currency))
    }
}

impl fmt::Display for Money {
    /// The amount as people write it: `12.50 USD`, `1250 JPY`, `1.250 KWD`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exponent = self.currency.exponent();
        let scale = 10_u64.checked_pow(exponent).unwrap_or(1);
        let sign = if self.minor < 0 { "-" } else { "" };
        let minor = self.minor.unsigned_abs();
        if exponent == 0 {
            return write!(f, "{sign}{minor} {}", self.currency);
        }
        let width = usize::try_from(exponent).unwrap_or(0);
        write!(f, "{sign}{}.{:0width$} {}", minor / scale, minor % scale, self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn currency(code: &str) -> Currency {
        Currency::parse(code).expect("a known currency")
    }

    #[test]
    fn exponents_follow_iso_4217() {
        for (code, exponent) in [
            ("JPY", 0),
            ("USD", 2),
            ("IDR", 2),
            ("ZAR", 2),
            ("KWD", 3),
            ("BHD", 3),
            ("CLF", 4),
            ("UYW", 4),
        ] {
            assert_eq!(currency(code).exponent(), exponent, "{code}");
        }
    }

    #[test]
    fn codes_that_are_not_money_are_refused() {
        for code in ["", "usd", "US", "USDT", "ABC", "XAU", "XXX", "U\u{20ac}"] {
            assert_eq!(Currency::parse(code), Err(UnknownCurrency), "{code}");
        }
    }

    #[test]
    fn amounts_print_as_people_write_them() {
        for (minor, code, text) in [
            (1250, "USD", "12.50 USD"),
            (5, "USD", "0.05 USD"),
            (-5, "USD", "-0.05 USD"),
            (1250, "JPY", "1250 JPY"),
            (1250, "KWD", "1.250 KWD"),
            (12_345, "CLF", "1.2345 CLF"),
            (i64::MIN, "JPY", "-9223372036854775808 JPY"),
        ] {
            assert_eq!(Money::new(minor, currency(code)).to_string(), text);
        }
    }

    #[test]
    fn decimals_with_too_many_digits_or_other_signs_are_refused() {
        for text in
            ["", ".", "1.", ".5", "1.005", "1e2", "+1", "1,00", "--1", "92233720368547758.08"]
        {
            assert_eq!(Money::from_decimal(text, currency("USD")), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(minor in i64::MIN + 1.., code in prop::sample::select(vec!["JPY", "USD", "KWD", "CLF"])) {
            let money = Money::new(minor, currency(code));
            let text = money.to_string();
            let decimal = text.split(' ').next().unwrap_or_default();
            prop_assert_eq!(Money::from_decimal(decimal, currency(code)), Some(money));
        }
    }
}
