//! Which members of `input` a rule set reads, found once when it is compiled. An input is a copy of a
//! prepared object in which the values are put: nothing is sorted, and no name is allocated.

use std::collections::{BTreeMap, BTreeSet};

use regorus::Value;

use crate::reads::Reads;

/// The members of one object that are read, in the order of their names.
pub(crate) struct Members<M> {
    /// Their names, with null for each.
    prepared: Value,
    each: Vec<M>,
}

impl<M: Copy> Members<M> {
    /// Those of `all` that are read below `path`.
    fn of(reads: &Reads, path: &[&str], all: &[(&str, M)]) -> Self {
        let read = |name: &str| reads.any(&[path, &[name]].concat());
        let members: BTreeMap<&str, M> = all.iter().copied().filter(|(name, _)| read(name)).collect();
        let names: BTreeMap<Value, Value> =
            members.keys().map(|name| (Value::from(*name), Value::Null)).collect();
        Self { prepared: Value::from(names), each: members.into_values().collect() }
    }

    /// The object. A member whose value is undefined is left out.
    pub(crate) fn object(&self, mut value: impl FnMut(M) -> Value) -> Value {
        let mut object = self.prepared.clone();
        if let Ok(members) = object.as_object_mut() {
            let mut complete = true;
            for ((_, place), member) in members.iter_mut().zip(&self.each) {
                *place = value(*member);
                complete &= *place != Value::Undefined;
            }
            if !complete {
                members.retain(|_, value| *value != Value::Undefined);
            }
        }
        object
    }
}

/// Members of `input`.
#[derive(Clone, Copy)]
pub(crate) enum Root {
    Clock,
    Connection,
    Elevation,
    Exception,
    Grant,
    Identity,
    Request,
    Signals,
    Time,
}

/// Members of `input.request`.
#[derive(Clone, Copy)]
pub(crate) enum OfRequest {
    Headers,
    Host,
    Id,
    Method,
    Path,
    Query,
    Scheme,
    Segments,
}

/// Members of `input.grant`.
#[derive(Clone, Copy)]
pub(crate) enum OfGrant {
    Id,
    Owner,
    Params,
    Purpose,
    Sensitivity,
    Source,
    Ticket,
}

/// Names that are read below one path.
pub(crate) enum Names {
    All,
    These(BTreeSet<String>),
}

impl Names {
    fn of(reads: &Reads, path: &[&str]) -> Self {
        match reads.names(path) {
            Some(names) => Self::These(names.into_iter().map(str::to_owned).collect()),
            None => Self::All,
        }
    }

    /// Whether this one is read.
    pub(crate) fn hold(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(names) => names.contains(name),
        }
    }

    pub(crate) fn are_none(&self) -> bool {
        matches!(self, Self::These(names) if names.is_empty())
    }
}

/// What a rule set reads.
pub(crate) struct Shape {
    pub(crate) root: Members<Root>,
    pub(crate) request: Members<OfRequest>,
    pub(crate) grant: Members<OfGrant>,
    pub(crate) headers: Names,
    pub(crate) query: Names,
    /// `input.identity.expires_in`: the one part of an identity that changes with every use.
    pub(crate) expires_in: bool,
    /// `input.connection.networks`.
    pub(crate) networks: bool,
}

impl Shape {
    pub(crate) fn of(reads: &Reads) -> Self {
        Self {
            root: Members::of(
                reads,
                &[],
                &[
                    ("clock", Root::Clock),
                    ("connection", Root::Connection),
                    ("elevation", Root::Elevation),
                    ("exception", Root::Exception),
                    ("grant", Root::Grant),
                    ("identity", Root::Identity),
                    ("request", Root::Request),
                    ("signals", Root::Signals),
                    ("time", Root::Time),
                ],
            ),
            request: Members::of(
                reads,
                &["request"],
                &[
                    ("headers", OfRequest::Headers),
                    ("host", OfRequest::Host),
                    ("id", OfRequest::Id),
                    ("method", OfRequest::Method),
                    ("path", OfRequest::Path),
                    ("query", OfRequest::Query),
                    ("scheme", OfRequest::Scheme),
                    ("segments", OfRequest::Segments),
                ],
            ),
            grant: Members::of(
                reads,
                &["grant"],
                &[
                    ("id", OfGrant::Id),
                    ("owner", OfGrant::Owner),
                    ("params", OfGrant::Params),
                    ("purpose", OfGrant::Purpose),
                    ("sensitivity", OfGrant::Sensitivity),
                    ("source", OfGrant::Source),
                    ("ticket", OfGrant::Ticket),
                ],
            ),
            headers: Names::of(reads, &["request", "headers"]),
            query: Names::of(reads, &["request", "query"]),
            expires_in: reads.any(&["identity", "expires_in"]),
            networks: reads.any(&["connection", "networks"]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(source: &str) -> Shape {
        Shape::of(&Reads::of("p", &BTreeMap::from([("p".to_owned(), vec![source])])))
    }

    fn names<M: Copy>(members: &Members<M>) -> String {
        let object = members.object(|_| Value::from(true));
        object.as_object().unwrap().keys().map(|name| name.as_string().unwrap().to_string() + " ").collect()
    }

    #[test]
    fn what_is_read_is_there_and_nothing_else() {
        let one = shape("x if input.request.method == \"GET\"; y := input.grant.id");
        assert_eq!(names(&one.root), "grant request ");
        assert_eq!((names(&one.request), names(&one.grant)), ("method ".into(), "id ".into()));
        assert!(!one.expires_in && !one.networks && one.headers.are_none() && one.query.are_none());
        assert!(!one.headers.hold("x-purpose"));
        let none = shape("x := 1");
        assert_eq!((names(&none.root), names(&none.request)), (String::new(), String::new()));
    }

    #[test]
    fn what_is_read_as_a_whole_is_there_as_a_whole() {
        let all = "clock connection elevation exception grant identity request signals time ";
        for source in ["x := input", "x := input[y]", "x := f(input)", "x if some y in input"] {
            let shape = shape(source);
            assert_eq!(names(&shape.root), all, "{source}");
            assert_eq!(names(&shape.request), "headers host id method path query scheme segments ");
            assert_eq!(names(&shape.grant), "id owner params purpose sensitivity source ticket ");
            assert!(shape.expires_in && shape.networks);
            assert!(shape.headers.hold("any") && shape.query.hold("any") && !shape.query.are_none());
        }
        let request = shape("import input.request as r\nx if not r[y]");
        assert_eq!(names(&request.request), "headers host id method path query scheme segments ");
        assert_eq!((names(&request.root), names(&request.grant)), ("request ".into(), String::new()));
        let header = shape("x if not input.request.headers[\"x-a\"]");
        assert!(header.headers.hold("x-a") && !header.headers.hold("x-b") && header.query.are_none());
        assert!(shape("x if input.identity").expires_in && !shape("x := input.identity.id").expires_in);
    }

    #[test]
    fn what_is_undefined_is_left_out_and_null_is_not() {
        let shape = shape("x := [input.time, input.clock, input.elevation]");
        let object = shape.root.object(|member| match member {
            Root::Clock => Value::Undefined,
            Root::Elevation => Value::Null,
            _ => Value::from(1),
        });
        let expected = serde_json::json!({"time": 1, "elevation": null});
        assert_eq!(object, Value::from(expected));
        assert_eq!(names(&shape.root), "clock elevation time ", "the prepared object stays as it was");
    }
}
