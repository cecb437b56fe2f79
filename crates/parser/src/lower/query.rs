//! Queries.

use sqlparser::ast as upstream;

use super::{Lowering, is_row_count};
use crate::ast::{
    CommonTable, DerivedTable, Expr, Hint, Ident, IndexHint, IndexHintKind, IndexHintScope, Join,
    JoinConstraint, JoinKind, Limit, NamedWindow, ObjectName, Query, QueryBody, Select, SelectItem,
    SelectModifiers, SetOperand, SetOperation, SetOperator, SourceText, TableFactor, TableRef, With,
};
use crate::cursor::Result;
use crate::error::ParseError;
use crate::hint;
use crate::lexer::Kind;
use crate::literal;
use crate::lower::EXPR_DEPTH_MAX;

/// More tables than this in one chain of joins are refused: a chain is a deep tree.
const JOINS_MAX: usize = 256;

/// The words between SELECT and its list.
const SELECT_WORDS: &[&str] = &[
    "ALL",
    "DISTINCT",
    "DISTINCTROW",
    "HIGH_PRIORITY",
    "STRAIGHT_JOIN",
    "SQL_SMALL_RESULT",
    "SQL_BIG_RESULT",
    "SQL_BUFFER_RESULT",
    "SQL_NO_CACHE",
    "SQL_CACHE",
    "SQL_CALC_FOUND_ROWS",
];

/// The words that end a select list.
const LIST_END_WORDS: &[&str] = &[
    "FROM",
    "INTO",
    "WHERE",
    "GROUP",
    "HAVING",
    "WINDOW",
    "ORDER",
    "LIMIT",
    "FOR",
    "LOCK",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "ON",
    "WITH",
];

impl Lowering<'_, '_> {
    pub(super) fn query(&mut self, query: upstream::Query, depth: usize) -> Result<Query> {
        if depth > EXPR_DEPTH_MAX {
            return Err(ParseError::TooDeep);
        }
        stacker::maybe_grow(128 << 10, 2 << 20, || self.query_here(query, depth))
    }

    fn query_here(&mut self, query: upstream::Query, depth: usize) -> Result<Query> {
        let upstream::Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        if fetch.is_some()
            || for_clause.is_some()
            || settings.is_some()
            || format_clause.is_some()
            || !pipe_operators.is_empty()
        {
            return self.cursor.fail();
        }
        let below = depth + 1;
        Ok(Query {
            with: with.map(|with| self.with(with, below)).transpose()?,
            body: self.body(*body, below)?,
            order_by: match order_by {
                None => Vec::new(),
                Some(upstream::OrderBy {
                    kind: upstream::OrderByKind::Expressions(items),
                    interpolate: None,
                }) => self.order_items(items, below)?,
                Some(_) => return self.cursor.fail(),
            },
            limit: match limit_clause {
                None => None,
                Some(upstream::LimitClause::OffsetCommaLimit { offset, limit }) => {
                    Some(Limit { count: self.row_count(limit)?, offset: Some(self.row_count(offset)?) })
                }
                Some(upstream::LimitClause::LimitOffset { limit: Some(limit), offset, limit_by })
                    if limit_by.is_empty() =>
                {
                    Some(Limit {
                        count: self.row_count(limit)?,
                        offset: match offset {
                            Some(upstream::Offset { value, rows: upstream::OffsetRows::None }) => {
                                Some(self.row_count(value)?)
                            }
                            Some(_) => return self.cursor.fail(),
                            None => None,
                        },
                    })
                }
                Some(upstream::LimitClause::LimitOffset { .. }) => return self.cursor.fail(),
            },
            locks: locks.into_iter().map(|lock| self.lock(lock)).collect::<Result<_>>()?,
            into: None,
        })
    }

    /// An operand of LIMIT.
    fn row_count(&mut self, expr: upstream::Expr) -> Result<Expr> {
        let span = upstream::Spanned::span(&expr);
        let count = self.expr(expr, 0)?;
        if is_row_count(&count) { Ok(count) } else { self.fail_at(span) }
    }

