//! Path templates of grants.

use crate::http::target::{folded_by_some, Target, MAX_SEGMENTS};

/// A path template, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Literal(String),
    Param(String),
    /// One or more segments, the last part only. The last of them may be empty: a trailing slash.
    Rest(String),
    /// The target `*`, the only part.
    Star,
}

impl Template {
    /// Whether a target's path is of this form; as `Grants::find` has it.
    pub(crate) fn matches(&self, target: &Target) -> bool {
        if target.path == "*" {
            return self.parts == [Part::Star];
        }
        let mut segments = target.segments.iter();
        for part in &self.parts {
            let matches = match (part, segments.next()) {
                (Part::Literal(text), Some(segment)) => text == segment,
                (Part::Param(_), Some(segment)) => !segment.is_empty(),
                (Part::Rest(_), Some(_)) => return true,
                (Part::Star, _) | (_, None) => false,
            };
            if !matches {
                return false;
            }
        }
        segments.next().is_none()
    }

    /// Parses `/a/{b}/c/{d...}`; `*` is the target of CONNECT and OPTIONS without a path.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self { parts: vec![Part::Star] });
        }
        let relative = text.strip_prefix('/').ok_or("expected a path that starts with `/`")?;
        let mut parts: Vec<Part> = Vec::new();
        if relative.is_empty() {
            return Ok(Self { parts });
        }
        let segments: Vec<&str> = relative.split('/').collect();
        if segments.len() > MAX_SEGMENTS {
            return Err(format!("more than {MAX_SEGMENTS} segments never match: such paths are refused"));
        }
        let last = segments.len().saturating_sub(1);
        for (index, segment) in segments.into_iter().enumerate() {
            let part = match segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
                Some(name) => {
                    let (name, is_rest) = match name.strip_suffix("...") {
                        Some(name) => (name, true),
                        None => (name, false),
                    };
                    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
                    if name.is_empty() || !plain {
                        return Err(format!("`{{{name}}}` is not a parameter name"));
                    }
                    if parts.iter().any(|part| matches!(part, Part::Param(other) if other == name)) {
                        return Err(format!("the parameter `{name}` is repeated"));
                    }
                    if is_rest && index != last {
                        return Err(format!("`{{{name}...}}` is not the last segment"));
                    }
                    if is_rest {
                        Part::Rest(name.to_owned())
                    } else {
                        Part::Param(name.to_owned())
                    }
                }
                None if segment.is_empty() && index != last => {
                    return Err("an empty segment never matches: such paths are refused".into())
                }
                None if matches!(segment, "." | "..") => {
                    return Err("a dot segment never matches: such paths are refused".into())
                }
                None if segment.contains(['{', '}']) => {
                    return Err(format!(
                        "`{segment}`: a parameter is a whole segment; write `{{name}}`, and look at its text in the policy"
                    ))
                }
                // Of Istio and Envoy; of Express. Nobody means them literally.
                None if matches!(segment, "*" | "**") => {
                    let (before, _) = text.split_once(segment).unwrap_or_default();
                    let wild = if index == last { "{rest...}" } else { "{name}" };
                    return Err(format!("`{segment}` is no wildcard here; write `{before}{wild}`"))
                }
                None if segment.starts_with(':') => {
                    return Err(format!(
                        "`{segment}` is no parameter here; write `{{{}}}`",
                        segment.trim_start_matches(':')
                    ))
                }
                None if segment.contains(['%', '\\', '#', '?']) => {
                    return Err(format!(
                        "the segment `{segment}` never matches: segments are compared decoded"
                    ))
                }
                None => match folded_by_some(segment) {
                    None => Part::Literal(segment.to_owned()),
                    Some(why) => return Err(format!("`{segment}` never matches, such paths are refused: {why}")),
                },
            };
            parts.push(part);
        }
        Ok(Self { parts })
    }

    /// Parts, first to last.
    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Names of the parameters in order, with `,` between them.
    pub(crate) fn names(&self) -> String {
        let names = self.parts.iter().filter_map(|part| match part {
            Part::Literal(_) | Part::Star => None,
            Part::Param(name) | Part::Rest(name) => Some(name.as_str()),
        });
        names.collect::<Vec<_>>().join(",")
    }
}
