//! The catalogue: which providers an account can be configured for, and the fields that each of them needs.

use crate::Provider;
use crate::http::Http;
use domain::provider::Traits;
use domain::tenant::Mode;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The longest value of a field that is no secret, in characters.
pub const LONGEST_VALUE: usize = 1_000;
/// The longest secret, in characters. Some providers give out certificates.
pub const LONGEST_SECRET: usize = 8_000;
/// How many edits lead from a wrong name to one that is suggested.
const NEAR: usize = 2;
/// The longest name for which a known one is suggested.
const LONGEST_GUESS: usize = 64;

/// A field of a provider's configuration. Every value is a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name in the provider's own words, such as `merchant_account`.
    pub name: &'static str,
    pub required: bool,
    /// The value is sealed and never shown again.
    pub secret: bool,
    /// The value to give, and where to find it.
    pub help: &'static str,
}

/// The settings and secrets of one provider account.
pub struct AccountValues<'a> {
    /// The provider account, `pa_…`.
    pub account: &'a str,
    /// Live, or test: many providers have a URL of their own for tests.
    pub mode: Mode,
    /// Settings and opened secrets by the names of their fields; all that are required are there.
    pub values: BTreeMap<&'a str, &'a str>,
    /// The client for calls.
    pub http: &'a Http,
}

impl AccountValues<'_> {
    /// The value of a field; empty where it was left out.
    pub fn get(&self, field: &str) -> &str {
        self.values.get(field).copied().unwrap_or_default()
    }
}

/// Makes the adapter of a provider account. The error is for people and shows no secret.
pub type Build = fn(&AccountValues<'_>) -> Result<Arc<dyn Provider>, String>;

/// How the adapter of a provider account is made.
#[derive(Clone, Copy, Debug)]
pub enum AdapterOf {
    /// One adapter serves every account.
    Everybody,
    /// Each account has its own, made from its credentials.
    Account { traits: &'static Traits, build: Build },
}

/// A kind of provider, as accounts are configured for it.
#[derive(Clone, Copy, Debug)]
pub struct ProviderKind {
    /// The name that payments have for their provider.
    pub name: &'static str,
    /// The name for people.
    pub label: &'static str,
    pub config_fields: &'static [Field],
    pub adapter: AdapterOf,
}

/// Every kind of provider that needs credentials.
pub const fn catalogue() -> &'static [ProviderKind] {
    &[]
}

impl ProviderKind {
    fn fields(&self, secret: bool) -> impl Iterator<Item = &'static Field> {
        self.config_fields.iter().filter(move |field| field.secret == secret)
    }

    /// Checks the values of all fields that are no secrets. The error is for the person who gave them.
    pub fn check_config(&self, given: &[(&str, &str)]) -> Result<(), String> {
        self.check(false, given)
    }

    /// Checks the values of all secrets. The error shows none of them.
    pub fn check_secrets(&self, given: &[(&str, &str)]) -> Result<(), String> {
        self.check(true, given)
    }

    fn check(&self, secret: bool, given: &[(&str, &str)]) -> Result<(), String> {
        for (name, value) in given {
            let field = self.config_fields.iter().find(|field| field.name == *name);
            let field = field.ok_or_else(|| self.unknown(secret, name))?;
            if field.secret != secret {
                return Err(self.misplaced(field));
            }
            check_value(field, value)?;
        }
        let is_missing =
            |field: &&Field| field.required && !given.iter().any(|(name, _)| *name == field.name);
        let missing: Vec<_> = self.fields(secret).filter(is_missing).collect();
        match missing.as_slice() {
            [] => Ok(()),
            [field] => Err(format!("{} is missing; give {}", field.name, field.help)),
            fields => {
                let each: Vec<_> =
                    fields.iter().map(|field| format!("{} ({})", field.name, field.help)).collect();
                Err(format!("these are missing: {}", each.join(", ")))
            }
        }
    }

    /// A name that stands where a secret should may be the secret itself, so it is repeated only where it is close to
    /// a known name.
    fn unknown(&self, secret: bool, name: &str) -> String {
        let what = if secret { "secret" } else { "setting" };
        let known: Vec<_> = self.fields(secret).map(|field| field.name).collect();
        if let Some(near) = nearest(name, known.iter().copied()) {
            return format!("{} has no {what} {name:?}; did you mean {near}?", self.name);
        }
        let known = match known.as_slice() {
            [] => "it has none".to_owned(),
            names => format!("it has {}", names.join(", ")),
        };
        if secret {
            return format!("{} does not have every secret that was given; {known}", self.name);
        }
        let name: String = name.chars().take(LONGEST_GUESS).collect();
        format!("{} has no {what} {name:?}; {known}", self.name)
    }

    fn misplaced(&self, field: &Field) -> String {
        let (name, provider) = (field.name, self.name);
        if field.secret {
            format!("{name} is a secret of {provider}; give it among the secrets")
        } else {
            format!("{name} is no secret of {provider}; give it in the configuration")
        }
    }
}

fn check_value(field: &Field, value: &str) -> Result<(), String> {
    let name = field.name;
    let longest = if field.secret { LONGEST_SECRET } else { LONGEST_VALUE };
    if value.is_empty() {
        return Err(format!("{name} is empty; give {}", field.help));
    }
    if value.chars().count() > longest {
        return Err(format!("{name} is longer than {longest} characters"));
    }
    if value.trim() != value {
        return Err(format!("{name} begins or ends with white space; leave that out"));
    }
    // Certificates are secrets of several lines.
    let may_break = |c: char| field.secret && matches!(c, '\n' | '\r' | '\t');
    if value.chars().any(|c| c.is_control() && !may_break(c)) {
        return Err(format!("{name} has control characters in it; leave them out"));
    }
    Ok(())
}