    fn lock(&mut self, lock: upstream::LockClause) -> Result<crate::ast::Locking> {
        let upstream::LockClause { lock_type: _, of, nonblock: _ } = lock;
        // The token pass read the clause and left its number.
        let reference = of.and_then(|of| of.0.into_iter().next()).and_then(|part| match part {
            upstream::ObjectNamePart::Identifier(ident) => {
                ident.value.strip_prefix('k')?.parse::<usize>().ok()
            }
            upstream::ObjectNamePart::Function(_) => None,
        });
        match reference.and_then(|number| self.locks.get_mut(number)?.take()) {
            Some(locking) => Ok(locking),
            None => self.cursor.fail(),
        }
    }

    fn with(&mut self, with: upstream::With, depth: usize) -> Result<With> {
        let upstream::With { with_token: _, recursive, cte_tables } = with;
        let tables = cte_tables.into_iter().map(|table| {
            let upstream::Cte { alias, query, from: _, materialized: _, closing_paren_token: _ } = table;
            let (name, columns) = self.alias(alias)?;
            Ok(CommonTable { name, columns, query: self.query(*query, depth)? })
        });
        Ok(With { recursive, tables: tables.collect::<Result<_>>()? })
    }

    fn alias(&self, alias: upstream::TableAlias) -> Result<(Ident, Vec<Ident>)> {
        let upstream::TableAlias { explicit: _, name, columns, at: _ } = alias;
        let columns =
            columns.into_iter().map(|upstream::TableAliasColumnDef { name, data_type }| match data_type {
                None => self.ident(name),
                Some(_) => self.fail_at(name.span),
            });
        Ok((self.ident(name)?, columns.collect::<Result<_>>()?))
    }

    fn body(&mut self, body: upstream::SetExpr, depth: usize) -> Result<QueryBody> {
        use upstream::SetExpr as U;
        Ok(match body {
            U::Select(select) if self.is_table_query(&select) => {
                match select
                    .from
                    .into_iter()
                    .next()
                    .map(|table| self.table_with_joins(table, depth))
                    .transpose()?
                {
                    Some(TableRef::Table(table)) if table.alias.is_none() && select.selection.is_none() => {
                        QueryBody::Table(table.name)
                    }
                    _ => return self.fail_at(select.select_token.0.span),
                }
            }
            U::Select(select) => QueryBody::Select(Box::new(self.select(*select, depth)?)),
            U::Query(query) => QueryBody::Query(Box::new(self.query(*query, depth)?)),
            U::Values(upstream::Values { explicit_row, value_keyword: _, rows }) => {
                if !explicit_row {
                    return self.cursor.fail();
                }
                let rows = rows.into_iter().map(|row| self.exprs(row.content, depth));
                QueryBody::Values(rows.collect::<Result<_>>()?)
            }
            U::SetOperation { .. } => self.set_operation(body, depth)?,
            // The token pass leaves no TABLE.
            U::Table(_) | U::Insert(_) | U::Update(_) | U::Delete(_) | U::Merge(_) => {
                return self.cursor.fail();
            }
        })
    }

    /// Whether the token pass wrote this SELECT for `TABLE t`.
    fn is_table_query(&self, select: &upstream::Select) -> bool {
        let start = (select.select_token.0.span.start.column as usize).saturating_sub(1);
        self.cursor.at(start).is_word("TABLE")
    }

