//! What a benchmark prints: a line for each figure, with its goal and whether it is met.

/// Lines under a title.
pub struct Table {
    lines: Vec<[String; 4]>,
}

impl Table {
    /// An empty one.
    pub fn new() -> Self {
        Self { lines: vec![["measured", "figure", "goal", "met"].map(str::to_owned)] }
    }

    /// A figure without a goal.
    pub fn figure(&mut self, what: &str, figure: impl Into<String>) {
        self.lines.push([what.to_owned(), figure.into(), String::new(), String::new()]);
    }

    /// A figure that should not exceed a goal.
    pub fn goal(&mut self, what: &str, figure: f64, goal: f64, unit: &str) {
        let met = if figure <= goal { "yes" } else { "NO" };
        self.lines.push([
            what.to_owned(),
            format!("{figure:.2}{unit}"),
            format!("≤ {goal}{unit}"),
            met.to_owned(),
        ]);
    }

    /// Prints it as a table that also reads as Markdown.
    pub fn print(&self, title: &str) {
        println!("\n{title}\n");
        let width = |column: usize| {
            self.lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0)
        };
        let widths = [width(0), width(1), width(2), width(3)];
        for (number, line) in self.lines.iter().enumerate() {
            let cells: Vec<String> = line
                .iter()
                .zip(widths)
                .map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.chars().count())))
                .collect();
            println!("| {} |", cells.join(" | "));
            if number == 0 {
                println!("|{}|", widths.map(|width| "-".repeat(width + 2)).join("|"));
            }
        }
    }
}
