//! W3C Trace Context of a request: passed on if it is well-formed, so that a question stands in the
//! trace of the request that it was asked for.

use crate::http::request::Headers;

const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";
/// Longer ones are dropped (Trace Context section 3.3.1.5 asks for at least this much).
const MAX_STATE: usize = 512;

/// The trace headers of a call that is made for this request.
pub(super) fn headers(request: &Headers) -> Vec<(String, String)> {
    let Some(parent) = request.only(PARENT).and_then(parent) else { return Vec::new() };
    let mut headers = vec![(PARENT.to_owned(), parent)];
    headers.extend(state(request).map(|state| (STATE.to_owned(), state)));
    headers
}

/// Version 00 of it; a later one is read as far as 00 goes (section 3.2.4).
fn parent(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    let mut parts = text.splitn(5, '-');
    let mut part = |size: usize| parts.next().filter(|part| part.len() == size && is_hex(part));
    let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    let later = version != "00";
    if version == "ff" || is_zero(trace) || is_zero(span) || (parts.next().is_some() && !later) {
        return None;
    }
    Some(format!("00-{trace}-{span}-{flags}"))
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_zero(text: &str) -> bool {
    text.bytes().all(|b| b == b'0')
}

fn state(request: &Headers) -> Option<String> {
    let lines: Option<Vec<&str>> = request.all(STATE).map(|line| std::str::from_utf8(line).ok()).collect();
    let state = lines?.join(",");
    let members =
        || state.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|m| !m.is_empty());
    let good = state.len() <= MAX_STATE && (1..=32).contains(&members().count()) && members().all(is_member);
    good.then(|| members().collect::<Vec<_>>().join(","))
}

/// `key=value` (section 3.3.1.3).
fn is_member(member: &str) -> bool {
    let Some((key, value)) = member.split_once('=') else { return false };
    let is_key = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-*/@".contains(&b);
    (1..=256).contains(&key.len())
        && key.bytes().all(is_key)
        && (1..=256).contains(&value.len())
        && value.bytes().all(|b| (0x20..=0x7e).contains(&b) && b != b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn of(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
        headers(&Headers::new(pairs.collect()))
    }

    #[test]
    fn only_a_well_formed_context_is_passed_on() {
        assert_eq!(of(&[(PARENT, GOOD)]), [(PARENT.to_owned(), GOOD.to_owned())]);
        let later = GOOD.replacen("00", "cc", 1) + "-what-comes-later";
        assert_eq!(of(&[(PARENT, &later)]), [(PARENT.to_owned(), GOOD.to_owned())]);
        for bad in [
            "",
            "00",
            &GOOD.to_uppercase(),
            &format!("{GOOD}-x"),
            &format!("{GOOD}0"),
            &format!(" {GOOD}"),
            &GOOD.replacen("00", "ff", 1),
            &GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &GOOD.replace("4bf", "g00"),
            &GOOD.replace('-', "_"),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        ] {
            assert_eq!(of(&[(PARENT, bad), (STATE, "a=1")]), [], "{bad}");
        }
        assert_eq!(of(&[(PARENT, GOOD), (PARENT, GOOD)]), [], "two of them");
        assert_eq!(of(&[(STATE, "a=1")]), []);
    }

    #[test]
    fn a_broken_state_is_dropped_alone() {
        let state = |lines: &[&str]| {
            let pairs: Vec<_> = lines.iter().map(|line| (STATE, *line)).chain([(PARENT, GOOD)]).collect();
            let found = of(&pairs);
            assert_eq!(found[0].1, GOOD);
            found.get(1).map(|(_, value)| value.clone())
        };
        assert_eq!(
            state(&["rojo=00f067aa0ba902b7, t@v=x y", "z=1"]),
            Some("rojo=00f067aa0ba902b7,t@v=x y,z=1".into())
        );
        for bad in ["", "a", "A=1", "a=", "=1", "a=1=2", "a=\u{7f}", "a=é", &format!("a={}", "x".repeat(600))]
        {
            assert_eq!(state(&[bad]), None, "{bad}");
        }
        assert_eq!(state(&[&vec!["a=1"; 33].join(",")]), None);
    }
}
