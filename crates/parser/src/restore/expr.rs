//! Expressions.

use std::fmt::{self, Display, Formatter, Write};

use super::{CharsetName, List, Quoted, write_list, write_name, write_some};
use crate::ast::{
    AggregateCall, AggregateFunction, BinaryOp, Case, DataType, Expr, FrameBound, FrameUnit, FunctionCall,
    Literal, MatchModifier, OrderItem, Quantifier, SystemVariable, Truth, TypeName, UnaryOp, VariableScope,
    WindowCall, WindowFrame, WindowFunction, WindowSpec,
};

/// How tight the outermost operator of an expression binds; the table of the grammar.
fn binding(expr: &Expr) -> u8 {
    match expr {
        Expr::Assign { .. } => 1,
        Expr::Binary { op, .. } => op.binding(),
        Expr::Unary { op: UnaryOp::Not, .. } => 20,
        Expr::Unary { .. } => 70,
        Expr::Literal(Literal::Int(value)) if *value < 0 => 70,
        Expr::IsNull { .. } | Expr::IsTruth { .. } | Expr::Quantified { .. } => 30,
        Expr::Between { .. }
        | Expr::InList { .. }
        | Expr::InSubquery { .. }
        | Expr::Like { .. }
        | Expr::Regexp { .. }
        | Expr::MemberOf { .. } => 35,
        Expr::Collate { .. } => 80,
        _ => 100,
    }
}

impl BinaryOp {
    fn binding(self) -> u8 {
        match self {
            Self::Or => 5,
            Self::Xor => 10,
            Self::And => 15,
            Self::Eq | Self::NullSafeEq | Self::Ne | Self::Lt | Self::Le | Self::Gt | Self::Ge => 30,
            Self::SoundsLike => 35,
            Self::BitOr => 40,
            Self::BitAnd => 45,
            Self::ShiftLeft | Self::ShiftRight => 50,
            Self::Plus | Self::Minus => 55,
            Self::Multiply | Self::Divide | Self::IntDivide | Self::Modulo => 60,
            Self::BitXor => 65,
            // Written as a call, see below.
            Self::Concat => 100,
            Self::JsonExtract | Self::JsonExtractUnquote => 90,
        }
    }

    fn sql(self) -> &'static str {
        match self {
            Self::Or => "OR",
            Self::Xor => "XOR",
            Self::And => "AND",
            Self::Eq => "=",
            Self::NullSafeEq => "<=>",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::BitOr => "|",
            Self::BitAnd => "&",
            Self::ShiftLeft => "<<",
            Self::ShiftRight => ">>",
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::IntDivide => "DIV",
            Self::Modulo => "%",
            Self::BitXor => "^",
            Self::Concat => "||",
            Self::SoundsLike => "SOUNDS LIKE",
            Self::JsonExtract => "->",
            Self::JsonExtractUnquote => "->>",
        }
    }
}

/// An operand: parenthesised unless it binds at least this tight.
struct Operand<'a>(&'a Expr, u8);

impl Display for Operand<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if binding(self.0) < self.1 { write!(f, "({})", self.0) } else { self.0.fmt(f) }
    }
}

