//! Idempotency keys: the outcome of a keyed act is stored in the act's own commit, and given again to whoever
//! comes with the same key within a day (Stripe's convention).

use std::ops::ControlFlow;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::codec::{decode, encode, record};
use super::{Direction, Index, Reads, Span, Store, StoreError, Table, WriteTx};
use crate::clock::Time;

/// How long a key is remembered.
const KEPT: Duration = Duration::from_hours(24);

/// Who asked for what under which key, and a digest of what they sent with it.
#[derive(Clone, Debug)]
pub struct OnceKey {
    /// User, method, path and key, in one string.
    pub scope: String,
    pub body: [u8; 32],
    /// What that digest may have been, when it is made otherwise now.
    pub earlier: Vec<[u8; 32]>,
}

/// An outcome, and whether it is one given before.
pub enum Once<T> {
    Fresh(T),
    Replayed(T),
}

/// The key was used before, with another body.
#[derive(Debug)]
pub struct KeyReused;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Remembered {
    body: [u8; 32],
    at: Time,
    outcome: Outcome,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Outcome {
    /// The encoded answer.
    Done(Vec<u8>),
    /// The attempt that this key began: the same key goes on with it.
    Began(u64),
}

record!(Remembered as StoredRemembered: V1);

static BY_AGE: Index<String, Remembered, Time> = Index::list("once.by_age", |r| vec![r.at]);
pub(crate) static ONCE: Table<String, Remembered> = Table::new("once", &[&BY_AGE]);

/// What is known of a key.
pub enum Seen<T> {
    New,
    Done(T),
    /// The payment, refund or import that it began.
    Began(u64),
}

impl OnceKey {
    /// What became of this key before.
    pub fn seen<T: DeserializeOwned>(
        &self,
        tx: &impl Reads,
    ) -> Result<Result<Seen<T>, KeyReused>, StoreError> {
        let Some(known) = ONCE.get(tx, &self.scope)?.filter(|known| known.at.plus(KEPT) > tx.now()) else {
            return Ok(Ok(Seen::New));
        };
        if known.body != self.body && !self.earlier.contains(&known.body) {
            return Ok(Err(KeyReused));
        }
        match known.outcome {
            Outcome::Began(id) => Ok(Ok(Seen::Began(id))),
            Outcome::Done(bytes) => match decode(&bytes) {
                Some(outcome) => Ok(Ok(Seen::Done(outcome))),
                None => Err(StoreError::corrupt("once", "a stored answer does not decode")),
            },
        }
    }

    /// Stores the answer, in the commit of what it answers.
    pub fn done(&self, tx: &mut WriteTx, outcome: &impl Serialize) -> Result<(), StoreError> {
        self.remember(tx, Outcome::Done(encode(outcome)))
    }

    /// Points the key at the attempt it begins.
    pub fn began(&self, tx: &mut WriteTx, id: u64) -> Result<(), StoreError> {
        self.remember(tx, Outcome::Began(id))
    }

    fn remember(&self, tx: &mut WriteTx, outcome: Outcome) -> Result<(), StoreError> {
        let known = Remembered { body: self.body, at: tx.now(), outcome };
        ONCE.put(tx, &self.scope, &known)
    }
}

impl Store {
    /// [`Store::write`], at most once per key. A refusal is not stored: it may be tried again.
    pub async fn write_once<T, E>(
        &self,
        key: Option<OnceKey>,
        act: impl Fn(&mut WriteTx) -> Result<T, E> + Send + 'static,
    ) -> Result<Once<T>, E>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
        E: From<StoreError> + From<KeyReused> + Send + 'static,
    {
        let Some(key) = key else { return self.write(act).await.map(Once::Fresh) };
        self.write(move |tx| match key.seen(tx)?? {
            Seen::Done(outcome) => Ok(Once::Replayed(outcome)),
            Seen::New | Seen::Began(_) => {
                let outcome = act(tx)?;
                key.done(tx, &outcome)?;
                Ok(Once::Fresh(outcome))
            }
        })
        .await
    }
}

/// The keys whose stored answer has these bytes in it.
pub(crate) fn answers_with(tx: &impl Reads, part: &[u8]) -> Result<Vec<String>, StoreError> {
    let finder = memchr::memmem::Finder::new(part);
    let mut found = Vec::new();
    ONCE.each(tx, |scope, known| {
        if matches!(&known.outcome, Outcome::Done(bytes) if finder.find(bytes).is_some()) {
            found.push(scope);
        }
    })?;
    Ok(found)
}

/// Puts another answer in the place of a key's stored one. The key stays: what it did is not done again.
pub(crate) fn replace_answer<T: Serialize + DeserializeOwned>(
    tx: &mut WriteTx,
    scope: &str,
    replace: impl Fn(T) -> T,
) -> Result<(), StoreError> {
    let scope = scope.to_owned();
    let Some(mut known) = ONCE.get(tx, &scope)? else { return Ok(()) };
    if let Outcome::Done(bytes) = &known.outcome {
        let answer =
            decode(bytes).ok_or_else(|| StoreError::corrupt("once", "a stored answer does not decode"))?;
        known.outcome = Outcome::Done(encode(&replace(answer)));
        ONCE.put(tx, &scope, &known)?;
    }
    Ok(())
}

/// Forgets all keys of one who asks.
pub(crate) fn forget_answers_of(tx: &mut WriteTx, who: &str) -> Result<(), StoreError> {
    let mut prefix = who.as_bytes().to_vec();
    prefix.push(b' ');
    let mut own = Vec::new();
    ONCE.scan(tx, Span::under(prefix, Direction::Up), |scope, _| {
        own.push(scope);
        ControlFlow::Continue(())
    })?;
    for scope in own {
        ONCE.delete(tx, &scope)?;
    }
    Ok(())
}

/// Forgets at most `limit` keys that are older than a day; how many.
pub(crate) fn forget(tx: &mut WriteTx, limit: usize) -> Result<usize, StoreError> {
    let end = tx.now().minus(KEPT);
    let old = BY_AGE.below(tx, &end, limit)?;
    for scope in &old {
        ONCE.delete(tx, scope)?;
    }
    Ok(old.len())
}
