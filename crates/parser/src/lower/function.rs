//! Function calls: aggregates, window functions, and the constructs that the dialect hands over as calls.

use sqlparser::ast as upstream;
use tidewater_types::IntervalUnit;

use super::Lowering;
use crate::ast::{
    AggregateCall, AggregateFunction, BinaryOp, Expr, FrameBound, FrameUnit, FunctionCall, Literal,
    StringLiteral, WindowCall, WindowFrame, WindowFunction, WindowSpec,
};
use crate::cursor::Result;
use crate::dialect::INTERNAL;
use crate::grammar::time_unit;
use crate::lexer::Kind;

fn aggregate_function(name: &str) -> Option<AggregateFunction> {
    Some(match name {
        "count" => AggregateFunction::Count,
        "sum" => AggregateFunction::Sum,
        "avg" => AggregateFunction::Avg,
        "min" => AggregateFunction::Min,
        "max" => AggregateFunction::Max,
        "group_concat" => AggregateFunction::GroupConcat,
        "bit_and" => AggregateFunction::BitAnd,
        "bit_or" => AggregateFunction::BitOr,
        "bit_xor" => AggregateFunction::BitXor,
        "std" | "stddev" | "stddev_pop" => AggregateFunction::StddevPop,
        "stddev_samp" => AggregateFunction::StddevSamp,
        "variance" | "var_pop" => AggregateFunction::VarPop,
        "var_samp" => AggregateFunction::VarSamp,
        "any_value" => AggregateFunction::AnyValue,
        "json_arrayagg" => AggregateFunction::JsonArrayAgg,
        "json_objectagg" => AggregateFunction::JsonObjectAgg,
        "approx_count_distinct" => AggregateFunction::ApproxCountDistinct,
        "approx_percentile" => AggregateFunction::ApproxPercentile,
        _ => return None,
    })
}

fn is_window_function(name: &str) -> bool {
    matches!(
        name,
        "row_number"
            | "rank"
            | "dense_rank"
            | "percent_rank"
            | "cume_dist"
            | "ntile"
            | "lead"
            | "lag"
            | "first_value"
            | "last_value"
            | "nth_value"
    )
}

/// The name under which the tree has a function that has several.
fn canonical_name(name: String) -> String {
    let canonical = match name.as_str() {
        "current_timestamp" | "localtime" | "localtimestamp" => "now",
        "current_date" => "curdate",
        "current_time" => "curtime",
        "schema" => "database",
        "adddate" => "date_add",
        "subdate" => "date_sub",
        _ => return name,
    };
    canonical.to_owned()
}

