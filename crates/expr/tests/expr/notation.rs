//! Expressions written as calls: `plus(1, lower('A'))`. Literals are `1`, `1.5`, `1e0`, `'text'`, `x'ff'`, `NULL`,
//! `date'2020-01-01'`, `time'10:11:12'`, `datetime'2020-01-01 10:11:12'`, `json'{}'`, `uint'5'`; `cast(expr as type)` casts.

use tidewater_expr::{EvalContext, Expr, ExprError, build_cast, build_function};
use tidewater_types::{Datum, Decimal, Duration, FieldType, Json, SqlMode, Time};

/// Reads one expression.
pub fn parse(text: &str, ctx: &EvalContext) -> Result<Expr, ExprError> {
    let mut reader = Reader { rest: text.trim(), ctx };
    let expr = reader.expr()?;
    assert!(reader.rest.trim().is_empty(), "text after the expression: {}", reader.rest);
    Ok(expr)
}

struct Reader<'a> {
    rest: &'a str,
    ctx: &'a EvalContext,
}

impl Reader<'_> {
    fn eat(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn word(&mut self) -> String {
        self.rest = self.rest.trim_start();
        let end = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.to_owned()
    }

    fn quoted(&mut self) -> String {
        assert!(self.eat("'"), "a quote at {}", self.rest);
        let mut text = String::new();
        let mut chars = self.rest.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            match c {
                '\'' if chars.peek().is_some_and(|(_, next)| *next == '\'') => {
                    chars.next();
                    text.push('\'');
                }
                '\'' => {
                    self.rest = &self.rest[at + 1..];
                    return text;
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, '0')) => text.push('\0'),
                    Some((_, c @ ('%' | '_'))) => text.extend(['\\', c]),
                    Some((_, c)) => text.push(c),
                    None => {}
                },
                other => text.push(other),
            }
        }
        panic!("unterminated text");
    }

    fn expr(&mut self) -> Result<Expr, ExprError> {
        self.rest = self.rest.trim_start();
        let first = self.rest.chars().next().expect("an expression");
        if first == '\'' {
            return Ok(Expr::string(&self.quoted()));
        }
        if first.is_ascii_digit() || first == '-' {
            return Ok(self.number());
        }
        let word = self.word();
        if self.rest.starts_with('\'') {
            let text = self.quoted();
            return Ok(typed_literal(&word, &text));
        }
        if word == "NULL" {
            return Ok(Expr::null());
        }
        assert!(self.eat("("), "a call of {word} at {}", self.rest);
        let mut args = Vec::new();
        if self.eat(")") {
            return build_function(&word, args, self.ctx);
        }
        loop {
            args.push(self.expr()?);
            if word == "cast" && self.eat("as") {
                let end = self.rest.find(')').expect("a type");
                let depth = usize::from(self.rest[..end].contains('('));
                let end = if depth == 1 { end + 1 } else { end };
                let to = type_of(self.rest[..end].trim());
                self.rest = &self.rest[end..];
                assert!(self.eat(")"));
                return Ok(build_cast(args.remove(0), to));
            }
            if self.eat(")") {
                return build_function(&word, args, self.ctx);
            }
            assert!(self.eat(","), "a comma at {}", self.rest);
        }
    }

    fn number(&mut self) -> Expr {
        let end = self
            .rest
            .char_indices()
            .find(|(i, c)| {
                !(c.is_ascii_digit()
                    || matches!(c, '.' | 'e')
                    || (*c == '-' && (*i == 0 || self.rest[..*i].ends_with('e'))))
            })
            .map_or(self.rest.len(), |(i, _)| i);
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        if text.contains('e') {
            return Expr::literal(
                Datum::Double(text.parse().expect("a double")),
                FieldType::double().not_null(),
            );
        }
        if let Ok(value) = text.parse::<i64>() {
            return Expr::int(value);
        }
        if let Ok(value) = text.parse::<u64>() {
            return Expr::literal(Datum::UInt(value), FieldType::uint().not_null());
        }
        let value: Decimal = text.parse().expect("a number");
        let field_type = FieldType::decimal(value.precision(), value.scale()).not_null();
        Expr::literal(Datum::Decimal(value), field_type)
    }
}

fn typed_literal(kind: &str, text: &str) -> Expr {
    let fsp = text.rsplit_once('.').map_or(0, |(_, f)| f.len() as u8);
    let time = |text: &str| Time::parse(text, fsp, SqlMode::empty()).expect("a time").time;
    let (value, field_type) = match kind {
        "date" => (Datum::Time(time(text)), FieldType::date()),
        "datetime" | "timestamp" => (Datum::Time(time(text)), FieldType::datetime(fsp)),
        "time" => {
            (Datum::Duration(Duration::parse(text, fsp).expect("a TIME").duration), FieldType::duration(fsp))
        }
        "json" => (Datum::Json(Json::parse(text).expect("a document")), FieldType::json()),
        "uint" => (Datum::UInt(text.parse().expect("a number")), FieldType::uint()),
        "x" => {
            let digits: Vec<u8> = (0..text.len() / 2)
                .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).expect("hexadecimal digits"))
                .collect();
            (Datum::Bytes(digits), FieldType::binary_string())
        }
        other => panic!("unknown literal {other}"),
    };
    Expr::literal(value, field_type.not_null())
}

fn type_of(text: &str) -> FieldType {
    let (name, numbers) = text.split_once('(').unwrap_or((text, ""));
    let numbers: Vec<i32> =
        numbers.trim_end_matches(')').split(',').filter_map(|n| n.trim().parse().ok()).collect();
    let number = |i: usize, default: i32| numbers.get(i).copied().unwrap_or(default);
    match name.trim() {
        "signed" => FieldType::int(),
        "unsigned" => FieldType::uint(),
        "double" => FieldType::double(),
        "float" => FieldType::float(),
        "decimal" => FieldType::decimal(number(0, 10) as u8, number(1, 0) as u8),
        "char" => FieldType { length: number(0, -1), ..FieldType::string() },
        "binary" => FieldType {
            length: number(0, -1),
            ..FieldType::new(tidewater_types::TypeCode::String)
                .with_collation(tidewater_types::Collation::Binary)
        },
        "date" => FieldType::date(),
        "datetime" => FieldType::datetime(number(0, 0) as u8),
        "time" => FieldType::duration(number(0, 0) as u8),
        "json" => FieldType::json(),
        other => panic!("unknown type {other}"),
    }
}
