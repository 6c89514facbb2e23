//! How values look in JSON and in paths: the schemas that the API's description is made of.

use serde_json::{Value, json};

/// A type that is written as text in requests: in a path, a query, or a string of a body.
pub trait Described {
    /// The JSON Schema of what is accepted.
    fn schema() -> Value;
}

impl Described for bool {
    fn schema() -> Value {
        json!({"type": "boolean"})
    }
}

impl Described for u64 {
    fn schema() -> Value {
        json!({"type": "integer", "minimum": 0, "maximum": i64::MAX})
    }
}

impl Described for String {
    fn schema() -> Value {
        json!({"type": "string"})
    }
}

/// Says what a type that is one of some words is written with, in requests and in answers.
#[macro_export]
macro_rules! words {
    ($type:ty: $words:expr) => {
        impl $crate::described::Described for $type {
            fn schema() -> serde_json::Value {
                serde_json::json!({"type": "string", "enum": $words})
            }
        }
        $crate::answered_as!($type: <$type as $crate::described::Described>::schema());
    };
}

/// Gives a type that writes itself the schema that it has in answers: where it stands, or, with a name, once for all.
#[macro_export]
macro_rules! answered_as {
    ($type:ty: $schema:expr) => {
        $crate::answered_as!($type, stringify!($type), true: $schema);
    };
    ($type:ty, $name:literal: $schema:expr) => {
        $crate::answered_as!($type, $name, false: $schema);
    };
    ($type:ty, $name:expr, $inline:literal: $schema:expr) => {
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn inline_schema() -> bool {
                $inline
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::Schema::try_from($schema).expect("a schema is an object")
            }
        }
    };
}
