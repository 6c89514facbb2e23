//! Papers as PDF: A4, archivable (PDF/A-2u), with the fonts' used glyphs in it.

use krilla::color::rgb;
use krilla::configure::{Archival, ConfigurationBuilder};
use krilla::geom::{PathBuilder, Point};
use krilla::metadata::{DateTime, Metadata};
use krilla::num::NormalizedF32;
use krilla::page::PageSettings;
use krilla::paint::{Fill, FillRule};
use krilla::surface::Surface;
use krilla::{Document, SerializeSettings};

use super::layout::{self, pages};
use super::typeset::{Line, Style, Weight, font, set, wrap};
use super::{Paper, Row, filled};
use crate::clock::Time;

/// In points, of 1/72 inch, from the upper left corner.
const WIDTH: f32 = 595.28;
const HEIGHT: f32 = 841.89;
const LEFT: f32 = 56.0;
const RIGHT: f32 = WIDTH - LEFT;
const TOP: f32 = 60.0;
const BOTTOM: f32 = HEIGHT - 76.0;
const FOOT: f32 = HEIGHT - 48.0;
/// Between columns.
const GAP: f32 = 18.0;
const PARTY: f32 = (RIGHT - LEFT - GAP) / 2.0;
/// Above and below what stands in a row.
const PADDING: f32 = 7.0;

const INK: [u8; 3] = [28, 28, 30];
const GREY: [u8; 3] = [107, 107, 112];
const PALE: [u8; 3] = [226, 226, 230];

const BODY: Style = Style { weight: Weight::Regular, size: 9.0, spacing: 0.0, leading: 13.5, colour: INK };
const SMALL: Style = Style { size: 7.5, leading: 11.5, colour: GREY, ..BODY };
const MUTED: Style = Style { colour: GREY, ..BODY };
const HEADING: Style = Style { weight: Weight::Bold, size: 6.5, spacing: 0.08, leading: 13.5, colour: GREY };
const SELLER: Style = Style { weight: Weight::Bold, size: 11.0, leading: 16.0, ..BODY };
const TITLE: Style = Style { weight: Weight::Bold, size: 21.0, spacing: -0.015, leading: 26.0, ..BODY };
const NUMBER: Style = Style { weight: Weight::Bold, size: 10.0, leading: 16.0, ..BODY };
const TOTAL: Style = Style { weight: Weight::Bold, size: 12.0, leading: 18.0, ..BODY };

/// Something that is drawn, below the top of its piece.
enum Mark {
    Text { x: f32, top: f32, line: Line },
    Rule { from: f32, to: f32, at: f32, weight: f32, colour: [u8; 3] },
}

/// What stays together: marks, and how high they are.
#[derive(Default)]
struct Piece {
    marks: Vec<Mark>,
    height: f32,
    keeps: bool,
    is_row: bool,
}

impl Piece {
    fn left(&mut self, x: f32, top: f32, line: Line) -> f32 {
        let end = top + line.style.leading;
        self.height = self.height.max(end);
        self.marks.push(Mark::Text { x, top, line });
        end
    }

    /// One that ends at `x`.
    fn right(&mut self, x: f32, top: f32, line: Line) -> f32 {
        let x = x - line.width;
        self.left(x, top, line)
    }

    /// Lines below each other; where they end.
    fn stack(&mut self, x: f32, top: f32, lines: impl IntoIterator<Item = Line>) -> f32 {
        lines.into_iter().fold(top, |top, line| self.left(x, top, line))
    }

    fn rule(&mut self, from: f32, weight: f32, colour: [u8; 3]) {
        self.marks.push(Mark::Rule { from, to: RIGHT, at: self.height, weight, colour });
        self.height += weight;
    }

    fn keeping(self) -> Piece {
        Piece { keeps: true, ..self }
    }
}

/// Where the columns of the table end, and how wide the first one is.
struct Columns {
    item: f32,
    quantity: f32,
    price: f32,
}

impl Columns {
    /// As wide as what they hold; the item has the rest.
    fn of(paper: &Paper) -> Columns {
        let widest = |heading: &str, cells: &mut dyn Iterator<Item = String>| {
            let heading = set(&heading.to_uppercase(), HEADING).width;
            cells.map(|cell| set(&cell, BODY).width).fold(heading, f32::max)
        };
        let rows = || paper.rows.iter();
        let amount = widest(&amount_of(paper), &mut rows().map(|row| row.amount.to_string()));
        let price = widest("Price", &mut rows().filter_map(|row| Some(row.price?.to_string())));
        let quantity = widest("Quantity", &mut rows().filter_map(|row| Some(row.units?.to_string())));
        let price_ends = RIGHT - amount - GAP;
        let quantity_ends = if paper.has_prices() { price_ends - price - GAP } else { price_ends };
        let item_ends = if paper.has_units() { quantity_ends - quantity - GAP } else { quantity_ends };
        Columns { item: item_ends - LEFT, quantity: quantity_ends, price: price_ends }
    }

