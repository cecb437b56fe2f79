//! The statements of one `COM_QUERY`, run one after another.

use std::sync::Arc;

/// A text of one or more statements and the position in it. Each statement is parsed when its turn comes, under the
/// SQL mode of that moment.
#[derive(Debug, Clone)]
pub struct Batch {
    pub(crate) text: Arc<[u8]>,
    pub(crate) position: usize,
    /// The client did not ask for multi-statements: [`Session::next_result`](crate::Session::next_result) refuses a
    /// second statement (1064) before it runs the first.
    pub(crate) single: bool,
}

impl Batch {
    /// A batch at its first statement.
    ///
    /// Text is UTF-8, but between quotes anything may stand: drivers write binary values there as they are.
    pub fn new(text: impl AsRef<[u8]>) -> Self {
        Self { text: Arc::from(text.as_ref()), position: 0, single: false }
    }

    /// A batch that may hold one statement only.
    pub fn single(text: impl AsRef<[u8]>) -> Self {
        Self { single: true, ..Self::new(text) }
    }

    /// Whether another statement follows: the server then sets `MORE_RESULTS_EXISTS`.
    pub fn has_more(&self) -> bool {
        has_statement(&self.text[self.position..])
    }
}

/// Whether something but blanks, semicolons and comments is left.
fn has_statement(mut text: &[u8]) -> bool {
    loop {
        let blank = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b';' | b'\0');
        text = &text[text.iter().position(|byte| !blank(byte)).unwrap_or(text.len())..];
        let rest = match text {
            [b'/', b'*', rest @ ..] if !matches!(rest, [b'!' | b'+' | b'T' | b'M', ..]) => {
                behind(rest, b"*/")
            }
            [b'#', rest @ ..] | [b'-', b'-', b' ' | b'\t', rest @ ..] => behind(rest, b"\n"),
            [b'-', b'-', b'\n', rest @ ..] => Some(rest),
            b"--" => None,
            other => return !other.is_empty(),
        };
        match rest {
            Some(rest) => text = rest,
            None => return false,
        }
    }
}

/// What stands behind the first occurrence of `end`.
fn behind<'a>(text: &'a [u8], end: &[u8]) -> Option<&'a [u8]> {
    text.windows(end.len()).position(|window| window == end).map(|at| &text[at + end.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_and_comments_are_no_statement() {
        for text in ["", " ; ;\n", "-- x", "# x\n;", "/* a */ -- b"] {
            assert!(!has_statement(text.as_bytes()), "{text:?}");
        }
        for text in ["select 1", "/* a */ select 1", "-- a\nselect 1", "/*!40101 set x=1 */", "--1"] {
            assert!(has_statement(text.as_bytes()), "{text:?}");
        }
    }
}
