//! Every link of a page leads somewhere, the front page is short, and long pages say what is on them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use everycall_tests::envoy::root;
use regex::Regex;

use crate::page::{files_below, COMMANDS, CONFIGURATION, FRONT, IDENTITY, POLICIES, PROXY, RECORDS};

/// The most lines of the front page.
const FRONT_LINES: usize = 250;
/// A longer page begins with a table of contents.
const SHORT_LINES: usize = 150;

/// The lines of a page that are no code: what stands between fences is empty.
fn prose(text: &str) -> Vec<&str> {
    let mut fence: Option<&str> = None;
    let line = |line| {
        let marks = ["```", "~~~"].into_iter().find(|marks| str::trim_start(line).starts_with(marks));
        match (fence, marks) {
            (None, None) => line,
            (None, Some(_)) => {
                fence = marks;
                ""
            }
            (Some(open), _) => {
                fence = fence.filter(|_| marks != Some(open));
                ""
            }
        }
    };
    text.lines().map(line).collect()
}

/// What GitHub calls a heading: letters, digits, `-` and `_` in lower case, blanks as `-`.
fn slug(heading: &str) -> String {
    let links = Regex::new(r"\[([^\]]*)\]\([^)]*\)").unwrap();
    let text = links.replace_all(heading.trim(), "$1").to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ' '));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The rank and the text of a heading.
fn heading(line: &str) -> Option<(usize, &str)> {
    let rank = line.bytes().take_while(|byte| *byte == b'#').count();
    let text = line[rank..].strip_prefix(' ')?;
    (1..=6).contains(&rank).then_some((rank, text.trim()))
}

/// What a link into a page may name: one that is there again is numbered.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    let mut anchors = BTreeSet::new();
    for (_, text) in prose(text).into_iter().filter_map(heading) {
        let slug = slug(text);
        let before = times.entry(slug.clone()).or_default();
        anchors.insert(if *before == 0 { slug } else { format!("{slug}-{before}") });
        *before += 1;
    }
    anchors
}

/// Where the links of a page lead.
fn links(text: &str) -> Vec<String> {
    let spans = Regex::new(r"(`+)[^`]+?(`+)").unwrap();
    let text = prose(text).join("\n");
    let text = spans.replace_all(&text, "code");
    let inline = Regex::new(r#"\]\(\s*<?([^()\s>]*)>?(?:\s+"[^"]*")?\s*\)"#).unwrap();
    let defined = Regex::new(r"(?m)^ {0,3}\[[^\]]+\]:\s+<?([^\s>]+)").unwrap();
    let found = inline.captures_iter(&text).chain(defined.captures_iter(&text));
    found.map(|link| link[1].to_owned()).collect()
}

/// `a/b/../c` is `a/c`; nothing if it leads out.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop().then_some(())?),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(plain)
}

/// Why a link of a page leads nowhere.
fn broken(page: &Path, target: &str) -> Option<String> {
    if Regex::new(r"^[a-z][a-z0-9+.-]*:").unwrap().is_match(target) {
        return None;
    }
    let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
    let to = match file {
        "" => page.to_owned(),
        file => match plain(&page.parent().unwrap().join(file)) {
            Some(to) => to,
            None => return Some("it leads out of the repository".into()),
        },
    };
    let there = root().join(&to);
    match anchor {
        _ if !there.exists() => Some(format!("there is no {}", to.display())),
        None => None,
        Some(anchor) => {
            let known = fs::read_to_string(&there).map(|text| anchors(&text)).unwrap_or_default();
            (!known.contains(anchor)).then(|| format!("{} has no #{anchor}", to.display()))
        }
    }
}

#[test]
fn every_link_leads_somewhere() {
    let top = root().canonicalize().unwrap();
    let mut found = files_below(&top);
    found.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    let (mut all, mut wrong) = (0, Vec::new());
    for path in &found {
        let page = path.strip_prefix(&top).unwrap();
        for target in links(&fs::read_to_string(path).unwrap()) {
            all += 1;
            wrong.extend(broken(page, &target).map(|why| format!("{}: ({target}): {why}", page.display())));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(found.len() >= 12 && all > 100, "{} pages, {all} links", found.len());
}

#[test]
fn links_are_found_and_followed() {
    let text = "# A `b` c: [d](e)!\n\n## Again\n## Again\n```sh\n# no heading [x](y)\n```\n[`f`](g#h) ![i](<j> \"k\") \
                `[l](m)` [n\no](p)\n\n[q]: r\n";
    assert_eq!(links(text), ["e", "g#h", "j", "p", "r"]);
    let known: Vec<String> = anchors(text).into_iter().collect();
    assert_eq!(known, ["a-b-c-d", "again", "again-1"]);
    assert_eq!(slug("What happens when X is missing, broken, slow or too big"), {
        "what-happens-when-x-is-missing-broken-slow-or-too-big"
    });
    assert_eq!(slug("The client's `at+jwt` - a_b"), "the-clients-atjwt---a_b");
    let page = Path::new("envoy/README.md");
    for (target, why) in [
        ("https://shop.example/#x", None),
        ("../README.md#a-policy", None),
        ("istio", None),
        ("../README.md#a-polcy", Some("README.md has no #a-polcy")),
        ("#a-policy", Some("envoy/README.md has no #a-policy")),
        ("../READ.md", Some("there is no READ.md")),
        ("../../x", Some("it leads out of the repository")),
        ("/README.md", Some("it leads out of the repository")),
    ] {
        assert_eq!(broken(page, target).as_deref(), why, "{target}");
    }
}

#[test]
fn the_front_page_is_short() {
    let lines = crate::page::file(FRONT).lines().count();
    assert!(lines <= FRONT_LINES, "{lines} lines: what is for one sort of reader belongs on their page");
}

/// A page begins with what it is for; if it is long, with what is on it.
#[test]
fn long_pages_say_what_is_on_them() {
    for page in [PROXY, CONFIGURATION, IDENTITY, RECORDS, POLICIES, COMMANDS, "SECURITY.md"] {
        let text = crate::page::file(page);
        let (before, _) = text.split_once("\n## ").unwrap_or((&text, ""));
        let first = before.lines().find(|line| !line.is_empty() && heading(line).is_none()).unwrap();
        assert!(first.starts_with("For whoever "), "{page} begins with `{first}`");
        let named = links(before);
        let main = prose(&text).into_iter().filter_map(heading).filter(|(rank, _)| *rank == 2);
        if text.lines().count() > SHORT_LINES {
            for (_, text) in main {
                assert!(
                    named.contains(&format!("#{}", slug(text))),
                    "{page} does not name `{text}` at its top"
                );
            }
        }
    }
}
