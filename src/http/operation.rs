//! What is said of an operation: who may use it, what it takes, and every answer it gives. It stands beside its handler
//! in a room's table of routes, and is what the API's description is made from.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use super::input::{Input, body_schema};
use super::pipe::LINES;
use crate::described::Described;

/// The codes of requests whose body can't be taken.
const BODY: &[(u16, &str)] = &[
    (400, "malformed_json"),
    (400, "body_incomplete"),
    (408, "body_timeout"),
    (413, "body_too_large"),
    (415, "unsupported_media_type"),
    (422, "validation_error"),
];

/// Who may use an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody, and nobody is asked who they are.
    Everybody,
    /// Everybody; some, who say who they are, see more.
    Anybody,
    /// Whoever is logged in; an API token with the scope, where one is named.
    User(Option<&'static str>),
    Staff(&'static str),
    Admin(&'static str),
}

/// An operation, described.
#[derive(Clone)]
pub struct Op {
    pub(super) access: Access,
    pub(super) says: &'static str,
    pub(super) more: &'static str,
    pub(super) params: Vec<Param>,
    pub(super) body: Option<Taken>,
    pub(super) answers: Vec<Given>,
    pub(super) refusals: Vec<(u16, &'static str)>,
    pub(super) is_once: bool,
    pub(super) has_link: bool,
}

/// A parameter of the query, or a header.
#[derive(Clone)]
pub(super) struct Param {
    pub name: &'static str,
    pub place: &'static str,
    pub says: &'static str,
    pub schema: fn() -> Value,
    /// It may be given more than once.
    pub is_many: bool,
}

/// A request's body.
#[derive(Clone)]
pub(super) struct Taken {
    pub media_types: &'static [&'static str],
    pub is_required: bool,
    /// Of what is JSON.
    pub schema: Option<fn() -> Value>,
}

/// An answer that is no refusal.
#[derive(Clone)]
pub(super) struct Given {
    pub status: u16,
    pub says: &'static str,
    pub json: Option<fn(&mut SchemaGenerator) -> Schema>,
    /// Beside or in the place of JSON.
    pub files: &'static [&'static str],
    pub is_list: bool,
    pub headers: Vec<&'static str>,
}

/// An operation that is everybody's, and asks nobody who they are.
pub fn for_everybody(says: &'static str) -> Op {
    Op::new(Access::Everybody, says)
}

impl Op {
    /// An operation that does what `says` says, in a few words.
    pub fn new(access: Access, says: &'static str) -> Op {
        let refusals: &[_] = match access {
            Access::Everybody | Access::Anybody => &[],
            _ => &[
                (401, "not_authenticated"),
                (401, "token_invalid"),
                (401, "token_expired"),
                (403, "permission_denied"),
            ],
        };
        Op {
            access,
            says,
            more: "",
            params: Vec::new(),
            body: None,
            answers: Vec::new(),
            refusals: refusals.to_vec(),
            is_once: false,
            has_link: false,
        }
    }

    /// Staff, who say who they are, see more.
    pub fn tells_staff_more(mut self) -> Op {
        self.access = Access::Anybody;
        self.refuses(&[(401, "token_invalid"), (401, "token_expired")])
    }

    /// Whoever has a link to it that the shop signed may use it, too.
    pub fn or_by_link(mut self) -> Op {
        self.has_link = true;
        self
    }

    /// What there is to know beyond that, in whole sentences.
    pub fn more(mut self, more: &'static str) -> Op {
        self.more = more;
        self
    }

    /// It takes a JSON body.
    pub fn takes<T: Input>(self) -> Op {
        self.body_of::<T>(true)
    }

    /// It takes a JSON body, which may be left out.
    pub fn may_take<T: Input>(self) -> Op {
        self.body_of::<T>(false)
    }

    /// It takes JSON that is not the shop's to describe, as it is.
    pub fn takes_foreign_json(mut self) -> Op {
        let schema = || serde_json::json!({"type": "object"});
        self.body =
            Some(Taken { media_types: &["application/json"], is_required: true, schema: Some(schema) });
        self.refuses(&[(400, "body_incomplete"), (408, "body_timeout"), (413, "body_too_large")])
    }

    fn body_of<T: Input>(mut self, is_required: bool) -> Op {
        self.body =
            Some(Taken { media_types: &["application/json"], is_required, schema: Some(body_schema::<T>) });
        self.refuses(BODY)
    }

    /// It takes a body of one of these media types, as it is.
    pub fn takes_file(mut self, media_types: &'static [&'static str]) -> Op {
        self.body = Some(Taken { media_types, is_required: true, schema: None });
        self.refuses(BODY)
    }

    /// It takes a parameter in the query.
    pub fn query<T: Described>(self, name: &'static str, says: &'static str) -> Op {
        self.param(Param { name, place: "query", says, schema: T::schema, is_many: false })
            .refuses(&[(422, "validation_error")])
    }

    /// It takes a parameter in the query as often as one likes.
    pub fn query_each<T: Described>(self, name: &'static str, says: &'static str) -> Op {
        self.param(Param { name, place: "query", says, schema: T::schema, is_many: true })
            .refuses(&[(422, "validation_error")])
    }

    /// It looks at a header.
    pub fn looks_at(self, name: &'static str, says: &'static str) -> Op {
        self.param(Param { name, place: "header", says, schema: String::schema, is_many: false })
    }

    fn param(mut self, param: Param) -> Op {
        self.params.push(param);
        self
    }

    /// It answers 200 with JSON.
    pub fn gives<T: JsonSchema>(self) -> Op {
        self.answers::<T>(200, "Done.")
    }

    /// It answers 201 with JSON, and where what was made is.
    pub fn creates<T: JsonSchema>(self) -> Op {
        self.answers::<T>(201, "Made.").with_headers(&["Location"])
    }

    /// It answers with JSON under this status.
    pub fn answers<T: JsonSchema>(self, status: u16, says: &'static str) -> Op {
        self.given(Given {
            status,
            says,
            json: Some(SchemaGenerator::subschema_for::<T>),
            files: &[],
            is_list: false,
            headers: Vec::new(),
        })
    }

    /// It answers with one page of a list.
    pub fn lists<T: JsonSchema>(self) -> Op {
        self.given(Given {
            status: 200,
            says: "A page of the list.",
            json: Some(SchemaGenerator::subschema_for::<T>),
            files: &[],
            is_list: true,
            headers: Vec::new(),
        })
        .pages()
    }

    /// It takes which page of a list is wanted.
    pub fn pages(self) -> Op {
        self.param(Param {
            name: "page",
            place: "query",
            says: "From 1.",
            schema: || serde_json::json!({"type": "integer", "minimum": 1, "maximum": 1_u64 << 40, "default": 1}),
            is_many: false,
        })
        .param(Param {
            name: "page_size",
            place: "query",
            says: "How many a page has.",
            schema: || serde_json::json!({"type": "integer", "minimum": 1, "maximum": 100, "default": 20}),
            is_many: false,
        })
        .refuses(&[(404, "page_not_found"), (422, "validation_error")])
    }

    /// It answers 204, or with this status, and without a body.
    pub fn gives_nothing(self, status: u16) -> Op {
        let given =
            Given { status, says: "Done.", json: None, files: &[], is_list: false, headers: Vec::new() };
        self.given(given)
    }

    /// It answers 200 with a file of one of these media types; beside JSON, if that was said before.
    pub fn gives_files(mut self, files: &'static [&'static str]) -> Op {
        match self.answers.iter_mut().find(|given| given.status == 200) {
            Some(given) => given.files = files,
            None => {
                let given = Given {
                    status: 200,
                    says: "The file.",
                    json: None,
                    files,
                    is_list: false,
                    headers: Vec::new(),
                };
                self.answers.push(given);
            }
        }
        self
    }

    /// To whoever accepts JSON lines it tells how far it is; the last line is the answer.
    pub fn tells(self) -> Op {
        self.gives_files(&[LINES])
    }

    fn given(mut self, given: Given) -> Op {
        self.answers.push(given);
        self
    }

    /// The last answer that was said has these headers.
    pub fn with_headers(mut self, names: &[&'static str]) -> Op {
        if let Some(given) = self.answers.last_mut() {
            given.headers.extend(names);
        }
        self
    }

    /// The last answer that was said has an `ETag`; what is the same still is answered 304.
    pub fn tagged(self) -> Op {
        let op = self.with_headers(&["ETag"]);
        let is_read = op.body.is_none() && op.answers.last().is_some_and(|given| given.status == 200);
        if !is_read {
            return op;
        }
        op.looks_at("If-None-Match", "ETags that the client has: 304 if one is still right.")
            .gives_nothing(304)
            .with_headers(&["ETag"])
    }

    /// It is done only to the version that `If-Match` names.
    pub fn if_match(self) -> Op {
        self.looks_at(
            "If-Match",
            "The ETag of the version that is to be changed: 412 if it is another by now.",
        )
        .refuses(&[(412, "version_conflict")])
    }

    /// It is done once per `Idempotency-Key`.
    pub fn once(mut self) -> Op {
        self.is_once = true;
        self.param(Param {
            name: "Idempotency-Key",
            place: "header",
            says: "The same key and body again within 24 hours give the same answer again, and do nothing.",
            schema: || serde_json::json!({"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}),
            is_many: false,
        })
        .refuses(&[(409, "idempotency_in_progress"), (410, "answer_erased"), (422, "idempotency_key_reused"), (422, "validation_error")])
    }

    /// Status and code of each refusal of its own.
    pub fn refuses(mut self, refusals: &[(u16, &'static str)]) -> Op {
        for refusal in refusals {
            if !self.refusals.contains(refusal) {
                self.refusals.push(*refusal);
            }
        }
        self
    }
}
