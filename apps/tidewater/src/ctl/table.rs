//! Tables for people: columns that line up, numbers at the right.

use comfy_table::{CellAlignment, ContentArrangement};

/// Rows under headers.
pub(super) struct Table(comfy_table::Table);

impl Table {
    /// Columns whose name begins with `#` hold numbers; the sign is not shown.
    pub(super) fn new(columns: &[&str]) -> Self {
        let mut table = comfy_table::Table::new();
        // Lines are as long as they are: a terminal that is narrow breaks them, `grep` and `awk` do not want it.
        table.load_style(comfy_table::presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(columns.iter().map(|column| column.trim_start_matches('#').to_uppercase()));
        for (index, name) in columns.iter().enumerate() {
            if let Some(column) = table.column_mut(index) {
                column.set_padding((0, 2));
                if name.starts_with('#') {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        Self(table)
    }

    /// Adds a row; an empty cell is shown as `-`, so that columns can be counted.
    pub(super) fn push<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let shown = |cell: T| match cell.into() {
            empty if empty.is_empty() => "-".to_owned(),
            cell => cell,
        };
        self.0.add_row(cells.into_iter().map(shown));
    }

    pub(super) fn to_text(&self) -> String {
        self.0.trim_fmt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_empty_cells_are_seen() {
        let mut table = Table::new(&["name", "#count"]);
        table.push(["one", "1"]);
        table.push(["", "12345"]);
        assert_eq!(table.to_text(), "NAME  COUNT\none       1\n-     12345");
    }
}
