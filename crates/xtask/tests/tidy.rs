//! Each house rule on a small tree that breaks it and on one that keeps it.

use xtask::tidy;
use xtask::tree::Tree;

/// Everything that `tidy` finds wrong in a tree; every Rust file gets a header as its first line.
fn tidy(files: &[(&str, &str)]) -> Vec<String> {
    tidy::check(&tree(files))
}

fn tree(files: &[(&str, &str)]) -> Tree {
    let mut tree = Tree::of(files);
    for file in tree.files.iter_mut().filter(|file| file.is("rs")) {
        file.text.insert_str(0, "//! A file.\n");
    }
    tree
}

#[track_caller]
fn keeps(files: &[(&str, &str)]) {
    assert_eq!(tidy(files), Vec::<String>::new());
}

#[track_caller]
fn breaks(files: &[(&str, &str)], expected: &str) {
    assert_eq!(tidy(files), [expected]);
}

/// The content of one list of exceptions as `tidy --count` writes it.
fn counted(files: &[(&str, &str)], rule: &str) -> String {
    let path = format!("crates/xtask/exceptions/{rule}.txt");
    tidy::shrunk(&tree(files)).into_iter().find(|(found, _)| *found == path).expect(rule).1
}

mod crates {
    use super::{breaks, keeps};

    #[test]
    fn a_dependency_points_down() {
        keeps(&[("crates/engine/Cargo.toml", "[dependencies]\nstore.workspace = true\n")]);
        breaks(
            &[("crates/api/Cargo.toml", "[dependencies]\nstore.workspace = true\n")],
            "crates/api/Cargo.toml: api must not depend on store",
        );
        breaks(
            &[("crates/store/Cargo.toml", "[dependencies.engine]\nworkspace = true\n")],
            "crates/store/Cargo.toml: store must not depend on engine",
        );
        breaks(
            &[(
                "crates/domain/Cargo.toml",
                "[build-dependencies]\nrefundry-store = { path = \"\" }\n",
            )],
            "crates/domain/Cargo.toml: domain must not depend on store",
        );
    }

    #[test]
    fn only_the_server_and_tests_depend_on_the_simulator() {
        let simulator = "[dependencies]\nsimulator = { workspace = true }\n";
        keeps(&[("crates/server/Cargo.toml", simulator), ("bench/Cargo.toml", simulator)]);
        keeps(&[("crates/simulator/Cargo.toml", "[dependencies]\nproviders.workspace = true\n")]);
        breaks(
            &[("crates/engine/Cargo.toml", simulator)],
            "crates/engine/Cargo.toml: engine must not depend on simulator",
        );
    }

    #[test]
    fn tests_may_depend_on_anything() {
        keeps(&[("crates/domain/Cargo.toml", "[dev-dependencies]\ntestkit.workspace = true\n")]);
        breaks(
            &[("crates/store/Cargo.toml", "[dependencies]\ntestkit.workspace = true\n")],
            "crates/store/Cargo.toml: store must not depend on testkit",
        );
    }

    #[test]
    fn every_crate_is_in_the_table() {
        breaks(
            &[("crates/extra/Cargo.toml", "[package]\nname = \"extra\"\n")],
            "crates/extra/Cargo.toml: extra is not in the table of crates",
        );
    }
}

mod paths {
    use super::{breaks, keeps};

    const API: (&str, &str) = ("crates/api/src/lib.rs", "mod doors;\nmod http;\n");
    const DOORS: (&str, &str) = ("crates/api/src/doors/mod.rs", "mod native;\nmod yoco;\n");
    const NATIVE: (&str, &str) =
        ("crates/api/src/doors/native/mod.rs", "mod wire;\npub(crate) use wire::Raw;\n");
    const WIRE: (&str, &str) = ("crates/api/src/doors/native/wire.rs", "pub(crate) struct Raw;\n");

    fn yoco(text: &str) -> [(&str, &str); 5] {
        [API, DOORS, NATIVE, WIRE, ("crates/api/src/doors/yoco/refunds.rs", text)]
    }

