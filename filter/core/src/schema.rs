//! JSON Schemas of what people write and read, made from the types themselves: what a type can't say is
//! in `patterns` and `relations`, beside the fields. For tools: the feature `schema` is not on in the module.

use std::borrow::Cow;

use schemars::generate::{Contract, SchemaSettings};
use schemars::transform::{transform_subschemas, Transform};
use schemars::{json_schema, JsonSchema, Schema, SchemaGenerator};
use serde_json::{json, Value};

use crate::base::time::UnixTime;
use crate::config::{Config, InlineBundle};
use crate::jose::keys::{Jwks, MAX_KEYS};
use crate::record::{DecisionRecord, StreamEnd, StreamRecord};

pub use crate::base::patterns::INSTANT;

/// What a value of this type may be written as.
pub fn written<T: JsonSchema>(title: &str) -> Value {
    of::<T>(title, Contract::Deserialize)
}

/// The configuration as the filter takes it.
pub fn configuration() -> Value {
    written::<Config>("The configuration of Everycall")
}

/// The parts of a bundle: the authority records, and the policies and data beside them.
pub fn bundle() -> Value {
    written::<InlineBundle>("The parts of an Everycall bundle")
}

/// The record of a decision as it comes out of the filter. What reads records takes older ones, too.
pub fn record() -> Value {
    of::<DecisionRecord>("The record of a decision of Everycall", Contract::Serialize)
}

/// The record of the end of a stream.
pub fn stream_record() -> Value {
    of::<StreamRecord>("The record of the end of a stream of Everycall", Contract::Serialize)
}

fn of<T: JsonSchema>(title: &str, contract: Contract) -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.contract = contract;
    let settings = settings.with_transform(Tidy);
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), json!(title));
    schema.to_value()
}

/// Takes out what says nothing: a default of null is absence, and the formats of Rust's integers are
/// known to nobody.
#[derive(Debug, Clone)]
struct Tidy;

impl Transform for Tidy {
    fn transform(&mut self, schema: &mut Schema) {
        if schema.get("default") == Some(&Value::Null) {
            schema.remove("default");
        }
        let format = schema.get("format").and_then(Value::as_str);
        if format.is_some_and(|format| format.starts_with("int") || format.starts_with("uint")) {
            schema.remove("format");
        }
        transform_subschemas(self, schema);
    }
}

/// Seconds since 1970, with fractions.
impl JsonSchema for UnixTime {
    fn schema_name() -> Cow<'static, str> {
        "UnixTime".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "number", "description": "Seconds since 1970-01-01T00:00:00Z, with fractions."})
    }
}

/// A reason, or `closed`.
impl JsonSchema for StreamEnd {
    fn schema_name() -> Cow<'static, str> {
        "StreamEnd".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string"})
    }
}

/// As [`Jwks`] reads it: unknown members are ignored, private ones are refused.
impl JsonSchema for Jwks {
    fn schema_name() -> Cow<'static, str> {
        "Jwks".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let text = json!({"type": ["string", "null"]});
        let private = json!({"type": "null", "description": "No private key belongs here."});
        json_schema!({
            "type": "object",
            "description": "A JWK set (RFC 7517 section 5): public keys only.",
            "required": ["keys"],
            "properties": {"keys": {"type": "array", "minItems": 1, "maxItems": MAX_KEYS, "items": {
                "type": "object",
                "required": ["kty"],
                "properties": {
                    "kty": {"enum": ["EC", "OKP", "RSA"]},
                    "kid": text, "alg": text, "use": text, "crv": text,
                    "n": text, "e": text, "x": text, "y": text,
                    "key_ops": {"type": ["array", "null"], "items": {"type": "string"}, "uniqueItems": true},
                    "d": private, "p": private, "q": private, "dp": private, "dq": private, "qi": private,
                    "oth": private, "k": private,
                },
            }}},
        })
    }
}
