//! The payment gateways: keys, rights, and whether their webhooks lead here.

use std::sync::Arc;

use futures_util::future::join_all;

use super::not_asked;
use super::patient::Patient;
use crate::advice::{Advice, warning};
use crate::app::outside_gateways;
use crate::clock::{Clock, SystemClock};
use crate::payments::gateway::Mode;

pub async fn look(patient: &Patient) -> Vec<Advice> {
    let config = patient.config();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (gateways, _) = outside_gateways(config, "", &clock);
    if gateways.is_empty() && !config.payment_test_enabled {
        return vec![warning(
            "no payment gateway is configured, so nothing can be paid",
            "put the keys of Stripe or PayPal into the settings (payment.stripe, payment.paypal), or ask `till init`",
        )];
    }
    if patient.is_offline {
        return not_asked();
    }
    let url = patient.url.as_deref();
    let asked = join_all(gateways.iter().map(|gateway| gateway.examine(url, clock.now()))).await;
    let mut found = Vec::new();
    for (gateway, advice) in gateways.iter().zip(asked) {
        let named =
            |advice: Advice| Advice { says: format!("{}: {}", gateway.provider(), advice.says), ..advice };
        found.extend(advice.into_iter().map(named));
    }
    let modes: Vec<_> = gateways.iter().map(|gateway| gateway.mode()).collect();
    if modes.contains(&Mode::Live) && modes.contains(&Mode::Test) {
        found.push(warning(
            "one gateway is live and another in test mode: orders can be paid with no money at all",
            "put live keys into the settings for both",
        ));
    }
    found
}