    fn door_named(path: &str) -> String {
        let file = "crates/api/src/doors/yoco/refunds.rs:2";
        format!("{file}: `{path}`: the door `yoco` does not name the door `native`")
    }

    #[test]
    fn a_door_names_no_other_door() {
        for path in [
            "crate::doors::native::Raw",
            "super::super::native::Raw",
            "super::super::native::wire::Raw",
        ] {
            breaks(&yoco(&format!("use {path};\n")), &door_named(path));
            let (folder, name) = path.rsplit_once("::").unwrap();
            let tree = format!("use {folder}::{{{name} as Other}};\n");
            breaks(&yoco(&tree), &door_named(path));
            breaks(&yoco(&format!("use {path}::*;\nfn f(x: Raw) {{}}\n")), &door_named(path));
            breaks(&yoco(&format!("fn f() -> {path} {{ todo() }}\n")), &door_named(path));
        }
        keeps(&yoco("use super::wire::Raw;\nuse crate::http::Raw as Other;\n"));
        keeps(&yoco("// crate::doors::native::Raw\nconst S: &str = r#\"native::Raw\"#;\n"));
        keeps(&yoco("#[cfg(test)]\nmod tests {\n    use crate::doors::native::Raw;\n}\n"));
    }

    #[test]
    fn a_door_names_no_other_door_within_a_module_of_a_file() {
        let text = "mod inner { use super::super::super::native::Raw; }\n";
        breaks(&yoco(text), &door_named("super::super::super::native::Raw"));
    }

    #[test]
    fn a_door_names_no_other_door_through_a_name_of_another_module() {
        let doors = ("crates/api/src/doors/mod.rs", "mod native;\nuse native::Raw as Shared;\n");
        let file = ("crates/api/src/doors/yoco/refunds.rs", "use super::super::Shared;\n");
        breaks(&[API, doors, NATIVE, WIRE, file], &door_named("super::super::Shared"));
    }

    #[test]
    fn a_door_uses_what_the_folder_of_doors_defines() {
        let file = ("crates/api/src/doors/yoco/refunds.rs", "use crate::doors::routes;\n");
        keeps(&[API, DOORS, NATIVE, WIRE, file]);
    }

    #[test]
    fn what_doors_share_names_no_door() {
        for folder in ["http", "openapi"] {
            let file = format!("crates/api/src/{folder}/route.rs");
            let reason = "what doors share names no door";
            breaks(
                &[API, DOORS, NATIVE, WIRE, (&file, "use crate::doors::native;\n")],
                &format!("{file}:2: `crate::doors::native`: {reason}"),
            );
            keeps(&[API, DOORS, NATIVE, WIRE, (&file, "use super::query::Query;\n")]);
        }
    }

    #[test]
    fn databases_do_not_name_each_other() {
        let sqlite = ("crates/store/src/sqlite/mod.rs", "pub(crate) const X: u8 = 0;\n");
        let library = ("crates/store/src/lib.rs", "mod sqlite;\npub use sqlite::X;\n");
        let text = "use crate::sqlite::X;\n";
        for file in ["postgres/load.rs", "lists.rs"] {
            let file = format!("crates/store/src/{file}");
            let reason = "only `store.rs` and `sqlite/` name `sqlite`";
            breaks(
                &[library, sqlite, (&file, text)],
                &format!("{file}:2: `crate::sqlite::X`: {reason}"),
            );
        }
        keeps(&[library, sqlite, ("crates/store/src/store.rs", text)]);
        keeps(&[library, sqlite, ("crates/store/src/sqlite/load.rs", "use super::X;\n")]);
        keeps(&[library, sqlite, ("crates/engine/src/input.rs", "use store::X;\n")]);
    }

    #[test]
    fn only_the_server_and_tests_name_the_simulator() {
        let text = "use simulator::Simulator;\nconst NAME: &str = \"simulator::x\";\n";
        let reason = "only the server and tests name the simulator";
        breaks(
            &[("crates/engine/src/engine.rs", text)],
            &format!("crates/engine/src/engine.rs:2: `simulator::Simulator`: {reason}"),
        );
        breaks(
            &[("crates/providers/src/lib.rs", "mod simulator;\n")],
            &format!("crates/providers/src/lib.rs:2: `self::simulator`: {reason}"),
        );
        for file in ["crates/server/src/setup.rs", "crates/engine/tests/it.rs", "bench/src/lab.rs"]
        {
            keeps(&[(file, text)]);
        }
    }
}

