//! `# everycall:allow CODE reason` in the comment right above a line: what is found there is meant.

use super::RegoFile;

/// A comment that allows something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Allow {
    pub(crate) line: usize,
    pub(crate) code: String,
    pub(crate) reason: String,
}

impl RegoFile {
    /// All such comments.
    pub(crate) fn allows(&self) -> Vec<Allow> {
        let numbered = self.text.lines().enumerate();
        numbered.filter_map(|(index, line)| read(index.saturating_add(1), line)).collect()
    }

    /// Whether the comment above a line allows this, and says why.
    pub(crate) fn allowed(&self, line: usize, code: &str) -> bool {
        let above: Vec<&str> = self.text.lines().take(line.saturating_sub(1)).collect();
        let comment = above.iter().rev().take_while(|line| line.trim_start().starts_with('#'));
        let mut allows = comment.filter_map(|text| read(0, text));
        allows.any(|allow| allow.code == code && !allow.reason.is_empty())
    }
}

fn read(line: usize, text: &str) -> Option<Allow> {
    let rest = text.trim().strip_prefix('#')?.trim_start().strip_prefix("everycall:allow")?;
    let (code, reason) = rest.trim().split_once(char::is_whitespace).unwrap_or((rest.trim(), ""));
    Some(Allow { line, code: code.to_owned(), reason: reason.trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_right_above_allows_if_it_has_a_reason() {
        let text = "package p\n# everycall:allow a because\n# of this\nx := 1\n\n# everycall:allow a\ny := 1\n# everycall:allow a x\n\nz := 1";
        let file = RegoFile::parse("p.rego", text).unwrap();
        let allowed = |line, code| file.allowed(line, code);
        assert!(allowed(4, "a") && !allowed(4, "b") && !allowed(7, "a") && !allowed(10, "a"));
        assert_eq!(file.allows().len(), 3);
    }
}
