//! Builtins on text. Places and lengths are in characters. Bytes that are no text end the evaluation,
//! whether they are in an argument or come up where a builtin would cut a character: OPA joins, cuts
//! and finds them byte by byte here, as characters there, and replaces them elsewhere.

use super::arrays::{items, place, whole};
use super::{row, Answer, Builtin};
use crate::budget::{Budget, Failure};
use crate::bytes::has_bytes;
use crate::value::Value;

pub(super) const TABLE: &[Builtin] = &[
    row("concat", 2, concat),
    row("contains", 2, |budget, values| two(budget, values, |text, part| text.contains(part).into())),
    row("endswith", 2, |budget, values| two(budget, values, |text, part| text.ends_with(part).into())),
    row("indexof", 2, indexof),
    row("indexof_n", 2, indexof_n),
    row("lower", 1, |budget, values| each(budget, values, lower)),
    row("replace", 3, replace),
    row("split", 2, split),
    row("startswith", 2, |budget, values| two(budget, values, |text, part| text.starts_with(part).into())),
    row("strings.any_prefix_match", 2, |budget, values| {
        any_match(budget, values, |text, part| text.starts_with(part))
    }),
    row("strings.any_suffix_match", 2, |budget, values| {
        any_match(budget, values, |text, part| text.ends_with(part))
    }),
    row("strings.count", 2, |budget, values| {
        two(budget, values, |text, part| text.matches(part).count().into())
    }),
    row("strings.replace_n", 2, replace_n),
    row("strings.reverse", 1, |budget, values| {
        let text = text(budget, values, 0)?;
        budget.charge(text.len())?;
        Ok(text.chars().rev().collect::<String>().into())
    }),
    row("substring", 3, substring),
    row("trim", 2, |budget, values| trim(budget, values, true, true)),
    row("trim_left", 2, |budget, values| trim(budget, values, true, false)),
    row("trim_prefix", 2, |budget, values| {
        two(budget, values, |text, part| text.strip_prefix(part).unwrap_or(text).into())
    }),
    row("trim_right", 2, |budget, values| trim(budget, values, false, true)),
    row("trim_space", 1, |budget, values| {
        let text = text(budget, values, 0)?;
        budget.charge(text.len())?;
        Ok(text.trim().into())
    }),
    row("trim_suffix", 2, |budget, values| {
        two(budget, values, |text, part| text.strip_suffix(part).unwrap_or(text).into())
    }),
    row("upper", 1, |budget, values| each(budget, values, upper)),
];

const EXPECTED: Failure = Failure::Error("strings are expected");

/// What reading a text once takes, in units.
const fn reading(text: &str) -> usize {
    text.len().wrapping_shr(2).saturating_add(1)
}

/// The text in this place.
fn text<'v>(budget: &mut Budget, values: &'v [Value], at: usize) -> Result<&'v str, Failure> {
    plain(budget, values.get(at).ok_or(EXPECTED)?)
}

/// The text, if no bytes are in it that are none.
fn plain<'v>(budget: &mut Budget, value: &'v Value) -> Result<&'v str, Failure> {
    let text = value.as_str().ok_or(EXPECTED)?;
    budget.charge(reading(text))?;
    if has_bytes(text) {
        return Err(Failure::Limit);
    }
    Ok(text)
}

/// Of a text and a part of it.
fn two(budget: &mut Budget, values: &[Value], of: fn(&str, &str) -> Value) -> Answer {
    let (whole, part) = (text(budget, values, 0)?, text(budget, values, 1)?);
    budget.charge(reading(whole).saturating_add(reading(part)))?;
    Ok(of(whole, part))
}

fn each(budget: &mut Budget, values: &[Value], of: fn(char) -> char) -> Answer {
    let text = text(budget, values, 0)?;
    budget.charge(text.len())?;
    Ok(text.chars().map(of).collect::<String>().into())
}

/// Of what has a case only in a Unicode that is younger than OPA's.
const fn is_new(character: char) -> bool {
    matches!(
        character,
        '\u{19b}' | '\u{264}' | '\u{1c89}'..='\u{1c8a}' | '\u{a7cb}'..='\u{a7cf}' | '\u{a7d2}'..='\u{a7d5}'
        | '\u{a7da}'..='\u{a7dc}' | '\u{10d50}'..='\u{10d65}' | '\u{10d70}'..='\u{10d85}'
        | '\u{16ea0}'..='\u{16eb8}' | '\u{16ebb}'..='\u{16ed3}'
    )
}

/// Go's mappings are of one character to one.
fn lower(character: char) -> char {
    let mut mapped = character.to_lowercase();
    match (mapped.next(), mapped.next()) {
        (Some(one), None) if !is_new(character) => one,
        (Some(_), Some(_)) => 'i',
        _ => character,
    }
}

