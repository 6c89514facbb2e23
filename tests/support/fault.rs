//! Accidents that a test puts in a fake gateway's way.

use std::collections::VecDeque;

/// What happens to the next call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: this call goes well.
    None,
    /// The gateway answers this error before it did anything, and forgets about it.
    Status(u16),
    /// The gateway answers this error, whether or not it did what it was asked, and answers the same
    /// when the idempotency key comes again.
    StoredStatus { status: u16, effect: bool },
    /// Headers for the error that follows in the queue.
    Headers(Vec<(String, String)>),
}

/// Takes what happens to one call off the queue, with the headers that were put before it.
pub fn next(faults: &mut VecDeque<Fault>) -> (Fault, Vec<(String, String)>) {
    let mut headers = Vec::new();
    loop {
        match faults.pop_front() {
            Some(Fault::Headers(more)) => headers.extend(more),
            Some(fault) => return (fault, headers),
            None => return (Fault::None, headers),
        }
    }
}
