//! The builtins that programs call: what they take so that they don't fail, and what OPA is to ask before
//! it calls one that may.

mod failing;

use std::sync::OnceLock;

use Arg::{Any, ArrAny, ArrStr, Coll, Graph, List, Num, NumList, Obj, Of, SetSet, SetStr, Str};

pub use failing::FAILING;

/// What an argument is made of.
#[derive(Clone, Copy)]
pub enum Arg {
    Any,
    Num,
    Str,
    Coll,
    ArrAny,
    ArrStr,
    NumList,
    List,
    SetStr,
    SetSet,
    Obj,
    Graph,
    /// One of these texts.
    Of(&'static [&'static str]),
}

/// What a call makes.
#[derive(Clone, Copy, PartialEq)]
pub enum Out {
    Any,
    Num,
    Str,
    Bool,
    ArrAny,
    ArrStr,
    ArrNum,
    SetStr,
    SetAny,
    Obj,
}

/// A builtin.
pub struct Call {
    pub name: &'static str,
    pub arguments: &'static [Arg],
    pub out: Out,
    /// When it doesn't fail, of its arguments `a`, `b` and `c`; empty if it isn't called with what it may
    /// fail for.
    pub guard: &'static str,
}

impl Call {
    /// Whether policies may call it.
    pub fn is_offered(&self) -> bool {
        static OFFERED: OnceLock<Vec<&str>> = OnceLock::new();
        OFFERED.get_or_init(everycall_rego::offered_builtins).binary_search(&self.name).is_ok()
    }
}

const fn call(name: &'static str, arguments: &'static [Arg], out: Out, guard: &'static str) -> Call {
    Call { name, arguments, out, guard }
}

const INT: Arg = Of(&["0", "1", "2", "3", "5", "8", "-1"]);
const SMALL: Arg = Of(&["0", "1", "2", "3", "4"]);
const POSITIVE: Arg = Of(&["1", "2", "3", "7"]);
const TIME: Arg =
    Of(&["0", "1700000000000000000", "1709164800000000000", "951782400123456789", "-86400000000000"]);
const WORD: Arg = Of(&["\"a\"", "\"b\"", "\"/\"", "\".\"", "\"ad\"", "\"é\""]);
const REGEX: Arg = Of(&[
    "`^a`",
    "`[a-c]+`",
    "`^[a-z]+$`",
    "`\\d+`",
    "`\\bA\\b`",
    "`(a)(.)?`",
    "`^$`",
    "`.`",
    "`a|b`",
    "`(?i)get`",
    "`\\s`",
    "`\\pL`",
    "`x*`",
    "`^/a/[^/]+$`",
]);
const GLOB: Arg = Of(&[
    "\"*\"",
    "\"a*\"",
    "\"*.b.c\"",
    "\"**\"",
    "\"/a/*\"",
    "\"{alice,bob}\"",
    "\"[a-c]\"",
    "\"?\"",
    "\"a.*.c\"",
]);
const SEMVER: Arg = Of(&[
    "\"1.0.0\"",
    "\"1.2.3\"",
    "\"1.0.0-alpha\"",
    "\"1.0.0-alpha.1\"",
    "\"1.10.0\"",
    "\"2.0.0+build\"",
    "\"1.0.0-rc.2\"",
]);
const CIDR: Arg = Of(&[
    "\"10.0.0.0/8\"",
    "\"10.1.0.0/16\"",
    "\"0.0.0.0/0\"",
    "\"192.168.1.0/24\"",
    "\"fd00::/8\"",
    "\"10.1.2.3/32\"",
]);
const ADDRESS: Arg =
    Of(&["\"10.1.2.3\"", "\"192.168.1.7\"", "\"8.8.8.8\"", "\"fd00::1\"", "\"10.1.0.0/24\""]);
const BASE64: Arg = Of(&["\"YQ==\"", "\"\"", "\"YWJj\"", "\"w6k=\""]);
const BASE64URL: Arg = Of(&["\"YQ\"", "\"\"", "\"YWJj\"", "\"w6k\"", "\"YQ==\""]);
const HEX: Arg = Of(&["\"61\"", "\"\"", "\"616263\"", "\"c3a9\""]);
const JSON: Arg = Of(&[
    "`{\"a\": [1, 2.5, null]}`",
    "`[]`",
    "`\"x\"`",
    "`{\"b\": {\"c\": true}, \"a\": 1}`",
    "`null`",
    "`1e2`",
]);
const NUMBER_TEXT: Arg = Of(&["\"1\"", "\"-2.5\"", "\"1e3\"", "\"0\"", "\"007\"", "\"1.0\""]);
const PATHS: Arg = Of(&[
    "[\"a\"]",
    "[\"a/b\", \"bob\"]",
    "{\"alice\"}",
    "[[\"a\", \"b\"]]",
    "[]",
    "[\"admin\", \"dev\"]",
    "[\"a\", \"a/b\"]",
]);
const SEPARATORS: Arg = Of(&["[]", "[\".\"]", "[\"/\"]", "[\":\", \".\"]", "null"]);

