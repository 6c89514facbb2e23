//! `/api/admin/payments/`: finding payments.

use std::ops::ControlFlow;

use super::lifecycle::Status;
use super::model::Payment;
use super::store::{BY_PROVIDER, BY_STATUS, OF_ORDER, PAYMENTS};
use crate::clock::Time;
use crate::http::{ApiError, Op, Req};
use crate::id::{OrderId, PaymentId};
use crate::page::{Matches, Page, Paged};
use crate::store::{Direction, Index, Key, ReadTx, Span, StoreError};

/// Which payments are wanted.
#[derive(Default)]
pub struct Filter {
    status: Option<Status>,
    provider: Option<String>,
    order: Option<OrderId>,
    created_after: Option<Time>,
    created_before: Option<Time>,
}

impl Filter {
    /// The parameters that it reads.
    pub fn described(op: Op) -> Op {
        op.query::<Status>("status", "Those of this status.")
            .query::<String>("provider", "Those of this gateway, or manual.")
            .query::<OrderId>("order", "Those of this order.")
            .query::<Time>("created_after", "Those begun then or later.")
            .query::<Time>("created_before", "Those begun before.")
    }

    pub fn of(req: &Req) -> Result<Filter, ApiError> {
        req.query.only(&[
            "page",
            "page_size",
            "status",
            "provider",
            "order",
            "created_after",
            "created_before",
        ])?;
        let id = |text: &str| text.parse::<OrderId>().ok();
        Ok(Filter {
            status: req.query.word("status")?,
            provider: req.query.get("provider").filter(|text| !text.is_empty()).map(str::to_owned),
            order: req.query.read("order", "must be an order's id", id)?,
            created_after: req.query.time("created_after")?,
            created_before: req.query.time("created_before")?,
        })
    }

    fn lets_through(&self, payment: &Payment) -> bool {
        self.status.is_none_or(|status| payment.status == status)
            && self.provider.as_ref().is_none_or(|provider| payment.provider == *provider)
            && self.order.is_none_or(|order| payment.order == order)
            && self.created_after.is_none_or(|after| payment.created_at >= after)
            && self.created_before.is_none_or(|before| payment.created_at < before)
    }

    /// How many conditions there are.
    fn count(&self) -> usize {
        let set = [
            self.status.is_some(),
            self.provider.is_some(),
            self.order.is_some(),
            self.created_after.is_some(),
            self.created_before.is_some(),
        ];
        set.into_iter().filter(|set| *set).count()
    }
}

/// One page of the payments that `filter` lets through, newest first. A single condition that an index knows is answered
/// by it alone; several are tried on the records of the narrowest index.
pub fn find(tx: &ReadTx, filter: &Filter, page: Page) -> Result<Paged<(PaymentId, Payment)>, StoreError> {
    match filter {
        _ if filter.count() == 0 => PAYMENTS.page(tx, page, Direction::Down),
        Filter { order: Some(order), .. } => within(tx, filter, page, &OF_ORDER, order),
        Filter { status: Some(status), .. } => {
            within(tx, filter, page, &BY_STATUS, &status.as_str().to_owned())
        }
        Filter { provider: Some(provider), .. } => within(tx, filter, page, &BY_PROVIDER, provider),
        _ => {
            let mut found = Matches::of(page);
            PAYMENTS.scan(tx, Span::all(Direction::Down), |id, payment| {
                if filter.lets_through(&payment) {
                    found.add((id, payment));
                }
                ControlFlow::Continue(())
            })?;
            Ok(found.done())
        }
    }
}

/// Those of them that an index has at one place.
fn within<I: Key>(
    tx: &ReadTx,
    filter: &Filter,
    page: Page,
    index: &Index<PaymentId, Payment, I>,
    at: &I,
) -> Result<Paged<(PaymentId, Payment)>, StoreError> {
    let span = Span::under(at.bytes(), Direction::Down);
    if filter.count() == 1 {
        return index.page(tx, span, page)?.try_map(|id| Ok((id, PAYMENTS.expect(tx, &id)?)));
    }
    let mut found = Matches::of(page);
    index.try_each(tx, span, |id| {
        let payment = PAYMENTS.expect(tx, &id)?;
        if filter.lets_through(&payment) {
            found.add((id, payment));
        }
        Ok::<_, StoreError>(())
    })?;
    Ok(found.done())
}
