//! Tables of promotions.

use super::model::{Code, Coupon, Use};
use crate::clock::Time;
use crate::id::UserId;
use crate::store::{Index, Table, record};

record!(Coupon as StoredCoupon: V1);
record!(Use as StoredUse: V1);

/// By whether they are archived, and when they were made.
pub static BY_AGE: Index<Code, Coupon, (u8, Time)> =
    Index::list("coupons.by_age", |coupon| vec![(u8::from(coupon.archived_at.is_some()), coupon.created_at)]);
pub static COUPONS: Table<Code, Coupon> = Table::new("coupons", &[&BY_AGE]);

/// Who used a coupon how often.
pub static BY_TIMES: Index<(Code, UserId), Use, (Code, u64)> =
    Index::list("coupon_uses.by_times", |one| vec![(one.coupon.clone(), one.times)]);
/// Those who did not use it have no row.
pub static USES: Table<(Code, UserId), Use> = Table::new("coupon_uses", &[&BY_TIMES]);
