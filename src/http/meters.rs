//! Requests, counted and timed by route and status. Each route has its place from the start, which the router knows by
//! its number, so that no request is looked up by a text.

use std::sync::OnceLock;
use std::time::Duration;

use http::StatusCode;

use super::Origin;
use crate::meters::{Counter, Gauge, Histogram, SECONDS};

/// What the shop answers with. Any other counts as the first of its class, which clients take it for, too (RFC 9110, 15).
const STATUSES: [u16; 36] = [
    100, 200, 201, 202, 204, 206, 300, 301, 304, 307, 308, 400, 401, 402, 403, 404, 405, 406, 408, 409, 410,
    411, 412, 413, 414, 415, 416, 421, 422, 425, 429, 431, 500, 502, 503, 504,
];

/// The ways in.
const DOORS: [&str; 3] = ["shop", "operations", "operator"];

/// Who came in by a door.
#[derive(Default)]
pub struct Connections {
    pub open: Gauge,
    /// Those that there was no place for.
    pub refused: Counter,
}

pub struct Meters {
    /// Requests that are being answered.
    pub active: Gauge,
    connections: [Connections; DOORS.len()],
    operations: Box<[Operation]>,
    /// Requests of no operation.
    unrouted: Operation,
}

/// How the requests of an operation ended: a place for each status, filled when it is first answered with.
struct Operation {
    method: &'static str,
    /// The path as it stands in the table of routes.
    route: Option<&'static str>,
    by_status: [OnceLock<Box<Histogram>>; STATUSES.len()],
}

/// How requests went that had the same operation and status.
pub struct Went<'a> {
    pub method: &'static str,
    pub route: Option<&'static str>,
    pub status: u16,
    pub took: &'a Histogram,
}

impl Operation {
    fn of(method: &'static str, route: Option<&'static str>) -> Operation {
        Operation { method, route, by_status: [const { OnceLock::new() }; STATUSES.len()] }
    }
}

impl Meters {
    /// Meters for these operations: verb and path.
    pub fn new(operations: &[(&'static str, &'static str)]) -> Meters {
        let each = operations.iter().map(|(verb, path)| Operation::of(verb, Some(path)));
        // OpenTelemetry's word for a method that is not told apart.
        let (operations, unrouted) = (each.collect(), Operation::of("_OTHER", None));
        Meters { active: Gauge::default(), connections: Default::default(), operations, unrouted }
    }

    /// The connections of the door that this one came in by.
    pub fn connections(&self, origin: Origin) -> &Connections {
        &self.connections[match origin {
            Origin::Network(_) => 0,
            Origin::Operations => 1,
            Origin::Operator => 2,
        }]
    }

    /// Each door and its connections.
    pub fn doors(&self) -> impl Iterator<Item = (&'static str, &Connections)> {
        DOORS.into_iter().zip(&self.connections)
    }

    /// Notes an answer; `operation` is the number of what was asked for, none where there is no such route or verb.
    pub fn answered(&self, operation: Option<usize>, status: StatusCode, took: Duration) {
        let operation = operation.and_then(|number| self.operations.get(number)).unwrap_or(&self.unrouted);
        let status = status.as_u16();
        let place =
            STATUSES.binary_search(&status).or_else(|_| STATUSES.binary_search(&(status / 100 * 100)));
        // What is of no class at all is the shop's mistake.
        let place = place.unwrap_or(STATUSES.len() - 4);
        operation.by_status[place].get_or_init(|| Box::new(Histogram::new(&SECONDS))).took(took);
    }

    /// What was answered so far.
    pub fn each(&self) -> impl Iterator<Item = Went<'_>> {
        self.operations.iter().chain([&self.unrouted]).flat_map(|operation| {
            let (method, route) = (operation.method, operation.route);
            let by_status = STATUSES.into_iter().zip(&operation.by_status);
            by_status
                .filter_map(move |(status, took)| Some(Went { method, route, status, took: took.get()? }))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_noted_under_its_operation_and_status() {
        let meters = Meters::new(&[("GET", "/a/"), ("POST", "/a/")]);
        let note = |operation, status: u16| {
            let status = StatusCode::from_u16(status).expect("a status");
            meters.answered(operation, status, Duration::from_millis(3));
        };
        note(Some(1), 201);
        note(Some(1), 201);
        note(Some(1), 418);
        note(None, 404);
        note(Some(0), 700);
        let went: Vec<_> =
            meters.each().map(|one| (one.method, one.route, one.status, one.took.spread().count())).collect();
        assert_eq!(
            went,
            [
                ("GET", Some("/a/"), 500, 1),
                ("POST", Some("/a/"), 201, 2),
                ("POST", Some("/a/"), 400, 1),
                ("_OTHER", None, 404, 1),
            ]
        );
    }

    #[test]
    fn statuses_are_in_order_and_have_their_classes() {
        assert!(STATUSES.is_sorted());
        assert!([100, 200, 300, 400, 500].iter().all(|class| STATUSES.contains(class)));
        assert_eq!(STATUSES[STATUSES.len() - 4], 500);
    }
}
