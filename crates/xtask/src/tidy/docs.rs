//! Public items of our crates say what they are for.
//!
//! Functions and methods, types, traits and their methods, constants and statics have a doc comment,
//! and every file has a header. Fields, variants, re-exports and what is `pub(..)` need none.

use super::{Finding, finding};
use crate::source::{Kind, Token, after_braces};
use crate::tree::Rust;

const ITEMS: &[&str] =
    &["fn", "struct", "enum", "union", "trait", "type", "const", "static", "mod"];
const QUALIFIERS: &[&str] = &["async", "unsafe", "extern", "auto"];

/// Every public item of a file that has no doc comment.
pub fn check(rust: &Rust) -> Vec<Finding> {
    let (path, tokens) = (&rust.file.path, &rust.source.items);
    let mut wrong = Vec::new();
    if !rust.source.comments.iter().any(|comment| comment.kind == Kind::Header) {
        wrong.push(finding(path, 1, "the file has no header (`//!`)"));
    }
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at].is("macro_rules") {
            at = after_braces(tokens, at);
            continue;
        }
        if let Some(item) = public_item(tokens, at) {
            if !is_documented(tokens, at) {
                wrong.push(undocumented(path, tokens, item));
            }
            if tokens[item].is("trait") {
                wrong.extend(methods(path, tokens, item));
            }
        }
        at += 1;
    }
    wrong
}

fn undocumented(path: &str, tokens: &[Token], item: usize) -> Finding {
    let name = tokens.get(item + 1).map_or("", |name| name.text);
    let text = format!("`{} {name}` has no doc comment", tokens[item].text);
    finding(path, tokens[item].line, &text)
}

/// The index of the item's keyword, if a public item begins at `at`.
fn public_item(tokens: &[Token], at: usize) -> Option<usize> {
    if !tokens[at].is("pub") {
        return None;
    }
    let mut item = at + 1;
    loop {
        let token = tokens.get(item)?;
        let next = tokens.get(item + 1)?;
        let qualifies = QUALIFIERS.contains(&token.text) || token.kind == Kind::Literal;
        if qualifies || (token.is("const") && (next.is("fn") || QUALIFIERS.contains(&next.text))) {
            item += 1;
        } else if token.is("mod") && tokens.get(item + 2).is_some_and(|end| end.is(";")) {
            // Its file has a header.
            return None;
        } else {
            let is_item = token.kind == Kind::Word && ITEMS.contains(&token.text);
            return (is_item && next.kind == Kind::Word).then_some(item);
        }
    }
}

/// The methods of a trait that have no doc comment.
fn methods(path: &str, tokens: &[Token], item: usize) -> Vec<Finding> {
    let Some(open) = (item..tokens.len()).find(|at| tokens[*at].is("{")) else { return Vec::new() };
    let (end, mut at, mut wrong) = (after_braces(tokens, open), open + 1, Vec::new());
    while at < end {
        if tokens[at].is("{") {
            at = after_braces(tokens, at);
            continue;
        }
        if tokens[at].is("fn") && tokens[at + 1].kind == Kind::Word {
            let qualifier =
                |at: &usize| tokens[*at].is("const") || QUALIFIERS.contains(&tokens[*at].text);
            let begin = (open..at).rev().take_while(qualifier).last().unwrap_or(at);
            if !is_documented(tokens, begin) {
                wrong.push(undocumented(path, tokens, at));
            }
        }
        at += 1;
    }
    wrong
}

/// Whether a doc comment stands before the token at `at`, attributes between them aside.
fn is_documented(tokens: &[Token], mut at: usize) -> bool {
    while let Some(before) = at.checked_sub(1) {
        match tokens[before].text {
            _ if tokens[before].kind == Kind::Doc => return true,
            "]" => {
                let Some(open) = attribute(tokens, before) else { return false };
                if tokens[open + 1].is("doc") {
                    return true;
                }
                at = open - 1;
            }
            _ => return false,
        }
    }
    false
}

/// The opening bracket of the attribute that closes at `close`.
fn attribute(tokens: &[Token], close: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for at in (1..=close).rev() {
        if tokens[at].is("]") {
            depth += 1;
        } else if tokens[at].is("[") {
            depth -= 1;
            if depth == 0 {
                return tokens[at - 1].is("#").then_some(at);
            }
        }
    }
    None
}