fn not(negated: bool) -> &'static str {
    if negated { "NOT " } else { "" }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // Operands of a predicate are bit expressions.
        const BIT_EXPR: u8 = 36;
        match self {
            Self::Literal(literal) => literal.fmt(f),
            Self::Column(column) => column.fmt(f),
            Self::UserVariable(name) => {
                f.write_char('@')?;
                write_name(f, name)
            }
            Self::SystemVariable(variable) => variable.fmt(f),
            Self::Assign { name, value } => {
                f.write_char('@')?;
                write_name(f, name)?;
                write!(f, " := {value}")
            }
            Self::Parameter(_) => f.write_char('?'),
            Self::Default(None) => f.write_str("DEFAULT"),
            Self::Default(Some(column)) => write!(f, "DEFAULT({column})"),
            Self::Values(column) => write!(f, "VALUES({column})"),
            Self::Unary { op, expr } => match op {
                UnaryOp::Minus => write!(f, "-{}", Operand(expr, 71)),
                UnaryOp::Plus => write!(f, "+{}", Operand(expr, 71)),
                UnaryOp::BitNot => write!(f, "~{}", Operand(expr, 71)),
                UnaryOp::Not => write!(f, "NOT {}", Operand(expr, 20)),
            },
            // Only PIPES_AS_CONCAT gives this operator; the function means the same under every mode.
            Self::Binary { left, op: BinaryOp::Concat, right } => write!(f, "CONCAT({left}, {right})"),
            Self::Binary { left, op, right } => {
                let binding = op.binding();
                // Chains of AND and of OR are balanced trees of a flat list.
                let right_binding = match op {
                    BinaryOp::And | BinaryOp::Or => binding,
                    _ => binding + 1,
                };
                let left_binding = if *op == BinaryOp::SoundsLike { BIT_EXPR } else { binding };
                write!(f, "{} {} {}", Operand(left, left_binding), op.sql(), Operand(right, right_binding))
            }
            Self::IsNull { expr, negated } => write!(f, "{} IS {}NULL", Operand(expr, 30), not(*negated)),
            Self::IsTruth { expr, truth, negated } => {
                let truth = match truth {
                    Truth::True => "TRUE",
                    Truth::False => "FALSE",
                    Truth::Unknown => "UNKNOWN",
                };
                write!(f, "{} IS {}{truth}", Operand(expr, 30), not(*negated))
            }
            Self::Between { expr, low, high, negated } => write!(
                f,
                "{} {}BETWEEN {} AND {}",
                Operand(expr, BIT_EXPR),
                not(*negated),
                Operand(low, BIT_EXPR),
                Operand(high, BIT_EXPR)
            ),
            Self::InList { expr, list, negated } => {
                write!(f, "{} {}IN ({})", Operand(expr, BIT_EXPR), not(*negated), List(list))
            }
            Self::InSubquery { expr, query, negated } => {
                write!(f, "{} {}IN ({query})", Operand(expr, BIT_EXPR), not(*negated))
            }
            Self::Quantified { left, op, quantifier, query } => {
                let quantifier = match quantifier {
                    Quantifier::Any => "ANY",
                    Quantifier::All => "ALL",
                };
                write!(f, "{} {} {quantifier} ({query})", Operand(left, 30), op.sql())
            }
            Self::Exists(query) => write!(f, "EXISTS ({query})"),
            Self::Subquery(query) => write!(f, "({query})"),
            Self::Like { expr, pattern, escape, negated } => {
                write!(
                    f,
                    "{} {}LIKE {}",
                    Operand(expr, BIT_EXPR),
                    not(*negated),
                    Operand(pattern, BIT_EXPR)
                )?;
                match escape {
                    Some(escape) => write!(f, " ESCAPE {}", Operand(escape, BIT_EXPR)),
                    None => Ok(()),
                }
            }
            Self::Regexp { expr, pattern, negated } => {
                write!(
                    f,
                    "{} {}REGEXP {}",
                    Operand(expr, BIT_EXPR),
                    not(*negated),
                    Operand(pattern, BIT_EXPR)
                )
            }
            Self::MemberOf { value, array } => write!(f, "{} MEMBER OF ({array})", Operand(value, BIT_EXPR)),
            Self::Case(case) => case.fmt(f),
            Self::Cast { expr, to, array } => {
                let array = if *array { " ARRAY" } else { "" };
                write!(f, "CAST({expr} AS {}{array})", CastTarget(to))
            }
            Self::ConvertUsing { expr, charset } => write!(f, "CONVERT({expr} USING {})", Quoted(charset)),
            Self::Collate { expr, collation } => {
                write!(f, "{} COLLATE {}", Operand(expr, 81), CharsetName(collation))
            }
            Self::Function(call) => call.fmt(f),
            Self::Aggregate(call) => call.fmt(f),
            Self::Window(call) => call.fmt(f),
            Self::Interval { value, unit } => write!(f, "INTERVAL {} {}", Operand(value, 2), unit.name()),
            Self::Unit(unit) => f.write_str(unit.name()),
            Self::Row(members) => write!(f, "ROW({})", List(members)),
            Self::Match { columns, against, modifier } => {
                write!(f, "MATCH ({}) AGAINST ({against}{})", List(columns), modifier.sql())
            }
        }
    }
}

impl MatchModifier {
    fn sql(self) -> &'static str {
        match self {
            Self::NaturalLanguage => "",
            Self::NaturalLanguageWithQueryExpansion => " IN NATURAL LANGUAGE MODE WITH QUERY EXPANSION",
            Self::Boolean => " IN BOOLEAN MODE",
            Self::QueryExpansion => " WITH QUERY EXPANSION",
        }
    }
}

/// The type of a CAST, where integers are SIGNED and UNSIGNED.
struct CastTarget<'a>(&'a DataType);

impl Display for CastTarget<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            DataType { name: TypeName::BigInt, unsigned: true, .. } => f.write_str("UNSIGNED"),
            DataType { name: TypeName::BigInt, .. } => f.write_str("SIGNED"),
            other => other.fmt(f),
        }
    }
}

impl VariableScope {
    pub(super) fn sql(self) -> &'static str {
        match self {
            Self::Global => "GLOBAL",
            Self::Session => "SESSION",
            Self::Persist => "PERSIST",
            Self::PersistOnly => "PERSIST_ONLY",
            Self::Instance => "INSTANCE",
        }
    }
}

impl Display for SystemVariable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("@@")?;
        if let Some(scope) = self.scope {
            write!(f, "{}.", scope.sql())?;
        }
        for (index, part) in self.name.split('.').enumerate() {
            if index > 0 {
                f.write_char('.')?;
            }
            write_name(f, part)?;
        }
        Ok(())
    }
}

