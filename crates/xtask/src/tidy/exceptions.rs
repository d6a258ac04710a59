//! Lists of what breaks a rule today. They may only shrink.
//!
//! A list is a text file, a line each: how often, where, and after a `#` why it may stay. More than
//! the line says is an error, and so is less: `cargo xtask tidy --count` lowers the lists to what is
//! there. It never raises a line or adds one; a list whose file is missing is filled afresh.

use super::circles;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Messages by what the list names: a file or a circle.
pub type Found = BTreeMap<String, Vec<String>>;

/// A rule that has exceptions.
#[derive(Debug)]
pub struct List<'a> {
    /// The path of the list.
    pub path: String,
    /// The content, if the file is there.
    pub text: Option<&'a str>,
    /// Everything that breaks the rule.
    pub found: Found,
    /// The kind of thing that the lines name.
    pub names: Names,
}

/// The kind of thing that the lines of a list name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// Files.
    Files,
    /// Circles, each with a reason. A part of a circle is covered by its line.
    Circles,
}

struct Line<'a> {
    count: usize,
    key: &'a str,
    reason: Option<&'a str>,
}

fn parse(line: &str) -> Option<Line<'_>> {
    let (line, reason) = match line.split_once('#') {
        Some((line, reason)) => (line, Some(reason.trim())),
        None => (line, None),
    };
    let (count, key) = line.trim().split_once(' ')?;
    Some(Line { count: count.parse().ok()?, key: key.trim(), reason })
}

impl List<'_> {
    /// Whether what was found is what a line names, or a part of it.
    fn covers(&self, line: &Line, found: &str) -> bool {
        line.key == found || (self.names == Names::Circles && circles::is_part(found, line.key))
    }

    fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.text.unwrap_or_default().lines().filter_map(parse)
    }

    /// Everything that the list does not allow, and what it allows without need.
    pub fn check(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (key, messages) in &self.found {
            let allowed = self.lines().find(|line| line.key == key).map_or(0, |line| line.count);
            let part = self.lines().any(|line| line.key != key && self.covers(&line, key));
            if messages.len() > allowed && !part {
                wrong.extend(messages.iter().cloned());
                if allowed > 0 {
                    wrong.push(format!("{key}: {allowed} of these are in {}", self.path));
                }
            }
        }
        for line in self.lines() {
            let found = self.found.get(line.key).map_or(0, Vec::len);
            if self.names == Names::Circles && line.reason.is_none_or(str::is_empty) {
                wrong.push(format!("{}: {} may not stay without a reason", self.path, line.key));
            }
            if found < line.count {
                let (path, Line { count, key, .. }) = (&self.path, &line);
                wrong.push(format!(
                    "{path}: {key} has {found} instead of {count}; run cargo xtask tidy --count"
                ));
            }
        }
        wrong
    }

    /// The list with nothing that is not needed.
    pub fn shrunk(&self) -> String {
        let mut text = String::new();
        for (key, messages) in &self.found {
            let listed = self.lines().find(|line| self.covers(line, key));
            let reason = listed.as_ref().and_then(|line| line.reason);
            let count = match (self.text, listed) {
                (None, _) => messages.len(),
                (Some(_), Some(line)) => line.count.min(messages.len()),
                (Some(_), None) => continue,
            };
            let reason = reason.map(|reason| format!(" # {reason}")).unwrap_or_default();
            // Writing to a string does not fail.
            let _ = writeln!(text, "{count} {key}{reason}");
        }
        text
    }
}
