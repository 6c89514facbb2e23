//! How records become bytes. The only file that names bincode.
//!
//! bincode has no maintainers any more, so its format is written down here; `the_format_is_what_is_written_down` holds
//! it. There are no names and no types in it: a value is read by who knows what it is.
//!
//! - A `u8`, `i8` or `bool` is one byte. Any other unsigned integer is one byte up to 250; else the byte 251, 252, 253 or
//!   254 and then two, four, eight or sixteen bytes, the lowest first, as few as will do.
//! - A signed integer `n` is written as the unsigned `2n`, or `-2n - 1` where it is negative.
//! - A text, a list or a map is its length, as a `u64`, and then its bytes, elements, or keys and values.
//! - A struct, a tuple or an array of fixed length is its fields, one after the other.
//! - An enum is its variant's place, from 0, as a `u32`, and then the variant's fields; an option is the byte 0, or 1 and
//!   the value; a `char` is its UTF-8.
//!
//! A record is an enum of its versions. A sum of what its lengths promise above [`LIMIT`] is refused before anything is
//! read, and so are bytes that are left over.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// No record is larger, so arbitrary bytes can't make decoding allocate more (bytes).
pub(super) const LIMIT: usize = 16 << 20;

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<LIMIT>()
}

pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    bincode::serde::encode_to_vec(value, config()).expect("records are plain data under the size limit")
}

/// `None` if the bytes are not exactly one value.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (value, used) = bincode::serde::decode_from_slice(bytes, config()).ok()?;
    (used == bytes.len()).then_some(value)
}

/// What a table holds.
pub trait Record: Clone + Send + Sync + 'static {
    fn encode(&self) -> Vec<u8>;
    /// `None` if the bytes are no version of this record.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

/// Makes a type a record, stored as an enum of its versions: `record!(Order as StoredOrder: V1)` at first;
/// after a change `record!(Order as StoredOrder: V2, was V1(OrderV1))`, where `Order: From<OrderV1>`.
/// Old rows are read for ever, and rewritten when touched.
macro_rules! record {
    ($type:ty as $name:ident: $current:ident $(, was $old:ident($old_type:ty))*) => {
        #[derive(serde::Serialize, serde::Deserialize)]
        enum $name<'a> {
            $($old(std::borrow::Cow<'a, $old_type>),)*
            $current(std::borrow::Cow<'a, $type>),
        }

        impl $crate::store::Record for $type {
            fn encode(&self) -> Vec<u8> {
                $crate::store::encode(&$name::$current(std::borrow::Cow::Borrowed(self)))
            }

            fn decode(bytes: &[u8]) -> Option<Self> {
                Some(match $crate::store::decode::<$name<'static>>(bytes)? {
                    $($name::$old(record) => record.into_owned().into(),)*
                    $name::$current(record) => record.into_owned(),
                })
            }
        }
    };
}
pub(crate) use record;

/// Counters and other bare numbers.
impl Record for u64 {
    fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        decode(bytes)
    }
}

impl Record for String {
    fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        decode(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
    struct OldTea {
        name: String,
    }
    #[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
    struct Tea {
        name: String,
        grams: u32,
    }
    impl From<OldTea> for Tea {
        fn from(old: OldTea) -> Tea {
            Tea { name: old.name, grams: 100 }
        }
    }
    record!(OldTea as StoredOldTea: V1);
    record!(Tea as StoredTea: V2, was V1(OldTea));

    #[test]
    fn a_row_of_an_older_version_is_read() {
        let old = OldTea { name: "sencha".into() }.encode();
        assert_eq!(Tea::decode(&old), Some(Tea { name: "sencha".into(), grams: 100 }));
    }

    #[test]
    fn the_format_is_what_is_written_down() {
        #[derive(serde::Serialize)]
        enum Kind {
            Loose,
            Pressed { grams: u32, side: [u8; 2] },
        }
        let unsigned: (u8, u64, u64, u64, u64, u128) = (255, 250, 251, 65_536, 1 << 32, 1 << 64);
        assert_eq!(
            encode(&unsigned),
            [
                &[255, 250, 251, 251, 0, 252, 0, 0, 1, 0][..],
                &[253, 0, 0, 0, 0, 1, 0, 0, 0],
                &[254, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
            ]
            .concat()
        );
        assert_eq!(encode(&(-1_i64, 1_i64, -126_i64, true, -1_i8)), [1, 2, 251, 251, 0, 1, 255]);
        assert_eq!(
            encode(&("té", vec![7_u8, 8], None::<u8>, Some('é'))),
            b"\x03t\xC3\xA9\x02\x07\x08\x00\x01\xC3\xA9"
        );
        assert_eq!(
            encode(&[Kind::Loose, Kind::Pressed { grams: 300, side: [1, 2] }]),
            [0, 1, 251, 44, 1, 1, 2]
        );
    }

    #[test]
    fn bytes_that_are_no_record_are_refused_without_allocating() {
        assert_eq!(Tea::decode(&[]), None);
        assert_eq!(Tea::decode(&[7, 1, 2]), None);
        assert_eq!(Tea::decode(&[0, 253, 255, 255, 255, 255, 255, 255, 255, 127]), None);
        let mut long = Tea { name: "oolong".into(), grams: 50 }.encode();
        long.push(0);
        assert_eq!(Tea::decode(&long), None);
    }
}
