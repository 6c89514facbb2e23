//! Figures, as a table and as JSON.

use std::time::Duration;

use comfy_table::{CellAlignment, presets};
use serde_json::{Value, json};

use crate::client::Took;

/// What came of a round.
pub struct Row {
    pub name: &'static str,
    pub connections: usize,
    /// Acts a second.
    pub rate: f64,
    /// How long an act took, of a thousand the 500th, the 990th and the 999th (milliseconds).
    pub took: [f64; 3],
    /// The server's processor time for an act (microseconds).
    pub cpu: f64,
    /// Bytes given to the disk for an act.
    pub written: f64,
    /// What the bare counterpart did a second.
    pub bare: Option<f64>,
    pub bare_cpu: Option<f64>,
}

impl Row {
    pub fn of(name: &'static str, connections: usize, took: &Took, cpu: Duration, written: u64) -> Row {
        let mut times: Vec<_> = took.acts.iter().map(|(_, time)| *time).collect();
        times.sort_unstable();
        let count = times.len().max(1);
        let at = |permille: usize| times.get(count * permille / 1000).map_or(0.0, |t| t.as_secs_f64() * 1e3);
        // What the warm-up used is in here, too.
        let all = count as f64 * 1.1;
        Row {
            name,
            connections,
            rate: count as f64 / took.span.as_secs_f64(),
            took: [at(500), at(990), at(999)],
            cpu: cpu.as_secs_f64() * 1e6 / all,
            written: written as f64 / all,
            bare: None,
            bare_cpu: None,
        }
    }

    fn ratio(&self) -> Option<f64> {
        self.bare.map(|bare| self.rate / bare)
    }

    /// How many a second, and how long the slow ones took.
    pub fn brief(&self) -> Value {
        json!({ "name": self.name, "per_second": self.rate, "p99_ms": self.took[1] })
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name, "connections": self.connections, "per_second": self.rate,
            "p50_ms": self.took[0], "p99_ms": self.took[1], "p999_ms": self.took[2],
            "cpu_us": self.cpu, "written_bytes": self.written,
            "bare_per_second": self.bare, "bare_cpu_us": self.bare_cpu, "ratio": self.ratio(),
        })
    }
}

#[derive(Default)]
pub struct Table(Vec<Row>);

impl Table {
    pub fn add(&mut self, row: Row) {
        self.0.push(row);
    }

    pub fn rows(&self) -> Vec<Value> {
        self.0.iter().map(Row::json).collect()
    }

    pub fn print(&self) {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING);
        table.set_header([
            "",
            "connections",
            "a second",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "CPU µs",
            "bytes",
            "bare",
            "CPU µs",
            "of bare",
        ]);
        let whole = |number: f64| format!("{number:.0}");
        let maybe = |number: Option<f64>| number.map_or_else(|| "-".into(), whole);
        for row in &self.0 {
            let [p50, p99, p999] = row.took.map(|ms| format!("{ms:.2}"));
            table.add_row([
                row.name.to_owned(),
                row.connections.to_string(),
                whole(row.rate),
                p50,
                p99,
                p999,
                format!("{:.1}", row.cpu),
                whole(row.written),
                maybe(row.bare),
                row.bare_cpu.map_or_else(|| "-".into(), |cpu| format!("{cpu:.1}")),
                row.ratio().map_or_else(|| "-".into(), |ratio| format!("{ratio:.2}")),
            ]);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        println!("{table}");
    }
}
