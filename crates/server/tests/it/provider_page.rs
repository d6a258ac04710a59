//! `docs/providers.md` describes the providers that need no account as `doctor` does.

use domain::provider_words::describe;
use engine::Registry;
use simulator::SimulatorConfig;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/providers.md");

/// A row for each topic, with a column for each provider.
fn table() -> String {
    let manual = *Registry::new().traits().get("manual").expect("it is always there");
    let simulated = SimulatorConfig::default().traits();
    let cell = |words: String| if words.is_empty() { "–".to_owned() } else { words };
    let rows = describe(&simulated).into_iter().zip(describe(&manual)).map(
        |((topic, simulated), (_, manual))| {
            format!("| {topic} | {} | {} |\n", cell(simulated), cell(manual))
        },
    );
    format!("| | `simulator` | `manual` |\n|---|---|---|\n{}", rows.collect::<String>())
}

#[test]
fn the_table_of_the_providers_is_not_stale() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let begin = page.find("| | `simulator`").expect("the table begins");
    let end = page.find("\n<!-- End of the table. -->").expect("the table ends") + 1;
    let table = table();
    assert_eq!(&page[begin..end], table, "put this into docs/providers.md:\n\n{table}");
}