    /// A chain of set operations, taken apart from its end as it may be long.
    fn set_operation(&mut self, mut body: upstream::SetExpr, depth: usize) -> Result<QueryBody> {
        let mut chain = Vec::new();
        let first = loop {
            match body {
                upstream::SetExpr::SetOperation { left, op, set_quantifier, right } => {
                    let operator = match op {
                        upstream::SetOperator::Union => SetOperator::Union,
                        upstream::SetOperator::Except | upstream::SetOperator::Minus => SetOperator::Except,
                        upstream::SetOperator::Intersect => SetOperator::Intersect,
                    };
                    let all = match set_quantifier {
                        upstream::SetQuantifier::All => true,
                        upstream::SetQuantifier::Distinct | upstream::SetQuantifier::None => false,
                        upstream::SetQuantifier::ByName
                        | upstream::SetQuantifier::AllByName
                        | upstream::SetQuantifier::DistinctByName => return self.cursor.fail(),
                    };
                    // `a INTERSECT b UNION c`: the operators of a chain bind equally tight, a tighter one is its first operand.
                    let same = chain.last().is_none_or(|(next, _, _): &(SetOperator, bool, _)| {
                        (*next == SetOperator::Intersect) == (operator == SetOperator::Intersect)
                    });
                    if !same {
                        let operand = upstream::SetExpr::SetOperation { left, op, set_quantifier, right };
                        break self.set_operation(operand, depth + 1)?;
                    }
                    chain.push((operator, all, right));
                    body = *left;
                }
                first => break self.body(first, depth)?,
            }
        };
        let mut rest = Vec::with_capacity(chain.len());
        while let Some((operator, all, right)) = chain.pop() {
            rest.push(SetOperand { operator, all, body: self.body(*right, depth + 1)? });
        }
        Ok(QueryBody::SetOperation(Box::new(SetOperation { first, rest })))
    }

    fn select(&mut self, select: upstream::Select, depth: usize) -> Result<Select> {
        let upstream::Select {
            select_token,
            optimizer_hints: _,
            distinct,
            select_modifiers,
            top,
            top_before_distinct: _,
            projection,
            exclude,
            into,
            from,
            lateral_views,
            prewhere,
            selection,
            connect_by,
            group_by,
            cluster_by,
            distribute_by,
            sort_by,
            having,
            named_window,
            qualify,
            window_before_qualify: _,
            value_table_mode,
            flavor: _,
        } = select;
        // Their keywords are names in our token stream; a version that reads one of them otherwise must not go unnoticed.
        if top.is_some()
            || exclude.is_some()
            || into.is_some()
            || !lateral_views.is_empty()
            || prewhere.is_some()
            || !connect_by.is_empty()
            || !cluster_by.is_empty()
            || !distribute_by.is_empty()
            || !sort_by.is_empty()
            || qualify.is_some()
            || value_table_mode.is_some()
        {
            return self.cursor.fail();
        }
        let start = (select_token.0.span.start.column as usize).saturating_sub(1);
        let hints = self.hints(start)?;
        let (group_by, rollup) = match group_by {
            upstream::GroupByExpr::Expressions(exprs, modifiers) => {
                let rollup = match modifiers.as_slice() {
                    [] => false,
                    [upstream::GroupByWithModifier::Rollup] => true,
                    _ => return self.cursor.fail(),
                };
                (self.exprs(exprs, depth)?, rollup)
            }
            upstream::GroupByExpr::All(_) => return self.cursor.fail(),
        };
        let windows = named_window.into_iter().map(|upstream::NamedWindowDefinition(name, window)| {
            let name = self.ident(name)?;
            let spec = match window {
                upstream::NamedWindowExpr::WindowSpec(spec) => self.window_spec(spec, depth)?,
                upstream::NamedWindowExpr::NamedWindow(_) => return self.cursor.fail(),
            };
            Ok(NamedWindow { name, spec })
        });
        let windows = windows.collect::<Result<_>>()?;
        let mut tables = Vec::with_capacity(from.len());
        for table in from {
            tables.push(self.table_with_joins(table, depth)?);
        }
        if let [TableRef::Table(table)] = tables.as_slice()
            && table.name.schema.is_none()
            && table.name.name.0.is_empty()
        {
            tables.clear();
        }
        Ok(Select {
            hints,
            distinct: match distinct {
                None | Some(upstream::Distinct::All) => false,
                Some(upstream::Distinct::Distinct) => true,
                Some(upstream::Distinct::On(_)) => return self.cursor.fail(),
            },
            modifiers: self.modifiers(select_modifiers, start),
            items: self.items(projection, start, depth)?,
            from: tables,
            selection: selection.map(|condition| self.expr(condition, depth)).transpose()?,
            group_by,
            rollup,
            having: having.map(|condition| self.expr(condition, depth)).transpose()?,
            windows,
        })
    }

