//! Ids: integers that can't be mistaken for one another.

/// Declares id types: transparent over `u64` in records and JSON, readable from a path.
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;

            /// Each has one way to be written: `+1` and `01` are none.
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                // One above what the description says is none either.
                let is_plain = !text.starts_with('+') && (text.len() == 1 || !text.starts_with('0'));
                let text = if is_plain { text } else { "" };
                text.parse::<i64>()?;
                text.parse().map($name)
            }
        }

        impl $crate::described::Described for $name {
            fn schema() -> serde_json::Value {
                serde_json::json!({"type": "integer", "minimum": 0, "maximum": i64::MAX})
            }
        }

        $crate::answered_as!($name: <$name as $crate::described::Described>::schema());

        impl $crate::store::Key for $name {
            fn put(&self, out: &mut Vec<u8>) {
                self.0.put(out);
            }

            fn take(from: &mut &[u8]) -> Option<Self> {
                u64::take(from).map($name)
            }
        }
    )*};
}

ids! {
    /// An entry of the audit trail.
    AuditId,
    UserId,
    SessionId,
    /// An API token, not its secret.
    TokenId,
    ProductId,
    VariantId,
    MovementId,
    ImportId,
    /// A line of a cart.
    CartLineId,
    OrderId,
    PaymentId,
    RefundId,
    InvoiceId,
    CreditNoteId,
    ReviewId,
    MailId,
}
