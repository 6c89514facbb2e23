//! What many histories had in them.

use std::ops::AddAssign;

use super::disk::Doings;

macro_rules! tally {
    ($($name:ident: $says:literal),* $(,)?) => {
        #[derive(Clone, Copy, Debug, Default)]
        pub struct Tally {
            $(pub $name: u64),*
        }

        impl AddAssign for Tally {
            fn add_assign(&mut self, more: Tally) {
                $(self.$name += more.$name;)*
            }
        }

        impl Tally {
            /// Each figure and what it is of.
            pub fn figures(&self) -> Vec<(u64, &'static str)> {
                vec![$((self.$name, $says)),*]
            }
        }
    };
}

tally! {
    requests: "requests",
    events: "events",
    dashboard: "acts at a gateway's dashboard",
    tampered: "acts that no gateway does",
    late: "requests that came too late",
    refused: "refusals of a disk in trouble",
    replayed: "requests sent again",
    discounts: "orders with a coupon",
    spent: "coupons refused because they were used up",
    reviews: "reviews",
    mails: "mails",
    mails_again: "mails that were taken again",
    parcels: "parcels",
    imports: "imports",
    erased: "persons erased",
    compactions: "compactions",
    given_up: "compactions that came to nothing",
    leftovers: "files that these left behind",
    backups: "backups",
    unpacked: "backups unpacked",
    commits: "commits",
    crashes: "crashes",
    restarts: "restarts in good order",
    landed: "commits that were cut off and are there",
    lost: "writes lost or torn",
    faults: "disk faults",
    full: "writes to a full disk",
}

impl Tally {
    pub fn disk(&mut self, doings: &Doings) {
        self.faults += doings.faults;
        self.full += doings.full;
        self.lost += doings.lost;
    }

    pub fn said(&self) -> String {
        let said: Vec<_> = self.figures().iter().map(|(n, what)| format!("{n} {what}")).collect();
        said.join(", ")
    }
}