impl Lowering<'_, '_> {
    pub(super) fn function(&mut self, function: upstream::Function, depth: usize) -> Result<Expr> {
        let upstream::Function {
            name,
            uses_odbc_syntax: _,
            parameters: _,
            args,
            within_group: _,
            filter: _,
            null_treatment,
            over,
        } = function;
        let upstream::FunctionArguments::List(list) = args else { return self.cursor.fail() };
        let upstream::FunctionArgumentList { duplicate_treatment, args, clauses } = list;
        let span = name.0.last().and_then(|part| part.as_ident()).map(|ident| ident.span);
        let span = span.unwrap_or(sqlparser::tokenizer::Span::empty());

        let mut parts = name.0.into_iter().filter_map(|part| match part {
            upstream::ObjectNamePart::Identifier(ident) => Some(ident),
            upstream::ObjectNamePart::Function(_) => None,
        });
        let (schema, name) = match (parts.next(), parts.next(), parts.next()) {
            (Some(name), None, None) => (None, name.value),
            (Some(schema), Some(name), None) => (Some(self.ident(schema)?), name.value),
            _ => return self.fail_at(span),
        };
        if let Some(name) = name.strip_prefix(INTERNAL) {
            let args = args.into_iter().filter_map(|arg| match arg {
                upstream::FunctionArg::Unnamed(upstream::FunctionArgExpr::Expr(expr)) => Some(expr),
                _ => None,
            });
            return self.internal(name, args.collect(), depth);
        }

        let mut star = false;
        let mut arguments = Vec::with_capacity(args.len());
        for arg in args {
            match arg {
                upstream::FunctionArg::Unnamed(upstream::FunctionArgExpr::Expr(expr)) => {
                    arguments.push(self.expr(expr, depth)?);
                }
                upstream::FunctionArg::Unnamed(upstream::FunctionArgExpr::Wildcard) => star = true,
                _ => return self.fail_at(span),
            }
        }
        let mut order_by = Vec::new();
        let mut separator = None;
        for clause in clauses {
            match clause {
                upstream::FunctionArgumentClause::OrderBy(items) => {
                    order_by = self.order_items(items, depth)?
                }
                upstream::FunctionArgumentClause::Separator(value) => match self.value(value)? {
                    Expr::Literal(Literal::String(StringLiteral { value, .. })) => {
                        separator = Some(String::from_utf8_lossy(&value).into_owned());
                    }
                    _ => return self.fail_at(span),
                },
                _ => return self.fail_at(span),
            }
        }
        let distinct = duplicate_treatment.is_some();
        let name = name.to_lowercase();
        let aggregate = if schema.is_none() { aggregate_function(&name) } else { None };
        let over = over.map(|over| self.window_type(over, depth)).transpose()?;
        let ignore_nulls = matches!(null_treatment, Some(upstream::NullTreatment::IgnoreNulls));

        if let Some(function) = aggregate {
            let concat = function == AggregateFunction::GroupConcat;
            let well_formed =
                if star { function == AggregateFunction::Count && !distinct } else { !arguments.is_empty() };
            if !well_formed || (!concat && (!order_by.is_empty() || separator.is_some())) {
                return self.fail_at(span);
            }
            let call = AggregateCall { function, distinct, args: arguments, order_by, separator };
            return Ok(match over {
                Some(over) => {
                    Expr::Window(Box::new(WindowCall { function: WindowFunction::Aggregate(call), over }))
                }
                None => Expr::Aggregate(Box::new(call)),
            });
        }
        if star || distinct || !order_by.is_empty() || separator.is_some() {
            return self.fail_at(span);
        }
        match over {
            Some(over) if is_window_function(&name) => {
                let function = WindowFunction::Call { name, args: arguments, ignore_nulls, from_last: false };
                Ok(Expr::Window(Box::new(WindowCall { function, over })))
            }
            Some(_) => self.fail_at(span),
            None if is_window_function(&name) && schema.is_none() => self.fail_at(span),
            None => {
                let mut name = if schema.is_none() { canonical_name(name) } else { name };
                // ADDDATE(d, 3) means days.
                if matches!(name.as_str(), "date_add" | "date_sub") {
                    match arguments.as_slice() {
                        [_, Expr::Interval { .. }] => {}
                        [_, _] => {
                            let value = arguments.remove(1);
                            arguments
                                .push(Expr::Interval { value: Box::new(value), unit: IntervalUnit::Day });
                        }
                        _ => return self.fail_at(span),
                    }
                }
                if name == "mod" && arguments.len() == 2 {
                    let right = Box::new(arguments.remove(1));
                    let left = Box::new(arguments.remove(0));
                    return Ok(Expr::Binary { left, op: BinaryOp::Modulo, right });
                }
                name.shrink_to_fit();
                Ok(Expr::Function(FunctionCall { schema, name, args: arguments }))
            }
        }
    }

    fn window_type(&mut self, over: upstream::WindowType, depth: usize) -> Result<WindowSpec> {
        match over {
            upstream::WindowType::NamedWindow(name) => {
                Ok(WindowSpec { base: Some(self.ident(name)?), bare: true, ..WindowSpec::default() })
            }
            upstream::WindowType::WindowSpec(spec) => self.window_spec(spec, depth),
        }
    }

    pub(super) fn window_spec(&mut self, spec: upstream::WindowSpec, depth: usize) -> Result<WindowSpec> {
        let upstream::WindowSpec { window_name, partition_by, order_by, window_frame } = spec;
        let frame = match window_frame {
            None => None,
            Some(upstream::WindowFrame { units, start_bound, end_bound }) => Some(WindowFrame {
                unit: match units {
                    upstream::WindowFrameUnits::Rows => FrameUnit::Rows,
                    upstream::WindowFrameUnits::Range => FrameUnit::Range,
                    upstream::WindowFrameUnits::Groups => return self.refuse("GROUPS in a window frame"),
                },
                start: self.frame_bound(start_bound, depth)?,
                end: match end_bound {
                    Some(bound) => self.frame_bound(bound, depth)?,
                    None => FrameBound::CurrentRow,
                },
            }),
        };
        Ok(WindowSpec {
            base: window_name.map(|name| self.ident(name)).transpose()?,
            partition_by: self.exprs(partition_by, depth)?,
            order_by: self.order_items(order_by, depth)?,
            frame,
            bare: false,
        })
    }

