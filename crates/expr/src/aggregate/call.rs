//! A call of an aggregate function.

use std::fmt;

use tidewater_types::{Collation, EvalType, FieldType, TypeCode};

use super::{Aggregator, bits, concat, count, distinct, json, min_max, sum, variance};
use crate::context::EvalContext;
use crate::error::ExprError;
use crate::expr::Expr;
use crate::infer::{build_cast, cast_to, numeric_context, text_type_of, to_json, widen_quotient};

/// The aggregate functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AggregateFunction {
    /// COUNT.
    Count,
    /// SUM.
    Sum,
    /// AVG.
    Avg,
    /// MIN.
    Min,
    /// MAX.
    Max,
    /// The value of the group's first row: of grouping columns.
    FirstRow,
    /// GROUP_CONCAT.
    GroupConcat,
    /// BIT_AND.
    BitAnd,
    /// BIT_OR.
    BitOr,
    /// BIT_XOR.
    BitXor,
    /// STD, STDDEV, STDDEV_POP.
    StddevPop,
    /// STDDEV_SAMP.
    StddevSamp,
    /// VARIANCE, VAR_POP.
    VarPop,
    /// VAR_SAMP.
    VarSamp,
    /// APPROX_COUNT_DISTINCT.
    ApproxCountDistinct,
    /// JSON_ARRAYAGG.
    JsonArrayAgg,
    /// JSON_OBJECTAGG.
    JsonObjectAgg,
    /// ANY_VALUE in an aggregated query.
    AnyValue,
}

impl AggregateFunction {
    /// The name EXPLAIN shows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
            Self::FirstRow => "firstrow",
            Self::GroupConcat => "group_concat",
            Self::BitAnd => "bit_and",
            Self::BitOr => "bit_or",
            Self::BitXor => "bit_xor",
            Self::StddevPop => "stddev_pop",
            Self::StddevSamp => "stddev_samp",
            Self::VarPop => "var_pop",
            Self::VarSamp => "var_samp",
            Self::ApproxCountDistinct => "approx_count_distinct",
            Self::JsonArrayAgg => "json_arrayagg",
            Self::JsonObjectAgg => "json_objectagg",
            Self::AnyValue => "any_value",
        }
    }

    /// From a lower-case name or alias.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "count" => Self::Count,
            "sum" => Self::Sum,
            "avg" => Self::Avg,
            "min" => Self::Min,
            "max" => Self::Max,
            "firstrow" | "first_row" => Self::FirstRow,
            "group_concat" => Self::GroupConcat,
            "bit_and" => Self::BitAnd,
            "bit_or" => Self::BitOr,
            "bit_xor" => Self::BitXor,
            "std" | "stddev" | "stddev_pop" => Self::StddevPop,
            "stddev_samp" => Self::StddevSamp,
            "variance" | "var_pop" => Self::VarPop,
            "var_samp" => Self::VarSamp,
            "approx_count_distinct" => Self::ApproxCountDistinct,
            "json_arrayagg" => Self::JsonArrayAgg,
            "json_objectagg" => Self::JsonObjectAgg,
            "any_value" => Self::AnyValue,
            _ => return None,
        })
    }
}

/// Which part of an aggregation a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AggregateMode {
    /// Rows in, results out.
    Complete,
    /// Rows in, partial results out.
    Partial,
    /// Partial results in, results out.
    Final,
}

/// One expression of an ORDER BY inside GROUP_CONCAT.
#[derive(Debug, Clone, PartialEq)]
pub struct SortItem {
    /// What to sort by.
    pub expr: Expr,
    /// Greatest first.
    pub descending: bool,
}

/// A call of an aggregate function.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateCall {
    /// The function.
    pub function: AggregateFunction,
    /// Its arguments, with the casts it needs. In [`AggregateMode::Final`]: the columns of the partial results.
    pub args: Vec<Expr>,
    /// DISTINCT.
    pub distinct: bool,
    /// ORDER BY inside GROUP_CONCAT.
    pub order_by: Vec<SortItem>,
    /// SEPARATOR of GROUP_CONCAT.
    pub separator: String,
    /// The result's type.
    pub field_type: FieldType,
    /// The part it does.
    pub mode: AggregateMode,
}