fn upper(character: char) -> char {
    let mut mapped = character.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(one), None) if !is_new(character) => one,
        (Some(_), Some(_)) => match character {
            '\u{1f80}'..='\u{1faf}' => char::from_u32(u32::from(character) | 8).unwrap_or(character),
            '\u{1fb3}' => '\u{1fbc}',
            '\u{1fc3}' => '\u{1fcc}',
            '\u{1ff3}' => '\u{1ffc}',
            _ => character,
        },
        _ => character,
    }
}

fn concat(budget: &mut Budget, arguments: &[Value]) -> Answer {
    let by = text(budget, arguments, 0)?;
    let items = items(arguments, 1)?;
    budget.charge(items.len())?;
    let parts = items.iter().map(|item| plain(budget, item)).collect::<Result<Vec<_>, _>>()?;
    let between = by.len().saturating_mul(parts.len().saturating_sub(1));
    budget.charge(parts.iter().fold(between, |sum, part| sum.saturating_add(part.len())))?;
    Ok(parts.join(by).into())
}

fn search<'v>(budget: &mut Budget, arguments: &'v [Value]) -> Result<(&'v str, &'v str), Failure> {
    let (text, part) = (text(budget, arguments, 0)?, text(budget, arguments, 1)?);
    budget.charge(text.len().saturating_add(part.len()))?;
    match part {
        "" => Err(Failure::Error("something to look for is expected")),
        part => Ok((text, part)),
    }
}

fn indexof(budget: &mut Budget, arguments: &[Value]) -> Answer {
    let (text, part) = search(budget, arguments)?;
    Ok(match text.split_once(part) {
        Some((before, _)) => before.chars().count().into(),
        None => Value::from(-1_i64),
    })
}

/// Where it is, also where it overlaps itself.
fn indexof_n(budget: &mut Budget, arguments: &[Value]) -> Answer {
    let (text, part) = search(budget, arguments)?;
    budget.charge(text.len().saturating_mul(part.len().wrapping_shr(4)))?;
    let starts = |at| text.get(at..).is_some_and(|rest| rest.starts_with(part));
    let places = text.char_indices().enumerate().filter(|(_, (at, _))| starts(*at));
    Ok(places.map(|(place, _)| Value::from(place)).collect::<Vec<_>>().into())
}

fn split(budget: &mut Budget, arguments: &[Value]) -> Answer {
    let (whole, by) = (text(budget, arguments, 0)?, text(budget, arguments, 1)?);
    budget.charge(reading(whole).saturating_add(reading(by)))?;
    let mut parts = Vec::new();
    let mut add = |part: &str| {
        budget.charge(reading(part).saturating_add(3))?;
        parts.push(Value::from(part));
        Ok(())
    };
    if by.is_empty() {
        whole.chars().try_for_each(|one| add(one.encode_utf8(&mut [0; 4])))?;
    } else {
        whole.split(by).try_for_each(add)?;
    }
    Ok(parts.into())
}

fn substring(budget: &mut Budget, arguments: &[Value]) -> Answer {
    let (text, start, length) = (text(budget, arguments, 0)?, whole(arguments, 1)?, whole(arguments, 2)?);
    budget.charge(text.len())?;
    if start < 0 {
        return Err(Failure::Error("a place in the text is expected"));
    }
    let cut = |text: &'_ str, at: i64| text.char_indices().nth(place(at)).map_or(text.len(), |(at, _)| at);
    let rest = text.get(cut(text, start)..).unwrap_or_default();
    if length < 0 || rest.is_empty() {
        return Ok(rest.into());
    }
    // OPA does not survive it.
    start.checked_add(length).ok_or(Failure::Limit)?;
    Ok(rest.get(..cut(rest, length)).unwrap_or_default().into())
}

fn trim(budget: &mut Budget, arguments: &[Value], left: bool, right: bool) -> Answer {
    let (mut rest, set) = (text(budget, arguments, 0)?, text(budget, arguments, 1)?);
    budget.charge(reading(rest))?;
    let mut drops = |character: Option<char>| {
        budget.charge(reading(set))?;
        Ok(character.is_some_and(|character| set.contains(character)))
    };
    while left && drops(rest.chars().next())? {
        rest = rest.get(rest.chars().next().map_or(0, char::len_utf8)..).unwrap_or_default();
    }
    while right && drops(rest.chars().next_back())? {
        let kept = rest.len().saturating_sub(rest.chars().next_back().map_or(0, char::len_utf8));
        rest = rest.get(..kept).unwrap_or_default();
    }
    Ok(rest.into())
}

