//! Routes as data: a path, its verbs and their handlers.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;

use http::Method;
use serde_json::Value;

use super::operation::Op;
use super::reply::Answer;
use super::request::Req;
use crate::described::Described;

type Handler = Arc<dyn Fn(Req) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync>;

/// A function that answers a request, after the path's variable parts were read.
pub trait Handle<P>: Clone + Send + Sync + 'static {
    /// The schemas of the path's variable parts.
    fn parts() -> Vec<Value>;

    fn handle(self, req: Req) -> impl Future<Output = Answer> + Send;
}

impl<H, F> Handle<()> for H
where
    H: Fn(Req) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send,
{
    fn parts() -> Vec<Value> {
        Vec::new()
    }

    async fn handle(self, req: Req) -> Answer {
        self(req).await
    }
}

impl<H, F, A> Handle<(A,)> for H
where
    H: Fn(Req, A) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send,
    A: FromStr + Described + Send,
{
    fn parts() -> Vec<Value> {
        vec![A::schema()]
    }

    async fn handle(self, req: Req) -> Answer {
        let a = req.param(0)?;
        self(req, a).await
    }
}

impl<H, F, A, B> Handle<(A, B)> for H
where
    H: Fn(Req, A, B) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send,
    A: FromStr + Described + Send,
    B: FromStr + Described + Send,
{
    fn parts() -> Vec<Value> {
        vec![A::schema(), B::schema()]
    }

    async fn handle(self, req: Req) -> Answer {
        let (a, b) = (req.param(0)?, req.param(1)?);
        self(req, a, b).await
    }
}

/// A handler, and what is said of it.
#[derive(Clone)]
pub(super) struct Routed {
    pub handler: Handler,
    pub op: Op,
    /// The schemas of the path's variable parts.
    pub parts: fn() -> Vec<Value>,
}

/// The verbs of one path.
#[derive(Default, Clone)]
pub struct Verbs(BTreeMap<&'static str, Routed>);

macro_rules! verbs {
    ($($verb:ident = $name:literal),*) => {
        impl Verbs {$(
            pub fn $verb<P: 'static, H: Handle<P>>(mut self, handler: H, op: Op) -> Verbs {
                let handler = Arc::new(move |req| -> Pin<Box<dyn Future<Output = Answer> + Send>> {
                    Box::pin(handler.clone().handle(req))
                });
                self.0.insert($name, Routed { handler, op, parts: H::parts });
                self
            }
        )*}
        $(pub fn $verb<P: 'static, H: Handle<P>>(handler: H, op: Op) -> Verbs {
            Verbs::default().$verb(handler, op)
        })*
    };
}
verbs!(get = "GET", post = "POST", put = "PUT", patch = "PATCH", delete = "DELETE");

impl Verbs {
    /// The handler of a method; `HEAD` is answered as `GET`.
    pub(super) fn of(&self, method: &Method) -> Option<&Handler> {
        self.0.get(verb_of(method)).map(|routed| &routed.handler)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The how manyth is that of a method.
    pub(super) fn place(&self, method: &Method) -> Option<usize> {
        self.0.keys().position(|verb| *verb == verb_of(method))
    }

    /// The value of an `Allow` header.
    pub(super) fn allow(&self) -> String {
        let mut verbs: Vec<_> = self.0.keys().copied().collect();
        if verbs.contains(&"GET") {
            verbs.push("HEAD");
        }
        verbs.join(", ")
    }

    /// What each verb is routed to.
    pub(super) fn each(self) -> impl Iterator<Item = (&'static str, Routed)> {
        self.0.into_iter()
    }
}

/// The verb that a method is answered by.
pub(super) fn verb_of(method: &Method) -> &str {
    if method == Method::HEAD { "GET" } else { method.as_str() }
}

/// A room's table of routes.
#[derive(Default)]
pub struct Routes(BTreeMap<&'static str, Verbs>);

impl Routes {
    pub fn new() -> Routes {
        Routes::default()
    }

    /// Adds verbs to a path. Rooms may share a path, not a verb of it.
    pub fn at(mut self, path: &'static str, verbs: Verbs) -> Routes {
        self.add(path, verbs);
        self
    }

    fn add(&mut self, path: &'static str, verbs: Verbs) {
        let have = self.0.entry(path).or_default();
        for (verb, routed) in verbs.0 {
            assert!(have.0.insert(verb, routed).is_none(), "{verb} {path} is routed twice");
        }
    }

    pub fn and(mut self, others: Routes) -> Routes {
        for (path, verbs) in others.0 {
            self.add(path, verbs);
        }
        self
    }

    pub(super) fn into_iter(self) -> impl Iterator<Item = (&'static str, Verbs)> {
        self.0.into_iter()
    }
}
