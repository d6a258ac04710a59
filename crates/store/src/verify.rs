//! What a verification finds.

/// Two numbers that should be equal and are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What was compared, and for what.
    pub subject: String,
    /// What is stored.
    pub stored: String,
    /// What follows from refunds and postings.
    pub derived: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: stored {}, derived {}", self.subject, self.stored, self.derived)
    }
}

/// The outcome of a verification.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many payments were checked.
    pub payments: u64,
    /// How many refunds were checked.
    pub refunds: u64,
    /// How many postings were checked.
    pub postings: u64,
    /// What does not fit, at most [`Report::LIMIT`] of each kind.
    pub differences: Vec<Difference>,
}

impl Report {
    /// How many differences of one kind are listed at most.
    pub const LIMIT: u32 = 1_000;
}

/// The text with ids as people know them: ULIDs instead of hexadecimal.
pub(crate) fn readable(text: &str) -> String {
    let word = |word: &str| match u128::from_str_radix(word, 16) {
        Ok(id) if word.len() == 32 => ulid::Ulid(id).to_string(),
        _ => word.to_owned(),
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}
