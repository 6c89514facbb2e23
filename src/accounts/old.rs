//! Records as older versions wrote them.

use serde::{Deserialize, Serialize};

use super::model::{Email, Role, User};
use crate::address::Address;
use crate::clock::Time;

/// Before addresses were proven.
#[derive(Clone, Serialize, Deserialize)]
pub struct UserV1 {
    email: Email,
    name: String,
    role: Role,
    is_active: bool,
    password_hash: String,
    default_address: Option<Address>,
    created_at: Time,
    last_login_at: Option<Time>,
}

impl From<UserV1> for User {
    fn from(old: UserV1) -> User {
        User {
            email: old.email,
            name: old.name,
            role: old.role,
            is_active: old.is_active,
            password_hash: old.password_hash,
            default_address: old.default_address,
            created_at: old.created_at,
            last_login_at: old.last_login_at,
            verified_at: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Record, record};

    // As the table was declared before.
    record!(UserV1 as StoredUserV1: V1);

    #[test]
    fn a_user_of_the_first_version_is_read() {
        let old = UserV1 {
            email: "ann@example.com".parse().expect("an address"),
            name: "Ann".into(),
            role: Role::Staff,
            is_active: true,
            password_hash: "$argon2id$".into(),
            default_address: Some(Address { city: "Leeds".into(), ..Address::default() }),
            created_at: Time(1_800_000_000_000),
            last_login_at: Some(Time(1_800_000_000_001)),
        };
        let user = User::decode(&old.encode()).expect("it is read");
        assert_eq!(
            (user.email.as_str(), user.role, user.verified_at),
            ("ann@example.com", Role::Staff, None)
        );
        assert_eq!((user.created_at, user.last_login_at), (old.created_at, old.last_login_at));
        assert_eq!(user.default_address, old.default_address);
    }
}
