//! Who may use an operation, as a room's table of routes says it. What holds is what the handler asks for; the tests hold
//! the one against the other.

use super::scope::Scope;
use crate::http::{Access, Op};

/// For whoever is logged in; no API token will do.
pub fn for_user(says: &'static str) -> Op {
    Op::new(Access::User(None), says)
}

/// For whoever is logged in, and for API tokens with this scope.
pub fn for_user_or_token(scope: Scope, says: &'static str) -> Op {
    Op::new(Access::User(Some(scope.as_str())), says)
}

/// For staff and administrators, and for API tokens with this scope.
pub fn for_staff(scope: Scope, says: &'static str) -> Op {
    Op::new(Access::Staff(scope.as_str()), says)
}

/// For administrators, and for API tokens with this scope.
pub fn for_admin(scope: Scope, says: &'static str) -> Op {
    Op::new(Access::Admin(scope.as_str()), says)
}