impl AggregateCall {
    /// A complete call: checks arguments, inserts casts, works out the result's type. `COUNT(*)` is `count(1)`.
    pub fn new(
        function: AggregateFunction,
        args: Vec<Expr>,
        distinct: bool,
        ctx: &EvalContext,
    ) -> Result<Self, ExprError> {
        let wanted = match function {
            AggregateFunction::JsonObjectAgg => 2..=2,
            AggregateFunction::GroupConcat | AggregateFunction::ApproxCountDistinct => 1..=usize::MAX,
            AggregateFunction::Count if distinct => 1..=usize::MAX,
            _ => 1..=1,
        };
        if !wanted.contains(&args.len()) {
            return Err(ExprError::WrongArgumentCount { name: function.name().to_owned() });
        }
        let mut args = prepare_args(function, args, ctx);
        let field_type = result_type(function, &args, ctx);
        if matches!(function, AggregateFunction::Sum | AggregateFunction::Avg) {
            args.iter_mut().for_each(widen_quotient);
        }
        // The extreme of a set is the extreme of the bag.
        let distinct = distinct && !matches!(function, AggregateFunction::Min | AggregateFunction::Max);
        Ok(Self {
            function,
            args,
            distinct,
            order_by: Vec::new(),
            separator: ",".to_owned(),
            field_type,
            mode: AggregateMode::Complete,
        })
    }

    /// The expressions whose columns the aggregator takes: the arguments, then those of ORDER BY.
    pub fn inputs(&self) -> impl Iterator<Item = &Expr> {
        self.args.iter().chain(self.order_by.iter().map(|item| &item.expr))
    }

    /// Whether it can be split in a partial and a final part.
    pub fn can_split(&self) -> bool {
        !self.distinct
            && self.order_by.is_empty()
            && !matches!(
                self.function,
                AggregateFunction::JsonArrayAgg
                    | AggregateFunction::JsonObjectAgg
                    | AggregateFunction::ApproxCountDistinct
            )
    }

    /// The types of the partial results: COUNT; SUM; AVG as count and sum; variances as count, sum and the sum of
    /// squared deviations; the others as their result.
    pub fn partial_types(&self) -> Vec<FieldType> {
        match self.function {
            AggregateFunction::Avg => {
                vec![FieldType::int().not_null(), sum::sum_type(&self.sum_argument_type())]
            }
            // Sums of quotients have more digits than their result.
            AggregateFunction::Sum => vec![sum::sum_type(&self.sum_argument_type())],
            AggregateFunction::StddevPop
            | AggregateFunction::StddevSamp
            | AggregateFunction::VarPop
            | AggregateFunction::VarSamp => {
                vec![FieldType::int().not_null(), FieldType::double(), FieldType::double()]
            }
            _ => vec![self.field_type.clone()],
        }
    }

    fn sum_argument_type(&self) -> FieldType {
        match self.mode {
            AggregateMode::Final => self.args.last().map(Expr::field_type).unwrap_or_else(FieldType::double),
            _ => self.args[0].field_type(),
        }
    }

    /// The two halves: the partial call, and the final one whose arguments are the partial results, found in the
    /// columns from `first_column` on.
    pub fn split(&self, first_column: usize) -> (AggregateCall, AggregateCall) {
        let partial = AggregateCall { mode: AggregateMode::Partial, ..self.clone() };
        let args = self
            .partial_types()
            .into_iter()
            .enumerate()
            .map(|(i, field_type)| {
                Expr::column(first_column + i, field_type, &format!("Column#{}", first_column + i))
            })
            .collect();
        let complete = AggregateCall { mode: AggregateMode::Final, args, ..self.clone() };
        (partial, complete)
    }

    /// Fresh states.
    pub fn aggregator(&self, ctx: &EvalContext) -> Result<Box<dyn Aggregator>, ExprError> {
        let inner: Box<dyn Aggregator> = match self.function {
            AggregateFunction::Count => count::aggregator(self),
            AggregateFunction::ApproxCountDistinct => count::aggregator(self),
            AggregateFunction::Sum | AggregateFunction::Avg => sum::aggregator(self, ctx),
            AggregateFunction::Min | AggregateFunction::Max => min_max::aggregator(self),
            AggregateFunction::FirstRow | AggregateFunction::AnyValue => min_max::first_row(self),
            AggregateFunction::GroupConcat => concat::aggregator(self, ctx),
            AggregateFunction::BitAnd | AggregateFunction::BitOr | AggregateFunction::BitXor => {
                bits::aggregator(self)
            }
            AggregateFunction::StddevPop
            | AggregateFunction::StddevSamp
            | AggregateFunction::VarPop
            | AggregateFunction::VarSamp => variance::aggregator(self),
            AggregateFunction::JsonArrayAgg | AggregateFunction::JsonObjectAgg => json::aggregator(self),
        };
        let distinct = self.distinct || self.function == AggregateFunction::ApproxCountDistinct;
        Ok(if distinct { distinct::aggregator(self, inner) } else { inner })
    }
}

