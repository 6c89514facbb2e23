//! What an API token may do: a part of the shop, and whether to look or to change as well.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! scopes {
    ($($name:ident = $text:literal, $says:literal;)+) => {
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        pub enum Scope {
            $(#[doc = $says] #[serde(rename = $text)] $name),+
        }

        impl Scope {
            /// Every scope, and what it is good for.
            pub const EACH: &[(Scope, &str)] = &[$((Scope::$name, $says)),+];

            pub fn as_str(self) -> &'static str {
                match self {
                    $(Scope::$name => $text),+
                }
            }
        }
    };
}

// Records hold a scope by its place here: new ones go to the end.
scopes! {
    All = "all", "everything, and what later versions add";
    ProductsRead = "products:read", "products, those not for sale too; export";
    ProductsWrite = "products:write", "create, change, archive and import products, and their stock with them";
    StockRead = "stock:read", "what is low, and the ledger";
    StockWrite = "stock:write", "adjust stock";
    OrdersRead = "orders:read", "every order; export";
    OrdersWrite = "orders:write", "move orders on, ship, cancel";
    PaymentsRead = "payments:read", "every payment";
    PaymentsWrite = "payments:write", "refund, end, reconcile, record money taken by hand";
    UsersRead = "users:read", "every account";
    UsersWrite = "users:write", "create and change customers; with all, staff too";
    TokensRead = "tokens:read", "the API tokens, without their secrets";
    TokensWrite = "tokens:write", "make tokens of no more than its own scopes, and revoke any";
    ShopRead = "shop:read", "figures, and the check of the data";
    CouponsRead = "coupons:read", "coupons, and how often they were used";
    CouponsWrite = "coupons:write", "create, change and disable coupons";
    ReviewsWrite = "reviews:write", "hide, show and delete reviews";
    MailsRead = "mails:read", "mails that were sent or wait, without the links in them that are secrets";
    MailsWrite = "mails:write", "send mails again, and a trial mail";
    AuditRead = "audit:read", "the audit trail";
}

impl Scope {
    /// Whether somebody with this scope may do what `wanted` is for. Who may change may look.
    pub fn covers(self, wanted: Scope) -> bool {
        let looks = match self {
            Scope::ProductsWrite => Some(Scope::ProductsRead),
            Scope::StockWrite => Some(Scope::StockRead),
            Scope::OrdersWrite => Some(Scope::OrdersRead),
            Scope::PaymentsWrite => Some(Scope::PaymentsRead),
            Scope::UsersWrite => Some(Scope::UsersRead),
            Scope::TokensWrite => Some(Scope::TokensRead),
            Scope::CouponsWrite => Some(Scope::CouponsRead),
            Scope::MailsWrite => Some(Scope::MailsRead),
            _ => None,
        };
        self == wanted || self == Scope::All || looks == Some(wanted)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

crate::words!(Scope: Scope::EACH.iter().map(|(scope, _)| scope.as_str()).collect::<Vec<_>>());

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Scope::EACH.iter().map(|(scope, _)| *scope).find(|scope| scope.as_str() == text);
        found.ok_or_else(|| {
            let all: Vec<_> = Scope::EACH.iter().map(|(scope, _)| scope.as_str()).collect();
            format!("must be one of {}", all.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_change_may_look_and_no_more() {
        for (scope, _) in Scope::EACH {
            assert_eq!(scope.as_str().parse(), Ok(*scope));
            let covered = Scope::EACH.iter().filter(|(wanted, _)| scope.covers(*wanted)).count();
            let expected = match scope.as_str() {
                "all" => Scope::EACH.len(),
                "reviews:write" => 1,
                name if name.ends_with(":write") => 2,
                _ => 1,
            };
            assert_eq!(covered, expected, "{scope}");
        }
        assert!(Scope::OrdersWrite.covers(Scope::OrdersRead));
        assert!(!Scope::OrdersRead.covers(Scope::OrdersWrite));
    }
}
