//! The statements of one `COM_QUERY`, run one after another.

use std::sync::Arc;

/// A text of one or more statements and the position in it. Each statement is parsed when its turn comes, under the
/// SQL mode of that moment.
#[derive(Debug, Clone)]
pub struct Batch {
    pub(crate) text: Arc<str>,
    pub(crate) position: usize,
    pub(crate) first: bool,
    /// The client did not ask for multi-statements: [`Session::next_result`](crate::Session::next_result) refuses a
    /// second statement (1064) before it runs the first.
    pub(crate) single: bool,
}

impl Batch {
    /// A batch at its first statement.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self { text: text.into(), position: 0, first: true, single: false }
    }

    /// A batch that may hold one statement only.
    pub fn single(text: impl Into<Arc<str>>) -> Self {
        Self { single: true, ..Self::new(text) }
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether another statement follows: the server then sets `MORE_RESULTS_EXISTS`.
    pub fn has_more(&self) -> bool {
        has_statement(&self.text[self.position..])
    }
}

/// Whether something but blanks, semicolons and comments is left.
fn has_statement(mut text: &str) -> bool {
    loop {
        text = text.trim_start_matches(|c: char| c.is_whitespace() || c == ';' || c == '\0');
        if let Some(rest) = text.strip_prefix("/*")
            && !rest.starts_with(['!', '+', 'T', 'M'])
        {
            match rest.find("*/") {
                Some(end) => text = &rest[end + 2..],
                None => return false,
            }
        } else if text.starts_with('#') || text.starts_with("-- ") || text.starts_with("--\t") || text == "--" || text.starts_with("--\n") {
            match text.find('\n') {
                Some(end) => text = &text[end + 1..],
                None => return false,
            }
        } else {
            return !text.is_empty();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_and_comments_are_no_statement() {
        for text in ["", " ; ;\n", "-- x", "# x\n;", "/* a */ -- b"] {
            assert!(!has_statement(text), "{text:?}");
        }
        for text in ["select 1", "/* a */ select 1", "-- a\nselect 1", "/*!40101 set x=1 */", "--1"] {
            assert!(has_statement(text), "{text:?}");
        }
    }
}