    fn head(&self, paper: &Paper) -> Piece {
        let heading = |text: &str| set(&text.to_uppercase(), HEADING);
        let mut piece = Piece::default();
        piece.left(LEFT, 0.0, heading("Item"));
        if paper.has_units() {
            piece.right(self.quantity, 0.0, heading("Quantity"));
        }
        if paper.has_prices() {
            piece.right(self.price, 0.0, heading("Price"));
        }
        piece.right(RIGHT, 0.0, heading(&amount_of(paper)));
        piece.height += 3.0;
        piece.rule(LEFT, 1.2, INK);
        piece.keeping()
    }

    fn row(&self, row: &Row) -> Piece {
        let mut piece = Piece { is_row: true, ..Piece::default() };
        let end = piece.stack(LEFT, PADDING, wrap(&row.name, BODY, self.item));
        piece.stack(LEFT, end, wrap(&row.details, SMALL, self.item));
        if let Some(units) = row.units {
            piece.right(self.quantity, PADDING, set(&units.to_string(), BODY));
        }
        if let Some(price) = row.price {
            piece.right(self.price, PADDING, set(&price.to_string(), BODY));
        }
        piece.right(RIGHT, PADDING, set(&row.amount.to_string(), BODY));
        piece.height += PADDING - 0.6;
        piece.rule(LEFT, 0.6, PALE);
        piece
    }
}

fn amount_of(paper: &Paper) -> String {
    format!("Amount ({})", paper.currency)
}

/// Who sells, and what paper this is.
fn letterhead(paper: &Paper) -> Piece {
    let mut piece = Piece::default();
    let width = PARTY + 40.0;
    let mut end = piece.stack(LEFT, 0.0, wrap(&paper.seller.name, SELLER, width));
    for line in filled(paper.seller.address.lines()) {
        end = piece.stack(LEFT, end, wrap(&line, MUTED, width));
    }
    let mut end = piece.right(RIGHT, -6.0, set(paper.title, TITLE));
    end = piece.right(RIGHT, end, set(&paper.number, NUMBER));
    for fact in [&paper.issued_at.date()].into_iter().chain(&paper.facts) {
        end = piece.right(RIGHT, end, set(fact, MUTED));
    }
    piece.height += 34.0;
    piece.keeping()
}

fn parties(paper: &Paper) -> Piece {
    let mut piece = Piece::default();
    for ((heading, lines), x) in paper.parties.iter().zip([LEFT, LEFT + PARTY + GAP]) {
        let mut end = piece.left(x, 0.0, set(&heading.to_uppercase(), HEADING)) + 1.0;
        for line in lines {
            end = piece.stack(x, end, wrap(line, BODY, PARTY));
        }
    }
    piece.height += 28.0;
    piece.keeping()
}

/// What it comes to, and what is said about it.
fn sums(paper: &Paper) -> Piece {
    let mut piece = Piece::default();
    let total = format!("{} {}", paper.total.1, paper.currency);
    let total = [set(paper.total.0, TOTAL), set(&total, TOTAL)];
    let from = (RIGHT - 200.0).min(RIGHT - total[0].width - total[1].width - GAP);
    let mut top = 10.0;
    for (name, amount) in &paper.sums {
        let amount = set(amount, BODY);
        let end = piece.stack(from, top, wrap(name, MUTED, RIGHT - from - amount.width - GAP));
        piece.right(RIGHT, top, amount);
        top = end + 3.0;
    }
    piece.height = top + 3.0;
    piece.rule(from, 1.2, INK);
    top = piece.height + 7.0;
    let [name, amount] = total;
    piece.left(from, top, name);
    top = piece.right(RIGHT, top, amount) + 26.0;
    for sentence in &paper.closing {
        top = piece.stack(LEFT, top, wrap(sentence, MUTED, RIGHT - LEFT));
    }
    piece
}

