//! Texts, as regular expressions that ECMA-262 and Rust read alike. Each says what a function of the
//! resolver says; `tests/reference/schemas.rs` compares them. None can say all of it, such as no dot
//! segments: a schema may admit what the parser refuses, and never the other way round.

/// `is_label`.
pub(crate) const LABEL: &str = "^[A-Za-z0-9._-]{1,64}$";
/// Something besides blanks.
pub(crate) const NOT_BLANK: &str = r"\S";
/// `instant`: RFC 3339.
pub const INSTANT: &str =
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$";
/// `is_host`: of a server.
pub(crate) const HOST: &str = r#"^[!"$-.0->A-\[\]-~]+$"#;
/// `is_path`: of a server.
pub(crate) const PATH: &str = "^/[!-~]*$";
/// `is_plain_host`: of a grant.
pub(crate) const PLAIN_HOST: &str = r"^([a-z0-9_.-]*[a-z0-9_-]|\[[0-9a-f:.]+\])(:(\*|[1-9][0-9]{0,4}))?$";
/// Of a grant.
pub(crate) const METHOD: &str = "^[A-Z-]+$";
/// `grants::Template`.
pub(crate) const TEMPLATE: &str = concat!(
    r"^(\*|(/(\{[A-Za-z0-9_]+\}|[^/{}%\\#?]+))+",
    r"|(/(\{[A-Za-z0-9_]+\}|[^/{}%\\#?]+))*/(\{[A-Za-z0-9_]+\.\.\.\})?)$"
);
/// `token::Template`: of a caller's id.
pub(crate) const ID: &str = r"^[^{}]*\{[^{}]+\}([^{}]+\{[^{}]+\})*[^{}]*$";
/// `is_trust_domain`.
pub(crate) const TRUST_DOMAIN: &str = "^[a-z0-9._-]{1,255}$";
/// The SPIFFE ID of a workload.
pub(crate) const WORKLOAD: &str = "^spiffe://[a-z0-9._-]{1,255}(/[A-Za-z0-9._-]+)+$";
/// A SPIFFE ID with `/` behind it.
pub(crate) const BELOW: &str = "^spiffe://[a-z0-9._-]{1,255}(/[A-Za-z0-9._-]+)*/$";
/// The issuer that a trust domain is.
pub(crate) const SPIFFE_ISSUER: &str = "^spiffe://[a-z0-9._-]{1,255}$";
/// A header that a credential may stand in.
pub(crate) const CREDENTIAL_HEADER: &str = "^[A-Za-z0-9_-]{1,64}$";
/// An authentication scheme, or none.
pub(crate) const SCHEME: &str = "^[A-Za-z0-9-]*$";
/// A header that a decision point is told.
pub(crate) const HEADER: &str = "^[A-Za-z0-9._-]+$";
/// A CIDR range.
pub(crate) const RANGE: &str = "^([0-9.]+/[0-9]{1,2}|[0-9A-Fa-f:.]+/[0-9]{1,3})$";
/// `signals`: the name of a signal.
pub(crate) const SIGNAL: &str = "^[a-z][a-z0-9_]{0,63}$";
/// `is_api_key_id`.
pub(crate) const API_KEY_ID: &str = "^[a-z0-9-]{1,64}$";
/// At least 16 bytes in base64url.
pub(crate) const SALT: &str = "^[A-Za-z0-9_-]{22,}$";
/// SHA-256 in base64url.
pub(crate) const HASH: &str = "^[A-Za-z0-9_-]{43}$";
