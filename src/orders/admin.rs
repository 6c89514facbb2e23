//! `/api/admin/orders/`: seeing every order, for staff.

use std::ops::ControlFlow;
use std::str::FromStr;

use super::lifecycle::Status;
use super::model::{Order, PaymentStatus};
use super::ops;
use super::store::{BY_EMAIL, BY_PAYMENT_STATUS, BY_STATUS, ORDERS};
use super::view::OrderView;
use crate::accounts::{Email, Scope, for_staff};
use crate::clock::Time;
use crate::http::{Answer, ApiError, Op, Req, Routes, get, ok};
use crate::id::OrderId;
use crate::page::{Matches, Page, Paged};
use crate::store::{Direction, Key, ReadTx, Span, StoreError};
use crate::telemetry::aside;

pub fn routes() -> Routes {
    Routes::new()
        .at(
            "/api/admin/orders/",
            get(
                list,
                Filter::described(for_staff(Scope::OrdersRead, "All orders"))
                    .query::<ByTime>("ordering", "Newest first if nothing is said.")
                    .lists::<OrderView>(),
            ),
        )
        .at(
            "/api/admin/orders/{id}/",
            get(show, for_staff(Scope::OrdersRead, "Any order").gives::<OrderView>()),
        )
}

/// Oldest or newest first.
struct ByTime(Direction);

crate::words!(ByTime: ["created_at", "-created_at"]);

impl FromStr for ByTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "created_at" => Ok(ByTime(Direction::Up)),
            "-created_at" => Ok(ByTime(Direction::Down)),
            _ => Err("must be created_at or -created_at".into()),
        }
    }
}

/// Which orders are wanted.
pub struct Filter {
    status: Option<Status>,
    payment_status: Option<PaymentStatus>,
    email: Option<String>,
    /// In number, e-mail, names and SKUs; lower case.
    search: Option<String>,
    created_after: Option<Time>,
    created_before: Option<Time>,
    direction: Direction,
}

impl Filter {
    /// The parameters that it reads.
    pub fn described(op: Op) -> Op {
        op.query::<Status>("status", "Those of this status.")
            .query::<PaymentStatus>("payment_status", "Those whose payments and refunds come to this.")
            .query::<Email>("email", "Those of this customer.")
            .query::<String>("search", "Those with this in their number, e-mail address, names or SKUs.")
            .query::<Time>("created_after", "Those placed then or later.")
            .query::<Time>("created_before", "Those placed before.")
    }

    pub fn of(req: &Req) -> Result<Filter, ApiError> {
        Ok(Filter {
            status: req.query.word("status")?,
            payment_status: req.query.word("payment_status")?,
            email: req.query.word::<Email>("email")?.map(|email| email.to_string()),
            search: req.query.get("search").filter(|text| !text.is_empty()).map(str::to_lowercase),
            created_after: req.query.time("created_after")?,
            created_before: req.query.time("created_before")?,
            direction: req.query.word("ordering")?.map_or(Direction::Down, |ByTime(direction)| direction),
        })
    }

    pub fn lets_through(&self, order: &Order) -> bool {
        let has = |search: &String| {
            let texts = [order.number.as_str(), order.email.as_str(), order.shipping_address.name.as_str()];
            let lines =
                order.lines.iter().flat_map(|line| [Some(line.name.as_str()), line.sku.as_deref()]).flatten();
            texts.into_iter().chain(lines).any(|text| text.to_lowercase().contains(search.as_str()))
        };
        self.status.is_none_or(|status| order.status == status)
            && self.payment_status.is_none_or(|status| order.payment_status == status)
            && self.email.as_ref().is_none_or(|email| order.email.as_str() == email)
            && self.created_after.is_none_or(|after| order.created_at >= after)
            && self.created_before.is_none_or(|before| order.created_at < before)
            && self.search.as_ref().is_none_or(has)
    }

    /// Whether there is just one condition, or, where not `one`, none.
    fn is_only(&self, one: bool) -> bool {
        let set = [
            self.status.is_some(),
            self.payment_status.is_some(),
            self.email.is_some(),
            self.search.is_some(),
            self.created_after.is_some(),
            self.created_before.is_some(),
        ];
        set.into_iter().filter(|set| *set).count() == usize::from(one)
    }
}

async fn list(req: Req) -> Answer {
    req.staff(Scope::OrdersRead)?;
    let page = req.page()?;
    let filter = Filter::of(&req)?;
    // A search may read every order, so it is done off the async threads.
    let app = std::sync::Arc::clone(&req.app);
    let found = aside(move || app.store.read(|tx| find(tx, &filter, page)));
    let found = found.await.map_err(ApiError::internal)??;
    let views = found.try_map(|(id, order)| req.order_view(id, order))?;
    req.list(page, views)
}

/// One page of the orders that `filter` lets through. A single condition that an index knows is answered by it
/// alone; several are tried on the records of the narrowest index.
fn find(tx: &ReadTx, filter: &Filter, page: Page) -> Result<Paged<(OrderId, Order)>, StoreError> {
    if filter.is_only(false) {
        return ORDERS.page(tx, page, filter.direction);
    }
    let (index, at) = match (&filter.email, filter.payment_status, filter.status) {
        (Some(email), _, _) => (&BY_EMAIL, email.clone()),
        (None, Some(status), _) => (&BY_PAYMENT_STATUS, status.as_str().to_owned()),
        (None, None, Some(status)) => (&BY_STATUS, status.as_str().to_owned()),
        (None, None, None) => {
            let mut found = Matches::of(page);
            ORDERS.scan(tx, Span::all(filter.direction), |id, order| {
                if filter.lets_through(&order) {
                    found.add((id, order));
                }
                ControlFlow::Continue(())
            })?;
            return Ok(found.done());
        }
    };
    let span = Span::under(at.bytes(), filter.direction);
    if filter.is_only(true) {
        let keys = index.page(tx, span, page)?;
        let items = keys.items.into_iter().map(|id| Ok((id, ORDERS.expect(tx, &id)?)));
        return Ok(Paged { count: keys.count, items: items.collect::<Result<_, StoreError>>()? });
    }
    let mut found = Matches::of(page);
    index.try_each(tx, span, |id| {
        let order = ORDERS.expect(tx, &id)?;
        if filter.lets_through(&order) {
            found.add((id, order));
        }
        Ok::<_, StoreError>(())
    })?;
    Ok(found.done())
}

async fn show(req: Req, id: OrderId) -> Answer {
    req.staff(Scope::OrdersRead)?;
    let order = req.app.store.read(|tx| ops::get(tx, id))?;
    Ok(ok(&req.order_view(id, order)?))
}
