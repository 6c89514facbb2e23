//! How records become bytes. The only file that names bincode.

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
    fn bytes_that_are_no_record_are_refused_without_allocating() {
        assert_eq!(Tea::decode(&[]), None);
        assert_eq!(Tea::decode(&[7, 1, 2]), None);
        assert_eq!(Tea::decode(&[0, 253, 255, 255, 255, 255, 255, 255, 255, 127]), None);
        let mut long = Tea { name: "oolong".into(), grams: 50 }.encode();
        long.push(0);
        assert_eq!(Tea::decode(&long), None);
    }
}
