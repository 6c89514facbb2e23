//! The life of an order. No status is assigned anywhere else.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Pending,
    Processing,
    Shipped,
    Completed,
    Cancelled,
}

/// What happens to an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    Pay,
    Ship,
    Deliver,
    Cancel,
}

use Event::{Cancel, Deliver, Pay, Ship};
use Status::{Cancelled, Completed, Pending, Processing, Shipped};

impl Status {
    pub const ALL: [Status; 5] = [Pending, Processing, Shipped, Completed, Cancelled];

    /// Where `event` leads from here; `None` if it may not happen now (409 `invalid_transition`).
    pub fn after(self, event: Event) -> Option<Status> {
        Some(match (self, event) {
            (Pending, Pay) => Processing,
            (Processing, Ship) => Shipped,
            (Shipped, Deliver) => Completed,
            (Pending | Processing, Cancel) => Cancelled,
            _ => return None,
        })
    }

    /// The event that leads to this status.
    pub fn event(self) -> Option<Event> {
        Some(match self {
            Pending => return None,
            Processing => Pay,
            Shipped => Ship,
            Completed => Deliver,
            Cancelled => Cancel,
        })
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Pending => "pending",
            Processing => "processing",
            Shipped => "shipped",
            Completed => "completed",
            Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

crate::words!(Status: Status::ALL.map(Status::as_str));

impl FromStr for Status {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Status::ALL.into_iter().find(|status| status.as_str() == text);
        found.ok_or_else(|| "must be pending, processing, shipped, completed or cancelled".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn the_whole_machine() {
        let mut table = String::new();
        for from in Status::ALL {
            for event in [Pay, Ship, Deliver, Cancel] {
                if let Some(to) = from.after(event) {
                    writeln!(table, "{from} + {event:?} = {to}").expect("strings take all");
                }
            }
        }
        assert_eq!(
            table,
            "pending + Pay = processing\npending + Cancel = cancelled\nprocessing + Ship = shipped\n\
             processing + Cancel = cancelled\nshipped + Deliver = completed\n"
        );
    }
}
