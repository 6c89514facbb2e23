//! Requests that run under an idempotency key right now. What they came to is the store's to remember.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::ApiError;

/// The keys in use by this process.
#[derive(Default, Clone)]
pub struct InFlights(Arc<Mutex<HashSet<String>>>);

/// A key in use; dropping it ends the use.
pub struct InFlight {
    scope: String,
    all: InFlights,
}

impl InFlights {
    pub fn has(&self, scope: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(scope)
    }

    /// # Errors
    /// 409 `idempotency_in_progress`.
    pub fn enter(&self, scope: &str) -> Result<InFlight, ApiError> {
        let entered = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(scope.to_owned());
        if entered {
            Ok(InFlight { scope: scope.to_owned(), all: self.clone() })
        } else {
            let detail = "A request with this Idempotency-Key is still running; ask again when it has ended.";
            Err(ApiError::new(409, "idempotency_in_progress", detail))
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.scope);
    }
}
