//! Lists for people: a table, or, where the terminal is too narrow for one, a block for each item.

use comfy_table::{
    Attribute, Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets,
};
use serde_json::Value;

use super::output::{Column, text_of};

/// A word up to this length is never broken: ids, SKUs, prices, statuses can be read and copied whole.
const UNBROKEN: usize = 24;

/// `width`: of the terminal, where there is one.
pub fn render(items: &[Value], columns: &[Column], width: Option<usize>, is_styled: bool) -> String {
    let rows: Vec<Vec<_>> = items
        .iter()
        .map(|item| columns.iter().map(|Column(_, member, _)| text_of(item, member)).collect())
        .collect();
    let least = |n: usize| {
        let cells = rows.iter().map(|row| narrowest(&row[n], columns[n].2));
        cells.chain([columns[n].0.chars().count()]).max().unwrap_or(0)
    };
    let least: Vec<_> = (0..columns.len()).map(least).collect();
    // Each column has a blank on either side.
    let sum: usize = least.iter().map(|least| least + 2).sum();
    if width.is_some_and(|width| sum > width) {
        return blocks(&rows, columns);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    match width {
        Some(width) => {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
        }
        None => {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
    }
    if is_styled {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    let cell = |text: String, is_figure: bool| {
        let align = if is_figure { CellAlignment::Right } else { CellAlignment::Left };
        Cell::new(text).set_alignment(align)
    };
    table.set_header(
        columns.iter().map(|Column(name, _, figure)| {
            cell((*name).to_uppercase(), *figure).add_attribute(Attribute::Bold)
        }),
    );
    for row in rows {
        table.add_row(row.into_iter().zip(columns).map(|(text, Column(_, _, figure))| cell(text, *figure)));
    }
    for (column, least) in table.column_iter_mut().zip(least) {
        let least = u16::try_from(least + 2).unwrap_or(u16::MAX);
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(least)));
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    format!("{}\n", lines.join("\n"))
}

/// How narrow a cell can be made without breaking what should be whole.
fn narrowest(text: &str, is_figure: bool) -> usize {
    if is_figure {
        return text.chars().count();
    }
    text.split_whitespace().map(|word| word.chars().count().min(UNBROKEN)).max().unwrap_or(0)
}

/// A line for each member of an item.
fn blocks(rows: &[Vec<String>], columns: &[Column]) -> String {
    let wide = columns.iter().map(|Column(name, ..)| name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (n, row) in rows.iter().enumerate() {
        if n > 0 {
            text.push('\n');
        }
        for (Column(name, ..), cell) in columns.iter().zip(row) {
            text.push_str(&format!("{name:<wide$}  {cell}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: [Column; 3] =
        [Column("id", "id", true), Column("name", "name", false), Column("sku", "sku", false)];

    #[test]
    fn a_narrow_table_breaks_between_words_only() {
        let items = [json!({"id": 149_921, "name": "A very long name of many words", "sku": "XL-049900"})];
        let wide = render(&items, &COLUMNS, None, false);
        assert_eq!(wide.lines().count(), 2);
        let narrow = render(&items, &COLUMNS, Some(36), false);
        for word in ["149921", "very", "long", "name", "many", "words", "XL-049900"] {
            assert!(narrow.contains(word), "{word} in {narrow}");
        }
        assert!(
            narrow.lines().all(|line| line.chars().count() <= 36) && narrow.lines().count() > 2,
            "{narrow}"
        );
        let blocks = render(&items, &COLUMNS, Some(20), false);
        assert_eq!(blocks, "id    149921\nname  A very long name of many words\nsku   XL-049900\n");
    }
}
