//! Rust text as tokens with their lines. Strings are one token each, comments are kept aside and
//! test modules are cut out, so that a rule sees only names that the compiler sees.
//!
//! This is no parser: generics, expressions and macros are flat sequences of tokens.

/// The kind of a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A keyword, a name or a number.
    Word,
    /// `::`, or any other single character.
    Mark,
    /// A string, a character or a lifetime.
    Literal,
    /// A comment in front of an item: `///` or `/** */`.
    Doc,
    /// A comment about the file: `//!` or `/*! */`.
    Header,
    /// Any other comment.
    Comment,
}

/// A token.
#[derive(Clone, Copy, Debug)]
pub struct Token<'a> {
    /// The kind.
    pub kind: Kind,
    /// The text, without anything around it.
    pub text: &'a str,
    /// The line of its first character, from 1.
    pub line: usize,
}

impl Token<'_> {
    /// Whether this is the word or the mark `text`.
    pub fn is(&self, text: &str) -> bool {
        matches!(self.kind, Kind::Word | Kind::Mark) && self.text == text
    }

    fn is_comment(&self) -> bool {
        matches!(self.kind, Kind::Doc | Kind::Header | Kind::Comment)
    }
}

/// One file of Rust.
#[derive(Default, Debug)]
pub struct Source<'a> {
    /// Everything outside of test modules but comments.
    pub code: Vec<Token<'a>>,
    /// Like `code`, with the comments of items.
    pub items: Vec<Token<'a>>,
    /// Every comment, those of tests too.
    pub comments: Vec<Token<'a>>,
    /// Modules of other files that are declared for tests only.
    pub test_modules: Vec<&'a str>,
    /// How many lines test modules take.
    pub test_lines: usize,
}

/// Reads a file.
pub fn read(text: &str) -> Source<'_> {
    let tokens = tokens(text);
    let comments = tokens.iter().filter(|token| token.is_comment()).copied().collect();
    let mut source = Source { comments, ..Source::default() };
    let items: Vec<Token> = tokens.into_iter().filter(is_of_an_item).collect();
    let mut at = 0;
    while at < items.len() {
        if begins_test(&items[at..]) {
            let end = end_of_item(&items, at + CFG_TEST.len());
            source.test_lines += items[end - 1].line - items[at].line + 1;
            if let [.., module, name, semicolon] = items[at..end]
                && module.is("mod")
                && semicolon.is(";")
            {
                source.test_modules.push(name.text);
            }
            at = end;
        } else {
            source.items.push(items[at]);
            at += 1;
        }
    }
    source.code = source.items.iter().filter(|token| token.kind != Kind::Doc).copied().collect();
    source
}

fn is_of_an_item(token: &Token) -> bool {
    !matches!(token.kind, Kind::Header | Kind::Comment)
}

const CFG_TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];

fn begins_test(tokens: &[Token]) -> bool {
    tokens.len() >= CFG_TEST.len()
        && CFG_TEST.iter().zip(tokens).all(|(text, token)| token.is(text))
}

/// The index after the item that begins at `at`: after its semicolon or its braces.
fn end_of_item(tokens: &[Token], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(token) = tokens.get(at) {
        match token.text {
            "(" | "[" | "{" if token.kind == Kind::Mark => depth += 1,
            ")" | "]" | "}" if token.kind == Kind::Mark => {
                if depth == 0 {
                    return at;
                }
                depth -= 1;
                if depth == 0 && token.text == "}" {
                    return at + 1;
                }
            }
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
        at += 1;
    }
    at
}

/// The index after the brace that closes the one at `open`.
pub fn after_braces(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        if token.is("{") {
            depth += 1;
        } else if token.is("}") {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return at + 1;
            }
        }
    }
    tokens.len()
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while let Some(rest) = text.get(at..)
        && let Some(first) = rest.bytes().next()
    {
        let length = if first.is_ascii_whitespace() {
            1
        } else {
            let (kind, length) = token(rest, first);
            tokens.push(Token { kind, text: &rest[..length], line });
            length
        };
        line += rest[..length].matches('\n').count();
        at += length;
    }
    tokens
}

/// The kind and the length of the token that `rest` begins with.
fn token(rest: &str, first: u8) -> (Kind, usize) {
    if let Some(length) = string(rest) {
        return (Kind::Literal, length);
    }
    match first {
        b'/' if rest.starts_with("//") => {
            (comment_kind(rest, "///", "//!", "////"), rest.find('\n').unwrap_or(rest.len()))
        }
        b'/' if rest.starts_with("/*") => {
            (comment_kind(rest, "/**", "/*!", "/**/"), block_comment(rest))
        }
        b'\'' => (Kind::Literal, character_or_lifetime(rest)),
        first if in_word(first) => (Kind::Word, word(rest)),
        b':' if rest.starts_with("::") => (Kind::Mark, 2),
        _ => (Kind::Mark, 1),
    }
}

fn comment_kind(rest: &str, doc: &str, header: &str, neither: &str) -> Kind {
    if rest.starts_with(header) {
        Kind::Header
    } else if rest.starts_with(doc) && !rest.starts_with(neither) {
        Kind::Doc
    } else {
        Kind::Comment
    }
}

/// Block comments nest.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        let pair = rest.as_bytes().get(at..at + 2).unwrap_or_default();
        match pair {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// The length of the string that `rest` begins with, prefix and all.
fn string(rest: &str) -> Option<usize> {
    let after_letter = rest.strip_prefix(['b', 'c']).unwrap_or(rest);
    if let Some(raw) = after_letter.strip_prefix('r') {
        let hashes = raw.bytes().take_while(|byte| *byte == b'#').count();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let begin = rest.len() - raw.len() + hashes + 1;
            return Some(rest[begin..].find(&end).map_or(rest.len(), |at| begin + at + end.len()));
        }
        return None;
    }
    let inside = after_letter.strip_prefix('"')?;
    Some(rest.len() - inside.len() + quoted(inside, b'"'))
}

/// The length up to and with the quote, minding backslashes.
fn quoted(inside: &str, quote: u8) -> usize {
    let mut escaped = false;
    for (at, byte) in inside.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            byte if byte == quote => return at + 1,
            _ => {}
        }
    }
    inside.len()
}

fn character_or_lifetime(rest: &str) -> usize {
    let inside = &rest[1..];
    let mut characters = inside.chars();
    match (characters.next(), characters.next()) {
        (Some('\\'), _) => 1 + quoted(inside, b'\''),
        (Some(one), Some('\'')) => 2 + one.len_utf8(),
        _ => 1 + word(inside),
    }
}

fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

fn word(rest: &str) -> usize {
    rest.bytes().take_while(|byte| in_word(*byte)).count()
}
