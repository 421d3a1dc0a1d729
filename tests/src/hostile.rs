//! Policies that were made to be slow, each by one thing that costs more than it seems to: what the
//! limits are tested with, natively and in Envoy, and what `make holds` measures.

use std::fmt::Write as _;

use serde_json::{json, Value};

/// The header that the client fills with what hurts most.
pub const HEADER: &str = "x-text";

/// A policy that reaches a limit, whatever stands around its condition.
#[derive(Debug, Clone)]
pub struct Hostile {
    /// What is slow about it.
    pub name: &'static str,
    /// Rules that the condition uses.
    pub rules: String,
    /// What is hard to tell.
    pub condition: String,
}

impl Hostile {
    /// Ways to decide by the condition. But for the first, not knowing it would allow.
    pub fn decisions(&self) -> [String; 4] {
        let (rules, condition) = (&self.rules, &self.condition);
        [
            format!("decision := {{\"allow\": true}} if {condition}"),
            format!("decision := {{\"allow\": true}} if not held\nheld if {condition}"),
            format!("decision := {{\"allow\": true}} if count(deny) == 0\ndeny contains 1 if {condition}"),
            format!("decision := {{\"allow\": true}} if count([1 | {condition}]) == 0"),
        ]
        .map(|decision| format!("{rules}\n{decision}"))
    }
}

/// A configuration with a rule set and a path, `/0`, `/1` and so on, for each of these bodies, and
/// `/ordinary`. Everybody may go there.
pub fn config(bodies: &[String]) -> Value {
    let mut policies = json!({
        "ordinary.rego": "package everycall.ordinary\ndecision := {\"allow\": true} if input.request.method == \"GET\"",
        "many.rego": format!("package package_of_many\n{}", chain("[1]", 200, |_| "[1]".to_owned())),
    });
    let grant = |name: &str, path: String| {
        json!({"id": name, "owner": "o", "purpose": "p", "subject": "anonymous", "hosts": ["h"], "methods": ["GET"],
               "paths": [path], "policy": name})
    };
    let mut grants = vec![grant("ordinary", "/ordinary".to_owned())];
    for (at, body) in bodies.iter().enumerate() {
        policies[format!("{at}.rego")] = json!(format!("package everycall.p{at}\n{body}\n"));
        grants.push(grant(&format!("p{at}"), format!("/{at}")));
    }
    json!({
        "version": 1,
        "instance": "limits",
        "issuers": [{
            "issuer": "i", "audiences": ["a"], "algorithms": ["EdDSA"], "max_lifetime_s": 60, "kind": "workload",
            "keys": {"inline": {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}}
        }],
        "bundle": {"inline": {"data": data(), "policies": policies, "grants": grants}}
    })
}

/// Path templates of so many segments, each of which is `a` or a parameter, and one more, `z`: a path of `a` fits all of
/// them up to its last segment.
pub fn templates(segments: usize) -> impl Iterator<Item = String> {
    (0..1_usize << segments).map(move |at| {
        let segment = |bit: usize| if at >> bit & 1 == 1 { "/a".to_owned() } else { format!("/{{p{bit}}}") };
        (0..segments).map(segment).collect::<String>() + "/z"
    })
}

fn data() -> Value {
    json!({
        "many": (0..2_000).collect::<Vec<_>>(),
        "ones": vec![1; 2_000],
        "delimiters": vec!["a"; 300],
        "text": "aB".repeat(10_000),
        "long": "a".repeat(20_000),
        "half": "a".repeat(10_000),
        "short": "a".repeat(300),
        "slashes": "a/".repeat(10_000),
        "letters": "ß".repeat(5_000),
        "nested": format!("{}{}", "[".repeat(120), "]".repeat(120)),
        "globs": format!("{}a{}", "{a,".repeat(300), "}".repeat(300)),
        "version": format!("1.2.3-{}1", "a.".repeat(10_000)),
    })
}

/// `v0` and `n` rules, each made of the one before.
pub fn chain(first: &str, n: usize, next: impl Fn(&str) -> String) -> String {
    let mut text = format!("v0 := {first}\n");
    for at in 1..=n {
        // Writing to a string does not fail.
        let _ = writeln!(text, "v{at} := {}", next(&format!("v{}", at - 1)));
    }
    text
}