mod circles {
    use super::{breaks, counted, keeps};

    const LIB: (&str, &str) = ("crates/engine/src/lib.rs", "mod a;\nmod b;\nmod c;\n");
    const A: (&str, &str) = ("crates/engine/src/a.rs", "use crate::b::B;\npub(crate) struct A;\n");
    const B: (&str, &str) = ("crates/engine/src/b.rs", "pub(crate) struct B(super::a::A);\n");
    const LIST: &str = "crates/xtask/exceptions/circles.txt";
    const A_AND_B: &str = "crates/engine: circle of imports: a -> b; b -> a";

    #[test]
    fn files_do_not_import_each_other() {
        breaks(&[LIB, A, B], A_AND_B);
        keeps(&[LIB, A, ("crates/engine/src/b.rs", "pub(crate) struct B;\n")]);
    }

    #[test]
    fn a_circle_through_a_name_of_the_root_is_found() {
        let root = ("crates/engine/src/lib.rs", "mod a;\nmod b;\npub use a::A;\n");
        breaks(&[root, A, ("crates/engine/src/b.rs", "struct B(crate::A);\n")], A_AND_B);
    }

    #[test]
    fn a_circle_through_tests_is_none() {
        let b = "pub(crate) struct B;\n#[cfg(test)]\nmod tests { use crate::a::A; }\n";
        keeps(&[LIB, A, ("crates/engine/src/b.rs", b)]);
        let lib = ("crates/engine/src/lib.rs", "mod a;\n#[cfg(test)]\nmod b;\n");
        keeps(&[lib, A, B]);
    }

    #[test]
    fn a_module_and_its_submodules_are_a_tree() {
        let parent = "mod one;\npub(crate) struct P;\nfn f() { one::run() }\n";
        keeps(&[
            LIB,
            ("crates/engine/src/a/mod.rs", parent),
            ("crates/engine/src/a/one.rs", "use super::P;\n"),
        ]);
    }

    #[test]
    fn a_circle_that_leaves_a_tree_and_comes_back_is_found() {
        let parent = "mod one;\npub(crate) struct P;\nfn f() { one::run() }\n";
        breaks(
            &[
                LIB,
                ("crates/engine/src/a/mod.rs", parent),
                ("crates/engine/src/a/one.rs", "use crate::b::B;\n"),
                ("crates/engine/src/b.rs", "struct B(crate::a::P);\n"),
            ],
            "crates/engine: circle of imports: a -> a/one; a/one -> b; b -> a",
        );
    }

    #[test]
    fn a_circle_that_closes_with_a_type_of_a_parent_is_found() {
        breaks(
            &[
                LIB,
                ("crates/engine/src/a/mod.rs", "use crate::b::B;\npub(crate) struct P;\n"),
                ("crates/engine/src/a/one.rs", "pub(crate) struct One(super::P);\n"),
                ("crates/engine/src/b.rs", "pub(crate) struct B(crate::a::one::One);\n"),
            ],
            "crates/engine: circle of imports: a -> b; a/one -> a; b -> a/one",
        );
    }

    #[test]
    fn a_listed_circle_has_a_reason() {
        keeps(&[LIB, A, B, (LIST, "1 engine: a b # state machines that follow each other\n")]);
        breaks(
            &[LIB, A, B, (LIST, "1 engine: a b\n")],
            &format!("{LIST}: engine: a b may not stay without a reason"),
        );
    }

