//! What must not leave the shop is taken out of what is reported: addresses of mail and of machines, numbers long enough to be
//! a card's or a telephone's, keys and tokens, what stands in URLs, and whatever is quoted, because that is how values that
//! somebody sent come into a message.

use std::net::{IpAddr, SocketAddr};

/// Most characters of a text that are reported.
const MOST: usize = 500;
/// From so many digits on a number may be a telephone's or a card's.
const DIGITS: usize = 10;
/// From so many characters on, what has letters and digits is taken for a key.
const KEY: usize = 20;
/// What keys begin with.
const PREFIXES: [&str; 7] = ["sk_", "rk_", "pk_", "whsec_", "till_", "pi_", "AGE-SECRET-KEY"];

/// The text without what must not leave the shop.
pub fn scrubbed(text: &str) -> String {
    let text = without_numbers(&without_quoted(text));
    let words: Vec<String> = text.split(' ').map(word).collect();
    let mut text = words.join(" ");
    if let Some((end, _)) = text.char_indices().nth(MOST) {
        text.truncate(end);
        text.push('…');
    }
    text
}

fn without_quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(c);
        if c == '"' {
            while let Some(inner) = chars.next() {
                match inner {
                    '"' => break,
                    '\\' => drop(chars.next()),
                    _ => {}
                }
            }
            out.push_str("…\"");
        }
    }
    out
}

fn without_numbers(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_digit() || c == '-' || c == ' ';
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(begin) = rest.find(|c: char| c.is_ascii_digit()) {
        out.push_str(&rest[..begin]);
        rest = &rest[begin..];
        let run = &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())];
        let number = run.trim_end_matches(|c: char| !c.is_ascii_digit());
        if number.bytes().filter(u8::is_ascii_digit).count() >= DIGITS {
            out.push_str("[number]");
        } else {
            out.push_str(number);
        }
        rest = &rest[number.len()..];
    }
    out + rest
}

fn word(word: &str) -> String {
    if let Some((scheme, rest)) = word.split_once("://") {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        return format!("{}://{}", pieces(scheme), pieces(host));
    }
    if word.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty()) {
        return "[mail]".into();
    }
    match word.split_once('?') {
        Some((path, query)) if query.contains('=') => format!("{}?…", pieces(path)),
        _ => pieces(word),
    }
}

/// Each piece of a word is looked at for what it is.
fn pieces(word: &str) -> String {
    let bare = word.trim_matches(|c: char| !c.is_ascii_hexdigit() && c != ':' && c != '[' && c != ']');
    let bare = bare.trim_end_matches(':');
    let address = bare.parse::<IpAddr>().or_else(|_| bare.parse::<SocketAddr>().map(|socket| socket.ip()));
    if address.is_ok_and(|address| !address.is_loopback()) {
        return word.replace(bare, "[address]");
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-+.".contains(c);
    let mut out = String::with_capacity(word.len());
    let mut rest = word;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        out.push_str(if is_key(piece) { "[key]" } else { piece });
        let mut others = after.char_indices().skip_while(|(_, c)| !is_part(*c));
        let next = others.next().map_or(after.len(), |(at, _)| at);
        out.push_str(&after[..next]);
        rest = &after[next..];
    }
    out
}

fn is_key(piece: &str) -> bool {
    let has = |of: fn(&u8) -> bool| piece.bytes().any(|b| of(&b));
    let is_long = piece.len() >= KEY && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic);
    is_long || PREFIXES.iter().any(|prefix| piece.starts_with(prefix) && piece.len() > prefix.len() + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_not_leave_is_taken_out() {
        for (said, left) in [
            ("550 ann.lee@example.com is unknown", "550 [mail] is unknown"),
            ("<ann@example.com>: no", "[mail] no"),
            ("no user \"Ann \\\"the\\\" Lee\" here", "no user \"…\" here"),
            ("card 4242 4242 4242 4242 declined", "card [number] declined"),
            ("4242-4242-4242-4242", "[number]"),
            ("call +44 7700 900461 now", "call +[number] now"),
            ("sk_test_51FrumiousStripeKey", "[key]"),
            ("key whsec_FrumiousHookSecret.", "key [key]"),
            ("till_abcdefg", "[key]"),
            ("token=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc123", "token=[key]"),
            ("at https://ann:secret@example.com/reset?token=1#x", "at https://example.com"),
            ("/orders/?email=x", "/orders/?…"),
            ("from 203.0.113.7, again", "from [address], again"),
            ("from [2001:db8::1]:443 and 203.0.113.7:80", "from [address] and [address]"),
            ("broken \"to the end", "broken \"…\""),
        ] {
            assert_eq!(scrubbed(said), left);
        }
    }

    #[test]
    fn what_helps_is_left() {
        for said in [
            "the store is corrupt: table orders, key 17",
            "no space left on device (os error 28)",
            "127.0.0.1:9 refused: 12.50 EUR, order 123456",
            "src/payments/gateway/stripe/mod.rs:337:21",
            "a handler panicked: why not? 50 % of it",
        ] {
            assert_eq!(scrubbed(said), said);
        }
        assert_eq!(scrubbed(&"ä ".repeat(600)).chars().count(), MOST + 1);
    }
}
