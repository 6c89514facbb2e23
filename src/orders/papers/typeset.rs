//! Lines of text, set in the fonts that the shop carries: which glyphs, and how wide they are.
//!
//! Inter has Latin, Greek and Cyrillic. Of what it has not, each character is drawn as □, and can still be copied and
//! searched for as what it is.

use std::ops::Range;
use std::sync::LazyLock;

use harfrust::{Direction, Feature, FontRef, ShaperData, Tag, UnicodeBuffer, script};
use krilla::text::{Font, GlyphId, KrillaGlyph};

/// Both with their licence, the SIL Open Font License, in `fonts/OFL.txt`.
const REGULAR: &[u8] = include_bytes!("fonts/Inter-Regular.otf");
const BOLD: &[u8] = include_bytes!("fonts/Inter-Bold.otf");

/// What stands where the font has nothing.
const MISSING: &str = "□";

/// Digits that stand below each other in columns.
const FEATURES: [Feature; 1] = [Feature { tag: Tag::new(b"tnum"), value: 1, start: 0, end: u32::MAX }];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weight {
    Regular,
    Bold,
}

/// How a line is set.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Style {
    pub weight: Weight,
    /// In points.
    pub size: f32,
    /// Between letters, in parts of the size.
    pub spacing: f32,
    /// From the top of one line to that of the next, in points.
    pub leading: f32,
    /// Red, green, blue.
    pub colour: [u8; 3],
}

/// A line that is set. Its glyphs are measured in parts of the style's size.
pub struct Line {
    pub text: String,
    pub glyphs: Vec<KrillaGlyph>,
    pub style: Style,
    /// In points.
    pub width: f32,
}

impl Line {
    /// Where its baseline is, below the top of its leading.
    pub fn baseline(&self) -> f32 {
        const ASCENT: f32 = 2728.0 / 2816.0;
        const DESCENT: f32 = 680.0 / 2816.0;
        let Style { size, leading, .. } = self.style;
        (leading - size * (ASCENT + DESCENT)) / 2.0 + size * ASCENT
    }
}

/// A font, as what draws it and what shapes it want to have it.
struct Face {
    font: Font,
    raw: FontRef<'static>,
    shaper: ShaperData,
    /// The glyph of [`MISSING`] and how wide it is.
    missing: (GlyphId, f32),
}

static FACES: LazyLock<[Face; 2]> = LazyLock::new(|| [Face::new(REGULAR), Face::new(BOLD)]);

impl Face {
    fn new(bytes: &'static [u8]) -> Face {
        let raw = FontRef::new(bytes).expect("the font is part of the program");
        let shaper = ShaperData::new(&raw);
        let font = Font::new(bytes.into(), 0).expect("the font is part of the program");
        let mut face = Face { font, raw, shaper, missing: (GlyphId::new(0), 0.0) };
        let glyphs = face.shape(MISSING);
        face.missing = (glyphs[0].glyph_id, glyphs[0].x_advance);
        face
    }

    fn of(weight: Weight) -> &'static Face {
        &FACES[weight as usize]
    }

    fn shape(&self, text: &str) -> Vec<KrillaGlyph> {
        let mut buffer = UnicodeBuffer::new();
        buffer.push_str(text);
        buffer.guess_segment_properties();
        // What else there is is not in the font, so that nothing of it is to be reordered or joined.
        if ![script::GREEK, script::CYRILLIC].contains(&buffer.script()) {
            buffer.set_script(script::LATIN);
        }
        buffer.set_direction(Direction::LeftToRight);
        let shaper = self.shaper.shaper(&self.raw).build();
        let em = units(shaper.units_per_em());
        let shaped = shaper.shape(buffer, harfrust::ShapeOptions::new().features(&FEATURES));
        let places: Vec<usize> = shaped.glyph_infos().iter().map(|info| info.cluster as usize).collect();
        let range = |place: usize| -> Range<usize> {
            place..places.get(places.partition_point(|one| *one <= place)).copied().unwrap_or(text.len())
        };
        let glyphs = shaped.glyph_infos().iter().zip(shaped.glyph_positions());
        let glyphs = glyphs.map(|(info, at)| {
            let (glyph, advance) = match info.glyph_id {
                0 => self.missing,
                id => (GlyphId::new(id), units(at.x_advance) / em),
            };
            let offset = (units(at.x_offset) / em, units(at.y_offset) / em);
            KrillaGlyph::new(glyph, advance, offset.0, offset.1, 0.0, range(info.cluster as usize), None)
        });
        glyphs.collect()
    }
}

/// Font units, of which a glyph never has more than 16 bits.
fn units(units: i32) -> f32 {
    f32::from(i16::try_from(units).unwrap_or(i16::MAX))
}