    #[test]
    fn a_listed_circle_that_is_gone_or_smaller_leaves_the_list() {
        let gone = "has 0 instead of 1; run cargo xtask tidy --count";
        let list = (LIST, "1 engine: a b # old\n");
        breaks(&[LIB, A, list], &format!("{LIST}: engine: a b {gone}"));
        assert_eq!(counted(&[LIB, A, list], "circles"), "");

        let list = (LIST, "1 engine: a b c # old\n");
        breaks(&[LIB, A, B, list], &format!("{LIST}: engine: a b c {gone}"));
        assert_eq!(counted(&[LIB, A, B, list], "circles"), "1 engine: a b # old\n");
    }
}

mod english {
    use super::{breaks, keeps};

    #[track_caller]
    fn comment(text: &str, line: usize, fault: &str) {
        let file = "crates/store/tests/it.rs";
        breaks(&[(file, text)], &format!("{file}:{line}: {fault}"));
    }

    #[track_caller]
    fn page(text: &str, line: usize, fault: &str) {
        breaks(&[("docs/api.md", text)], &format!("docs/api.md:{line}: {fault}"));
    }

    #[test]
    fn a_sentence_does_not_begin_with_what() {
        for word in ["What", "Who", "Whoever", "Whatever", "Of"] {
            let fault = format!("a sentence that begins with \"{word}\"");
            for sign in ["//", "///"] {
                comment(&format!("{sign} {word} it is.\nfn f() {{}}\n"), 2, &fault);
            }
            comment(&format!("// One line.\n// Two. {word}\n// comes next.\n"), 3, &fault);
            page(&format!("- {word} is told.\n"), 1, &fault);
            page(&format!("| a | b |\n|---|---|\n| {word} it is | b |\n"), 3, &fault);
            page(&format!("One line (or\ntwo). {word} comes next.\n"), 2, &fault);
        }
    }

    #[test]
    fn questions_headings_strings_and_code_are_free() {
        keeps(&[(
            "crates/store/tests/it.rs",
            "// What is it? Says what it is, see `What it is.`\nconst S: &str = \"// What it is.\";\n",
        )]);
        keeps(&[(
            "docs/api.md",
            "# What it is\n\n| What | Who |\n|---|---|\n| a | b |\n\n```\nWhat it is.\n```\n\nIt is what it is.\n",
        )]);
    }

    #[test]
    fn some_phrases_are_not_used() {
        for phrase in ["by then", "in vain", "is told of", "are told of"] {
            let fault = format!("the phrase \"{phrase}\"");
            comment(&format!("// It {phrase} is.\n"), 2, &fault);
            page(&format!("It\n{} is.\n", phrase.replace(' ', "\n")), 2, &fault);
        }
        keeps(&[("docs/api.md", "Nearby thence.\n")]);
    }

    #[test]
    fn released_parts_of_the_changelog_stay() {
        let entry = "- What came.\n";
        let fault = "CHANGELOG.md:2: a sentence that begins with \"What\"";
        breaks(&[("CHANGELOG.md", &format!("## Unreleased\n{entry}"))], fault);
        keeps(&[("CHANGELOG.md", &format!("## Unreleased\n## 1.0\n{entry}"))]);
    }

    #[test]
    fn exceptions_only_shrink() {
        let list = "crates/xtask/exceptions/english.txt";
        let page = ("docs/api.md", "What one is.\n\nWhat two is.\n");
        keeps(&[page, (list, "2 docs/api.md\n")]);
        assert_eq!(
            super::tidy(&[page, (list, "1 docs/api.md\n")]),
            [
                "docs/api.md:1: a sentence that begins with \"What\"",
                "docs/api.md:3: a sentence that begins with \"What\"",
                "docs/api.md: 1 of these are in crates/xtask/exceptions/english.txt",
            ],
        );
        let lower = "docs/api.md has 2 instead of 3; run cargo xtask tidy --count";
        breaks(&[page, (list, "3 docs/api.md\n")], &format!("{list}: {lower}"));

        let counted = |text| super::counted(&[page, (list, text)], "english");
        assert_eq!(counted("3 docs/api.md\n1 gone.md\n"), "2 docs/api.md\n");
        assert_eq!(counted("1 docs/api.md\n"), "1 docs/api.md\n");
        assert_eq!(counted(""), "");
        // Without a list there is nothing to shrink, and all of it is written down.
        assert_eq!(super::counted(&[page], "english"), "2 docs/api.md\n");
    }
}

