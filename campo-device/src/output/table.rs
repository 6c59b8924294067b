//! Columns under each other.

/// Most characters of one cell; the rest is cut off with `…`. `get` and `--json` show all of it.
const CELL_CHARS_MAX: usize = 60;

/// Rows under a heading, aligned by characters.
#[derive(Debug)]
pub struct Table {
    heading: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub fn new<S: Into<String>>(heading: impl IntoIterator<Item = S>) -> Self {
        Self { heading: heading.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(|cell| shortened(&cell.into())).collect());
    }

    /// As text, or `nothing` if there are no rows.
    pub fn show(&self, nothing: &str) -> String {
        if self.rows.is_empty() {
            return nothing.to_owned();
        }
        let heading: Vec<String> = self.heading.iter().map(|name| name.to_uppercase()).collect();
        let all = || std::iter::once(&heading).chain(&self.rows);
        let width = |column: usize| {
            all().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..heading.len()).map(width).collect();
        let mut text = String::new();
        for row in all() {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&format!("{cell:<width$}  "));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// One line, not too long, nothing that a terminal would obey.
fn shortened(cell: &str) -> String {
    let line = super::line(cell);
    if line.chars().count() <= CELL_CHARS_MAX {
        return line;
    }
    line.chars().take(CELL_CHARS_MAX - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["id", "nombre"]);
        table.row(["1", "Torre"]);
        table.row(["1000", "Ñandú"]);
        assert_eq!(table.show("none"), "ID    NOMBRE\n1     Torre\n1000  Ñandú\n");
    }

    #[test]
    fn an_empty_table_says_so() {
        assert_eq!(Table::new(["id"]).show("none"), "none");
    }

    #[test]
    fn long_cells_and_control_characters_do_not_break_lines() {
        let mut table = Table::new(["notas"]);
        table.row([format!("a\nb\u{1b}[2J{}", "x".repeat(100))]);
        let shown = table.show("");
        let line = shown.lines().nth(1).unwrap();
        assert!(line.starts_with("a b [2J") && line.ends_with('…'));
        assert_eq!(line.chars().count(), CELL_CHARS_MAX);
    }
}
