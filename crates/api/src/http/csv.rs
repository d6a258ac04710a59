//! Comma-separated values as RFC 4180 has them, safe to open in a spreadsheet.

/// Writes one row and its line break.
pub fn write_row<'a>(text: &mut Vec<u8>, cells: impl IntoIterator<Item = &'a str>) {
    for (at, cell) in cells.into_iter().enumerate() {
        if at > 0 {
            text.push(b',');
        }
        write_cell(text, cell);
    }
    text.extend_from_slice(b"\r\n");
}

/// Writes one cell. A spreadsheet runs what starts like a formula, so an apostrophe makes text of
/// it (OWASP, "CSV Injection"); tab and line breaks count, because some strip them first.
fn write_cell(text: &mut Vec<u8>, cell: &str) {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    let quoted = cell.contains(['"', ',', '\r', '\n']);
    if quoted {
        text.push(b'"');
    }
    if formula {
        text.push(b'\'');
    }
    for part in cell.split_inclusive('"') {
        text.extend_from_slice(part.as_bytes());
        if part.ends_with('"') {
            text.push(b'"');
        }
    }
    if quoted {
        text.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be_and_never_run() {
        for (cell, expected) in [
            ("plain", "plain"),
            ("", ""),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("\"", "\"\"\"\""),
            ("two\r\nlines", "\"two\r\nlines\""),
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("=HYPERLINK(\"x\",\"y\")", "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\""),
            ("\t=1", "'\t=1"),
            ("\n=1", "\"'\n=1\""),
            ("a=1", "a=1"),
            ("é", "é"),
        ] {
            let mut text = Vec::new();
            write_cell(&mut text, cell);
            assert_eq!(String::from_utf8_lossy(&text), expected, "{cell:?}");
        }
    }

    #[test]
    fn a_row_ends_with_a_line_break() {
        let mut text = Vec::new();
        write_row(&mut text, ["a", "b,c", ""]);
        write_row(&mut text, ["d"]);
        assert_eq!(text, b"a,\"b,c\",\r\nd\r\n");
    }
}