/// `f3` puts a value into ten thousand lists.
fn deep() -> String {
    let ten = |f: &str| format!("{}x{}", f.repeat(10), if f == "[" { "]" } else { ")" }.repeat(10));
    let next = |n: usize| format!("f{n}(x) := {}\n", ten(&format!("f{}(", n - 1)));
    format!("f0(x) := {}\n{}", ten("["), (1..=3).map(next).collect::<String>())
}

/// The worst that could be thought of. Name, rules, condition.
#[rustfmt::skip]
pub fn worst() -> Vec<Hostile> {
    // Two thousand times, and four million times, if nothing ended it.
    let each = |call: &str| format!("all := [y | some n in data.many; y := {call}]");
    let two = "some a in data.many; some b in data.many";
    let pairs = |call: &str| format!("all := [1 | {two}; y := {call}]");
    // Another pattern each time: one that is known is kept.
    let new = |text: &str| format!("concat(\"\", [`{text}`, format_int(n, 10)])");
    let pattern = |text: &str| each(&format!("regex.match({}, \"a\")", new(text)));
    let glob = |text: &str, on: &str| each(&format!("glob.match({}, null, \"{on}\")", new(text)));
    let big = chain("3", 9, |v| format!("{v} * {v}"));
    let tree = chain("[1]", 6, |v| format!("[{v}, {v}, {v}, {v}]"));
    let trees = format!("{tree}{}", tree.replace('v', "w"));
    let header = format!("input.request.headers[\"{HEADER}\"][0]");
    let counted = "count(all) == 1";
    let all: Vec<(&'static str, String, &str)> = vec![
        // Values that grow.
        ("doubled text", chain("\"x\"", 20, |v| format!("concat(\"\", [{v}, {v}, {v}, {v}])")), "contains(v20, \"y\")"),
        ("doubled by replace", chain("\"x\"", 20, |v| format!("replace({v}, \"x\", \"xxxx\")")), "contains(v20, \"y\")"),
        ("doubled list", chain("[1]", 20, |v| format!("array.concat(array.concat({v}, {v}), {v})")), "count(v20) == 1"),
        ("doubled by regex", chain("\"x\"", 20, |v| format!("regex.replace({v}, \"x\", \"xxxx\")")), "count(v20) == 1"),
        ("a tree that is written out", chain("[1]", 20, |v| format!("[{v}, {v}, {v}, {v}]")), "count(json.marshal(v20)) == 1"),
        ("deep values", deep(), "count(f3([1])) == 1"),
        ("deep filter", each("json.filter({\"a\": n}, [data.slashes])"), counted),
        ("deep removal", each("json.remove({\"a\": n}, [data.slashes])"), counted),
        ("deep path", format!("p := split(data.slashes, \"/\")\n{}", each("json.filter({\"a\": n}, [p])")), counted),
        // Patterns.
        ("regex on a long text", each("regex.match(\"(a|b)*c\", data.text)"), counted),
        ("regex that counts", each("regex.match(\"([a-z]{1,30}){1,9}!\", data.text)"), counted),
        ("regex that is compiled", pattern("(a|b)*c"), counted),
        ("regex of word characters", pattern(&r"\w".repeat(10)), counted),
        ("regex of other than words", pattern(&r"\W".repeat(10)), counted),
        ("regex in any case", pattern("(?i)[^x][^y][^z]"), counted),
        ("regex of letters in any case", pattern("(?i)abcdefghijklmnopqrstuvwxyz"), counted),
        ("regex of word boundaries", pattern(&r"\b\B".repeat(10)), counted),
        ("regex of sets", pattern(r"[\w&&[^a]--[\d]~~\s]"), counted),
        ("regex of groups", pattern(&format!("{}{}", "(".repeat(50), ")".repeat(50))), counted),
        ("regex of two words", pattern(r"\w\w"), counted),
        ("regex of three other", pattern(r"\W\D\S"), counted),
        ("regex of other in any case", pattern(r"(?i)[^a]"), counted),
        ("regex of digits", pattern(r"\d+-\d+"), counted),
        ("regex of plain sets", pattern("^[0-9a-f]+$"), counted),
        ("regex of far letters", pattern("[ă-ỹ][ă-ỹ]"), counted),
        ("regex of all letters", pattern("..........."), counted),
        ("regex inside regex", pattern(&format!("{}{}", "(".repeat(200), ")".repeat(200))), counted),
        ("regex that repeats words", pattern(r"\w{9}"), counted),
        ("regex that is too large", pattern(r"((\w{9}){9}){9}"), counted),
        ("regex of words on a text", each(r"regex.match(`\w+\W`, data.text)"), counted),
        ("regex of many ways", each(r"regex.match(`(\w|\d|\w\w|\d\d)*!`, data.text)"), counted),
        ("regex on what the client sent", each(&format!("regex.match(`(x+x+)+y`, {header})")), counted),
        ("regex that splits", each("regex.split(\"a|B\", data.text)"), counted),
        ("regex that is checked", each(&format!("regex.is_valid({})", new(r"\w\w\w\w"))), counted),
        ("quadratic search", each("regex.find_n(\"[^A-Z]*[^a-zA-Z]|[A-Z]\", data.text, -1)"), counted),
        ("glob", glob("a*b*c*", "abc"), counted),
        ("glob of stars", each("glob.match(\"*a*a*a*a*a*a*a*b\", null, data.long)"), counted),
        ("glob of many delimiters", each("glob.match(data.short, data.delimiters, data.short)"), counted),
        ("glob of alternatives", glob("{a,b,c}{a,b,c}{a,b,c}", "abc"), counted),
        ("glob inside glob", each("glob.match(data.globs, null, \"a\")"), counted),
        ("glob of sets", glob("[!a-z][!a-z]*[!a-z]", "abc"), counted),
        ("glob that is quoted", pairs("glob.quote_meta(\"a*b*c*\")"), counted),
        // Text.
        ("sorting", each("sort(split(data.text, \"\"))"), counted),
        ("splitting", each("count(split(data.text, \"a\"))"), counted),
        ("upper case", each("upper(data.text)"), counted),
        ("upper case of sharp s", each("upper(data.letters)"), counted),
        ("lower case", each("lower(data.text)"), counted),
        ("many prefixes", each("strings.any_prefix_match(split(data.text, \"\"), split(data.text, \"\"))"), counted),
        ("counting in text", each("strings.count(data.long, data.half)"), counted),
        ("counting of short text", each("strings.count(data.long, \"a\")"), counted),
        ("searching in text", format!("s := concat(\"\", [data.half, \"b\"])\n{}", each("indexof(data.long, s)")), counted),
        ("searching short text", each("indexof(data.long, \"b\")"), counted),
        ("searching each", each("indexof_n(data.long, \"a\")"), counted),
        ("looking for text", format!("s := concat(\"\", [data.half, \"b\"])\n{}", each("contains(data.long, s)")), counted),
        ("trimming", each("trim(data.long, \"xyza\")"), counted),
        ("turning around", each("strings.reverse(data.long)"), counted),
        ("cutting", each("substring(data.long, 1, -1)"), counted),
        ("base64", each("base64.encode(data.text)"), counted),
        ("base64 back", format!("s := base64.encode(data.text)\n{}", each("base64.decode(s)")), counted),
        ("parsing", each("json.unmarshal(concat(\"\", [\"[\\\"\", data.text, \"\\\"]\"]))"), counted),
        ("parsing brackets", pairs("json.unmarshal(data.nested)"), counted),
        ("parsing a list", format!("s := json.marshal(data.many)\n{}", each("json.unmarshal(s)")), counted),
        ("writing a list", each("json.marshal(data.many)"), counted),
        ("versions", each("semver.compare(data.version, data.version)"), counted),
        ("counted text", pairs("count(data.text)"), counted),
        ("compared text", format!("s := concat(\"\", [data.text, \"\"])\n{}", pairs("data.text == s")), counted),
        ("text as a key", format!("s := {{data.text: 1}}\n{}", pairs("s[data.text]")), counted),
        ("text in a set", format!("all := {{x | {two}; x := [data.text, a, b]}}"), counted),
        ("text in errors", pairs("abs(data.text)"), counted),
        // Numbers.
        ("squared by product", chain("3", 20, |v| format!("product([{v}, {v}])")), "v20 == 1"),
        ("long numbers", each("to_number(replace(lower(data.text), \"ab\", \"99\"))"), counted),
        ("squared", chain("3", 20, |v| format!("{v} * {v}")), "v20 == 1"),
        ("multiplied", "x := product([n | some n in data.many; n > 0])".into(), "x == 1"),
        ("calculated over and over", format!("{big}{}", pairs("(v9 * v9) / v9")), counted),
        ("added over and over", each("sum(data.many)"), counted),
        ("large numbers in errors", format!("{big}{}", pairs("startswith(v9, \"\")")), counted),
        ("counted numbers", format!("{big}{}", pairs("count(v9)")), counted),
        // Lists, sets and objects.
        ("compared trees", format!("{trees}{}", pairs("v6 == w6")), counted),
        ("ordered trees", format!("{trees}{}", pairs("v6 < w6")), counted),
        ("trees that are told apart", format!("{trees}{}", pairs("v6 != w6")), counted),
        ("trees that are searched", format!("{trees}{}", pairs("w5 in v6")), counted),
        ("trees as keys", format!("{trees}{}", pairs("{v6: 1}[w6]")), counted),
        ("trees in sets", format!("{trees}all := {{x | {two}; x := [v6, a, b]}}"), counted),
        ("trees of two definitions", format!("{trees}f(n) := v6 if n >= 0\nf(n) := w6 if n >= 0\n{}", pairs("f(a)")), counted),
        ("lists in errors", pairs("abs(data.many)"), counted),
        ("lists in lists", format!("s := array.concat(array.slice(data.ones, 0, 1000), [2])\n{}", each("object.subset(data.ones, s)")), counted),
        ("set differences", format!("s := {{x | some x in data.many}}\n{}", pairs("s - {1, a}")), counted),
        ("set unions", format!("s := {{x | some x in data.many}}\n{}", pairs("s | {1, a}")), counted),
        ("set intersections", format!("s := {{x | some x in data.many}}\n{}", pairs("s & s")), counted),
        ("union of many sets", format!("s := {{{{x}} | some x in data.many}}\n{}", each("union(s)")), counted),
        ("intersection of many sets", format!("t := {{x | some x in data.many}}\ns := {{t, {{x | some x in data.many; x > 5}}}}\n{}", each("intersection(s)")), counted),
        ("union of many objects", format!("s := [{{x: 1}} | some x in data.many]\n{}", each("object.union_n(s)")), counted),
        ("union of two objects", format!("s := {{x: 1 | some x in data.many}}\n{}", each("object.union(s, s)")), counted),
        ("filtered objects", format!("s := {{x: 1 | some x in data.many}}\n{}", each("object.filter(s, data.many)")), counted),
        ("removed members", format!("s := {{x: 1 | some x in data.many}}\n{}", each("object.remove(s, data.many)")), counted),
        ("keys of objects", format!("s := {{x: 1 | some x in data.many}}\n{}", each("object.keys(s)")), counted),
        ("largest of many", each("max(data.many)"), counted),
        ("turned lists", each("array.reverse(data.many)"), counted),
        ("cut lists", each("array.slice(data.many, 1, 2000)"), counted),
        ("searches", pairs("-1 in data.many"), counted),
        ("loops", "all := [1 | some _ in data.many; some _ in data.many; some _ in data.many]".into(), counted),
        ("every of every", "held2 if every a in data.many { every b in data.many { a + b >= 0 } }".into(), "held2"),
        ("sets", format!("all := {{x | {two}; x := [a, b]}}"), counted),
        ("objects", format!("all := {{k: a | {two}; k := [a, b]}}"), counted),
        ("functions", format!("f(x) := x + 1\n{}", pairs("f(f(f(a)))")), counted),
        ("many definitions", format!("{}{}", (0..100).map(|n| format!("f(x) := {n} if x == {n}\n")).collect::<String>(), pairs("f(99)")), counted),
        ("whole packages", pairs("data.package_of_many"), counted),
    ];
    let hostile = |(name, rules, condition): (_, String, &str)| Hostile { name, rules, condition: condition.to_owned() };
    all.into_iter().map(hostile).collect()
}
