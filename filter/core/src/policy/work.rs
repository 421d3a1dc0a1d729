//! How much a builtin or an operator does, known from its arguments before it does it. A unit is at
//! most about 20 ns of the release module: `make holds` measures what comes of that.

use regorus::Value;

/// Values inside each other; JSON ends at 128 in any case. Dropping a value takes a frame for each.
const MAX_DEPTH: u32 = 256;
/// Brackets inside each other in a pattern: its compiler takes a frame for each.
const MAX_PATTERN_DEPTH: usize = 64;
/// Bits of a number. One that is beyond a float's range panics where it is written in an error.
const MAX_BITS: u64 = 1_000;
/// Compiling a pattern, whatever its length; for each of its bytes; how much more those are where each
/// may be a letter of any script; a character of all; a class of words or another; and if it counts
/// repetitions.
const PATTERN: u64 = 5_000;
const PATTERN_BYTE: u64 = 500;
const SCRIPTS: u64 = 5;
const ANY: u64 = 4_000;
const WORDS: u64 = 40_000;
const CLASS: u64 = 20_000;
const REPETITION: u64 = 200_000;

/// How a builtin's work follows from its arguments.
pub(super) enum Work {
    Constant,
    /// One step, but for text, which is counted, and what has no elements: that is written out in an error.
    Count,
    /// As many steps as the arguments have elements, not counting what is inside of them.
    Shallow,
    /// As many steps as the arguments are large. More for lists, which are written out in errors.
    Linear,
    /// The logarithm of that besides, or a large constant.
    Sorting,
    /// The arguments are multiplied with each other.
    Product,
    /// What was put together so far is copied for each element.
    Merging,
    /// A member is looked up.
    Lookup,
    /// The second argument holds paths, each of which becomes objects inside each other.
    Paths,
    /// Digits are read, which takes the square of their number.
    Digits,
    /// Numbers are multiplied.
    Numbers,
    /// The last argument may replace each byte of the first.
    Replace,
    /// Text is searched for a pattern: where the text stands, where the pattern, and whether it is
    /// searched again behind each match.
    Pattern {
        text: usize,
        pattern: usize,
        again: bool,
    },
    /// Both grow with each delimiter before that.
    Glob,
}

pub(super) fn work_of(name: &str) -> Work {
    match name {
        "is_array" | "is_boolean" | "is_null" | "is_number" | "is_object" | "is_set" | "is_string"
        | "type_name" => Work::Constant,
        "count" => Work::Count,
        "array.concat" | "array.reverse" | "array.slice" => Work::Shallow,
        "intersection"
        | "max"
        | "min"
        | "object.filter"
        | "object.keys"
        | "object.remove"
        | "object.union"
        | "sort"
        | "split"
        | "json.marshal"
        | "__builtin_sets.union"
        | "__builtin_sets.intersection" => Work::Sorting,
        "json.filter" | "json.remove" => Work::Paths,
        "object.get" => Work::Lookup,
        "object.union_n" | "union" => Work::Merging,
        "concat"
        | "indexof"
        | "indexof_n"
        | "object.subset"
        | "strings.count"
        | "strings.any_prefix_match"
        | "strings.any_suffix_match"
        | "trim"
        | "trim_left"
        | "trim_right" => Work::Product,
        "json.is_valid" | "json.unmarshal" | "to_number" => Work::Digits,
        "product" => Work::Numbers,
        "replace" => Work::Replace,
        "glob.match" => Work::Glob,
        "glob.quote_meta" => Work::Pattern { text: 1, pattern: 0, again: false },
        "regex.is_valid" => Work::Pattern { text: 1, pattern: 0, again: false },
        "regex.match" => Work::Pattern { text: 1, pattern: 0, again: false },
        "regex.find_n" | "regex.split" => Work::Pattern { text: 1, pattern: 0, again: true },
        "regex.replace" => Work::Pattern { text: 0, pattern: 1, again: true },
        _ => Work::Linear,
    }
}

