//! Expressions.

use std::sync::Arc;

use tidewater_expr::{Coercibility, ColumnRef, Expr, build_cast};
use tidewater_parser::ast;
use tidewater_types::{Collation, FieldType, TypeCode, TypeFlags};

use super::literal::charset;
use super::scope::column_text;
use super::{Binder, Env};
use crate::PlanError;

impl Binder<'_> {
    /// Binds an expression that is one value.
    pub(crate) fn bind_expr(&mut self, env: &mut Env<'_>, expr: &ast::Expr) -> Result<Expr, PlanError> {
        use ast::Expr as E;
        match expr {
            E::Literal(literal) => self.bind_literal(literal),
            E::Column(name) => self.bind_column(env, name),
            E::UserVariable(name) => {
                self.cacheable = false;
                self.bind_user_variable(name)
            }
            E::SystemVariable(variable) => self.bind_system_variable(variable),
            E::Assign { name, value } => {
                self.cacheable = false;
                let value = self.bind_expr(env, value)?;
                let name = self.bind_literal(&ast::Literal::String(ast::StringLiteral::new(name.clone())))?;
                self.call("setvar", vec![name, value])
            }
            E::Parameter(index) => self.bind_parameter(*index),
            E::Default(Some(name)) => self.bind_default(env, name),
            E::Default(None) => Err(PlanError::Unsupported("DEFAULT in an expression".to_owned())),
            E::Values(name) => self.bind_values(env, name),
            E::Unary { op, expr } => self.bind_unary(env, *op, expr),
            E::Binary { left, op, right } => self.bind_binary(env, left, *op, right),
            E::IsNull { expr, negated } => {
                let arg = self.bind_expr(env, expr)?;
                let is_null = self.call("isnull", vec![arg])?;
                self.negate_if(is_null, *negated)
            }
            E::IsTruth { expr, truth, negated } => {
                let arg = self.bind_expr(env, expr)?;
                let call = match truth {
                    ast::Truth::True => self.call("istrue", vec![arg])?,
                    ast::Truth::False => self.call("isfalse", vec![arg])?,
                    ast::Truth::Unknown => self.call("isnull", vec![arg])?,
                };
                self.negate_if(call, *negated)
            }
            E::Between { expr, low, high, negated } => {
                let low = E::Binary { left: expr.clone(), op: ast::BinaryOp::Ge, right: low.clone() };
                let high = E::Binary { left: expr.clone(), op: ast::BinaryOp::Le, right: high.clone() };
                let low = self.bind_expr(env, &low)?;
                let high = self.bind_expr(env, &high)?;
                let both = self.call("and", vec![low, high])?;
                self.negate_if(both, *negated)
            }
            E::InList { expr, list, negated } => self.bind_in_list(env, expr, list, *negated),
            E::InSubquery { expr, query, negated } => self.bind_in_subquery(env, expr, query, *negated),
            E::Quantified { left, op, quantifier, query } => {
                self.bind_quantified(env, left, *op, *quantifier, query)
            }
            E::Exists(query) => self.bind_exists(env, query),
            E::Subquery(query) => {
                let mut columns = self.bind_scalar_subquery(env, query)?;
                match columns.len() {
                    1 => Ok(columns.remove(0)),
                    _ => Err(PlanError::OperandColumns(1)),
                }
            }
            E::Like { expr, pattern, escape, negated } => {
                let mut args = vec![self.bind_expr(env, expr)?, self.bind_expr(env, pattern)?];
                if let Some(escape) = escape {
                    args.push(self.bind_expr(env, escape)?);
                }
                let like = self.call("like", args)?;
                self.negate_if(like, *negated)
            }
            E::Regexp { expr, pattern, negated } => {
                let args = vec![self.bind_expr(env, expr)?, self.bind_expr(env, pattern)?];
                let regexp = self.call("regexp", args)?;
                self.negate_if(regexp, *negated)
            }
            E::MemberOf { value, array } => {
                let args = vec![self.bind_expr(env, value)?, self.bind_expr(env, array)?];
                self.call("json_memberof", args)
            }
            E::Case(case) => self.bind_case(env, case),
            E::Cast { expr, to, array: false } => {
                let arg = self.bind_expr(env, expr)?;
                let to = self.cast_type(to)?;
                Ok(explicit_cast(arg, to))
            }
            E::Cast { array: true, .. } => Err(PlanError::Unsupported("CAST AS ARRAY".to_owned())),
            E::ConvertUsing { expr, charset: name } => {
                let arg = self.bind_expr(env, expr)?;
                let collation = charset(name)?.default_collation();
                Ok(explicit_cast(arg, FieldType::string().with_collation(collation)))
            }
            E::Collate { expr, collation } => {
                let arg = self.bind_expr(env, expr)?;
                let to = Collation::from_name(collation)
                    .ok_or_else(|| PlanError::UnknownCollation(collation.clone()))?;
                let from = arg.field_type().collation.charset();
                if arg.field_type().is_string() && from != to.charset() && from.name() != "binary" {
                    return Err(PlanError::CollationCharset {
                        collation: collation.clone(),
                        charset: from.name().to_owned(),
                    });
                }
                let name =
                    self.bind_literal(&ast::Literal::String(ast::StringLiteral::new(collation.clone())))?;
                self.call("collate", vec![arg, name])
            }
            E::Function(call) => self.bind_function(env, call),
            E::Aggregate(call) => self.bind_aggregate_use(env, call),
            E::Window(_) => Err(PlanError::Unsupported("window functions".to_owned())),
            E::Interval { .. } | E::Unit(_) => {
                Err(PlanError::Unsupported("INTERVAL outside of a date function".to_owned()))
            }
            E::Row(_) => Err(PlanError::OperandColumns(1)),
            E::Match { .. } => Err(PlanError::Unsupported("MATCH AGAINST".to_owned())),
        }
    }

    /// A column of the current block, an alias in sight, or a column of a block around.
    fn bind_column(&mut self, env: &Env<'_>, name: &ast::ColumnName) -> Result<Expr, PlanError> {
        let alias = || {
            if name.table.is_some() {
                return None;
            }
            env.aliases
                .iter()
                .find(|(alias, _)| name.name.eq_ignore_case(alias))
                .map(|(_, expr)| expr.clone())
        };
        if env.alias_first
            && let Some(expr) = alias()
        {
            return Ok(expr);
        }
        if let Some(column) = env.scope.resolve(name, env.clause)? {
            return Ok(Expr::Column(column.column.clone()));
        }
        if let Some(expr) = alias() {
            return Ok(expr);
        }
        for scope in self.outer.clone().iter().rev() {
            if let Some(column) = scope.resolve(name, env.clause)? {
                return Ok(self.correlated(&column.column));
            }
        }
        Err(PlanError::UnknownColumn { column: column_text(name), clause: env.clause })
    }

    /// A column of an outer block, as inner plans see it.
    pub(super) fn correlated(&mut self, column: &ColumnRef) -> Expr {
        let next = self.slots.len();
        let slot = *self.slots.entry(column.unique_id).or_insert(next);
        Expr::Correlated {
            unique_id: column.unique_id,
            slot,
            field_type: column.field_type.clone(),
            name: Arc::clone(&column.name),
        }
    }

    fn bind_user_variable(&mut self, name: &str) -> Result<Expr, PlanError> {
        let name = self.bind_literal(&ast::Literal::String(ast::StringLiteral::new(name)))?;
        self.call("getvar", vec![name])
    }

    fn bind_system_variable(&mut self, variable: &ast::SystemVariable) -> Result<Expr, PlanError> {
        self.cacheable = false;
        let (value, field_type) = (self.cx.system_variable)(variable.scope, &variable.name)
            .ok_or_else(|| PlanError::UnknownVariable(variable.name.clone()))?;
        Ok(Expr::Literal { value, field_type })
    }

    /// DEFAULT(column) of a column in sight.
    fn bind_default(&mut self, env: &Env<'_>, name: &ast::ColumnName) -> Result<Expr, PlanError> {
        let unknown = || PlanError::UnknownColumn { column: column_text(name), clause: env.clause };
        let found = env.scope.resolve(name, env.clause)?.ok_or_else(unknown)?;
        let table = self.cx.info_schema.table(&found.db, &found.org_table).ok_or_else(unknown)?;
        let column = table.public_column(&found.org_name).ok_or_else(unknown)?;
        self.default_value(table, column)
    }

    /// VALUES(column): the value that was to be inserted.
    fn bind_values(&mut self, env: &Env<'_>, name: &ast::ColumnName) -> Result<Expr, PlanError> {
        match env.new_row {
            Some(row) => match row.resolve(
                &ast::ColumnName { schema: None, table: None, name: name.name.clone() },
                "field list",
            )? {
                Some(column) => Ok(Expr::Column(column.column.clone())),
                None => Err(PlanError::UnknownColumn { column: column_text(name), clause: "field list" }),
            },
            // Outside of ON DUPLICATE KEY UPDATE it is NULL, as MySQL documents.
            None => Ok(Expr::Literal { value: tidewater_types::Datum::Null, field_type: FieldType::null() }),
        }
    }

    fn bind_unary(
        &mut self,
        env: &mut Env<'_>,
        op: ast::UnaryOp,
        arg: &ast::Expr,
    ) -> Result<Expr, PlanError> {
        if op == ast::UnaryOp::Not
            && let Some(negated) = negated_subquery(arg)
        {
            return self.bind_expr(env, &negated);
        }
        let arg = self.bind_expr(env, arg)?;
        match op {
            ast::UnaryOp::Minus => Ok(fold_minus(self.call("unaryminus", vec![arg])?, self.cx.eval)),
            ast::UnaryOp::Plus => Ok(arg),
            ast::UnaryOp::Not => self.call("not", vec![arg]),
            ast::UnaryOp::BitNot => self.call("bitneg", vec![arg]),
        }
    }

    fn bind_binary(
        &mut self,
        env: &mut Env<'_>,
        left: &ast::Expr,
        op: ast::BinaryOp,
        right: &ast::Expr,
    ) -> Result<Expr, PlanError> {
        if op.is_comparison() && (self.width(left) != 1 || self.width(right) != 1) {
            let left = self.bind_row(env, left)?;
            let right = self.bind_row(env, right)?;
            return self.compare_rows(op, left, right);
        }
        let left = self.bind_expr(env, left)?;
        let right = self.bind_expr(env, right)?;
        match op {
            ast::BinaryOp::SoundsLike => {
                let both = vec![self.call("soundex", vec![left])?, self.call("soundex", vec![right])?];
                self.call("eq", both)
            }
            ast::BinaryOp::JsonExtractUnquote => {
                let found = self.call("json_extract", vec![left, right])?;
                self.call("json_unquote", vec![found])
            }
            op => self.call(operator_name(op), vec![left, right]),
        }
    }

    /// How many columns an operand has, by its syntax.
    fn width(&self, expr: &ast::Expr) -> usize {
        match expr {
            ast::Expr::Row(items) => items.len(),
            ast::Expr::Subquery(query) => match query.as_select() {
                Some(select) if select.items.len() > 1 => select.items.len(),
                _ => 1,
            },
            _ => 1,
        }
    }

    /// The columns of an operand that may be a row.
    pub(super) fn bind_row(&mut self, env: &mut Env<'_>, expr: &ast::Expr) -> Result<Vec<Expr>, PlanError> {
        match expr {
            ast::Expr::Row(items) => items.iter().map(|item| self.bind_expr(env, item)).collect(),
            ast::Expr::Subquery(query) => self.bind_scalar_subquery(env, query),
            other => Ok(vec![self.bind_expr(env, other)?]),
        }
    }

    /// Compares value by value: rows are equal when all values are, and ordered by the first that differs.
    pub(super) fn compare_rows(
        &mut self,
        op: ast::BinaryOp,
        left: Vec<Expr>,
        right: Vec<Expr>,
    ) -> Result<Expr, PlanError> {
        use ast::BinaryOp as Op;
        if left.len() != right.len() {
            return Err(PlanError::OperandColumns(left.len()));
        }
        let name = operator_name(op);
        let mut pairs = left.into_iter().zip(right);
        let first = pairs.next().ok_or(PlanError::OperandColumns(1))?;
        match op {
            Op::Eq | Op::NullSafeEq | Op::Ne => {
                let join = if op == Op::Ne { "or" } else { "and" };
                let start = self.call(name, vec![first.0, first.1])?;
                pairs.try_fold(start, |all, (l, r)| {
                    let next = self.call(name, vec![l, r])?;
                    self.call(join, vec![all, next])
                })
            }
            _ => {
                let rest: Vec<_> = pairs.collect();
                if rest.is_empty() {
                    return self.call(name, vec![first.0, first.1]);
                }
                let strict = match op {
                    Op::Le => "lt",
                    Op::Ge => "gt",
                    _ => name,
                };
                let before = self.call(strict, vec![first.0.clone(), first.1.clone()])?;
                let tie = self.call("eq", vec![first.0, first.1])?;
                let (l, r) = rest.into_iter().unzip();
                let after = self.compare_rows(op, l, r)?;
                let tie = self.call("and", vec![tie, after])?;
                self.call("or", vec![before, tie])
            }
        }
    }

    fn bind_in_list(
        &mut self,
        env: &mut Env<'_>,
        expr: &ast::Expr,
        list: &[ast::Expr],
        negated: bool,
    ) -> Result<Expr, PlanError> {
        if self.width(expr) == 1 {
            let mut args = vec![self.bind_expr(env, expr)?];
            for item in list {
                args.push(self.bind_expr(env, item)?);
            }
            let is_in = if args.len() == 2 { self.call("eq", args)? } else { self.call("in", args)? };
            return self.negate_if(is_in, negated);
        }
        let row = self.bind_row(env, expr)?;
        let mut any = Vec::new();
        for item in list {
            let item = self.bind_row(env, item)?;
            any.push(self.compare_rows(ast::BinaryOp::Eq, row.clone(), item)?);
        }
        let is_in = crate::expr_tools::disjunction(any, self.cx.eval)?;
        self.negate_if(is_in, negated)
    }

    fn bind_case(&mut self, env: &mut Env<'_>, case: &ast::Case) -> Result<Expr, PlanError> {
        let mut args = Vec::new();
        for (when, then) in &case.branches {
            let condition = match &case.operand {
                Some(operand) => ast::Expr::Binary {
                    left: Box::new(operand.clone()),
                    op: ast::BinaryOp::Eq,
                    right: Box::new(when.clone()),
                },
                None => when.clone(),
            };
            args.push(self.bind_expr(env, &condition)?);
            args.push(self.bind_expr(env, then)?);
        }
        if let Some(otherwise) = &case.otherwise {
            args.push(self.bind_expr(env, otherwise)?);
        }
        self.call("case", args)
    }

    pub(super) fn negate_if(&mut self, expr: Expr, negated: bool) -> Result<Expr, PlanError> {
        if negated { self.call("not", vec![expr]) } else { Ok(expr) }
    }

    /// The type CAST names.
    fn cast_type(&self, to: &ast::CastType) -> Result<FieldType, PlanError> {
        use ast::TypeName as T;
        let length = to.length.map_or(-1, |length| i32::try_from(length).unwrap_or(i32::MAX));
        let fsp = to.length.unwrap_or(0).min(6) as u8;
        let mut field_type = match to.name {
            T::TinyInt | T::SmallInt | T::MediumInt | T::Int | T::BigInt | T::Bool if to.unsigned => {
                FieldType::uint()
            }
            T::TinyInt | T::SmallInt | T::MediumInt | T::Int | T::BigInt | T::Bool => FieldType::int(),
            T::Decimal => {
                let precision = to.length.filter(|length| *length > 0).unwrap_or(10).min(65);
                FieldType::decimal(precision as u8, to.scale.unwrap_or(0).min(30) as u8)
            }
            T::Double => FieldType::double(),
            T::Float if to.length.unwrap_or(0) > 24 => FieldType::double(),
            T::Float => FieldType::float(),
            T::Date => FieldType::date(),
            T::DateTime | T::Timestamp => FieldType::datetime(fsp),
            T::Time => FieldType::duration(fsp),
            T::Year => FieldType::new(TypeCode::Year),
            T::Json => FieldType::json(),
            T::Binary | T::VarBinary | T::TinyBlob | T::Blob | T::MediumBlob | T::LongBlob => {
                let code = if to.length.is_some() { TypeCode::String } else { TypeCode::VarString };
                FieldType { code, length, ..FieldType::binary_string() }
            }
            T::Char | T::VarChar | T::TinyText | T::Text | T::MediumText | T::LongText => {
                let collation = match (&to.collation, &to.charset) {
                    (Some(name), _) => {
                        Collation::from_name(name).ok_or_else(|| PlanError::UnknownCollation(name.clone()))?
                    }
                    (None, Some(name)) => charset(name)?.default_collation(),
                    (None, None) if to.binary => Collation::Utf8mb4Bin,
                    (None, None) => self.cx.eval.collation,
                };
                FieldType { length, ..FieldType::string() }.with_collation(collation)
            }
            T::Bit | T::Enum | T::Set => return Err(PlanError::Unsupported("CAST to this type".to_owned())),
        };
        field_type.flags.remove(TypeFlags::NOT_NULL);
        Ok(field_type)
    }
}

