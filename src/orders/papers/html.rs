//! Papers as pages that print well on A4 and Letter, and need nothing from elsewhere.

use std::fmt::Write as _;

use super::{Paper, filled};

const PAGE: &str = include_str!("paper.html");

impl Paper {
    pub fn html(&self) -> String {
        let mut rows = String::new();
        for row in &self.rows {
            let (name, details) = (escape(&row.name), escape(&row.details));
            let _ = write!(rows, "<tr><td>{name}<small>{details}</small></td>");
            if self.has_units() {
                let _ = write!(
                    rows,
                    "<td>{}</td>",
                    row.units.map_or_else(String::new, |units| units.to_string())
                );
            }
            if self.has_prices() {
                let _ = write!(
                    rows,
                    "<td>{}</td>",
                    row.price.map_or_else(String::new, |price| price.to_string())
                );
            }
            let _ = write!(rows, "<td>{}</td></tr>", row.amount);
        }
        let mut columns = String::new();
        for (name, is_there) in [("Quantity", self.has_units()), ("Price", self.has_prices())] {
            if is_there {
                let _ = write!(columns, "<th>{name}</th>");
            }
        }
        let mut sums = String::new();
        for (name, amount) in &self.sums {
            let _ = write!(sums, "<tr><th>{}</th><td>{amount}</td></tr>", escape(name));
        }
        let (name, amount) = self.total;
        let _ = write!(
            sums,
            "<tr class=\"total\"><th>{name}</th><td>{amount} {}</td></tr>",
            self.currency.code()
        );
        let mut parties = String::new();
        for (heading, lines) in &self.parties {
            let _ = write!(parties, "<div><h2>{heading}</h2>{}</div>", lines_of(lines));
        }
        PAGE.replace("{title}", self.title)
            .replace("{number}", &self.number)
            .replace("{date}", &self.issued_at.date())
            .replace("{facts}", &lines_of(&self.facts))
            .replace("{columns}", &columns)
            .replace("{currency}", self.currency.code())
            .replace("{seller}", &escape(&self.seller.name))
            .replace("{seller_address}", &lines_of(&filled(self.seller.address.lines())))
            .replace("{parties}", &parties)
            .replace("{sums}", &sums)
            .replace("{closing}", &lines_of(&self.closing))
            // Last, because these hold what customers wrote.
            .replace("{rows}", &rows)
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // So that nobody's text is taken for a place in the template.
            '{' => out.push_str("&#123;"),
            _ => out.push(c),
        }
    }
    out
}

fn lines_of(lines: &[String]) -> String {
    lines.iter().map(|line| escape(line)).collect::<Vec<_>>().join("<br>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_customers_wrote_is_never_markup() {
        assert_eq!(escape("<b>{rows}&\"'"), "&lt;b&gt;&#123;rows}&amp;&quot;&#39;");
    }
}
