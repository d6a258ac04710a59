//! The report: a table for people and JSON for programs.

use serde::Serialize;
use std::fmt::Write as _;

/// A measured figure.
#[derive(Debug, Serialize)]
pub struct Figure {
    point: char,
    name: String,
    value: f64,
    unit: &'static str,
}

/// A figure or ratio with a target.
#[derive(Debug, Serialize)]
pub struct Check {
    point: char,
    name: String,
    value: f64,
    target: f64,
    bound: Bound,
    unit: &'static str,
    ok: bool,
}

/// On which side of its target a value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    AtLeast,
    Below,
    Exactly,
}

/// The machine of the run.
#[derive(Debug, Default, Serialize)]
pub struct Machine {
    pub processors: usize,
    pub model: String,
    pub kernel: String,
    /// Processors that other programs used during the run. 1 means one whole processor.
    pub used_by_others: f64,
}

#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// True for a short run, whose figures are rough.
    pub quick: bool,
    pub machine: Machine,
    pub figures: Vec<Figure>,
    pub checks: Vec<Check>,
}

impl Report {
    pub fn figure(&mut self, point: char, name: impl Into<String>, value: f64, unit: &'static str) {
        self.figures.push(Figure { point, name: name.into(), value, unit });
    }

    /// Adds a value and compares it with its target.
    pub fn check(
        &mut self,
        point: char,
        name: impl Into<String>,
        value: f64,
        (bound, target): (Bound, f64),
        unit: &'static str,
    ) {
        let ok = match bound {
            Bound::AtLeast => value >= target,
            Bound::Below => value < target,
            Bound::Exactly => (value - target).abs() < f64::EPSILON,
        };
        self.checks.push(Check { point, name: name.into(), value, target, bound, unit, ok });
    }

    /// Number of missed targets.
    pub fn missed(&self) -> usize {
        self.checks.iter().filter(|check| !check.ok).count()
    }

    /// Formats the report as a table.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let Machine { processors, model, kernel, used_by_others } = &self.machine;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\n{processors} processors, {model}, {kernel}");
        let _ = writeln!(text, "other programs used {used_by_others:.2} processors meanwhile\n");
        for Figure { point, name, value, unit } in &self.figures {
            let value = number(*value);
            let _ = writeln!(text, "({point}) {name:<58} {value:>10} {unit}");
        }
        text.push('\n');
        for Check { point, name, value, target, bound, unit, ok } in &self.checks {
            let sign = match bound {
                Bound::AtLeast => "at least",
                Bound::Below => "below",
                Bound::Exactly => "exactly",
            };
            let target = format!("{sign} {}", number(*target));
            let verdict = if *ok { "ok" } else { "MISSED" };
            let value = number(*value);
            let _ =
                writeln!(text, "({point}) {name:<58} {value:>10} {unit:<3} {target:<14} {verdict}");
        }
        text
    }
}

/// Formats a number with about three significant digits and thousands separators.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => {
            let digits = format!("{value:.0}");
            let mut text = String::with_capacity(digits.len() + 4);
            for (at, digit) in digits.chars().enumerate() {
                if at > 0 && (digits.len() - at).is_multiple_of(3) && !text.ends_with('-') {
                    text.push(',');
                }
                text.push(digit);
            }
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_show_as_many_digits_as_mean_something() {
        for (value, text) in [
            (0.0, "0"),
            (0.256, "0.26"),
            (12.34, "12.3"),
            (123.4, "123"),
            (61_234.5, "61,234"),
            (1_000_000.0, "1,000,000"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_value_on_its_target_is_enough_where_at_least_is_asked_and_too_much_where_below_is() {
        let mut report = Report::default();
        report.check('b', "ratio", 0.25, (Bound::AtLeast, 0.25), "");
        report.check('b', "p99", 50.0, (Bound::Below, 50.0), "ms");
        report.check('b', "errors", 0.0, (Bound::Exactly, 0.0), "");
        assert_eq!(report.checks.iter().map(|c| c.ok).collect::<Vec<_>>(), [true, false, true]);
        assert_eq!(report.missed(), 1);
        assert!(report.table().contains("MISSED"));
    }
}