mod text {
    use super::{breaks, keeps};

    #[test]
    fn source_files_of_crates_have_a_header() {
        let file = "crates/domain/src/money.rs";
        let wrong = |text| xtask::tidy::check(&xtask::tree::Tree::of(&[(file, text)]));
        assert_eq!(wrong("// Nothing.\n"), [format!("{file}:1: the file has no header (`//!`)")]);
        assert!(wrong("//! Money.\n").is_empty());
    }

    #[test]
    fn files_have_at_most_600_lines() {
        keeps(&[("bench/src/run.rs", &"\n".repeat(599))]);
        breaks(
            &[("bench/src/run.rs", &"\n".repeat(600))],
            "bench/src/run.rs: 601 lines; 600 are the limit, split it",
        );
    }

    #[test]
    fn nothing_names_the_machine_it_was_written_on() {
        let word = concat!("/roo", "t/");
        breaks(
            &[("scripts/run", &format!("cd {word}x\n"))],
            &format!("scripts/run:1: names {word}, which means nothing to others"),
        );
        keeps(&[("LICENSE", word), ("scripts/run", "cd x\n")]);
    }

    #[test]
    fn no_test_is_ignored() {
        breaks(
            &[("crates/store/tests/it.rs", concat!("#[ign", "ore]\nfn f() {}\n"))],
            "crates/store/tests/it.rs:2: an ignored test; assert what happens instead",
        );
    }

    #[test]
    fn links_lead_somewhere() {
        let page = |target| format!("See [this]({target}).\n");
        for target in ["api.md", "../README.md#top", "../docs", "https://example.org/x", "#here"] {
            keeps(&[("docs/api.md", &page(target)), ("README.md", "")]);
        }
        breaks(
            &[("docs/api.md", &page("README.md")), ("README.md", "")],
            "docs/api.md: the link to README.md leads nowhere",
        );
    }
}

mod agreement {
    use super::{breaks, keeps};

    #[test]
    fn metrics_and_their_page_agree() {
        let code = ("crates/engine/src/engine.rs", "const M: &str = \"refundry_refunds\";\n");
        let page = ("docs/operations.md", "`refundry_refunds`\n");
        keeps(&[code, page]);
        breaks(&[code], "docs/operations.md: the metric refundry_refunds is not described");
        breaks(&[page], "docs/operations.md: there is no metric refundry_refunds");
    }

    #[test]
    fn migrations_are_paired_and_numbered() {
        let file = |database, name| format!("crates/store/migrations/{database}/{name}");
        let (one, two) = (file("sqlite", "V1__a.sql"), file("postgres", "V1__a.sql"));
        keeps(&[(&one, ""), (&two, "")]);
        breaks(&[(&one, "")], "crates/store/migrations: V1__a.sql is there for one database only");
        let (one, two) = (file("sqlite", "V2__a.sql"), file("postgres", "V2__a.sql"));
        breaks(
            &[(&one, ""), (&two, "")],
            "crates/store/migrations/sqlite: numbers [2] have a gap or a twin",
        );
    }
}

#[test]
fn size_counts_functions_and_lines_outside_of_tests() {
    let text = "fn short() {}\nfn long(x: [u8; 2]) {\n    if a {\n    }\n}\n\
                #[cfg(test)]\nmod tests {\n    fn f() {\n    }\n}\n";
    let tree = Tree::of(&[("crates/domain/src/money.rs", text), ("bench/src/run.rs", text)]);
    let report = xtask::size::report(&tree);
    assert_eq!(
        report,
        "lines of crates/*/src, and with test modules\n\
         \u{20} domain          5     10\n  in all          5     10\n\
         functions: 2, lines: median 4, p90 4, p99 4, over 40: 0 (0.0 %), over 70: 0 (0.0 %)\n\
         \u{20}      4 long in crates/domain/src/money.rs\n\
         \u{20}      1 short in crates/domain/src/money.rs\n\
         longest files\n       5 crates/domain/src/money.rs\n\
         circles of imports: 0\n",
    );
}