/// CAST to a shorter string type cuts, so it must not be optimised away as widening is.
fn explicit_cast(arg: Expr, to: FieldType) -> Expr {
    let to = FieldType {
        flags: if arg.field_type().is_not_null() && !to.is_time() {
            to.flags | TypeFlags::NOT_NULL
        } else {
            to.flags
        },
        ..to
    };
    let is_binary = to.is_string() && to.collation == Collation::Binary;
    let mut cast = build_cast(arg, to);
    // As strong as a column: `column = CAST('a' AS BINARY)` compares bytes.
    if let (true, Expr::Function(call)) = (is_binary, &mut cast) {
        call.coercibility = call.coercibility.min(Coercibility::Implicit);
    }
    cast
}

/// `-5` is a constant, and shall look like one.
fn fold_minus(expr: Expr, ctx: &tidewater_expr::EvalContext) -> Expr {
    match &expr {
        Expr::Function(call) if matches!(call.args[0], Expr::Literal { .. }) => expr.fold(ctx),
        _ => expr,
    }
}

/// `NOT (x IN (..))` and the like as one predicate.
pub(super) fn negated_subquery(expr: &ast::Expr) -> Option<ast::Expr> {
    match expr {
        ast::Expr::InSubquery { expr, query, negated } => {
            Some(ast::Expr::InSubquery { expr: expr.clone(), query: query.clone(), negated: !negated })
        }
        _ => None,
    }
}

/// The registry's name of an operator.
pub(super) fn operator_name(op: ast::BinaryOp) -> &'static str {
    use ast::BinaryOp as Op;
    match op {
        Op::Or => "or",
        Op::Xor => "xor",
        Op::And => "and",
        Op::Eq => "eq",
        Op::NullSafeEq => "nulleq",
        Op::Ne => "ne",
        Op::Lt => "lt",
        Op::Le => "le",
        Op::Gt => "gt",
        Op::Ge => "ge",
        Op::BitOr => "bitor",
        Op::BitAnd => "bitand",
        Op::ShiftLeft => "leftshift",
        Op::ShiftRight => "rightshift",
        Op::Plus => "plus",
        Op::Minus => "minus",
        Op::Multiply => "mul",
        Op::Divide => "div",
        Op::IntDivide => "intdiv",
        Op::Modulo => "mod",
        Op::BitXor => "bitxor",
        Op::Concat => "concat",
        Op::SoundsLike => "eq",
        Op::JsonExtract | Op::JsonExtractUnquote => "json_extract",
    }
}
