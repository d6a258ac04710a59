//! Plain English in comments and Markdown.
//!
//! A sentence does not begin with "What", "Who", "Whoever", "Whatever" or "Of", unless it is a
//! question, and some phrases that read twice are not used. Headings, code and released
//! parts of the changelog are left alone.

use super::{Finding, finding};
use crate::source::Token;
use crate::tree::{File, Rust};

const BEGINNINGS: &[&str] = &["What", "Who", "Whoever", "Whatever", "Of"];
const PHRASES: &[&str] = &["by then", "in vain", "is told of", "are told of"];

/// Checks the comments of a Rust file.
pub fn check_comments(rust: &Rust) -> Vec<Finding> {
    check_lines(&rust.file.path, comment_lines(&rust.source.comments))
}

/// Checks a page of Markdown.
pub fn check_page(file: &File) -> Vec<Finding> {
    let lines = file.text.lines().enumerate().map(|(at, line)| (at + 1, line));
    if file.path == "CHANGELOG.md" {
        return check_lines(&file.path, unreleased(lines));
    }
    check_lines(&file.path, lines)
}

/// The changelog up to the first release.
fn unreleased<'a>(
    lines: impl Iterator<Item = (usize, &'a str)>,
) -> impl Iterator<Item = (usize, &'a str)> {
    lines.take_while(|(_, line)| !line.starts_with("## ") || line.contains("Unreleased"))
}

fn comment_lines<'a>(comments: &[Token<'a>]) -> impl Iterator<Item = (usize, &'a str)> {
    comments.iter().flat_map(|comment| {
        let lines = comment.text.lines().enumerate();
        lines.map(|(at, line)| (comment.line + at, line.trim_matches(['/', '!', '*', ' '])))
    })
}

fn check_lines<'a>(path: &str, lines: impl Iterator<Item = (usize, &'a str)>) -> Vec<Finding> {
    let mut wrong = Vec::new();
    for paragraph in paragraphs(lines) {
        for (at, text) in paragraph.faults() {
            wrong.push(finding(path, paragraph.line_at(at), &text));
        }
    }
    wrong
}

/// Lines that run on: joined by spaces, without marks of emphasis and without code.
#[derive(Default)]
struct Paragraph {
    text: String,
    /// Where each line begins in the text, and its number.
    lines: Vec<(usize, usize)>,
}

fn paragraphs<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> Vec<Paragraph> {
    let lines: Vec<(usize, &str)> = lines.collect();
    let (mut all, mut code) = (vec![Paragraph::default()], false);
    for (at, (number, line)) in lines.iter().enumerate() {
        let line = line.trim();
        let fence = line.starts_with("```");
        code ^= fence;
        let next = lines.get(at + 1).map_or("", |(_, next)| next.trim());
        let table_head = next.starts_with("|-") || next.starts_with("| -");
        if fence || code || table_head || line.is_empty() || line.starts_with('#') {
            all.push(Paragraph::default());
        } else if line.starts_with('|') {
            all.extend(line.split('|').map(|cell| Paragraph::of(*number, cell)));
            all.push(Paragraph::default());
        } else if let Some(item) = list_item(line) {
            all.push(Paragraph::of(*number, item));
        } else if let Some(last) = all.last_mut().filter(|last| last.runs_on(*number)) {
            last.add(*number, line);
        } else {
            all.push(Paragraph::of(*number, line));
        }
    }
    all
}

fn list_item(line: &str) -> Option<&str> {
    let numbered = line.trim_start_matches(|first: char| first.is_ascii_digit());
    let numbered = numbered.strip_prefix(". ").filter(|_| numbered.len() < line.len());
    numbered.or_else(|| line.strip_prefix("- ").or_else(|| line.strip_prefix("* ")))
}

impl Paragraph {
    fn of(number: usize, line: &str) -> Self {
        let mut new = Self::default();
        new.add(number, line);
        new
    }

    fn runs_on(&self, number: usize) -> bool {
        self.lines.last().is_none_or(|(_, last)| last + 1 == number)
    }

    fn add(&mut self, number: usize, line: &str) {
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.lines.push((self.text.len(), number));
        // Every second part stands between backticks.
        let prose =
            line.split('`').enumerate().map(|(at, part)| if at % 2 == 0 { part } else { "`" });
        self.text.extend(prose.map(|part| part.replace('*', "")));
    }

    fn line_at(&self, at: usize) -> usize {
        let line = self.lines.iter().rev().find(|(begin, _)| *begin <= at);
        line.map_or(0, |(_, number)| *number)
    }

    /// Where each fault stands, and its description.
    fn faults(&self) -> Vec<(usize, String)> {
        let mut faults = Vec::new();
        for (at, sentence) in sentences(&self.text) {
            let first = sentence.split_whitespace().next().unwrap_or_default();
            if BEGINNINGS.contains(&first) && !sentence.ends_with('?') {
                faults.push((at, format!("a sentence that begins with \"{first}\"")));
            }
        }
        let text = self.text.to_ascii_lowercase();
        for phrase in PHRASES {
            for (at, _) in
                text.match_indices(phrase).filter(|(at, _)| stands_alone(&text, *at, phrase))
            {
                faults.push((at, format!("the phrase \"{phrase}\"")));
            }
        }
        faults
    }
}

fn stands_alone(text: &str, at: usize, phrase: &str) -> bool {
    let before = text[..at].chars().next_back();
    let after = text[at + phrase.len()..].chars().next();
    ![before, after].into_iter().flatten().any(char::is_alphanumeric)
}

/// The sentences of a text, without the space around them, and where each begins.
fn sentences(text: &str) -> Vec<(usize, &str)> {
    let (mut all, mut begin) = (Vec::new(), 0);
    for (at, _) in text.match_indices(['.', '?', '!']) {
        let after = &text[at + 1..];
        let closed = after.trim_start_matches(['"', ')', '\'']);
        if closed.starts_with(char::is_whitespace) {
            all.push((begin, &text[begin..=at]));
            begin = text.len() - closed.len();
        }
    }
    all.push((begin, &text[begin..]));
    let trim = |(begin, text): (usize, &'_ str)| {
        (begin + text.len() - text.trim_start().len(), text.len())
    };
    all.into_iter().map(|part| (trim(part).0, part.1.trim())).collect()
}
