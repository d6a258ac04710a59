//! Values as answers print them, written into the answer without a string in between.

use domain::ids::{AccountId, PaymentId};
use domain::payment::Kind;
use serde::ser::Error;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::fmt;
use ulid::Ulid;

/// A value that is printed as its `Display` text.
pub struct Shown<T>(pub T);

impl<T: fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A ULID behind a prefix.
pub struct PrefixedId(&'static str, Ulid);

impl PrefixedId {
    pub const fn new(prefix: &'static str, ulid: Ulid) -> Self {
        Self(prefix, ulid)
    }

    /// The id of a payment under the prefix of what was paid for.
    pub const fn of_payment(kind: Kind, payment: PaymentId) -> Shown<Self> {
        Shown(Self(kind.prefix(), payment.ulid()))
    }
}

impl fmt::Display for PrefixedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)?;
        f.write_str(self.1.array_to_str(&mut [0; ulid::ULID_LEN]))
    }
}

/// `arn:refundry:<what>:<account>:<id>`.
pub struct ResourceName<T>(&'static str, AccountId, T);

impl<T> ResourceName<T> {
    pub const fn new(what: &'static str, account: AccountId, id: T) -> Self {
        Self(what, account, id)
    }
}

impl<T: fmt::Display> fmt::Display for ResourceName<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "arn:refundry:{}:{}:{}", self.0, self.1, self.2)
    }
}

/// JSON that is stored as text.
pub struct Raw<'a>(pub &'a str);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(self.0).map_err(S::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// `some_field` as `someField`.
pub fn camel_case(field: &str) -> String {
    let mut words = field.split('_');
    let mut name = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    name
}
