//! How a text stands in a cell of a CSV file: what export adds is what import takes off.

use std::borrow::Cow;

/// What a formula begins with, as wide as a letter of Chinese or Japanese, too, which spreadsheets there take for the same.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// What nobody sees, and some programs drop.
const UNSEEN: [char; 6] = ['\u{200B}', '\u{200C}', '\u{200D}', '\u{2060}', '\u{FEFF}', '\u{AD}'];

/// Whether a text must not stand in a cell as it is: a spreadsheet would take it for a formula (OWASP, CSV
/// injection), or blanks at its ends would be lost. The marks of a guard count for nothing.
fn needs_guard(text: &str) -> bool {
    let bare = text.trim_start_matches('\'');
    bare.trim_start_matches(UNSEEN).starts_with(FORMULA)
        || bare.starts_with(char::is_whitespace)
        || text.ends_with(char::is_whitespace)
}

/// The text as it is written: with a `'` before it where it needs one.
pub fn guarded(text: &str) -> Cow<'_, str> {
    if needs_guard(text) { format!("'{text}").into() } else { text.into() }
}

/// The text that was written: without the guard, and without blanks around it where there is none.
pub fn unguarded(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|text| needs_guard(text)).unwrap_or_else(|| cell.trim())
}

/// Words in one cell, by commas; one that would not come back as it is stands in quotes.
pub fn joined(words: &[String]) -> String {
    let quoted = |word: &String| {
        let plain = word.trim() == word && !word.contains([',', '"']);
        if plain { word.clone() } else { format!("\"{}\"", word.replace('"', "\"\"")) }
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(", ")
}

/// The words of such a cell.
pub fn split(cell: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = cell;
    while !rest.is_empty() {
        let (word, after) = quoted(rest.trim_start()).unwrap_or_else(|| {
            let (word, after) = rest.split_once(',').unwrap_or((rest, ""));
            (word.trim().to_owned(), after)
        });
        if !word.is_empty() {
            words.push(word);
        }
        rest = after;
    }
    words
}

/// A word in quotes at the beginning of `text`, and what comes after its comma.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('"')?;
    let mut word = String::new();
    loop {
        let end = rest.find('"')?;
        word.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(more) => {
                word.push('"');
                rest = more;
            }
            None => break,
        }
    }
    let rest = rest.trim_start();
    if rest.is_empty() { Some((word, rest)) } else { rest.strip_prefix(',').map(|after| (word, after)) }
}

/// What the bytes 80 to 9F are in Windows-1252 (WHATWG Encoding, index windows-1252); the others are Latin-1's.
const HIGH: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8D}', 'Ž', '\u{8F}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9D}', 'ž', 'Ÿ',
];

/// Reads Windows-1252, which Latin-1 is a part of as far as texts go.
pub fn from_latin(bytes: &[u8]) -> String {
    let letter = |byte: &u8| match byte {
        0x80..=0x9F => HIGH[usize::from(byte - 0x80)],
        _ => char::from(*byte),
    };
    bytes.iter().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_text_comes_back_as_it_was(text in "['=+@＝－ \t\r\n\"a-zé😀א\u{FEFF}\u{200B}-]{0,12}") {
            let cell = guarded(&text).into_owned();
            prop_assert_eq!(unguarded(&cell), text.as_str());
        }

        #[test]
        fn every_list_of_words_comes_back_as_it_was(words in prop::collection::vec("[\",' a-cא=]{1,6}", 0..5)) {
            prop_assert_eq!(split(&joined(&words)), words);
        }
    }

    #[test]
    fn what_people_write_is_read_as_they_mean_it() {
        assert_eq!(unguarded("  tea "), "tea");
        assert_eq!(unguarded("'twas"), "'twas");
        assert_eq!(unguarded("'=1+1"), "=1+1");
        assert_eq!(
            split("green, japan ,, \"loose, leaf\",5\" tin"),
            ["green", "japan", "loose, leaf", "5\" tin"]
        );
        assert_eq!(split("\"open"), ["\"open"]);
        assert_eq!(from_latin(b"Cr\xE8me \x80 5 \x93x\x94"), "Crème € 5 “x”");
    }
}