/// The font that draws lines of this weight.
pub fn font(weight: Weight) -> Font {
    Face::of(weight).font.clone()
}

/// What can be drawn of `text`: each run of white space and control characters is one space.
fn clean(text: &str) -> String {
    let is_mark = |c: &char| !matches!(c, '\u{feff}' | '\u{fffe}' | '\u{ffff}');
    let spaced: String = text.chars().filter(is_mark).map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn set_clean(text: String, style: Style) -> Line {
    let mut glyphs = Face::of(style.weight).shape(&text);
    for glyph in &mut glyphs {
        glyph.x_advance += style.spacing;
    }
    let ems: f32 = glyphs.iter().map(|glyph| glyph.x_advance).sum();
    let width = (ems - style.spacing).max(0.0) * style.size;
    Line { text, glyphs, style, width }
}

/// One line, however wide.
pub fn set(text: &str, style: Style) -> Line {
    set_clean(clean(text), style)
}

/// As many lines as it takes: broken between words, and within those that are wider than a line. None for an empty
/// text.
pub fn wrap(text: &str, style: Style, width: f32) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut rest = clean(text);
    while !rest.is_empty() {
        let whole = set_clean(rest.clone(), style);
        if whole.width <= width {
            lines.push(whole);
            break;
        }
        let mut within = width;
        let (line, at) = loop {
            let at = fitting(&whole, within);
            let line = set_clean(rest[..at].trim_end().to_owned(), style);
            // What was kerned to a letter that went over takes more room without it.
            if line.width <= width || within <= 0.0 {
                break (line, at);
            }
            within -= (line.width - width).max(0.1);
        };
        lines.push(line);
        rest = rest[at..].trim_start().to_owned();
    }
    lines
}

/// How many bytes of a line fit into `width`: up to the last space that does, else up to the last character, and at
/// least one.
fn fitting(line: &Line, width: f32) -> usize {
    let (mut used, mut space, mut end) = (0.0, None, 0);
    // A letter and what is combined with it are not parted.
    for letter in line.glyphs.chunk_by(|one, next| one.text_range == next.text_range) {
        let range = letter[0].text_range.clone();
        if &line.text[range.clone()] == " " {
            space = Some(range.start);
        }
        used += letter.iter().map(|glyph| glyph.x_advance * line.style.size).sum::<f32>();
        if used > width && end > 0 {
            break;
        }
        end = range.end;
    }
    space.filter(|at| *at > 0).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLAIN: Style =
        Style { weight: Weight::Regular, size: 10.0, spacing: 0.0, leading: 14.0, colour: [0; 3] };

    fn texts(text: &str, width: f32) -> Vec<String> {
        wrap(text, PLAIN, width).into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn lines_break_between_words_and_else_within() {
        assert_eq!(texts("a kettle of  black\ttea", 70.0), ["a kettle of", "black tea"]);
        assert_eq!(texts("Donaudampfschiff", 50.0).concat(), "Donaudampfschiff");
        assert_eq!(texts(" \n ", 50.0), Vec::<String>::new());
        assert_eq!(texts("tea", 1.0), ["t", "e", "a"]);
    }

    #[test]
    fn digits_are_equally_wide() {
        let width = |text: &str| format!("{:.3}", set(text, PLAIN).width);
        assert_eq!(width("1111"), width("8888"));
    }

    #[test]
    fn latin_greek_and_cyrillic_are_in_the_fonts_and_others_are_boxes() {
        for weight in [Weight::Regular, Weight::Bold] {
            let missing = Face::of(weight).missing;
            let boxes = |text: &str| {
                let glyphs = Face::of(weight).shape(text);
                glyphs.into_iter().filter(|glyph| glyph.glyph_id == missing.0).count()
            };
            for known in ["Zoë Łukasz Đặng ĳ ẞ", "Ἀθῆναι Ωμέγα", "Київ Ђорђе Ғани", "€ £ ₴ ₽ − × · … „“ №"]
            {
                assert_eq!(boxes(known), 0, "{known}");
            }
            assert!(missing.1 > 0.0);
            assert_eq!(boxes("茶 tea 🫖"), 2);
        }
    }

    proptest! {
        #[test]
        fn no_text_is_lost_or_wider_than_its_line(text in "\\PC{0,60}", width in 60.0_f32..300.0) {
            let lines = wrap(&text, PLAIN, width);
            let joined = |text: &str| text.split_whitespace().collect::<String>();
            let all: String = lines.iter().map(|line| line.text.as_str()).collect();
            prop_assert_eq!(joined(&all), joined(&clean(&text)));
            for line in lines {
                prop_assert!(line.width <= width, "{:?} is {} wide", line.text, line.width);
            }
        }
    }
}
