//! How inputs are laid out: lines that choose, then what is tried.

/// The first line, and what follows it.
pub fn line(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (&[], data),
    }
}

/// The one of `all` that is called `name`. A name that none has leads to any of them, so that no input is wasted.
pub fn pick<'a, T>(all: &'a [T], name: &[u8], of: impl Fn(&T) -> &[u8]) -> &'a T {
    let any = crc32fast::hash(name) as usize % all.len();
    all.iter().find(|one| of(one) == name).unwrap_or(&all[any])
}

/// Most things of a kind that the shop has.
const THINGS: u32 = 3;

/// A route's path with each thing that its variable parts may name.
pub fn filled(path: &str) -> impl Iterator<Item = String> {
    let things = if path.contains('{') { THINGS } else { 1 };
    (1..=things).map(move |thing| {
        let part = |part: &str| match part {
            "{code}" => "FEW".to_owned(),
            part if part.starts_with('{') => thing.to_string(),
            part => part.to_owned(),
        };
        path.split('/').map(part).collect::<Vec<_>>().join("/")
    })
}
