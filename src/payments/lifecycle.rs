//! The life of a payment attempt, and what payments and refunds make of an order. No status is assigned
//! anywhere else.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::model::{Dispute, Payment, Refund, Stand};
use crate::money::Money;
use crate::orders::{PaymentStatus, RefundStatus};

/// How an attempt to pay stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    RequiresPayment,
    RequiresAction,
    Processing,
    Succeeded,
    Failed,
    Canceled,
}

use Status::{Canceled, Failed, Processing, RequiresAction, RequiresPayment, Succeeded};

impl Status {
    pub const ALL: [Status; 6] = [RequiresPayment, RequiresAction, Processing, Succeeded, Failed, Canceled];

    /// Whether the gateway has said its last word.
    pub fn is_final(self) -> bool {
        matches!(self, Succeeded | Failed | Canceled)
    }

    /// What this attempt is after the gateway's object was seen to be `said`; `None` if that is no news. Final
    /// states stay, but for money that came after all: it was captured, so it must be accounted for.
    pub fn after(self, said: Status) -> Option<Status> {
        match (self, said) {
            (Failed | Canceled, Succeeded) => Some(Succeeded),
            (from, _) if from.is_final() => None,
            (from, to) if from == to => None,
            (_, to) => Some(to),
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            RequiresPayment => "requires_payment",
            RequiresAction => "requires_action",
            Processing => "processing",
            Succeeded => "succeeded",
            Failed => "failed",
            Canceled => "canceled",
        }
    }
}

/// Where a refund goes after the gateway's object was seen to be `said`; `None` if that is no news.
pub fn refund_after(from: RefundStatus, said: RefundStatus) -> Option<RefundStatus> {
    match (from, said) {
        (RefundStatus::Pending, RefundStatus::Succeeded | RefundStatus::Failed)
        // A bank may send back what the gateway had called done.
        | (RefundStatus::Succeeded, RefundStatus::Failed)
        // A gateway may have done what it seemed to refuse.
        | (RefundStatus::Failed, RefundStatus::Succeeded) => Some(said),
        _ => None,
    }
}

crate::words!(Status: Status::ALL.map(Status::as_str));

impl FromStr for Status {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Status::ALL.into_iter().find(|status| status.as_str() == text);
        found.ok_or_else(|| {
            "must be requires_payment, requires_action, processing, succeeded, failed or canceled".to_owned()
        })
    }
}

/// An order's payment status, from its payments (oldest first), refunds and disputes. Money that came on top of
/// what the order cost is not the order's.
pub fn derive(total: Money, payments: &[Payment], refunds: &[Refund], disputes: &[Dispute]) -> PaymentStatus {
    if disputes.iter().any(|dispute| dispute.stand == Stand::Open) {
        return PaymentStatus::Disputed;
    }
    let own = || payments.iter().filter(|payment| !payment.is_surplus);
    let captured: i64 = own().map(|payment| payment.captured.minor).sum();
    let refunded: i64 = refunds
        .iter()
        .filter(|refund| !refund.is_surplus && refund.status == RefundStatus::Succeeded)
        .map(|refund| refund.amount.minor)
        .sum();
    if refunded > 0 && refunded >= captured {
        PaymentStatus::Refunded
    } else if refunded > 0 {
        PaymentStatus::PartiallyRefunded
    } else if captured >= total.minor {
        PaymentStatus::Paid
    } else if own().any(|payment| payment.status == Processing) {
        PaymentStatus::Processing
    } else if own().all(|payment| payment.status.is_final())
        && own().next_back().is_some_and(|p| p.status == Failed)
    {
        PaymentStatus::Failed
    } else {
        PaymentStatus::Unpaid
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
            let to: Vec<_> =
                Status::ALL.into_iter().filter_map(|said| from.after(said)).map(Status::as_str).collect();
            writeln!(table, "{}: {}", from.as_str(), to.join(" ")).expect("strings take all");
        }
        assert_eq!(
            table,
            "requires_payment: requires_action processing succeeded failed canceled\n\
             requires_action: requires_payment processing succeeded failed canceled\n\
             processing: requires_payment requires_action succeeded failed canceled\n\
             succeeded: \n\
             failed: succeeded\n\
             canceled: succeeded\n"
        );
    }
}