const fn is2(name: &'static str, out: Out) -> Call {
    call(name, &[Str, Str], out, "is_string(a); is_string(b)")
}

/// What programs call.
pub const CALLS: &[Call] = &[
    call("count", &[Coll], Out::Num, "type_name(a) in {\"array\", \"object\", \"set\", \"string\"}"),
    call("sum", &[NumList], Out::Num, "type_name(a) in {\"array\", \"set\"}; every x in a { is_number(x) }"),
    call("product", &[NumList], Out::Num, "type_name(a) in {\"array\", \"set\"}; every x in a { is_number(x) }"),
    call("max", &[List], Out::Any, "type_name(a) in {\"array\", \"set\"}"),
    call("min", &[List], Out::Any, "type_name(a) in {\"array\", \"set\"}"),
    call("sort", &[List], Out::ArrAny, "type_name(a) in {\"array\", \"set\"}"),
    call("array.concat", &[ArrAny, ArrAny], Out::ArrAny, "is_array(a); is_array(b)"),
    call("array.slice", &[ArrAny, INT, INT], Out::ArrAny, "is_array(a)"),
    call("array.reverse", &[ArrAny], Out::ArrAny, "is_array(a)"),
    call("array.flatten", &[ArrAny], Out::ArrAny, "is_array(a)"),
    call("intersection", &[SetSet], Out::SetStr, ""),
    call("union", &[SetSet], Out::SetStr, ""),
    call("and", &[SetStr, SetStr], Out::SetStr, "is_set(a); is_set(b)"),
    call("or", &[SetStr, SetStr], Out::SetStr, "is_set(a); is_set(b)"),
    call("object.get", &[Obj, Str, Any], Out::Any, "is_object(a)"),
    call("object.get", &[Obj, Of(&["[\"a\"]", "[\"a\", \"b\"]", "[]"]), Any], Out::Any, "is_object(a)"),
    call("object.keys", &[Obj], Out::SetStr, "is_object(a)"),
    call("object.remove", &[Obj, ArrStr], Out::Obj, "is_object(a); is_array(b)"),
    call("object.remove", &[Obj, SetStr], Out::Obj, "is_object(a); is_set(b)"),
    call("object.filter", &[Obj, ArrStr], Out::Obj, "is_object(a); is_array(b)"),
    call("object.filter", &[Obj, SetStr], Out::Obj, "is_object(a); is_set(b)"),
    call("object.union", &[Obj, Obj], Out::Obj, "is_object(a); is_object(b)"),
    call("object.union_n", &[Of(&["[{\"a\": 1}, {\"a\": {\"b\": 2}}, {\"a\": {\"c\": 3}}]", "[]", "[{\"a\": 1}, {\"b\": 2}]"])], Out::Obj, ""),
    call("object.subset", &[Obj, Obj], Out::Bool, "is_object(a); is_object(b)"),
    call("object.subset", &[SetStr, SetStr], Out::Bool, "is_set(a); is_set(b)"),
    call("object.subset", &[ArrStr, ArrStr], Out::Bool, "is_array(a); is_array(b)"),
    call("json.filter", &[Obj, PATHS], Out::Obj, "is_object(a)"),
    call("json.remove", &[Obj, PATHS], Out::Obj, "is_object(a)"),
    call(
        "json.patch",
        &[
            Of(&["{\"a\": {\"b\": 1}, \"l\": [1, 2]}"]),
            Of(&[
                "[{\"op\": \"add\", \"path\": \"/c\", \"value\": 3}]",
                "[{\"op\": \"remove\", \"path\": \"/a/b\"}]",
                "[{\"op\": \"replace\", \"path\": \"/l/0\", \"value\": null}]",
                "[{\"op\": \"add\", \"path\": \"/l/-\", \"value\": 3}, {\"op\": \"test\", \"path\": \"/l/2\", \"value\": 3}]",
                "[{\"op\": \"move\", \"from\": \"/a\", \"path\": \"/d\"}]",
                "[{\"op\": \"copy\", \"from\": \"/l\", \"path\": [\"a\", \"e\"]}]",
            ]),
        ],
        Out::Obj,
        "",
    ),
    call("concat", &[WORD, ArrStr], Out::Str, "is_string(a); type_name(b) in {\"array\", \"set\"}; every x in b { is_string(x) }"),
    call("concat", &[WORD, SetStr], Out::Str, "is_string(a); type_name(b) in {\"array\", \"set\"}; every x in b { is_string(x) }"),
    is2("contains", Out::Bool),
    is2("startswith", Out::Bool),
    is2("endswith", Out::Bool),
    call("format_int", &[Num, Of(&["2", "8", "10", "16"])], Out::Str, "is_number(a)"),
    call("indexof", &[Str, WORD], Out::Num, "is_string(a)"),
    call("indexof_n", &[Str, WORD], Out::ArrNum, "is_string(a)"),
    call("lower", &[Str], Out::Str, "is_string(a)"),
    call("upper", &[Str], Out::Str, "is_string(a)"),
    call("replace", &[Str, Str, Str], Out::Str, "is_string(a); is_string(b); is_string(c)"),
    call("strings.replace_n", &[Of(&["{\"a\": \"1\", \"b\": \"2\"}", "{\"ad\": \"\", \"é\": \"e\"}"]), Str], Out::Str, "is_string(b)"),
    call("split", &[Str, Of(&["\"\"", "\"/\"", "\".\"", "\"a\""])], Out::ArrStr, "is_string(a)"),
    call("sprintf", &[Of(&["\"%v-%v\"", "\"%s %d\"", "\"%d\"", "\"%5v|\"", "\"%%\""]), ArrAny], Out::Str, "is_array(b)"),
    call("sprintf", &[Of(&["\"%d:%x\""]), Of(&["[10, 255]", "[1, 2]"])], Out::Str, ""),
    call("substring", &[Str, SMALL, INT], Out::Str, "is_string(a)"),
    is2("trim", Out::Str),
    is2("trim_left", Out::Str),
    is2("trim_right", Out::Str),
    is2("trim_prefix", Out::Str),
    is2("trim_suffix", Out::Str),
    call("trim_space", &[Str], Out::Str, "is_string(a)"),
    call("strings.reverse", &[Str], Out::Str, "is_string(a)"),
    is2("strings.count", Out::Num),
    call("strings.any_prefix_match", &[ArrStr, ArrStr], Out::Bool, "texts(a); texts(b)"),
    call("strings.any_prefix_match", &[Str, SetStr], Out::Bool, "texts(a); texts(b)"),
    call("strings.any_suffix_match", &[ArrStr, ArrStr], Out::Bool, "texts(a); texts(b)"),
    call("strings.any_suffix_match", &[Str, SetStr], Out::Bool, "texts(a); texts(b)"),
    call("regex.match", &[REGEX, Str], Out::Bool, "is_string(a); is_string(b); regex.is_valid(a)"),
    call("regex.is_valid", &[Of(&["\"a+\"", "\"[\"", "\"(\"", "\"\\\\d\"", "1"])], Out::Bool, ""),
    call("regex.split", &[REGEX, Str], Out::ArrStr, "is_string(b)"),
    call("regex.find_n", &[REGEX, Str, INT], Out::ArrStr, "is_string(b)"),
    call("regex.find_all_string_submatch_n", &[REGEX, Str, INT], Out::ArrAny, "is_string(b)"),
    call("regex.replace", &[Str, REGEX, Of(&["\"-\"", "\"<$1>\"", "\"$0$0\"", "\"\""])], Out::Str, "is_string(a)"),
    call("regex.template_match", &[Of(&["\"urn:{[a-z]+}:b\"", "\"{.*}\"", "\"a{b?}c\""]), Str, Of(&["\"{\""]), Of(&["\"}\""])], Out::Bool, ""),
    call("glob.match", &[GLOB, SEPARATORS, Str], Out::Bool, "is_string(c)"),
    call("glob.quote_meta", &[Of(&["\"*.com\"", "\"a\"", "\"[x]{y}?\""])], Out::Str, ""),
    call("abs", &[Num], Out::Num, "is_number(a)"),
    call("ceil", &[Num], Out::Num, "is_number(a)"),
    call("floor", &[Num], Out::Num, "is_number(a)"),
    call("round", &[Num], Out::Num, "is_number(a)"),
    call("numbers.range", &[INT, INT], Out::ArrNum, ""),
    call("numbers.range_step", &[INT, INT, POSITIVE], Out::ArrNum, ""),
    call("plus", &[Num, Num], Out::Num, "is_number(a); is_number(b)"),
    call("minus", &[Num, Num], Out::Num, "is_number(a); is_number(b)"),
    call("mul", &[Num, Num], Out::Num, "is_number(a); is_number(b)"),
    call("div", &[Num, POSITIVE], Out::Num, "is_number(a); is_number(b); b != 0"),
    call("rem", &[INT, POSITIVE], Out::Num, ""),
    call("bits.and", &[INT, INT], Out::Num, ""),
    call("bits.or", &[INT, INT], Out::Num, ""),
    call("bits.xor", &[INT, INT], Out::Num, ""),
    call("bits.negate", &[INT], Out::Num, ""),
    call("bits.lsh", &[INT, SMALL], Out::Num, ""),
    call("bits.rsh", &[INT, SMALL], Out::Num, ""),
    call("is_array", &[Any], Out::Bool, ""),
    call("is_boolean", &[Any], Out::Bool, ""),
    call("is_null", &[Any], Out::Bool, ""),
    call("is_number", &[Any], Out::Bool, ""),
    call("is_object", &[Any], Out::Bool, ""),
    call("is_set", &[Any], Out::Bool, ""),
    call("is_string", &[Any], Out::Bool, ""),
    call("type_name", &[Any], Out::Str, ""),
    call("to_number", &[NUMBER_TEXT], Out::Num, ""),
    call("to_number", &[Num], Out::Num, ""),
    call("to_number", &[Of(&["null", "true", "false"])], Out::Num, ""),
    call("base64.encode", &[Str], Out::Str, "is_string(a)"),
    call("base64.decode", &[BASE64], Out::Str, ""),
    call("base64.is_valid", &[Str], Out::Bool, "true"),
    call("base64url.encode", &[Str], Out::Str, "is_string(a)"),
    call("base64url.encode_no_pad", &[Str], Out::Str, "is_string(a)"),
    call("base64url.decode", &[BASE64URL], Out::Str, ""),
    call("hex.encode", &[Str], Out::Str, "is_string(a)"),
    call("hex.decode", &[HEX], Out::Str, ""),
    call("json.marshal", &[Any], Out::Str, ""),
    call("json.marshal_with_options", &[Any, Of(&["{\"pretty\": false}", "{\"prefix\": \"#\", \"indent\": \" \"}", "{}"])], Out::Str, ""),
    call("json.unmarshal", &[JSON], Out::Any, ""),
    call("json.is_valid", &[Str], Out::Bool, ""),
    call("urlquery.encode", &[Str], Out::Str, "is_string(a)"),
    call("urlquery.decode", &[Of(&["\"a%20b\"", "\"x+y\"", "\"\""])], Out::Str, ""),
    call("urlquery.encode_object", &[Of(&["{\"a\": \"1\", \"b\": [\"x\", \"y z\"]}", "{}"])], Out::Str, ""),
    call("urlquery.decode_object", &[Of(&["\"a=1&b=2&a=3\"", "\"\""])], Out::Obj, ""),
    call("semver.compare", &[SEMVER, SEMVER], Out::Num, ""),
    call("semver.is_valid", &[Of(&["\"1.0.0\"", "\"v1.0.0\"", "\"1.0\"", "\"1.0.0-01\"", "5"])], Out::Bool, ""),
    call("units.parse", &[Of(&["\"10K\"", "\"1.5Mi\"", "\"200m\"", "\"3\"", "\"1G\""])], Out::Num, ""),
    call("units.parse_bytes", &[Of(&["\"10KB\"", "\"1.5MiB\"", "\"200\"", "\"1gi\""])], Out::Num, ""),
    call("time.clock", &[TIME], Out::ArrNum, ""),
    call("time.date", &[TIME], Out::ArrNum, ""),
    call("time.weekday", &[TIME], Out::Str, ""),
    call("time.clock", &[Of(&["[1700000000000000000, \"UTC\"]", "[0, \"\"]"])], Out::ArrNum, ""),
    call("time.add_date", &[TIME, INT, INT, INT], Out::Num, ""),
    call("time.diff", &[TIME, TIME], Out::ArrNum, ""),
    call("time.parse_rfc3339_ns", &[Of(&["\"2024-02-29T12:00:00Z\"", "\"2020-01-01T00:00:00.5+02:00\""])], Out::Num, ""),
    call("time.parse_duration_ns", &[Of(&["\"1h30m\"", "\"-2.5s\"", "\"10ms\"", "\"0\""])], Out::Num, ""),
    call("net.cidr_contains", &[CIDR, ADDRESS], Out::Bool, ""),
    call("net.cidr_is_valid", &[Of(&["\"10.0.0.0/8\"", "\"10.0.0.0/33\"", "\"x\"", "\"fd00::/8\""])], Out::Bool, ""),
    call("net.cidr_intersects", &[CIDR, CIDR], Out::Bool, ""),
    call("net.cidr_contains_matches", &[CIDR, Of(&["[\"10.1.2.3\", \"8.8.8.8\"]", "{\"x\": \"10.1.2.3\"}", "\"10.9.9.9\""])], Out::SetAny, ""),
    call("net.cidr_merge", &[Of(&["[\"10.0.0.0/9\", \"10.128.0.0/9\"]", "{\"10.1.0.0/24\", \"10.1.1.0/24\"}", "[]"])], Out::SetStr, ""),
    call("net.cidr_expand", &[Of(&["\"10.0.0.0/30\"", "\"192.168.1.7/32\""])], Out::SetStr, ""),
    call("uuid.parse", &[Of(&["\"00000000-0000-0000-0000-000000000000\"", "\"f47ac10b-58cc-4372-a567-0e02b2c3d479\"", "\"6ba7b810-9dad-11d1-80b4-00c04fd430c8\""])], Out::Obj, ""),
    call("crypto.md5", &[Str], Out::Str, "is_string(a)"),
    call("crypto.sha1", &[Str], Out::Str, "is_string(a)"),
    call("crypto.sha256", &[Str], Out::Str, "is_string(a)"),
    call("crypto.hmac.md5", &[Str, Str], Out::Str, "is_string(a); is_string(b)"),
    call("crypto.hmac.sha1", &[Str, Str], Out::Str, "is_string(a); is_string(b)"),
    call("crypto.hmac.sha256", &[Str, Str], Out::Str, "is_string(a); is_string(b)"),
    call("crypto.hmac.sha512", &[Str, Str], Out::Str, "is_string(a); is_string(b)"),
    call("crypto.hmac.equal", &[Str, Str], Out::Bool, "is_string(a); is_string(b)"),
    call("graph.reachable", &[Graph, ArrStr], Out::SetStr, ""),
    call("graph.reachable", &[Graph, SetStr], Out::SetStr, ""),
    call("gt", &[Any, Any], Out::Bool, ""),
    call("gte", &[Any, Any], Out::Bool, ""),
    call("lt", &[Any, Any], Out::Bool, ""),
    call("lte", &[Any, Any], Out::Bool, ""),
    call("neq", &[Any, Any], Out::Bool, ""),
    call("equal", &[Any, Any], Out::Bool, ""),
];