/// The units, looking no further than to what is left.
pub(super) fn work(work: &Work, arguments: &[Value], left: u64) -> u64 {
    let size = |at: usize| arguments.get(at).map_or(1, |value| size(value, left));
    let sizes = || (0..arguments.len()).fold(1_u64, |sum, at| sum.saturating_add(size(at)));
    match *work {
        Work::Constant => 0,
        Work::Count => match arguments {
            [Value::Array(_) | Value::Set(_) | Value::Object(_)] => 1,
            _ => sizes(),
        },
        Work::Shallow => (0..arguments.len()).fold(1_u64, |sum, at| {
            sum.saturating_add(match arguments.get(at) {
                // An element is copied with all that it takes: 24 bytes, and a count of its owners.
                Some(list @ Value::Array(_)) => elements(list).saturating_mul(16),
                _ => size(at),
            })
        }),
        Work::Linear => arguments.iter().fold(1_u64, |sum, value| {
            let weight = if is_flat(value) { 1 } else { 8 };
            sum.saturating_add(self::size(value, left).saturating_mul(weight))
        }),
        Work::Sorting => sizes().saturating_mul(8),
        Work::Product => (0..arguments.len())
            .fold(1_u64, |product, at| product.saturating_mul(size(at)))
            .saturating_add(sizes()),
        Work::Merging => {
            let parts = arguments.first().map_or(1, elements);
            parts.saturating_mul(sizes()).saturating_mul(2).saturating_add(sizes().saturating_mul(8))
        }
        Work::Lookup => match arguments {
            // What is found is shared with where it was found.
            [Value::Object(_), key, _] => size(1).saturating_mul(if is_flat(key) { 1 } else { 8 }),
            _ => sizes(),
        },
        Work::Paths => match arguments.get(1).map_or(0, longest_path) {
            0..=MAX_DEPTH => sizes().saturating_mul(8),
            _ => u64::MAX,
        },
        Work::Digits => {
            sizes().saturating_mul(4).saturating_add(sizes().saturating_mul(sizes()).saturating_div(256))
        }
        Work::Numbers => match calculation(arguments) {
            u64::MAX => u64::MAX,
            _ => sizes(),
        },
        Work::Replace => size(0).saturating_mul(size(2)).saturating_add(sizes()),
        Work::Pattern { text, pattern, again } => {
            let searched = pattern_work(arguments.get(pattern), size(pattern), size(text), again);
            // A replacement is written for each match.
            let written = if pattern == 1 { size(0).saturating_mul(size(2)) } else { 0 };
            searched.saturating_add(written)
        }
        Work::Glob => {
            let grow = arguments.get(1).map_or(1, elements).max(1);
            let [pattern, text] = [size(0), size(2)].map(|bytes| bytes.saturating_mul(grow));
            pattern_work(arguments.first(), pattern, text, false).saturating_add(size(1))
        }
    }
}

/// Compiling a pattern of so many bytes, and searching so much text for it.
fn pattern_work(pattern: Option<&Value>, bytes: u64, text: u64, again: bool) -> u64 {
    let source = pattern.and_then(|value| value.as_string().ok()).map_or("", |source| source.as_ref());
    if deepest(source) > MAX_PATTERN_DEPTH {
        return u64::MAX;
    }
    let counts = source.contains('{');
    let byte = if has_scripts(source) { PATTERN_BYTE.saturating_mul(SCRIPTS) } else { PATTERN_BYTE };
    let compiled = bytes.saturating_mul(byte).saturating_add(PATTERN).saturating_add(classes(source));
    let compiled = compiled.saturating_add(if counts { REPETITION } else { 0 });
    // States that a byte of the text may be compared with.
    let states = if counts { 5_000 } else { bytes.saturating_mul(4) };
    let once = text.saturating_mul(states);
    let searched = if again { once.saturating_mul(text).saturating_div(8) } else { once };
    compiled.saturating_add(searched)
}

/// Brackets of a pattern inside each other, and more if some are only characters.
fn deepest(pattern: &str) -> usize {
    let mut depth: usize = 0;
    let mut deepest = 0;
    for byte in pattern.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth = depth.saturating_add(1),
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = depth.max(deepest);
    }
    deepest
}

