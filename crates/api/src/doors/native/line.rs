//! Line items of sessions and invoices.

use crate::http::body::{Least, Object, missing};
use crate::http::invalid::Invalid;
use crate::openapi::{Fields, Schema, components};
use domain::line_item::LineItem;

pub const LONGEST_LINE: usize = 200;
/// Highest quantity of one line.
pub const MOST_ITEMS: i64 = 1_000_000;

/// Reads a line; `text` is the name of its description field.
pub fn read_line(object: &Object<'_>, text: &'static str) -> Result<LineItem, Invalid> {
    let name = object.name(text, LONGEST_LINE)?.ok_or_else(|| missing(text, "what is sold"))?;
    let quantity = object.whole("quantity", 1..=MOST_ITEMS)?;
    let unit_amount = object.amount("unitAmount", Least::Zero)?;
    let line = LineItem {
        text: name.into(),
        quantity: quantity.ok_or_else(|| missing("quantity", "how many, such as 1"))?,
        unit_amount: unit_amount.ok_or_else(|| missing("unitAmount", "minor units for one"))?,
    };
    if line.amount().is_none() {
        return Err(Invalid::field("unitAmount", "quantity times unitAmount is too large"));
    }
    Ok(line)
}

/// Describes a line as it is sent; `text` is the name of its description field.
pub fn new_line(text: &'static str) -> Schema {
    Fields::new()
        .must(text, Schema::name(LONGEST_LINE).says("What is sold."))
        .must("quantity", Schema::integer(1).with("maximum", MOST_ITEMS))
        .must("unitAmount", components::amount(0).says("Minor units for one."))
        .open()
}
