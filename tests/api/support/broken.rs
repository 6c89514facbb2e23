//! A gateway with a bug.

use async_trait::async_trait;
use till::payments::gateway::{Charge, Gateway, GatewayError, Intent, Mode, Return, Returned};

/// It panics, with these words, when it is to take money.
pub struct Broken(pub &'static str);

#[async_trait]
impl Gateway for Broken {
    fn provider(&self) -> &'static str {
        "broken"
    }

    fn mode(&self) -> Mode {
        Mode::Test
    }

    async fn create(&self, _: &Charge) -> Result<Intent, GatewayError> {
        panic!("{}", self.0)
    }

    async fn fetch(&self, _: &str) -> Result<Intent, GatewayError> {
        unreachable!("nothing was made")
    }

    async fn cancel(&self, _: &str, _: &str) -> Result<Intent, GatewayError> {
        unreachable!("nothing was made")
    }

    async fn refund(&self, _: &Return) -> Result<Returned, GatewayError> {
        unreachable!("nothing was made")
    }

    async fn refunds(&self, _: &str) -> Result<Vec<Returned>, GatewayError> {
        unreachable!("nothing was made")
    }
}
