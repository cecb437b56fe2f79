//! AST, catalog and statistics to a physical plan: binder, rules, cost-based search, EXPLAIN.
