//! What is wrong with a request, before any door has put it into its own words.

use std::borrow::Cow;

/// Part of a request cannot be accepted as it is. Every door answers 400.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The field of the body, the query parameter or the header.
    pub field: Option<Cow<'static, str>>,
    /// What was wrong and what to do.
    pub message: Cow<'static, str>,
}

impl Invalid {
    /// The request as a whole is wrong.
    pub fn request(message: impl Into<Cow<'static, str>>) -> Self {
        Self { field: None, message: message.into() }
    }

    /// One field is wrong.
    pub fn field(
        field: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { field: Some(field.into()), message: message.into() }
    }
}

/// The start of what a caller sent, short enough to repeat in a message.
pub fn excerpt(text: &str) -> &str {
    text.char_indices().nth(40).map_or(text, |(end, _)| text.get(..end).unwrap_or(text))
}
