//! Conditions in the words of MySQL's catalog: every operator in parentheses, words in lower case, strings with their
//! character set. What the rules below do not name is written as we write SQL elsewhere; it means the same.

use std::fmt::{self, Display, Formatter};

use tidewater_catalog::quote_identifier;
use tidewater_parser::ast::{BinaryOp, Expr, Literal, UnaryOp};

/// Shows a condition.
pub(super) struct Condition<'a>(pub(super) &'a Expr);

impl Display for Condition<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let not = |negated: bool| if negated { "not " } else { "" };
        match self.0 {
            Expr::Column(column) => f.write_str(&quote_identifier(column.name.as_str(), '`')),
            Expr::Literal(Literal::String(string)) if string.charset.is_none() => {
                write!(f, "_utf8mb4{}", self.0)
            }
            Expr::Literal(Literal::Int(value)) if *value < 0 => write!(f, "-({})", value.unsigned_abs()),
            Expr::Literal(Literal::Bool(value)) => write!(f, "{value}"),
            Expr::Binary { left, op, right } => match operator(*op) {
                Some(word) => write!(f, "({} {word} {})", Condition(left), Condition(right)),
                None => write!(f, "({})", self.0),
            },
            Expr::Unary { op: UnaryOp::Not, expr } => write!(f, "(not({}))", Condition(expr)),
            Expr::Unary { op: UnaryOp::Minus, expr } => write!(f, "-({})", Condition(expr)),
            Expr::IsNull { expr, negated } => {
                write!(f, "({} is {}null)", Condition(expr), not(*negated))
            }
            Expr::Between { expr, low, high, negated } => {
                let (expr, low, high) = (Condition(expr), Condition(low), Condition(high));
                write!(f, "({expr} {}between {low} and {high})", not(*negated))
            }
            Expr::InList { expr, list, negated } => {
                write!(f, "({} {}in ({}))", Condition(expr), not(*negated), List(list))
            }
            Expr::Like { expr, pattern, escape: None, negated } => {
                let like = format!("({} like {})", Condition(expr), Condition(pattern));
                if *negated { write!(f, "(not({like}))") } else { f.write_str(&like) }
            }
            Expr::Regexp { expr, pattern, negated } => {
                let like = format!("regexp_like({},{})", Condition(expr), Condition(pattern));
                if *negated { write!(f, "(not({like}))") } else { f.write_str(&like) }
            }
            Expr::Function(call) if call.schema.is_none() && is_plain(&call.name, &call.args) => {
                write!(f, "{}({})", call.name, List(&call.args))
            }
            Expr::Literal(_) | Expr::Function(_) => self.0.fmt(f),
            other => write!(f, "({other})"),
        }
    }
}

struct List<'a>(&'a [Expr]);

impl Display for List<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, member) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            Condition(member).fmt(f)?;
        }
        Ok(())
    }
}

/// Whether a call is a name and values; some have a syntax of their own.
fn is_plain(name: &str, args: &[Expr]) -> bool {
    !matches!(name, "trim" | "get_format")
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !args.iter().any(|arg| matches!(arg, Expr::Interval { .. } | Expr::Unit(_)))
}

fn operator(op: BinaryOp) -> Option<&'static str> {
    Some(match op {
        BinaryOp::Or => "or",
        BinaryOp::Xor => "xor",
        BinaryOp::And => "and",
        BinaryOp::Eq => "=",
        BinaryOp::NullSafeEq => "<=>",
        BinaryOp::Ne => "<>",
        BinaryOp::Lt => "<",
        BinaryOp::Le => "<=",
        BinaryOp::Gt => ">",
        BinaryOp::Ge => ">=",
        BinaryOp::BitOr => "|",
        BinaryOp::BitAnd => "&",
        BinaryOp::ShiftLeft => "<<",
        BinaryOp::ShiftRight => ">>",
        BinaryOp::Plus => "+",
        BinaryOp::Minus => "-",
        BinaryOp::Multiply => "*",
        BinaryOp::Divide => "/",
        BinaryOp::IntDivide => "DIV",
        BinaryOp::Modulo => "%",
        BinaryOp::BitXor => "^",
        BinaryOp::Concat | BinaryOp::SoundsLike | BinaryOp::JsonExtract | BinaryOp::JsonExtractUnquote => {
            return None;
        }
    })
}

#[cfg(test)]
mod tests {
    use tidewater_parser::ast::{SelectItem, Statement};
    use tidewater_parser::{ParserOptions, parse_one};

    use super::Condition;

    /// The catalog's text of a condition, which must read as the same condition again.
    fn shown(condition: &str) -> String {
        let parse = |text: &str| {
            let parsed = parse_one(&format!("SELECT {text}"), &ParserOptions::default()).expect("it parses");
            let Statement::Query(query) = parsed.statement else { panic!("a query") };
            let Some(SelectItem::Expr { expr, .. }) =
                query.as_select().expect("a SELECT").items.first().cloned()
            else {
                panic!("an expression")
            };
            expr
        };
        let text = Condition(&parse(condition)).to_string();
        assert_eq!(Condition(&parse(&text)).to_string(), text);
        text
    }

    #[test]
    fn conditions_read_as_in_mysql() {
        for (condition, expected) in [
            ("a > 0 AND b != -5", "((`a` > 0) and (`b` <> -(5)))"),
            ("a IN (1, 2) OR a IS NOT NULL", "((`a` in (1,2)) or (`a` is not null))"),
            ("a BETWEEN 1 AND 2 + 3", "(`a` between 1 and (2 + 3))"),
            ("s LIKE 'x%'", "(`s` like _utf8mb4'x%')"),
            ("NOT json_valid(s)", "(not(json_valid(`s`)))"),
            ("char_length(s) < 5", "(char_length(`s`) < 5)"),
            ("CASE WHEN a THEN b END = 1", "((CASE WHEN `a` THEN `b` END) = 1)"),
        ] {
            assert_eq!(shown(condition), expected);
        }
    }
}
