//! What Rego has elsewhere and not here, and what to write instead. Looked up when something does not
//! compile, so that an author reads the file, the line, the construct and the way out.

use crate::reads::{tokens, Token};

/// Builtins by name, or by the beginning of their names if it ends in a dot.
const BUILTINS: &[(&str, &str)] = &[
    (
        "io.jwt.",
        "tokens are verified before any policy runs: read `input.identity.claims`, or \
                 `input.everycall.identity.claims` where the input is OPA-Envoy's",
    ),
    ("crypto.", "signatures and certificates are checked before any policy runs: read `input.identity`"),
    (
        "http.send",
        "a policy does not reach the network: ask a decision point by the rule `ask`, or put \
                   what it needs into `data`",
    ),
    ("time.", "compare Unix seconds with `input.time`, or use `input.clock` (weekday, hour, minute, date)"),
    ("net.", "`input.connection.networks` names the configured `networks` that hold the caller's address"),
    ("opa.runtime", "put settings into `data`"),
    ("rand.", "decisions can be made again from their records: nothing in them is random"),
    ("uuid.", "decisions can be made again from their records: nothing in them is random"),
    ("walk", "name the path, or go through one level with `some key, value in …`"),
    ("print", "remove it: `everycall decide --explain` shows where a rule stops"),
    ("trace", "remove it: `everycall decide --explain` shows where a rule stops"),
    ("sprintf", "use `concat`"),
    ("strings.replace_n", "use `replace`"),
    ("numbers.range", "put the list into `data`"),
    ("json.patch", "use `object.union` or `object.remove`"),
    ("yaml.", "put what was parsed into `data`"),
    ("hex.", "use `base64` or `base64url`"),
    ("urlquery.", "`input.request.query` is decoded"),
    ("units.", "write the number of bytes"),
    ("graph.", "put what can be reached into `data`"),
    ("graphql.", "the decision is made before the body arrives"),
    ("regex.template_match", "use `regex.match`"),
    ("regex.globs_match", "use `glob.match`"),
];

const WITH: &str = "give the input in a case file: `everycall test`";
const CONSTANT_KEY: &str = "write one object: `result := {\"allowed\": allow, \"headers\": headers}`";

/// What the compiler says of rules that need no `if` in Rego v0.
const V0: &str = "keyword is required before rule body";

/// What to write instead of a builtin.
pub(super) fn builtin(name: &str) -> Option<&'static str> {
    let is = |known: &str| name == known || (known.ends_with('.') && name.starts_with(known));
    BUILTINS.iter().find(|(known, _)| is(known)).map(|(_, instead)| *instead)
}

/// An error of the parser, with a way out where one is known.
pub(super) fn parse_error(message: String) -> String {
    match message.contains(V0) {
        true => format!("{message}: this is Rego v0; `opa fmt --write --v0-v1` rewrites it"),
        false => message,
    }
}

/// Everything in a module that does not compile here and is known, as `file:line: …`.
pub(super) fn constructs(file: &str, source: &str) -> Vec<String> {
    let tokens = tokens(source);
    let mut found: Vec<String> = Vec::new();
    let mut note = |line: usize, construct: &str, instead: &str| {
        let message = format!("{file}:{line}: `{construct}` is not there: {instead}");
        if !found.contains(&message) {
            found.push(message);
        }
    };
    let (mut line, mut depth): (usize, usize) = (1, 0);
    let mut previous = None;
    let mut rest = tokens.as_slice();
    while let Some((token, after)) = rest.split_first() {
        match token {
            Token::Mark('\n') => line = line.saturating_add(1),
            Token::Mark('{' | '(' | '[') => depth = depth.saturating_add(1),
            Token::Mark('}' | ')' | ']') => depth = depth.saturating_sub(1),
            Token::Name("with") if previous != Some(&Token::Mark('.')) => {
                if let [Token::Name("input" | "data"), ..] = after {
                    note(line, "with", WITH);
                }
            }
            Token::Name(first) if previous != Some(&Token::Mark('.')) => {
                let (name, behind) = dotted(first, after);
                if let ([Token::Mark('('), ..], Some(instead)) = (behind, builtin(&name)) {
                    note(line, &name, instead);
                }
                let starts = depth == 0 && matches!(previous, None | Some(Token::Mark('\n')));
                if starts && !matches!(*first, "package" | "import" | "default") && is_constant_key(after) {
                    note(line, &format!("{first}[\"…\"] := …"), CONSTANT_KEY);
                }
            }
            _ => {}
        }
        previous = Some(token);
        rest = after;
    }
    found
}

/// A name with all its components, and what comes behind it.
fn dotted<'t, 's>(first: &str, mut rest: &'t [Token<'s>]) -> (String, &'t [Token<'s>]) {
    let mut name = first.to_owned();
    while let [Token::Mark('.'), Token::Name(part), after @ ..] = rest {
        name.push('.');
        name.push_str(part);
        rest = after;
    }
    (name, rest)
}

/// Behind a rule's name: one constant key and a value or body. `result.allowed := true` is the same
/// as `result["allowed"] := true`.
fn is_constant_key(rest: &[Token<'_>]) -> bool {
    let after = match rest {
        [Token::Mark('['), Token::Text(_) | Token::Opaque, Token::Mark(']'), after @ ..] => after,
        [Token::Mark('.'), Token::Name(_), after @ ..] => after,
        _ => return false,
    };
    matches!(after, [Token::Mark('=' | ':'), ..] | [Token::Name("if"), ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constructs_are_found_with_their_lines() {
        let lines = |source: &str| -> Vec<String> {
            constructs("f", source)
                .iter()
                .map(|found| found.split(" is").next().unwrap().to_owned())
                .collect()
        };
        for (source, expected) in [
            ("x if {\n  [_, p, _] := io.jwt.decode(t)\n}", "f:2: `io.jwt.decode`"),
            ("x if http.send({}).a", "f:1: `http.send`"),
            ("\n\nx if time.now_ns() > 1", "f:3: `time.now_ns`"),
            ("x if q with input as {}", "f:1: `with`"),
            ("x if q with input.a as 1", "f:1: `with`"),
            ("x if q with data.a as 1", "f:1: `with`"),
            ("x if walk(input, [p, v])", "f:1: `walk`"),
            ("x if {\nprint(\"x\")\n}", "f:2: `print`"),
            ("h[\"a\"] := 1", "f:1: `h[\"…\"] := …`"),
            ("result.allowed = allow", "f:1: `result[\"…\"] := …`"),
            ("result[\"allowed\"] if x", "f:1: `result[\"…\"] := …`"),
        ] {
            assert_eq!(lines(source), [expected], "{source}");
        }
        for source in [
            "# time.now_ns()",
            "x := \"http.send(\"",
            "x if input.time.now(1)",
            "x if sandwich(input)",
            "h[k] := v if { some k, v in {\"a\": 1} }",
            "x if {\n  h[\"a\"] = 1\n}",
            "x := time.zone",
            "import data.time.now as t",
        ] {
            assert_eq!(lines(source), [""; 0], "{source}");
        }
    }

    #[test]
    fn no_builtin_that_is_offered_has_advice() {
        for name in super::super::offered_builtins() {
            assert_eq!(builtin(name), None, "{name}");
        }
    }
}
