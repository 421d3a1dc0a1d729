//! JSON Schemas of what cases may write in more than one way, made of the types that read it.

use std::borrow::Cow;

use everycall_core::Algorithm;
use schemars::{json_schema, JsonSchema, Schema, SchemaGenerator};
use serde_json::json;

use super::redate::Instant;
use super::token::KeyName;

/// The schema of a type that is written as one of others.
macro_rules! schema_of {
    ($type:ident, $description:literal, $($form:ty),+) => {
        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                false
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let forms = [$(generator.subschema_for::<$form>()),+];
                schemars::json_schema!({"description": $description, "anyOf": forms})
            }
        }
    };
}
pub(crate) use schema_of;

impl JsonSchema for Instant {
    fn schema_name() -> Cow<'static, str> {
        "Instant".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "description": "An instant of RFC 3339.", "pattern": everycall_core::schema::INSTANT})
    }
}

impl JsonSchema for KeyName {
    fn schema_name() -> Cow<'static, str> {
        "KeyName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names = Algorithm::ALL.map(|algorithm| algorithm.as_str().to_ascii_lowercase());
        json_schema!({"description": "A test key, by its algorithm.", "enum": names})
    }
}

/// `raw` stands instead of everything else but `scheme`; other tokens need an issuer and `sub`.
pub(super) fn token(schema: &mut Schema) {
    let none = json!({"type": "null"});
    let raw = json!({"required": ["raw"], "properties": {
        "raw": {"type": "string"}, "claims": {"maxProperties": 0}, "header": {"maxProperties": 0},
        "issuer": none, "key": none, "sign": none, "bind": none,
    }});
    let signed = json!({"required": ["issuer", "claims"], "properties": {
        "raw": none, "issuer": {"type": "string"}, "claims": {"required": ["sub"]},
    }});
    schema.insert("anyOf".to_owned(), json!([raw, signed]));
}
