//! The registry: every function is declared once, in its family's table under `functions/`.

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use tidewater_chunk::Chunk;
use tidewater_types::{Collation, Datum, FieldType};

use crate::collate::Coercibility;
use crate::context::EvalContext;
use crate::error::ExprError;
use crate::expr::{Expr, FunctionCall};
use crate::functions;
use crate::value::Value;

/// A function: its name, arity, typing and kernel.
pub struct FunctionDef {
    /// Lower case. Operators have names too: `eq`, `plus`, `and`, ...
    pub name: &'static str,
    /// Least number of arguments.
    pub min_args: usize,
    /// Greatest number of arguments; [`VARIADIC`] for no limit.
    pub max_args: usize,
    /// Gives the arguments the types the kernel expects (by inserting casts) and tells the result's type.
    pub infer: fn(&mut Inference<'_>) -> Result<FieldType, ExprError>,
    /// How it is evaluated.
    pub kernel: Kernel,
    /// What one may do with it.
    pub traits: FunctionTraits,
}

/// No limit on the number of arguments.
pub const VARIADIC: usize = usize::MAX;

bitflags::bitflags! {
    /// What one may do with a function.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct FunctionTraits: u8 {
        /// Two calls may differ within one statement, or it does something: never folded, never moved.
        const VOLATILE = 1;
        /// Depends on the session: not pushed to the store (it folds to a constant before).
        const SESSION = 2;
        /// The kernel takes masks as they are.
        const MASKS = 4;
        /// One call may take as long as it likes: not for a thread that others wait for.
        const WAITS = 8;
    }
}

/// How a function is evaluated.
#[derive(Clone, Copy)]
pub enum Kernel {
    /// Column at a time, all arguments evaluated.
    Vector(fn(&CallContext<'_>, &[Value]) -> Result<Value, ExprError>),
    /// Column at a time; evaluates its own arguments, on the rows where they matter.
    Lazy(fn(&CallContext<'_>, &Chunk) -> Result<Value, ExprError>),
    /// Row at a time.
    Row(fn(&CallContext<'_>, &[Datum]) -> Result<Datum, ExprError>),
    /// Row at a time; any NULL argument gives NULL without a call.
    Strict(fn(&CallContext<'_>, &[Datum]) -> Result<Datum, ExprError>),
}

/// What a kernel may look at besides its arguments.
#[derive(Debug, Clone, Copy)]
pub struct CallContext<'a> {
    /// The statement.
    pub eval: &'a EvalContext,
    /// The call: argument and result types, collation, text for messages.
    pub call: &'a FunctionCall,
    /// Rows of the chunk.
    pub rows: usize,
}

impl CallContext<'_> {
    /// The call's own type.
    pub fn field_type(&self) -> &FieldType {
        &self.call.field_type
    }

    /// Type of the n-th argument.
    pub fn arg_type(&self, index: usize) -> FieldType {
        self.call.args[index].field_type()
    }
}

/// A call whose types are being worked out.
pub struct Inference<'a> {
    /// The function's name as called.
    pub name: &'static str,
    /// The arguments; casts are inserted here.
    pub args: Vec<Expr>,
    /// The statement.
    pub ctx: &'a EvalContext,
    /// The collation comparisons use, and that of a string result.
    pub collation: Collation,
    /// How strongly that collation is held.
    pub coercibility: Coercibility,
}

impl FunctionDef {
    /// A pure function.
    pub const fn new(
        name: &'static str,
        min_args: usize,
        max_args: usize,
        infer: fn(&mut Inference<'_>) -> Result<FieldType, ExprError>,
        kernel: Kernel,
    ) -> Self {
        Self { name, min_args, max_args, infer, kernel, traits: FunctionTraits::empty() }
    }

    /// The same with these traits.
    pub const fn with(mut self, traits: FunctionTraits) -> Self {
        self.traits = self.traits.union(traits);
        self
    }

    /// Whether calls with equal arguments give equal results within a statement.
    pub fn is_deterministic(&self) -> bool {
        !self.traits.contains(FunctionTraits::VOLATILE)
    }

    /// Whether a store may evaluate it.
    pub fn is_pushable(&self) -> bool {
        !self.traits.intersects(FunctionTraits::VOLATILE.union(FunctionTraits::SESSION))
    }
}

impl fmt::Debug for FunctionDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FunctionDef").field(&self.name).finish()
    }
}

/// A function's declaration by its lower-case name (or an alias of it).
pub fn function(name: &str) -> Option<&'static FunctionDef> {
    static BY_NAME: OnceLock<HashMap<&'static str, &'static FunctionDef>> = OnceLock::new();
    let by_name = BY_NAME.get_or_init(|| {
        let mut map = HashMap::new();
        for def in all_functions() {
            let before = map.insert(def.name, def);
            assert!(before.is_none(), "function {} is declared twice", def.name);
        }
        map
    });
    by_name.get(functions::canonical_name(name)).copied()
}

/// All functions, family by family.
pub fn all_functions() -> impl Iterator<Item = &'static FunctionDef> {
    functions::FAMILIES.iter().flat_map(|family| family.iter())
}
