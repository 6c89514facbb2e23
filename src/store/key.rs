//! Keys: values whose bytes sort as they do.

use std::fmt::Debug;

use crate::clock::Time;

/// A value that can be a table's key or part of one. Encoded keys compare, byte by byte, as the values
/// do, and no key's encoding is the beginning of another's, so keys can be put in a row.
pub trait Key: Sized + Debug {
    fn put(&self, out: &mut Vec<u8>);
    /// Reads one key off the front of `from`; `None` if the bytes are none.
    fn take(from: &mut &[u8]) -> Option<Self>;

    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(24);
        self.put(&mut out);
        out
    }

    /// Reads a key that is all of `bytes`.
    fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        Self::take(&mut bytes).filter(|_| bytes.is_empty())
    }
}

fn split<'a>(from: &mut &'a [u8], n: usize) -> Option<&'a [u8]> {
    let (head, tail) = from.split_at_checked(n)?;
    *from = tail;
    Some(head)
}

impl Key for u64 {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_be_bytes());
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Some(u64::from_be_bytes(split(from, 8)?.try_into().ok()?))
    }
}

impl Key for u8 {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        split(from, 1).map(|byte| byte[0])
    }
}

impl Key for i64 {
    fn put(&self, out: &mut Vec<u8>) {
        // The sign bit is turned, so that negative numbers sort before the others.
        (self.cast_unsigned() ^ (1 << 63)).put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        u64::take(from).map(|n| (n ^ (1 << 63)).cast_signed())
    }
}

impl Key for Time {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        i64::take(from).map(Time)
    }
}

impl Key for String {
    /// A zero byte inside is written as `00 FF`; `00 00` ends the string.
    fn put(&self, out: &mut Vec<u8>) {
        for &byte in self.as_bytes() {
            out.push(byte);
            if byte == 0 {
                out.push(0xFF);
            }
        }
        out.extend_from_slice(&[0, 0]);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let mut text = Vec::new();
        loop {
            match split(from, 1)?[0] {
                0 => match split(from, 1)?[0] {
                    0 => return String::from_utf8(text).ok(),
                    0xFF => text.push(0),
                    _ => return None,
                },
                byte => text.push(byte),
            }
        }
    }
}

impl<A: Key, B: Key> Key for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Some((A::take(from)?, B::take(from)?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_sort_as_values_do(a: (String, i64), b: (String, i64)) {
            prop_assert_eq!(a.bytes().cmp(&b.bytes()), a.cmp(&b));
            prop_assert_eq!(<(String, i64)>::from_bytes(&a.bytes()), Some(a));
        }
    }
}
