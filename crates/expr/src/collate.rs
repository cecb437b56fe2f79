//! Which collation an operation on strings uses: the strongest claim wins (MySQL's coercibility).

use tidewater_types::{Charset, Collation, EvalType, TypeCode};

use crate::error::ExprError;
use crate::expr::Expr;

/// How strongly an expression claims its collation. Lower is stronger, as in MySQL's COERCIBILITY().
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Coercibility {
    /// A COLLATE clause.
    Explicit = 0,
    /// A mix of implicit claims: no collation.
    None = 1,
    /// A column.
    Implicit = 2,
    /// A system constant such as USER().
    SystemConstant = 3,
    /// A literal.
    Coercible = 4,
    /// A number or time turned into text.
    Numeric = 5,
    /// NULL.
    Ignorable = 6,
}

impl Coercibility {
    fn name(self) -> &'static str {
        match self {
            Self::Explicit => "EXPLICIT",
            Self::None => "NONE",
            Self::Implicit => "IMPLICIT",
            Self::SystemConstant => "SYSCONST",
            Self::Coercible => "COERCIBLE",
            Self::Numeric => "NUMERIC",
            Self::Ignorable => "IGNORABLE",
        }
    }
}

/// The collation of an expression and how strongly it is claimed.
pub fn of(expr: &Expr) -> (Collation, Coercibility) {
    let field_type = expr.field_type();
    let text = field_type.is_string() || matches!(field_type.code, TypeCode::Enum | TypeCode::Set);
    let coercibility = match expr {
        Expr::Literal { value, .. } if value.is_null() => Coercibility::Ignorable,
        Expr::Function(call) => call.coercibility,
        _ if !text && field_type.eval_type() != EvalType::Json => Coercibility::Numeric,
        Expr::Literal { .. } | Expr::Parameter { .. } => Coercibility::Coercible,
        Expr::Column(_) | Expr::Correlated { .. } => Coercibility::Implicit,
    };
    (field_type.collation, coercibility)
}

/// The collation for an operation on these expressions.
pub fn derive(operation: &str, args: &[Expr]) -> Result<(Collation, Coercibility), ExprError> {
    let mut claims = args.iter().map(of);
    let Some(first) = claims.next() else { return Ok((Collation::default(), Coercibility::Ignorable)) };
    claims.try_fold(first, |a, b| join(operation, a, b))
}

fn join(
    operation: &str,
    a: (Collation, Coercibility),
    b: (Collation, Coercibility),
) -> Result<(Collation, Coercibility), ExprError> {
    // Numbers and NULL claim nothing as long as a string is there.
    let weak = |c: Coercibility| c >= Coercibility::Numeric;
    if weak(a.1) || weak(b.1) {
        return Ok(if a.1 <= b.1 { a } else { b });
    }
    if a.0 == b.0 {
        return Ok((a.0, a.1.min(b.1)));
    }
    if a.1 != b.1 {
        let (strong, other) = if a.1 < b.1 { (a, b) } else { (b, a) };
        // A literal of a wider charset still compares with a column: we convert nothing, as all text is UTF-8 inside.
        let _ = other;
        return Ok(strong);
    }
    if a.0 == Collation::Binary || b.0 == Collation::Binary {
        return Ok((Collation::Binary, a.1));
    }
    if a.1 == Coercibility::Explicit {
        return Err(mix(operation, a, b));
    }
    // Equal strength: Unicode beats the narrow charsets, `_bin` beats its own charset's other collations.
    let unicode = |c: Collation| matches!(c.charset(), Charset::Utf8mb4 | Charset::Utf8);
    match (unicode(a.0), unicode(b.0)) {
        (true, false) => return Ok(a),
        (false, true) => return Ok(b),
        _ => {}
    }
    match (a.0.charset(), b.0.charset()) {
        (Charset::Utf8mb4, Charset::Utf8) => return Ok(a),
        (Charset::Utf8, Charset::Utf8mb4) => return Ok(b),
        (x, y) if x == y => {}
        _ => return Err(mix(operation, a, b)),
    }
    match (a.0.is_case_insensitive(), b.0.is_case_insensitive()) {
        (false, true) => Ok((a.0, a.1)),
        (true, false) => Ok((b.0, b.1)),
        _ if a.1 == Coercibility::Coercible => Ok(a),
        _ => Err(mix(operation, a, b)),
    }
}

fn mix(operation: &str, a: (Collation, Coercibility), b: (Collation, Coercibility)) -> ExprError {
    ExprError::CollationMix {
        left: format!("{},{}", a.0.name(), a.1.name()),
        right: format!("{},{}", b.0.name(), b.1.name()),
        operation: operation.to_owned(),
    }
}