/// What the function is called that asks before it calls this builtin. Not as the builtin: some are keywords.
pub fn guarded_name(name: &str) -> String {
    format!("try_{}", name.replace('.', "_"))
}

/// The module that the oracle gets beside those of the program: a function for each builtin that may fail
/// and that they call.
pub fn guards(modules: &[(String, String)]) -> String {
    let mut text = "package everycall_guarded\n\nnumeric(a) := {a} if is_number(a)\n\n\
                    numeric(a) := {a} if { is_string(a); regex.match(`^-?(0|[1-9][0-9]*)$`, a) }\n\n\
                    default numeric(_) := set()\n\n\
                    texts(a) if is_string(a)\n\n\
                    texts(a) if { is_array(a); every x in a { is_string(x) } }\n\n\
                    texts(a) if { is_set(a); every x in a { is_string(x) } }\n"
        .to_owned();
    let mut written: Vec<(&str, &str)> = Vec::new();
    for Call { name, arguments, guard, .. } in CALLS.iter().chain(FAILING) {
        let stem = guarded_name(name);
        let called = || modules.iter().any(|(_, text)| text.contains(&format!("{stem}(")));
        if guard.is_empty() || !called() || written.contains(&(name, guard)) {
            continue;
        }
        // Of several rows with the same name, those of the calls that fail decide with all of their own:
        // the definitions agree where more than one holds.
        written.push((name, guard));
        let parameters =
            ["a", "b", "c", "d"].iter().take(arguments.len()).copied().collect::<Vec<_>>().join(", ");
        text.push_str(&format!("\n{stem}({parameters}) := {name}({parameters}) if {{ {guard} }}\n"));
    }
    text
}
