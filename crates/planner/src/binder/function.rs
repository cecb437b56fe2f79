//! Function calls.

use tidewater_expr::{Expr, FunctionTraits, function};
use tidewater_parser::ast;
use tidewater_types::{Datum, IntervalUnit};

use super::{Binder, Env};
use crate::PlanError;

impl Binder<'_> {
    pub(super) fn bind_function(
        &mut self,
        env: &mut Env<'_>,
        call: &ast::FunctionCall,
    ) -> Result<Expr, PlanError> {
        if let Some(schema) = &call.schema {
            return Err(PlanError::NoSuchFunction(format!("{schema}.{}", call.name)));
        }
        let mut args = Vec::with_capacity(call.args.len() + 1);
        for arg in &call.args {
            match arg {
                // `INTERVAL n unit` is two arguments to the registry: the number and the unit's name.
                ast::Expr::Interval { value, unit } => {
                    args.push(self.bind_expr(env, value)?);
                    args.push(self.unit(*unit)?);
                }
                ast::Expr::Unit(unit) => args.push(self.unit(*unit)?),
                other => args.push(self.bind_expr(env, other)?),
            }
        }
        let name = match call.name.as_str() {
            "any_value" => return args.into_iter().next().ok_or(PlanError::OperandColumns(1)),
            "trim" if args.len() == 3 => trim_of_side(&args.split_off(2)),
            name => name,
        };
        let Some(def) = function(name) else {
            let database = self.cx.current_db.unwrap_or_default();
            return Err(PlanError::NoSuchFunction(format!("{database}.{name}")));
        };
        if def.traits.intersects(FunctionTraits::VOLATILE.union(FunctionTraits::SESSION)) {
            self.cacheable = false;
        }
        self.call(name, args)
    }

    fn unit(&mut self, unit: IntervalUnit) -> Result<Expr, PlanError> {
        self.bind_literal(&ast::Literal::String(ast::StringLiteral::new(unit.name())))
    }
}

/// `TRIM(LEADING x FROM y)` has its side as a third argument; each side is a function of its own.
fn trim_of_side(side: &[Expr]) -> &'static str {
    match side {
        [Expr::Literal { value: Datum::Bytes(side), .. }] if side == b"leading" => "trim_leading",
        [Expr::Literal { value: Datum::Bytes(side), .. }] if side == b"trailing" => "trim_trailing",
        _ => "trim",
    }
}
