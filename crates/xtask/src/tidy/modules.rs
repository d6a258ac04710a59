//! Which file a path in the source means.
//!
//! Paths are read from `use` and from the code, `crate::`, `self::` and `super::` are resolved, and
//! a name that a module imports or re-exports is followed to the module that it comes from.
//! Not followed: glob imports, and names that a macro puts together.

use crate::source::{Token, after_braces};
use crate::tree::Rust;
use std::collections::{BTreeMap, BTreeSet};

/// A path as it stands in a file.
#[derive(Debug, Clone)]
pub struct Name<'a> {
    /// The segments.
    pub path: Vec<&'a str>,
    /// The line.
    pub line: usize,
    /// The modules within the file around the path.
    inline: Vec<&'a str>,
}

/// A path from the root of a crate.
#[derive(Debug, PartialEq, Eq, Clone)]
pub struct Absolute<'a> {
    /// The crate.
    pub krate: &'a str,
    /// The segments below the crate.
    pub path: Vec<&'a str>,
}

/// A file as a module.
#[derive(Debug)]
pub struct Module<'a> {
    /// The file.
    pub rust: &'a Rust<'a>,
    /// The path of the module from the root of its crate.
    pub path: Vec<&'a str>,
    /// Every path in the file, `mod` declarations as `self::name`.
    pub names: Vec<Name<'a>>,
    /// The names that `use` brings in, each with its path.
    imports: BTreeMap<&'a str, Name<'a>>,
}

impl<'a> Module<'a> {
    /// The import that the first segment of `name` comes from.
    pub fn import_of(&self, name: &Name<'a>) -> Option<&Name<'a>> {
        let first = name.path.first()?;
        self.imports.get(first).filter(|import| import.path != name.path && import.path != [*first])
    }
}

/// The modules of all crates.
#[derive(Debug)]
pub struct Modules<'a> {
    /// Each file, those outside of `src` too.
    pub all: Vec<Module<'a>>,
    index: BTreeMap<(&'a str, Vec<&'a str>), usize>,
    crates: BTreeSet<&'a str>,
}

/// More steps than this are an import of itself.
const LONGEST_CHAIN: usize = 16;

impl<'a> Modules<'a> {
    /// Reads the paths of every file that is not for tests.
    pub fn of(files: &'a [Rust<'a>]) -> Self {
        let crates = files.iter().filter(|rust| rust.below_src == Some("lib.rs"));
        let crates: BTreeSet<&str> = crates.map(|rust| rust.krate).collect();
        let (mut all, mut index) = (Vec::new(), BTreeMap::new());
        for rust in files.iter().filter(|rust| !rust.is_test) {
            let path = module_path(rust, crates.contains(rust.krate));
            if let Some(path) = &path {
                index.insert((rust.krate, path.clone()), all.len());
            }
            let (names, imports) = Reader::read(&rust.source.code);
            all.push(Module { rust, path: path.unwrap_or_default(), names, imports });
        }
        Self { all, index, crates }
    }

    /// The path that `name` in `module` stands for, if it is one of our crates'.
    pub fn resolve(&self, module: &Module<'a>, name: &Name<'a>) -> Option<Absolute<'a>> {
        self.resolve_within(module, name, LONGEST_CHAIN)
    }

    /// The file in which the end of the path stands, as far as modules go.
    pub fn file_of(&self, absolute: &Absolute<'a>) -> Option<&Module<'a>> {
        (0..=absolute.path.len())
            .rev()
            .find_map(|length| self.module(absolute.krate, &absolute.path[..length]))
    }

    /// Whether a file is this module.
    pub fn is_module(&self, krate: &'a str, path: &[&'a str]) -> bool {
        self.module(krate, path).is_some()
    }

    fn module(&self, krate: &'a str, path: &[&'a str]) -> Option<&Module<'a>> {
        self.index.get(&(krate, path.to_vec())).map(|at| &self.all[*at])
    }

    fn resolve_within(
        &self,
        module: &Module<'a>,
        name: &Name<'a>,
        steps: usize,
    ) -> Option<Absolute<'a>> {
        let (krate, mut here) = (module.rust.krate, module.path.clone());
        here.extend(&name.inline);
        let (first, mut rest) = name.path.split_first()?;
        match *first {
            "crate" => here.clear(),
            "self" => {}
            "super" => {
                here.pop();
                while let Some((&"super", after)) = rest.split_first() {
                    here.pop();
                    rest = after;
                }
            }
            first => {
                if let Some(import) = module.import_of(name) {
                    let found = self.resolve_within(module, import, steps.checked_sub(1)?)?;
                    return self.follow(found, rest, steps);
                }
                here.push(first);
                if !self.is_module(krate, &here) {
                    let krate = self.crates.get(first)?;
                    return self.follow(Absolute { krate, path: Vec::new() }, rest, steps);
                }
            }
        }
        self.follow(Absolute { krate, path: here }, rest, steps)
    }

    /// Goes down from a module along `rest`, and over to another where a name is imported.
    fn follow(
        &self,
        mut from: Absolute<'a>,
        rest: &[&'a str],
        steps: usize,
    ) -> Option<Absolute<'a>> {
        for (at, segment) in rest.iter().enumerate() {
            let here = self.module(from.krate, &from.path);
            from.path.push(segment);
            if self.is_module(from.krate, &from.path) {
                continue;
            }
            let import = here.and_then(|here| Some((here, here.imports.get(segment)?)));
            if let (Some((here, import)), Some(steps)) = (import, steps.checked_sub(1))
                && let Some(found) = self.resolve_within(here, import, steps)
            {
                return self.follow(found, &rest[at + 1..], steps);
            }
        }
        Some(from)
    }
}

