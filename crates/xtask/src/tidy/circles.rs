//! Circles of imports between the files of one crate.
//!
//! A file imports the file in which the item stands, not the one that re-exports it. A module and
//! its submodules are a tree, not a circle: `mod.rs` calls its children, and they use the types that
//! it defines. So circles are sought twice, once without the imports that go up a tree and once
//! without those that go down. A circle is a set of files that reach each other; the list names it
//! by its modules, with a reason.

use super::modules::{Module, Modules};
use std::collections::{BTreeMap, BTreeSet};

/// Files and the files that each imports.
type Graph<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// An import of one file by another: its crate, who imports, what is imported.
type Import<'a> = (&'a str, &'a Module<'a>, &'a Module<'a>);

/// Every circle as `crate: module module`, with the imports that close it.
pub fn find<'a>(modules: &'a Modules<'a>) -> BTreeMap<String, Vec<String>> {
    let imports = imports(modules);
    let mut circles = BTreeMap::new();
    for (krate, graph) in graphs(&imports, goes_up).iter().chain(&graphs(&imports, goes_down)) {
        for circle in circles_of(graph) {
            let names: Vec<&str> = circle.iter().map(|file| module_name(file)).collect();
            let message = format!("crates/{krate}: circle of imports: {}", ties(graph, &circle));
            circles.insert(format!("{krate}: {}", names.join(" ")), vec![message]);
        }
    }
    let keys: Vec<String> = circles.keys().cloned().collect();
    circles.retain(|key, _| !keys.iter().any(|other| other != key && is_part(key, other)));
    circles
}

/// Whether the circle `found` is `listed` or a part of it.
pub fn is_part(found: &str, listed: &str) -> bool {
    let of = |key: &str| key.split(' ').map(str::to_owned).collect::<BTreeSet<_>>();
    of(found).is_subset(&of(listed))
}

fn imports<'a>(modules: &'a Modules<'a>) -> Vec<Import<'a>> {
    let mut imports = Vec::new();
    for from in modules.all.iter().filter(|module| module.rust.is_production()) {
        for name in &from.names {
            let target = modules.resolve(from, name);
            let to = target.as_ref().and_then(|target| modules.file_of(target));
            if let Some(to) = to.filter(|to| to.rust.krate == from.rust.krate) {
                imports.push((from.rust.krate, from, to));
            }
        }
    }
    imports
}

/// The imports of each crate without those that `is_left_out`.
fn graphs<'a>(
    imports: &[Import<'a>],
    is_left_out: fn(&Module, &Module) -> bool,
) -> BTreeMap<&'a str, Graph<'a>> {
    let mut graphs = BTreeMap::<&str, Graph>::new();
    for (krate, from, to) in imports.iter().filter(|(_, from, to)| !is_left_out(from, to)) {
        graphs.entry(krate).or_default().entry(path(from)).or_default().insert(path(to));
    }
    graphs
}

fn goes_up(from: &Module, to: &Module) -> bool {
    from.path.starts_with(&to.path)
}

fn goes_down(from: &Module, to: &Module) -> bool {
    to.path.starts_with(&from.path)
}

fn path<'a>(module: &Module<'a>) -> &'a str {
    module.rust.below_src.unwrap_or_default()
}

fn circles_of<'a>(graph: &Graph<'a>) -> BTreeSet<BTreeSet<&'a str>> {
    let reach: Graph = graph.keys().map(|file| (*file, reachable(graph, file))).collect();
    let mutual = |file: &&'a str| {
        let there = reach[*file].iter().copied();
        there.filter(|other| reach.get(other).is_some_and(|back| back.contains(file))).collect()
    };
    let circles = graph.keys().map(mutual);
    circles.filter(|circle: &BTreeSet<&str>| circle.len() > 1).collect()
}

fn reachable<'a>(graph: &Graph<'a>, from: &str) -> BTreeSet<&'a str> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(file) = open.pop() {
        for next in graph.get(file).into_iter().flatten() {
            if seen.insert(*next) {
                open.push(next);
            }
        }
    }
    seen
}

/// The imports within a circle, as text.
fn ties(graph: &Graph, circle: &BTreeSet<&str>) -> String {
    let mut ties = Vec::new();
    for from in circle {
        let to: Vec<&str> = graph[from].intersection(circle).map(|to| module_name(to)).collect();
        ties.push(format!("{} -> {}", module_name(from), to.join(", ")));
    }
    ties.join("; ")
}

fn module_name(file: &str) -> &str {
    let name = file.trim_end_matches(".rs");
    name.strip_suffix("/mod").unwrap_or(name)
}