    fn frame_bound(&mut self, bound: upstream::WindowFrameBound, depth: usize) -> Result<FrameBound> {
        use upstream::WindowFrameBound as U;
        Ok(match bound {
            U::CurrentRow => FrameBound::CurrentRow,
            U::Preceding(None) => FrameBound::UnboundedPreceding,
            U::Following(None) => FrameBound::UnboundedFollowing,
            U::Preceding(Some(expr)) => FrameBound::Preceding(self.boxed(*expr, depth)?),
            U::Following(Some(expr)) => FrameBound::Following(self.boxed(*expr, depth)?),
        })
    }

    /// The constructs that the dialect hands over as calls.
    fn internal(&mut self, name: &str, args: Vec<upstream::Expr>, depth: usize) -> Result<Expr> {
        let mut args = args.into_iter();
        let Some(first) = args.next() else {
            return if name == "default" { Ok(Expr::Default(None)) } else { self.cursor.fail() };
        };
        let second = args.next();
        match (name, first, second) {
            ("assign", upstream::Expr::Value(variable), Some(value)) => match self.value(variable)? {
                Expr::UserVariable(name) => Ok(Expr::Assign { name, value: self.boxed(value, depth)? }),
                _ => self.cursor.fail(),
            },
            ("binary", expr, None) => {
                let to = crate::ast::DataType::new(crate::ast::TypeName::Binary);
                Ok(Expr::Cast { expr: self.boxed(expr, depth)?, to, array: false })
            }
            ("default" | "values", column, None) => {
                let span = match &column {
                    upstream::Expr::Identifier(ident) => ident.span,
                    _ => sqlparser::tokenizer::Span::empty(),
                };
                match self.expr(column, depth)? {
                    Expr::Column(column) if name == "default" => Ok(Expr::Default(Some(column))),
                    Expr::Column(column) => Ok(Expr::Values(column)),
                    _ => self.fail_at(span),
                }
            }
            ("interval", value, Some(unit)) => {
                Ok(Expr::Interval { value: self.boxed(value, depth)?, unit: self.unit(&unit)? })
            }
            ("cast", expr, Some(upstream::Expr::Value(reference))) => {
                let upstream::Value::Placeholder(reference) = reference.value else {
                    return self.cursor.fail();
                };
                let Some(Ok(index)) = reference.strip_prefix('t').map(str::parse) else {
                    return self.cursor.fail();
                };
                let mut cursor = self.cursor.at(index);
                let to = cursor.cast_type()?;
                let array = cursor.eat_word("ARRAY");
                cursor.expect(Kind::RightParen)?;
                Ok(Expr::Cast { expr: self.boxed(expr, depth)?, to, array })
            }
            ("using", expr, Some(upstream::Expr::Identifier(charset))) => Ok(Expr::ConvertUsing {
                expr: self.boxed(expr, depth)?,
                charset: self.charset_name(charset)?,
            }),
            ("extract" | "timestampadd" | "timestampdiff", unit, Some(second)) => {
                let mut call_args = vec![Expr::Unit(self.unit(&unit)?), self.expr(second, depth)?];
                for arg in args {
                    call_args.push(self.expr(arg, depth)?);
                }
                Ok(Expr::call(name, call_args))
            }
            ("trim both" | "trim leading" | "trim trailing", string, remove) => {
                let side = name.trim_start_matches("trim ");
                let string = self.expr(string, depth)?;
                let remove = match remove {
                    Some(remove) => self.expr(remove, depth)?,
                    None => Expr::Literal(Literal::String(StringLiteral::new(" "))),
                };
                Ok(Expr::call(
                    "trim",
                    vec![string, remove, Expr::Literal(Literal::String(StringLiteral::new(side)))],
                ))
            }
            ("get_format date" | "get_format time" | "get_format datetime", format, None) => {
                let kind = name.trim_start_matches("get_format ");
                let kind = Expr::Literal(Literal::String(StringLiteral::new(kind)));
                Ok(Expr::call("get_format", vec![kind, self.expr(format, depth)?]))
            }
            ("char" | "trim" | "substring" | "locate" | "weight_string", first, second) => {
                let mut call_args = vec![self.expr(first, depth)?];
                for arg in second.into_iter().chain(args) {
                    call_args.push(self.expr(arg, depth)?);
                }
                Ok(Expr::call(name, call_args))
            }
            _ => self.cursor.fail(),
        }
    }

    fn unit(&self, unit: &upstream::Expr) -> Result<IntervalUnit> {
        match unit {
            upstream::Expr::Identifier(ident) => match time_unit(&ident.value) {
                Some(unit) => Ok(unit),
                None => self.fail_at(ident.span),
            },
            _ => self.cursor.fail(),
        }
    }
}