fn pieces(paper: &Paper, columns: &Columns) -> Vec<Piece> {
    let mut all = vec![letterhead(paper), parties(paper), columns.head(paper)];
    all.extend(paper.rows.iter().map(|row| columns.row(row)));
    // The total is never alone on its page.
    if let Some(last) = all.last_mut() {
        last.keeps = true;
    }
    all.push(sums(paper));
    all
}

fn draw(surface: &mut Surface<'_>, top: f32, piece: &Piece) {
    for mark in &piece.marks {
        match mark {
            Mark::Text { x, top: below, line } => text(surface, *x, top + below, line),
            Mark::Rule { from, to, at, weight, colour } => {
                rule(surface, [*from, *to], top + at, *weight, *colour);
            }
        }
    }
}

fn text(surface: &mut Surface<'_>, x: f32, top: f32, line: &Line) {
    let Style { weight, size, colour, .. } = line.style;
    surface.set_fill(Some(ink(colour)));
    let start = Point::from_xy(x, top + line.baseline());
    surface.draw_glyphs(start, &line.glyphs, font(weight), &line.text, size, false);
}

fn rule(surface: &mut Surface<'_>, [from, to]: [f32; 2], at: f32, weight: f32, colour: [u8; 3]) {
    let mut path = PathBuilder::new();
    path.move_to(from, at);
    path.line_to(to, at);
    path.line_to(to, at + weight);
    path.line_to(from, at + weight);
    path.close();
    surface.set_fill(Some(ink(colour)));
    surface.draw_path(&path.finish().expect("a rectangle is a path"));
}

fn ink([red, green, blue]: [u8; 3]) -> Fill {
    let paint = rgb::Color::new(red, green, blue).into();
    Fill { paint, opacity: NormalizedF32::ONE, rule: FillRule::NonZero }
}

/// The same on every page: whose paper it is, and which page of how many.
fn foot(paper: &Paper, page: usize, of: usize) -> Piece {
    let mut piece = Piece::default();
    let whose = format!("{} {} · {}", paper.title, paper.number, paper.seller.name);
    if let Some(line) = wrap(&whose, SMALL, RIGHT - LEFT - 100.0).into_iter().next() {
        piece.left(LEFT, 0.0, line);
    }
    piece.right(RIGHT, 0.0, set(&format!("Page {page} of {of}"), SMALL));
    piece
}

fn metadata(paper: &Paper) -> Metadata {
    Metadata::new()
        .title(format!("{} {}", paper.title, paper.number))
        .authors(vec![paper.seller.name.clone()])
        .language("en".into())
        .creator("till".into())
        .creation_date(date(paper.issued_at))
}

/// A time as PDF wants it: in UTC, to the second.
fn date(at: Time) -> DateTime {
    let text = at.to_string();
    let part = |range: std::ops::Range<usize>| text[range].parse().unwrap_or(0);
    let year = text[..4].parse().unwrap_or(1970);
    DateTime::new(year)
        .month(part(5..7))
        .day(part(8..10))
        .hour(part(11..13))
        .minute(part(14..16))
        .second(part(17..19))
        .utc_offset_hour(0)
}

impl Paper {
    pub fn pdf(&self) -> Vec<u8> {
        let archival = ConfigurationBuilder::new().with_archival_validator(Archival::A2_U).finish();
        let configuration = archival.expect("PDF/A-2u is a kind of PDF 1.7");
        let settings =
            SerializeSettings { configuration, enable_tagging: false, ..SerializeSettings::default() };
        let mut document = Document::new_with(settings);
        document.set_metadata(metadata(self));

        let columns = Columns::of(self);
        let head = columns.head(self);
        let all = pieces(self, &columns);
        let shapes: Vec<_> = all
            .iter()
            .map(|piece| layout::Piece { height: piece.height, keeps: piece.keeps, is_row: piece.is_row })
            .collect();
        let pages = pages(&shapes, BOTTOM - TOP, head.height);
        for (n, page) in pages.iter().enumerate() {
            let size = PageSettings::from_wh(WIDTH, HEIGHT).expect("A4 is a size");
            let mut sheet = document.start_page_with(size);
            let mut surface = sheet.surface();
            let mut top = TOP;
            if page.has_head {
                draw(&mut surface, top, &head);
                top += head.height;
            }
            for piece in page.pieces.iter().map(|at| &all[*at]) {
                draw(&mut surface, top, piece);
                top += piece.height;
            }
            draw(&mut surface, FOOT, &foot(self, n + 1, pages.len()));
            surface.finish();
            sheet.finish();
        }
        document.finish().expect("whatever people write is drawn with glyphs that the fonts have")
    }
}
