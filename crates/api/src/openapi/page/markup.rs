//! Text as HTML: escaping, and the little of Markdown that descriptions use.

use serde_json::Value;
use std::fmt::Write as _;

/// The text of a value; empty when it is none.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The target of a reference, or the value itself.
pub fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let reference = value["$ref"].as_str().and_then(|text| text.strip_prefix('#'));
    reference.and_then(|at| document.pointer(at)).unwrap_or(value)
}

/// Text that nothing can break out of, in an element or in a quoted attribute.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

pub fn paragraphs(text: &str) -> String {
    text.split("\n\n").map(str::trim).filter(|block| !block.is_empty()).map(block).collect()
}

fn block(block: &str) -> String {
    let items = |strip: &dyn Fn(&str) -> Option<String>| {
        block.lines().map(strip).collect::<Option<Vec<_>>>().map(|items| items.concat())
    };
    let item = |text: &str| format!("<li>{}</li>\n", inline(text));
    if let Some(items) = items(&|line| line.strip_prefix("- ").map(item)) {
        return format!("<ul>\n{items}</ul>\n");
    }
    let numbered = |line: &str| {
        let (number, rest) = line.split_once(". ")?;
        number.bytes().all(|byte| byte.is_ascii_digit()).then(|| item(rest))
    };
    if let Some(items) = items(&numbered) {
        return format!("<ol>\n{items}</ol>\n");
    }
    format!("<p>{}</p>\n", inline(block))
}

/// One line: `code` and **strong**.
pub fn inline(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for (at, part) in text.split('`').enumerate() {
        if at % 2 == 1 {
            let _ = write!(html, "<code>{}</code>", escape(part));
            continue;
        }
        for (at, part) in part.split("**").enumerate() {
            let part = escape(part);
            let strong = at % 2 == 1;
            let _ = if strong {
                write!(html, "<strong>{part}</strong>")
            } else {
                write!(html, "{part}")
            };
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_html_that_it_cannot_break_out_of() {
        assert_eq!(
            inline("a `<b>` **c** & \"d\""),
            "a <code>&lt;b&gt;</code> <strong>c</strong> &amp; &quot;d&quot;"
        );
        assert_eq!(
            paragraphs("one\ntwo\n\n- a\n- b\n\n1. x\n2. y"),
            "<p>one\ntwo</p>\n<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n<ol>\n<li>x</li>\n<li>y</li>\n</ol>\n"
        );
        assert_eq!(paragraphs(""), "");
    }
}