/// The path of a file's module; `None` for files that are no module of a library or program.
fn module_path<'a>(rust: &Rust<'a>, has_library: bool) -> Option<Vec<&'a str>> {
    let below = rust.below_src?;
    if below == "lib.rs" || (below == "main.rs" && !has_library) {
        return Some(Vec::new());
    }
    let name = below.strip_suffix("/mod.rs").or_else(|| below.strip_suffix(".rs"))?;
    Some(name.split('/').collect())
}

/// Reads the paths of one file.
struct Reader<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
    names: Vec<Name<'a>>,
    imports: BTreeMap<&'a str, Name<'a>>,
    /// The modules within the file around the current token, and where each ends.
    inline: Vec<(&'a str, usize)>,
}

impl<'a> Reader<'a> {
    fn read(tokens: &'a [Token<'a>]) -> (Vec<Name<'a>>, BTreeMap<&'a str, Name<'a>>) {
        let (names, imports) = (Vec::new(), BTreeMap::new());
        let mut reader = Self { tokens, at: 0, names, imports, inline: Vec::new() };
        while reader.at < tokens.len() {
            reader.step();
        }
        (reader.names, reader.imports)
    }

    fn step(&mut self) {
        let at = self.at;
        self.inline.retain(|(_, end)| at < *end);
        if self.is(0, "use") && !self.is(1, "<") {
            self.at += if self.is(1, "::") { 2 } else { 1 };
            self.tree(&[]);
        } else if self.is(0, "mod") && self.is(2, "{") {
            self.inline.push((self.tokens[at + 1].text, after_braces(self.tokens, at + 2)));
            self.at += 3;
        } else if self.is(0, "mod") && self.is(2, ";") {
            let path = vec!["self", self.tokens[at + 1].text];
            self.names.push(self.name(path, at));
            self.at += 3;
        } else if self.begins_path() {
            self.inline_path();
        } else {
            self.at += 1;
        }
    }

    fn is(&self, ahead: usize, text: &str) -> bool {
        self.tokens.get(self.at + ahead).is_some_and(|token| token.is(text))
    }

    fn begins_path(&self) -> bool {
        let before = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        let follows = before.is_some_and(|token| token.is(".") || token.is("::"));
        !follows && self.is(1, "::") && self.tokens[self.at].kind == crate::source::Kind::Word
    }

    fn inline_path(&mut self) {
        let begin = self.at;
        let mut path = vec![self.tokens[begin].text];
        while self.is(1, "::")
            && let Some(token) = self.tokens.get(self.at + 2)
            && token.kind == crate::source::Kind::Word
        {
            path.push(token.text);
            self.at += 2;
        }
        self.at += 1;
        self.names.push(self.name(path, begin));
    }

    fn name(&self, path: Vec<&'a str>, at: usize) -> Name<'a> {
        let inline = self.inline.iter().map(|(name, _)| *name).collect();
        Name { path, line: self.tokens[at].line, inline }
    }

    /// Reads one branch of a `use` up to its comma, brace or semicolon.
    fn tree(&mut self, prefix: &[&'a str]) {
        let (begin, mut path) = (self.at, prefix.to_vec());
        while let Some(token) = self.tokens.get(self.at) {
            match token.text {
                "{" => return self.branches(&path),
                "," | "}" | ";" => break,
                "as" => {
                    let alias = self.tokens.get(self.at + 1).map(|token| token.text);
                    self.at += 2;
                    return self.leaf(path, begin, alias);
                }
                "::" => {}
                // The glob itself is not followed, the module that it names is.
                "*" => {}
                "self" if !path.is_empty() => {}
                segment => path.push(segment),
            }
            self.at += 1;
        }
        let glob = self.tokens.get(self.at.wrapping_sub(1)).is_some_and(|token| token.is("*"));
        let alias = if glob { None } else { path.last().copied() };
        self.leaf(path, begin, alias);
    }

    fn branches(&mut self, prefix: &[&'a str]) {
        self.at += 1;
        while self.at < self.tokens.len() && !self.is(0, "}") {
            if self.is(0, ",") {
                self.at += 1;
            } else {
                self.tree(prefix);
            }
        }
        self.at += 1;
    }

    fn leaf(&mut self, path: Vec<&'a str>, begin: usize, alias: Option<&'a str>) {
        if path.is_empty() {
            return;
        }
        let name = self.name(path, begin.min(self.tokens.len() - 1));
        if let Some(alias) = alias {
            self.imports.insert(alias, name.clone());
        }
        self.names.push(name);
    }
}
