//! MySQL and TiDB SQL text to AST and back, digests and hints.

pub mod ast;
