//! The files of the repository, read once for all rules.

use crate::source::{self, Source};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A file.
#[derive(Debug)]
pub struct File {
    /// The path from the repository, with slashes.
    pub path: String,
    /// The content.
    pub text: String,
}

impl File {
    /// Whether the name ends in `.extension`.
    pub fn is(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|found| found == extension)
    }
}

/// All files.
#[derive(Debug, Default)]
pub struct Tree {
    /// The files, by path.
    pub files: Vec<File>,
}

impl Tree {
    /// A tree of the given files.
    pub fn of(files: &[(&str, &str)]) -> Self {
        let file =
            |(path, text): &(&str, &str)| File { path: (*path).into(), text: (*text).into() };
        Self { files: files.iter().map(file).collect() }
    }

    /// The files that git tracks, and the new ones that it does not ignore.
    pub fn read(root: &Path) -> Result<Self, String> {
        let output = Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()
            .map_err(|error| format!("git: {error}"))?;
        let paths = String::from_utf8_lossy(&output.stdout).into_owned();
        // A file that was deleted is listed until the deletion is staged.
        let file = |path: &str| {
            let bytes = fs::read(root.join(path)).ok()?;
            Some(File { path: path.into(), text: String::from_utf8_lossy(&bytes).into_owned() })
        };
        Ok(Self { files: paths.lines().filter_map(file).collect() })
    }

    /// The content of one file.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.iter().find(|file| file.path == path).map(|file| file.text.as_str())
    }

    /// The Rust files, read.
    pub fn rust(&self) -> Vec<Rust<'_>> {
        let mut all: Vec<Rust> =
            self.files.iter().filter(|file| file.is("rs")).map(Rust::of).collect();
        let for_tests: BTreeSet<String> = all.iter().flat_map(Rust::test_files).collect();
        for rust in &mut all {
            rust.is_test = rust.is_test || for_tests.contains(&rust.file.path);
        }
        all
    }
}

/// A Rust file.
#[derive(Debug)]
pub struct Rust<'a> {
    /// The file.
    pub file: &'a File,
    /// The tokens.
    pub source: Source<'a>,
    /// The folder in `crates/`, or `bench`.
    pub krate: &'a str,
    /// The path below the crate's `src/`; `None` elsewhere.
    pub below_src: Option<&'a str>,
    /// Whether all of the file is for tests.
    pub is_test: bool,
}

impl<'a> Rust<'a> {
    fn of(file: &'a File) -> Self {
        let in_crate = file.path.strip_prefix("crates/").unwrap_or(&file.path);
        let (krate, below) = in_crate.split_once('/').unwrap_or_default();
        let below_src = below.strip_prefix("src/");
        let is_test = below_src.is_none() && below.starts_with("tests/");
        Self { file, source: source::read(&file.text), krate, below_src, is_test }
    }

    /// The files of the modules that this file declares for tests only.
    fn test_files(&self) -> Vec<String> {
        let path = self.file.path.trim_end_matches(".rs");
        let (folder, name) = path.rsplit_once('/').unwrap_or_default();
        let folder = if matches!(name, "mod" | "lib" | "main") { folder } else { path };
        let file = |module: &&str| format!("{folder}/{module}.rs");
        self.source.test_modules.iter().map(file).collect()
    }

    /// Whether this is part of a crate's `src` and not for tests only.
    pub fn is_production(&self) -> bool {
        self.file.path.starts_with("crates/") && self.below_src.is_some() && !self.is_test
    }
}
