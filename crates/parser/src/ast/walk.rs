//! Walks over expressions.

use super::Expr;

impl Expr {
    /// The expressions right inside this one; queries are not looked into.
    pub fn children(&self) -> Vec<&Expr> {
        use Expr as E;
        match self {
            E::Literal(_)
            | E::Column(_)
            | E::UserVariable(_)
            | E::SystemVariable(_)
            | E::Parameter(_)
            | E::Default(_)
            | E::Values(_)
            | E::Exists(_)
            | E::Subquery(_)
            | E::Unit(_) => Vec::new(),
            E::Assign { value, .. } | E::Interval { value, .. } => vec![value],
            E::Unary { expr, .. }
            | E::IsNull { expr, .. }
            | E::IsTruth { expr, .. }
            | E::InSubquery { expr, .. }
            | E::Cast { expr, .. }
            | E::ConvertUsing { expr, .. }
            | E::Collate { expr, .. }
            | E::Quantified { left: expr, .. }
            | E::Match { against: expr, .. } => vec![expr],
            E::Binary { left, right, .. } => vec![left, right],
            E::Between { expr, low, high, .. } => vec![expr, low, high],
            E::InList { expr, list, .. } => std::iter::once(&**expr).chain(list).collect(),
            E::Like { expr, pattern, escape, .. } => {
                [expr, pattern].into_iter().chain(escape).map(|child| &**child).collect()
            }
            E::Regexp { expr, pattern, .. } => vec![expr, pattern],
            E::MemberOf { value, array } => vec![value, array],
            E::Case(case) => case
                .operand
                .iter()
                .chain(case.branches.iter().flat_map(|(when, then)| [when, then]))
                .chain(&case.otherwise)
                .collect(),
            E::Function(call) => call.args.iter().collect(),
            E::Aggregate(call) => {
                call.args.iter().chain(call.order_by.iter().map(|item| &item.expr)).collect()
            }
            E::Window(_) => Vec::new(),
            E::Row(items) => items.iter().collect(),
        }
    }
}
