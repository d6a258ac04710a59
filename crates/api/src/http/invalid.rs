//! Errors in requests, before a door translates them.

use std::borrow::Cow;

/// Part of a request cannot be accepted as it is. Every door answers 400.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    pub field: Option<Cow<'static, str>>,
    /// Names the mistake and the remedy.
    pub message: Cow<'static, str>,
}

impl Invalid {
    pub fn request(message: impl Into<Cow<'static, str>>) -> Self {
        Self { field: None, message: message.into() }
    }

    pub fn field(
        field: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { field: Some(field.into()), message: message.into() }
    }
}

/// Reads one of the words of `all`.
pub fn one_of<T: Copy>(
    field: &'static str,
    text: &str,
    all: &[T],
    word: fn(T) -> &'static str,
) -> Result<T, Invalid> {
    let found = all.iter().copied().find(|known| word(*known) == text);
    found.ok_or_else(|| {
        let known = all.iter().map(|known| word(*known)).collect::<Vec<_>>().join(", ");
        let text = excerpt(text);
        Invalid::field(field, format!("{field} must be one of {known}; got {text:?}"))
    })
}

/// The first characters of a caller's text, for a message.
pub fn excerpt(text: &str) -> &str {
    text.char_indices().nth(40).map_or(text, |(end, _)| text.get(..end).unwrap_or(text))
}
