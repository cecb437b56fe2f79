//! Texts that have no place in code that ships.

use crate::sources::Source;

/// A banned text, where it is banned, and what to do instead.
struct Ban {
    text: &'static str,
    scope: Scope,
    advice: &'static str,
}

#[derive(PartialEq, Eq)]
enum Scope {
    Everywhere,
    Shipped,
}

// The pieces are joined at compile time so that this file does not find itself.
const BANS: &[Ban] = &[
    Ban {
        text: concat!("to", "do!("),
        scope: Scope::Everywhere,
        advice: "finish it, or return an error that says so",
    },
    Ban {
        text: concat!("unimpl", "emented!("),
        scope: Scope::Everywhere,
        advice: "finish it, or return an error that says so",
    },
    Ban {
        text: concat!("#[ig", "nore"),
        scope: Scope::Everywhere,
        advice: "a test that does not run is none",
    },
    Ban { text: concat!("db", "g!("), scope: Scope::Everywhere, advice: "use tracing" },
    Ban { text: concat!("/ro", "ot/"), scope: Scope::Everywhere, advice: "no absolute path of a machine" },
    Ban { text: concat!("/ho", "me/"), scope: Scope::Everywhere, advice: "no absolute path of a machine" },
    Ban {
        text: concat!("thread::sl", "eep("),
        scope: Scope::Shipped,
        advice: "wait for a condition, or use tokio::time",
    },
];

/// Reports each banned text with its place.
pub fn check(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources {
        let first_test_line = source.first_test_line();
        for (number, line) in source.text.lines().enumerate() {
            for ban in BANS.iter().filter(|ban| ban.scope == Scope::Everywhere || number < first_test_line) {
                if line.contains(ban.text) {
                    findings.push(format!(
                        "{}:{}: `{}`: {}",
                        source.path.display(),
                        number + 1,
                        ban.text,
                        ban.advice
                    ));
                }
            }
        }
        if source.path.file_name().is_some_and(|name| name == "mod.rs") {
            findings.push(format!(
                "{}: name the file after its module (foo.rs beside foo/)",
                source.path.display()
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> usize {
        check(&[Source { path: "crates/x/src/a.rs".into(), text: text.into() }]).len()
    }

    #[test]
    fn banned_texts_are_found_where_they_are_banned() {
        assert_eq!(findings(concat!("fn a() { to", "do!() }")), 1);
        assert_eq!(findings("fn a() { std::thread::spawn(b) }"), 0);
        assert_eq!(findings(concat!("fn a() { std::thread::sl", "eep(d) }")), 1);
        assert_eq!(
            findings(concat!("#[cfg(test)]\nmod tests {\n    fn a() { std::thread::sl", "eep(d) }\n}")),
            0
        );
    }
}