    /// The hints right after the verb at `start`.
    fn hints(&self, start: usize) -> Result<Vec<Hint>> {
        let lexeme = self.cursor.lexeme(start + 1);
        if lexeme.kind == Kind::Hint { Ok(hint::parse(self.cursor.source(lexeme))) } else { Ok(Vec::new()) }
    }

    /// The lexemes between the SELECT at `start` and its list.
    fn select_words(&self, start: usize) -> impl Iterator<Item = usize> + '_ {
        (start + 1..).take_while(|&at| {
            self.cursor.lexeme(at).kind == Kind::Hint || self.cursor.at(at).is_one_of(SELECT_WORDS)
        })
    }

    fn modifiers(&self, modifiers: Option<upstream::SelectModifiers>, start: usize) -> SelectModifiers {
        let sql_cache = self.select_words(start).any(|at| self.cursor.at(at).is_word("SQL_CACHE"));
        let Some(modifiers) = modifiers else {
            return SelectModifiers { sql_cache, ..SelectModifiers::default() };
        };
        let upstream::SelectModifiers {
            high_priority,
            straight_join,
            sql_small_result,
            sql_big_result,
            sql_buffer_result,
            sql_no_cache,
            sql_calc_found_rows,
        } = modifiers;
        SelectModifiers {
            high_priority,
            straight_join,
            sql_small_result,
            sql_big_result,
            sql_buffer_result,
            sql_no_cache,
            sql_cache,
            sql_calc_found_rows,
        }
    }

    /// The select list, each member with its text: the lexemes between SELECT and FROM, split at the commas.
    fn items(
        &mut self,
        items: Vec<upstream::SelectItem>,
        start: usize,
        depth: usize,
    ) -> Result<Vec<SelectItem>> {
        let mut at = start + 1 + self.select_words(start).count();
        let mut lowered = Vec::with_capacity(items.len());
        for item in items {
            let end = self.item_end(at);
            lowered.push(match item {
                upstream::SelectItem::UnnamedExpr(expr) => {
                    let text = self.item_text(at, end);
                    SelectItem::Expr { expr: self.expr(expr, depth)?, alias: None, text }
                }
                upstream::SelectItem::ExprWithAlias { expr, alias } => {
                    let mut last = end - 1;
                    while last > at + 1
                        && self.cursor.lexeme(last).kind == Kind::String
                        && self.cursor.lexeme(last - 1).kind == Kind::String
                        && alias.quote_style == Some('\'')
                        && alias.value != last.to_string()
                    {
                        last -= 1;
                    }
                    if last > at + 1 && self.cursor.at(last - 1).is_word("AS") {
                        last -= 1;
                    }
                    let text = self.item_text(at, last);
                    SelectItem::Expr { expr: self.expr(expr, depth)?, alias: Some(self.ident(alias)?), text }
                }
                upstream::SelectItem::Wildcard(options) => {
                    self.check_wildcard(options)?;
                    SelectItem::Wildcard
                }
                upstream::SelectItem::QualifiedWildcard(kind, options) => {
                    self.check_wildcard(options)?;
                    match kind {
                        upstream::SelectItemQualifiedWildcardKind::ObjectName(name) => {
                            SelectItem::QualifiedWildcard(self.object_name(name)?)
                        }
                        upstream::SelectItemQualifiedWildcardKind::Expr(_) => return self.cursor.fail(),
                    }
                }
                upstream::SelectItem::ExprWithAliases { .. } => return self.cursor.fail(),
            });
            at = end + 1;
        }
        Ok(lowered)
    }

    fn check_wildcard(&self, options: upstream::WildcardAdditionalOptions) -> Result<()> {
        let upstream::WildcardAdditionalOptions {
            wildcard_token: _,
            opt_ilike,
            opt_exclude,
            opt_except,
            opt_replace,
            opt_rename,
            opt_alias,
        } = options;
        let plain = opt_ilike.is_none()
            && opt_exclude.is_none()
            && opt_except.is_none()
            && opt_replace.is_none()
            && opt_rename.is_none()
            && opt_alias.is_none();
        if plain { Ok(()) } else { self.cursor.fail() }
    }

    /// The lexeme that ends the list member which starts at `at`.
    fn item_end(&self, at: usize) -> usize {
        let mut depth = 0usize;
        let mut index = at;
        loop {
            let lexeme = self.cursor.lexeme(index);
            match lexeme.kind {
                Kind::LeftParen => depth += 1,
                Kind::RightParen if depth == 0 => return index,
                Kind::RightParen => depth -= 1,
                Kind::Comma if depth == 0 => return index,
                Kind::Semicolon | Kind::End => return index,
                Kind::Word if depth == 0 && index > at => {
                    let after_period = self.cursor.lexeme(index - 1).kind == Kind::Period;
                    if !after_period && self.cursor.at(index).is_one_of(LIST_END_WORDS) {
                        return index;
                    }
                }
                _ => {}
            }
            index += 1;
        }
    }

    /// What MySQL calls a column: the text, or the contents of the first string when that is all there is.
    fn item_text(&self, first: usize, end: usize) -> SourceText {
        let last = end.max(first + 1) - 1;
        let all_strings = (first..=last).all(|index| self.cursor.lexeme(index).kind == Kind::String);
        if all_strings {
            let mut contents = Vec::new();
            literal::decode_string(
                self.cursor.source(self.cursor.lexeme(first)),
                self.cursor.sql_mode,
                &mut contents,
            );
            return SourceText(String::from_utf8_lossy(&contents).into_owned());
        }
        if last == first + 1
            && self.cursor.at(first).word().starts_with('_')
            && self.cursor.lexeme(last).kind == Kind::String
        {
            return self.item_text(last, end);
        }
        SourceText(self.cursor.text_between(first, last))
    }

    pub(super) fn table_with_joins(
        &mut self,
        table: upstream::TableWithJoins,
        depth: usize,
    ) -> Result<TableRef> {
        let upstream::TableWithJoins { relation, joins } = table;
        if joins.len() > JOINS_MAX {
            return Err(ParseError::TooDeep);
        }
        let mut left = self.table_factor(relation, depth)?;
        for upstream::Join { relation, global: _, join_operator } in joins {
            use upstream::JoinOperator as U;
            let right = self.table_factor(relation, depth)?;
            let (kind, constraint) = match join_operator {
                U::Join(constraint) | U::Inner(constraint) | U::CrossJoin(constraint) => {
                    (JoinKind::Inner, constraint)
                }
                U::Left(constraint) | U::LeftOuter(constraint) => (JoinKind::Left, constraint),
                U::Right(constraint) | U::RightOuter(constraint) => (JoinKind::Right, constraint),
                U::StraightJoin(constraint) => (JoinKind::Straight, constraint),
                U::FullOuter(_)
                | U::Semi(_)
                | U::LeftSemi(_)
                | U::RightSemi(_)
                | U::Anti(_)
                | U::LeftAnti(_)
                | U::RightAnti(_)
                | U::CrossApply
                | U::OuterApply
                | U::AsOf { .. }
                | U::ArrayJoin
                | U::LeftArrayJoin
                | U::InnerArrayJoin => return self.cursor.fail(),
            };
            let (natural, constraint) = match constraint {
                upstream::JoinConstraint::None => (false, None),
                upstream::JoinConstraint::Natural => (true, None),
                upstream::JoinConstraint::On(condition) => {
                    (false, Some(JoinConstraint::On(self.expr(condition, depth + 1)?)))
                }
                upstream::JoinConstraint::Using(columns) => {
                    let columns = columns.into_iter().map(|column| Ok(self.object_name(column)?.name));
                    (false, Some(JoinConstraint::Using(columns.collect::<Result<_>>()?)))
                }
            };
            if constraint.is_none() && !natural && matches!(kind, JoinKind::Left | JoinKind::Right) {
                return Err(self.cursor.error_at(self.next));
            }
            left = TableRef::Join(Box::new(Join { left, right, kind, natural, constraint }));
        }
        Ok(left)
    }

    fn table_factor(&mut self, factor: upstream::TableFactor, depth: usize) -> Result<TableRef> {
        if depth > EXPR_DEPTH_MAX {
            return Err(ParseError::TooDeep);
        }
        use upstream::TableFactor as U;
        match factor {
            U::Table {
                name,
                alias,
                args,
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_hints,
            } => {
                if args.is_some()
                    || !with_hints.is_empty()
                    || with_ordinality
                    || json_path.is_some()
                    || sample.is_some()
                {
                    return self.refuse("table functions");
                }
                // DUAL is a reserved word and not a table; an empty name stands for it.
                let dual = matches!(name.0.as_slice(), [upstream::ObjectNamePart::Identifier(ident)]
                    if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("DUAL"));
                let name = if dual { ObjectName::bare("") } else { self.object_name(name)? };
                if dual && alias.is_some() {
                    return self.cursor.fail();
                }
                let alias = match alias {
                    Some(alias) => match self.alias(alias)? {
                        (name, columns) if columns.is_empty() => Some(name),
                        _ => return self.cursor.fail(),
                    },
                    None => None,
                };
                let as_of = match version {
                    None => None,
                    Some(upstream::TableVersion::ForSystemTimeAsOf(expr)) => {
                        Some(self.expr(expr, depth + 1)?)
                    }
                    Some(_) => return self.cursor.fail(),
                };
                let partitions = self.idents(partitions)?;
                let index_hints =
                    index_hints.into_iter().map(|hint| self.index_hint(hint)).collect::<Result<_>>()?;
                Ok(TableRef::Table(Box::new(TableFactor { name, partitions, as_of, alias, index_hints })))
            }
            U::Derived { lateral, subquery, alias, sample: _ } => {
                let query = self.query(*subquery, depth + 1)?;
                let Some(alias) = alias else { return Err(ParseError::DerivedTableWithoutAlias) };
                let (alias, columns) = self.alias(alias)?;
                Ok(TableRef::Derived(Box::new(DerivedTable { lateral, query, alias, columns })))
            }
            U::NestedJoin { table_with_joins, alias: None } => {
                self.table_with_joins(*table_with_joins, depth + 1)
            }
            U::NestedJoin { .. } => self.cursor.fail(),
            U::TableFunction { .. }
            | U::Function { .. }
            | U::UNNEST { .. }
            | U::JsonTable { .. }
            | U::OpenJsonTable { .. }
            | U::Pivot { .. }
            | U::Unpivot { .. }
            | U::UnpivotExpr { .. }
            | U::MatchRecognize { .. }
            | U::XmlTable { .. }
            | U::SemanticView { .. } => self.refuse("table functions"),
        }
    }

    fn index_hint(&self, hint: upstream::TableIndexHints) -> Result<IndexHint> {
        let upstream::TableIndexHints { hint_type, index_type: _, for_clause, index_names } = hint;
        let indexes = index_names.into_iter().map(|name| match name.quote_style {
            None if name.value.eq_ignore_ascii_case("PRIMARY") => Ok(Ident(name.value)),
            _ => self.ident(name),
        });
        Ok(IndexHint {
            kind: match hint_type {
                upstream::TableIndexHintType::Use => IndexHintKind::Use,
                upstream::TableIndexHintType::Force => IndexHintKind::Force,
                upstream::TableIndexHintType::Ignore => IndexHintKind::Ignore,
            },
            scope: match for_clause {
                None => IndexHintScope::All,
                Some(upstream::TableIndexHintForClause::Join) => IndexHintScope::Join,
                Some(upstream::TableIndexHintForClause::OrderBy) => IndexHintScope::OrderBy,
                Some(upstream::TableIndexHintForClause::GroupBy) => IndexHintScope::GroupBy,
            },
            indexes: indexes.collect::<Result<_>>()?,
        })
    }
}