fn any_match(budget: &mut Budget, arguments: &[Value], matches: fn(&str, &str) -> bool) -> Answer {
    let [texts, parts] = [0, 1].map(|at| match arguments.get(at) {
        Some(one @ Value::String(_)) => Ok(std::slice::from_ref(one)),
        _ => items(arguments, at),
    });
    let (texts, parts) = (texts?, parts?);
    budget.charge(texts.len().saturating_add(parts.len()))?;
    texts.iter().chain(parts).try_for_each(|value| plain(budget, value).map(drop))?;
    for part in parts.iter().filter_map(Value::as_str) {
        budget.charge(texts.len().saturating_mul(1_usize.saturating_add(part.len().wrapping_shr(4))))?;
        if texts.iter().filter_map(Value::as_str).any(|text| matches(text, part)) {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn replace(budget: &mut Budget, arguments: &[Value]) -> Answer {
    let (whole, old, new) =
        (text(budget, arguments, 0)?, text(budget, arguments, 1)?, text(budget, arguments, 2)?);
    replace_all(budget, whole, &[(old, new)])
}

fn replace_n(budget: &mut Budget, arguments: &[Value]) -> Answer {
    let Some(Value::Object(patterns)) = arguments.first() else {
        return Err(Failure::Error("an object is expected"));
    };
    let whole = text(budget, arguments, 1)?;
    budget.charge(patterns.len())?;
    let pairs = patterns.iter().map(|(old, new)| Ok((plain(budget, old)?, plain(budget, new)?)));
    let pairs = pairs.collect::<Result<Vec<_>, _>>()?;
    replace_all(budget, whole, &pairs)
}

/// As Go's `strings.Replacer`: from left to right, at each byte the first pair that matches.
fn replace_all(budget: &mut Budget, text: &str, pairs: &[(&str, &str)]) -> Answer {
    budget.charge(text.len())?;
    let mut out: Vec<u8> = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    // What is empty matches once at each place.
    let mut was_empty = false;
    loop {
        let mut found = None;
        for (old, new) in pairs {
            budget.charge(1_usize.saturating_add(old.len().wrapping_shr(4)))?;
            if rest.starts_with(old.as_bytes()) && !(was_empty && old.is_empty()) {
                found = Some((old, new));
                break;
            }
        }
        was_empty = found.is_some_and(|(old, _)| old.is_empty());
        if let Some((old, new)) = found {
            budget.charge(new.len())?;
            out.extend_from_slice(new.as_bytes());
            rest = rest.get(old.len()..).unwrap_or_default();
            // Also at the end, what is empty has its place.
            if rest.is_empty() && old.is_empty() {
                break;
            }
            continue;
        }
        let Some((byte, after)) = rest.split_first() else { break };
        out.push(*byte);
        rest = after;
    }
    String::from_utf8(out).map(Value::from).map_err(|_| Failure::Limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtins::testing::compare;

    #[test]
    fn they_answer_as_opa() {
        compare(&[
            ("concat", r#"[",", ["a", "", "é"]]"#, r#""a,,é""#),
            ("concat", r#"[",", {"set": ["b", "a"]}]"#, r#""a,b""#),
            ("concat", r#"[",", []]"#, r#""""#),
            ("concat", r#"[",", [1]]"#, "error"),
            ("concat", r#"[",", "a"]"#, "error"),
            ("concat", r#"[1, []]"#, "error"),
            ("contains", r#"["", ""]"#, "true"),
            ("contains", r#"["a", 1]"#, "error"),
            ("endswith", r#"["aé", "é"]"#, "true"),
            ("startswith", r#"["a", "ab"]"#, "false"),
            ("indexof", r#"["aéb", "b"]"#, "2"),
            ("indexof", r#"["aéb", "x"]"#, "-1"),
            ("indexof", r#"["é", ""]"#, "error"),
            ("indexof_n", r#"["éaaa", "aa"]"#, "[1,2]"),
            ("indexof_n", r#"["a", ""]"#, "error"),
            ("split", r#"["", ""]"#, "[]"),
            ("split", r#"["é日", ""]"#, r#"["é","日"]"#),
            ("split", r#"["", "b"]"#, r#"[""]"#),
            ("split", r#"["abab", "ab"]"#, r#"["","",""]"#),
            ("strings.count", r#"["é日", ""]"#, "3"),
            ("strings.count", r#"["aaa", "aa"]"#, "1"),
            ("strings.reverse", r#"["aé日"]"#, r#""日éa""#),
            ("substring", r#"["aéb", 1, 1]"#, r#""é""#),
            ("substring", r#"["aéb", 1, -2]"#, r#""éb""#),
            ("substring", r#"["abc", 5, -1]"#, r#""""#),
            ("substring", r#"["", -1, 1]"#, "error"),
            ("substring", r#"["abc", 1.5, 1]"#, "error"),
            ("substring", r#"["abc", 0, 9223372036854775807]"#, r#""abc""#),
            ("substring", r#"["abc", 1, 9223372036854775807]"#, "limit"),
            ("trim", r#"["éxaé", "éa"]"#, r#""x""#),
            ("trim", r#"["aa", "a"]"#, r#""""#),
            ("trim", r#"["aa", ""]"#, r#""aa""#),
            ("trim_left", r#"["éxé", "é"]"#, r#""xé""#),
            ("trim_right", r#"["éxé", "é"]"#, r#""éx""#),
            ("trim_prefix", r#"["aab", "a"]"#, r#""ab""#),
            ("trim_suffix", r#"["abb", "b"]"#, r#""ab""#),
            ("trim_space", r#"["\u0085\u00a0\u2003x\u200b\u000b"]"#, "\"x\u{200b}\""),
            ("strings.any_prefix_match", r#"[["a", "b"], ["", "c"]]"#, "true"),
            ("strings.any_prefix_match", r#"["ab", {"set": ["abc", "b"]}]"#, "false"),
            ("strings.any_prefix_match", r#"[[], [1]]"#, "error"),
            ("strings.any_suffix_match", r#"[{"set": ["aé"]}, "é"]"#, "true"),
            ("strings.any_suffix_match", r#"[{"a": 1}, "é"]"#, "error"),
        ]);
    }

    #[test]
    fn what_is_replaced_is_found_as_go_finds_it() {
        compare(&[
            ("replace", r#"["aXbX", "X", "é"]"#, r#""aébé""#),
            ("replace", r#"["aaa", "aa", "b"]"#, r#""ba""#),
            ("replace", r#"["ab", "", "x"]"#, r#""xaxbx""#),
            ("replace", r#"["", "", "x"]"#, r#""x""#),
            ("replace", r#"["é", "", "x"]"#, "limit"),
            ("strings.replace_n", r#"[{"": "x", "a": "y"}, "aab"]"#, r#""xyxyxbx""#),
            ("strings.replace_n", r#"[{"a": "1", "ab": "2", "b": "3"}, "abab"]"#, r#""1313""#),
            ("strings.replace_n", r#"[{"ab": "2", "abc": "9", "c": "3"}, "abcab"]"#, r#""232""#),
            ("strings.replace_n", r#"[{}, "a"]"#, r#""a""#),
            ("strings.replace_n", r#"[{"a": 1}, "a"]"#, "error"),
            ("strings.replace_n", r#"[{"object": [[1, "a"]]}, "a"]"#, "error"),
        ]);
        compare(&[("strings.replace_n", r#"[{"": ""}, "é"]"#, r#""é""#)]);
        let long = "a".repeat(2000);
        compare(&[("replace", &format!(r#"["{long}", "a", "{long}"]"#), "limit")]);
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        let text = |bytes: &[u8]| Value::String(crate::bytes::to_text(bytes.to_vec()).into());
        // Together they are a character.
        let (lead, rest) = (text(b"\xc3"), text(b"\xa9"));
        let parts = Value::from(vec![lead.clone(), rest.clone()]);
        let ask = |name: &str, arguments: &[Value]| {
            let builtin = crate::builtins::find(name).unwrap();
            (builtin.call)(&mut Budget::new(1000, 1000), arguments).map(|value| value.to_json())
        };
        assert_eq!(ask("concat", &["".into(), parts.clone()]), Err(Failure::Limit));
        assert_eq!(ask("strings.any_suffix_match", &[parts, "é".into()]), Err(Failure::Limit));
        let pairs = Value::from(crate::value::Object::from(vec![(lead.clone(), Value::from("x"))]));
        assert_eq!(ask("strings.replace_n", &[pairs, "é".into()]), Err(Failure::Limit));
        for name in ["contains", "startswith", "indexof", "split", "trim", "trim_prefix"] {
            assert_eq!(ask(name, &["é".into(), lead.clone()]), Err(Failure::Limit), "{name}");
        }
        for name in ["lower", "strings.reverse", "trim_space"] {
            assert_eq!(ask(name, std::slice::from_ref(&rest)), Err(Failure::Limit), "{name}");
        }
        assert!(ask("contains", &["\u{10ff7f}é".into(), "é".into()]) == Ok(true.into()));
    }

    /// A digest of what OPA answers for every character: it changes with the Unicode of either.
    #[test]
    fn the_case_of_every_character_is_as_in_opa() {
        let digest = |of: fn(char) -> char| {
            let all = (0..0x11_0000).filter_map(char::from_u32).map(of).map(u32::from);
            all.fold(0_u64, |sum, code| sum.wrapping_mul(1_099_511_628_211).wrapping_add(code.into()))
        };
        assert_eq!((digest(lower), digest(upper)), (5_947_421_189_204_032_808, 8_610_617_589_469_970_249));
        let spaces = (0..0x11_0000).filter_map(char::from_u32).filter(|c| c.is_whitespace());
        assert_eq!(spaces.count(), 25);
    }
}