/// Whether any of a pattern's letters may stand for those of other scripts.
fn has_scripts(pattern: &str) -> bool {
    !pattern.is_ascii() || ["(?", "&&", "--", "~~"].iter().any(|mark| pattern.contains(mark))
}

/// What the classes of a pattern add, which are tables of all scripts.
fn classes(pattern: &str) -> u64 {
    let mut sum: u64 = 0;
    let mut before = ' ';
    for character in pattern.chars() {
        let own = match (before, character) {
            ('\\', 'w' | 'W') => WORDS,
            ('\\', letter) if letter.is_ascii_alphabetic() => CLASS,
            ('[', '^') | (_, '.') => ANY,
            _ => 0,
        };
        sum = sum.saturating_add(own);
        before = character;
    }
    sum
}

/// How many objects the longest of these paths is inside each other.
fn longest_path(paths: &Value) -> u32 {
    let length = |path: &Value| match path {
        Value::String(path) => path.split('/').count(),
        Value::Array(parts) => parts.len(),
        _ => 0,
    };
    let longest = match paths {
        Value::Array(paths) => paths.iter().map(length).max(),
        Value::Set(paths) => paths.iter().map(length).max(),
        _ => None,
    };
    u32::try_from(longest.unwrap_or(0)).unwrap_or(u32::MAX)
}

/// Nothing else is inside of it.
pub(super) const fn is_flat(value: &Value) -> bool {
    !matches!(value, Value::Array(_) | Value::Set(_) | Value::Object(_))
}

pub(super) fn elements(value: &Value) -> u64 {
    let count = match value {
        Value::Array(items) => items.len(),
        Value::Set(items) => items.len(),
        Value::Object(members) => members.len(),
        _ => 1,
    };
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Bits that a number takes.
fn bits(value: &Value) -> u64 {
    match value {
        Value::Number(number) => match number.as_i64() {
            Some(small) => u64::from(64_u32.saturating_sub(small.unsigned_abs().leading_zeros())),
            None if number.is_integer() => number.as_big().map_or(64, |big| big.bits()),
            None => 64,
        },
        Value::Array(items) => items.iter().fold(0, |sum: u64, item| sum.saturating_add(bits(item))),
        Value::Set(items) => items.iter().fold(0, |sum: u64, item| sum.saturating_add(bits(item))),
        _ => 0,
    }
}

/// The work of calculating with these: small, or more than there can be.
pub(super) fn calculation(values: &[Value]) -> u64 {
    match values.iter().fold(0, |sum: u64, value| sum.saturating_add(bits(value))) {
        0..=MAX_BITS => 1,
        _ => u64::MAX,
    }
}

/// Bytes of text and numbers, and one for each value, of the whole tree. A part that stands in it
/// twice counts twice, as it is visited twice; looks no further than `most`. What is too deep is too
/// large.
pub(super) fn size(value: &Value, most: u64) -> u64 {
    let mut open = Vec::new();
    let mut next = Some((value, 0_u32));
    let mut sum: u64 = 0;
    while let Some((value, depth)) = next {
        let inner = depth.saturating_add(1);
        let own = match value {
            Value::String(text) => u64::try_from(text.len()).unwrap_or(u64::MAX),
            // Writing a long one takes the square of its digits.
            Value::Number(_) => match bits(value) {
                small @ 0..=64 => small.saturating_div(8),
                large => large,
            },
            Value::Array(items) => {
                open.extend(items.iter().map(|item| (item, inner)));
                0
            }
            Value::Set(items) => {
                open.extend(items.iter().map(|item| (item, inner)));
                0
            }
            Value::Object(members) => {
                open.extend(members.iter().flat_map(|(key, value)| [(key, inner), (value, inner)]));
                0
            }
            _ => 0,
        };
        sum = sum.saturating_add(own).saturating_add(1);
        if sum > most || depth > MAX_DEPTH {
            return u64::MAX;
        }
        next = open.pop();
    }
    sum
}