/// The known name that `name` is probably a misspelling of.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LONGEST_GUESS {
        return None;
    }
    let near = known.map(|known| (distance(name, known), known));
    let near = near.filter(|(edits, known)| *edits <= NEAR.min(known.len() / 3));
    near.min().map(|(_, known)| known)
}

/// The number of characters to insert, delete or replace between two texts.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, a) in one.chars().enumerate() {
        let mut corner = at;
        let mut left = at + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(&other) {
            let replaced = corner + usize::from(a != *b);
            corner = *cell;
            left = replaced.min(corner + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = at + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: ProviderKind = ProviderKind {
        name: "test_psp",
        label: "Test PSP",
        adapter: AdapterOf::Everybody,
        config_fields: &[
            Field {
                name: "merchant_account",
                required: true,
                secret: false,
                help: "the name of your account, as in CompanyECOM",
            },
            Field { name: "region", required: false, secret: false, help: "eu or us" },
            Field { name: "api_key", required: true, secret: true, help: "a key of the API" },
            Field {
                name: "webhook_secret",
                required: true,
                secret: true,
                help: "the secret of the webhook",
            },
        ],
    };

    fn config(given: &[(&str, &str)]) -> String {
        KIND.check_config(given).err().unwrap_or_default()
    }

    fn secrets(given: &[(&str, &str)]) -> String {
        KIND.check_secrets(given).err().unwrap_or_default()
    }

    #[test]
    fn what_a_provider_needs_and_no_more_is_accepted() {
        assert_eq!(config(&[("merchant_account", "Shop")]), "");
        assert_eq!(config(&[("merchant_account", "Shop"), ("region", "eu")]), "");
        let lines = "-----BEGIN KEY-----\nabc\r\n-----END KEY-----";
        assert_eq!(secrets(&[("api_key", lines), ("webhook_secret", "w")]), "");
        let longest = "k".repeat(LONGEST_SECRET);
        assert_eq!(secrets(&[("api_key", &longest), ("webhook_secret", "w")]), "");
    }

    #[test]
    fn each_mistake_is_named_with_its_remedy() {
        let shop = ("merchant_account", "Shop");
        for (given, message) in [
            (
                vec![],
                "merchant_account is missing; give the name of your account, as in CompanyECOM",
            ),
            (
                vec![("merchant_acount", "Shop")],
                "test_psp has no setting \"merchant_acount\"; did you mean merchant_account?",
            ),
            (
                vec![shop, ("colour", "red")],
                "test_psp has no setting \"colour\"; it has merchant_account, region",
            ),
            (
                vec![shop, ("api_key", "x")],
                "api_key is a secret of test_psp; give it among the secrets",
            ),
            (vec![shop, ("region", "")], "region is empty; give eu or us"),
            (
                vec![("merchant_account", " Shop")],
                "merchant_account begins or ends with white space; leave that out",
            ),
            (
                vec![("merchant_account", "Sh\nop")],
                "merchant_account has control characters in it; leave them out",
            ),
        ] {
            assert_eq!(config(&given), message);
        }
        let long = "x".repeat(LONGEST_VALUE + 1);
        let message = config(&[("merchant_account", &long)]);
        assert_eq!(message, "merchant_account is longer than 1000 characters");
    }

    #[test]
    fn messages_about_secrets_show_none() {
        let webhook = ("webhook_secret", "w");
        for (given, message) in [
            (
                vec![],
                "these are missing: api_key (a key of the API), webhook_secret (the secret of the webhook)",
            ),
            (vec![webhook], "api_key is missing; give a key of the API"),
            (
                vec![("apikey", "s3cret"), webhook],
                "test_psp has no secret \"apikey\"; did you mean api_key?",
            ),
            (
                vec![("s3cret", "api_key"), webhook],
                "test_psp does not have every secret that was given; it has api_key, webhook_secret",
            ),
            (
                vec![("region", "s3cret")],
                "region is no secret of test_psp; give it in the configuration",
            ),
            (
                vec![("api_key", "s3cret\n"), webhook],
                "api_key begins or ends with white space; leave that out",
            ),
            (
                vec![("api_key", "s3\u{7}cret"), webhook],
                "api_key has control characters in it; leave them out",
            ),
        ] {
            assert_eq!(secrets(&given), message);
            assert!(!message.contains("s3cret"));
        }
    }

    #[test]
    fn a_name_is_suggested_only_where_it_is_close() {
        let near = |name| nearest(name, ["stripe", "adyen", "paypal"].into_iter());
        assert_eq!(near("strpe"), Some("stripe"));
        assert_eq!(near("Stripe"), Some("stripe"));
        assert_eq!(near("adyem"), Some("adyen"));
        assert_eq!(near("paypall"), Some("paypal"));
        for name in ["", "s", "stripes_inc", "yen", &"a".repeat(1_000)] {
            assert_eq!(near(name), None, "{name}");
        }
        for (one, other, edits) in [("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3)] {
            assert_eq!(distance(one, other), edits);
        }
    }
}