impl Display for Case {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("CASE")?;
        write_some(f, " ", self.operand.as_ref())?;
        for (condition, result) in &self.branches {
            write!(f, " WHEN {condition} THEN {result}")?;
        }
        write_some(f, " ELSE ", self.otherwise.as_ref())?;
        f.write_str(" END")
    }
}

impl Display for FunctionCall {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{schema}.")?;
            write_name(f, &self.name)?;
            return write!(f, "({})", List(&self.args));
        }
        match (self.name.as_str(), self.args.as_slice()) {
            ("extract", [unit, value]) => write!(f, "EXTRACT({unit} FROM {value})"),
            ("trim", [string, remove, Expr::Literal(Literal::String(side))]) => {
                write!(f, "TRIM({} {remove} FROM {string})", side.text().to_uppercase())
            }
            ("get_format", [Expr::Literal(Literal::String(kind)), format]) => {
                write!(f, "GET_FORMAT({}, {format})", kind.text().to_uppercase())
            }
            (name, args) => {
                if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                    f.write_str(&name.to_ascii_uppercase())?;
                } else {
                    write_name(f, name)?;
                }
                write!(f, "({})", List(args))
            }
        }
    }
}

impl AggregateFunction {
    /// The function's usual name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
            Self::GroupConcat => "group_concat",
            Self::BitAnd => "bit_and",
            Self::BitOr => "bit_or",
            Self::BitXor => "bit_xor",
            Self::StddevPop => "stddev_pop",
            Self::StddevSamp => "stddev_samp",
            Self::VarPop => "var_pop",
            Self::VarSamp => "var_samp",
            Self::AnyValue => "any_value",
            Self::JsonArrayAgg => "json_arrayagg",
            Self::JsonObjectAgg => "json_objectagg",
            Self::ApproxCountDistinct => "approx_count_distinct",
            Self::ApproxPercentile => "approx_percentile",
        }
    }
}

impl Display for AggregateCall {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.function.name().to_ascii_uppercase())?;
        if self.distinct {
            f.write_str("DISTINCT ")?;
        }
        if self.args.is_empty() {
            f.write_char('*')?;
        }
        List(&self.args).fmt(f)?;
        write_order_by(f, &self.order_by)?;
        if let Some(separator) = &self.separator {
            write!(f, " SEPARATOR {}", Quoted(separator))?;
        }
        f.write_char(')')
    }
}

pub(super) fn write_order_by(f: &mut Formatter<'_>, items: &[OrderItem]) -> fmt::Result {
    if items.is_empty() {
        return Ok(());
    }
    write!(f, " ORDER BY {}", List(items))
}

impl Display for OrderItem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.expr.fmt(f)?;
        if self.descending { f.write_str(" DESC") } else { Ok(()) }
    }
}

impl Display for WindowCall {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.function {
            WindowFunction::Aggregate(call) => call.fmt(f)?,
            WindowFunction::Call { name, args, ignore_nulls, from_last } => {
                write!(f, "{}({})", name.to_ascii_uppercase(), List(args))?;
                if *from_last {
                    f.write_str(" FROM LAST")?;
                }
                if *ignore_nulls {
                    f.write_str(" IGNORE NULLS")?;
                }
            }
        }
        match &self.over {
            WindowSpec { bare: true, base: Some(name), .. } => write!(f, " OVER {name}"),
            spec => write!(f, " OVER ({spec})"),
        }
    }
}

impl Display for WindowSpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { base, partition_by, order_by, frame, bare: _ } = self;
        write_some(f, "", base.as_ref())?;
        if !partition_by.is_empty() {
            write!(f, " PARTITION BY {}", List(partition_by))?;
        }
        write_order_by(f, order_by)?;
        write_some(f, " ", frame.as_ref())
    }
}

impl Display for WindowFrame {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            FrameUnit::Rows => "ROWS",
            FrameUnit::Range => "RANGE",
        };
        write!(f, "{unit} BETWEEN {} AND {}", self.start, self.end)
    }
}

impl Display for FrameBound {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnboundedPreceding => f.write_str("UNBOUNDED PRECEDING"),
            Self::Preceding(expr) => write!(f, "{expr} PRECEDING"),
            Self::CurrentRow => f.write_str("CURRENT ROW"),
            Self::Following(expr) => write!(f, "{expr} FOLLOWING"),
            Self::UnboundedFollowing => f.write_str("UNBOUNDED FOLLOWING"),
        }
    }
}

/// Writes `(a, b), (c, d)`.
pub(super) fn write_rows(f: &mut Formatter<'_>, prefix: &str, rows: &[Vec<Expr>]) -> fmt::Result {
    write_list(f, rows, |f, row| write!(f, "{prefix}({})", List(row)))
}
