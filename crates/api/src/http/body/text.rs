//! Strings in JSON.

use std::borrow::Cow;
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StringFlaw {
    NotAString,
    BadEscape,
    Nul,
    TooLong(usize),
}

impl StringFlaw {
    pub(super) fn about(self, field: &str) -> String {
        match self {
            Self::NotAString => format!("{field} must be a string in double quotes"),
            Self::BadEscape => {
                format!("{field} has an escape that is no character; send valid Unicode")
            }
            Self::Nul => format!("{field} must not contain the character U+0000; leave it out"),
            Self::TooLong(longest) => {
                format!("{field} is longer than {longest} characters; shorten it")
            }
        }
    }
}

/// Reads the raw JSON of a string. Borrows unless there is something to unescape.
pub(super) fn read_string(raw: &str, longest: usize) -> Result<Cow<'_, str>, StringFlaw> {
    let inner = raw
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .ok_or(StringFlaw::NotAString)?;
    let text: Cow<'_, str> = if inner.contains('\\') {
        serde_json::from_str::<String>(raw).map_err(|_| StringFlaw::BadEscape)?.into()
    } else {
        inner.into()
    };
    if text.contains('\0') {
        return Err(StringFlaw::Nul);
    }
    if text.len() > longest && text.chars().count() > longest {
        return Err(StringFlaw::TooLong(longest));
    }
    Ok(text)
}