fn prepare_args(function: AggregateFunction, args: Vec<Expr>, ctx: &EvalContext) -> Vec<Expr> {
    let numeric = |expr: Expr| {
        let eval_type = numeric_context(expr.field_type_ref());
        cast_to(expr, eval_type, ctx)
    };
    match function {
        AggregateFunction::Sum | AggregateFunction::Avg => args.into_iter().map(numeric).collect(),
        AggregateFunction::StddevPop
        | AggregateFunction::StddevSamp
        | AggregateFunction::VarPop
        | AggregateFunction::VarSamp => {
            args.into_iter().map(|arg| cast_to(arg, EvalType::Real, ctx)).collect()
        }
        AggregateFunction::BitAnd | AggregateFunction::BitOr | AggregateFunction::BitXor => args
            .into_iter()
            .map(|arg| build_cast(cast_to(arg, EvalType::Int, ctx), FieldType::uint()))
            .collect(),
        AggregateFunction::GroupConcat => {
            args.into_iter().map(|arg| cast_to(arg, EvalType::String, ctx)).collect()
        }
        AggregateFunction::JsonArrayAgg => args.into_iter().map(to_json).collect(),
        AggregateFunction::JsonObjectAgg => {
            let mut args = args.into_iter();
            let key = args.next().map(|key| cast_to(key, EvalType::String, ctx));
            key.into_iter().chain(args.map(to_json)).collect()
        }
        // ENUM and SET have their order by text in MIN and MAX.
        AggregateFunction::Min | AggregateFunction::Max => args
            .into_iter()
            .map(|arg| match arg.field_type_ref().code {
                TypeCode::Enum | TypeCode::Set => {
                    let to = text_type_of(arg.field_type_ref(), ctx);
                    build_cast(arg, to)
                }
                _ => arg,
            })
            .collect(),
        AggregateFunction::Count
        | AggregateFunction::FirstRow
        | AggregateFunction::AnyValue
        | AggregateFunction::ApproxCountDistinct => args,
    }
}

fn result_type(function: AggregateFunction, args: &[Expr], ctx: &EvalContext) -> FieldType {
    let first = args[0].field_type_ref();
    match function {
        AggregateFunction::Count | AggregateFunction::ApproxCountDistinct => FieldType::int().not_null(),
        AggregateFunction::Sum => sum::sum_type(first),
        AggregateFunction::Avg => sum::avg_type(first, ctx),
        AggregateFunction::Min
        | AggregateFunction::Max
        | AggregateFunction::FirstRow
        | AggregateFunction::AnyValue => {
            let mut field_type = first.clone();
            field_type
                .flags
                .remove(tidewater_types::TypeFlags::NOT_NULL | tidewater_types::TypeFlags::AUTO_INCREMENT);
            field_type
        }
        AggregateFunction::GroupConcat => {
            let collation =
                args.iter().map(|arg| arg.field_type_ref().collation).max_by_key(|c| *c == Collation::Binary);
            FieldType {
                length: i32::try_from(ctx.group_concat_max_len).unwrap_or(i32::MAX),
                ..FieldType::string()
            }
            .with_collation(collation.unwrap_or(ctx.collation))
        }
        AggregateFunction::BitAnd | AggregateFunction::BitOr | AggregateFunction::BitXor => {
            FieldType::uint().not_null()
        }
        AggregateFunction::StddevPop
        | AggregateFunction::StddevSamp
        | AggregateFunction::VarPop
        | AggregateFunction::VarSamp => FieldType::double(),
        AggregateFunction::JsonArrayAgg | AggregateFunction::JsonObjectAgg => FieldType::json(),
    }
}

/// `count(distinct test.t.a)`, as in TiDB's EXPLAIN.
impl fmt::Display for AggregateCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.function.name())?;
        if self.distinct {
            f.write_str("distinct ")?;
        }
        for (i, arg) in self.args.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{arg}")?;
        }
        for (i, item) in self.order_by.iter().enumerate() {
            f.write_str(if i == 0 { " order by " } else { ", " })?;
            write!(f, "{}{}", item.expr, if item.descending { " desc" } else { "" })?;
        }
        if self.function == AggregateFunction::GroupConcat {
            write!(f, " separator \"{}\"", self.separator)?;
        }
        f.write_str(")")
    }
}
