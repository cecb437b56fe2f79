//! Building typed expressions: arity, result types, and the casts MySQL does silently.

use tidewater_types::{Collation, Datum, EvalType, FieldType, TypeCode, TypeFlags};

use crate::collate::{self, Coercibility};
use crate::context::EvalContext;
use crate::error::ExprError;
use crate::expr::{Expr, FunctionCall, Prepared};
use crate::functions;
use crate::hex::{hex_as_number, hex_for};
use crate::registry::{FunctionDef, Inference, function};

/// A call of the function with this (lower-case) name: checks the number of arguments, inserts MySQL's casts, and works
/// out type and collation of the result.
pub fn build_function(name: &str, args: Vec<Expr>, ctx: &EvalContext) -> Result<Expr, ExprError> {
    let lower;
    let name = if name.bytes().any(|b| b.is_ascii_uppercase()) {
        lower = name.to_ascii_lowercase();
        lower.as_str()
    } else {
        name
    };
    if let Some(rewritten) = functions::rewrite(functions::canonical_name(name), &args, ctx)? {
        return Ok(rewritten);
    }
    let def = function(name).ok_or_else(|| ExprError::UnknownFunction { name: name.to_owned() })?;
    if args.len() < def.min_args || args.len() > def.max_args {
        return Err(ExprError::WrongArgumentCount { name: name.to_owned() });
    }
    build_call(def, args, ctx)
}

/// As [`build_function`] for a function already looked up.
pub(crate) fn build_call(
    def: &'static FunctionDef,
    args: Vec<Expr>,
    ctx: &EvalContext,
) -> Result<Expr, ExprError> {
    let (collation, coercibility) = string_claim(def.name, &args, ctx);
    let mut inference = Inference { name: def.name, args, ctx, collation, coercibility };
    let field_type = (def.infer)(&mut inference)?;
    let Inference { args, collation, coercibility, .. } = inference;
    Ok(Expr::Function(Box::new(FunctionCall {
        function: def,
        args,
        field_type,
        collation,
        coercibility,
        prepared: Prepared::default(),
    })))
}

/// The expression as a value of this type. Nothing is inserted where it has the type already.
pub fn build_cast(expr: Expr, to: FieldType) -> Expr {
    let expr = hex_for(expr, to.eval_type());
    if is_same_for_evaluation(expr.field_type_ref(), &to) {
        return expr;
    }
    let (_, coercibility) = collate::of(&expr);
    let mut expr = expr;
    if to.eval_type() == EvalType::Decimal {
        widen_quotient(&mut expr);
    }
    let def = function("cast").expect("CAST is registered");
    Expr::Function(Box::new(FunctionCall {
        function: def,
        args: vec![expr],
        collation: to.collation,
        field_type: to,
        coercibility,
        prepared: Prepared::default(),
    }))
}

/// Whether every value of `from` is a value of `to` in the same array form.
fn is_same_for_evaluation(from: &FieldType, to: &FieldType) -> bool {
    let unspecified_or = |want: i32, have: i32| want < 0 || want == have;
    match (from.eval_type(), to.eval_type()) {
        _ if matches!(
            from.code,
            TypeCode::Enum | TypeCode::Set | TypeCode::Bit | TypeCode::Year | TypeCode::Null
        ) || matches!(to.code, TypeCode::Enum | TypeCode::Set | TypeCode::Bit | TypeCode::Year) =>
        {
            from.code == to.code && from.elements == to.elements
        }
        (EvalType::Int, EvalType::Int) => {
            from.is_unsigned() == to.is_unsigned() && to.code == TypeCode::LongLong
        }
        (EvalType::Real, EvalType::Real) => {
            from.code == to.code && unspecified_or(to.decimals, from.decimals)
        }
        (EvalType::Decimal, EvalType::Decimal) => from.length == to.length && from.decimals == to.decimals,
        (EvalType::String, EvalType::String) => {
            from.collation == to.collation
                && (to.length < 0 || to.is_blob() || (from.length >= 0 && from.length <= to.length))
                && !(to.code == TypeCode::String && to.is_binary_string())
        }
        (EvalType::DateTime, EvalType::DateTime) => {
            let date = |ft: &FieldType| ft.code == TypeCode::Date;
            date(from) == date(to) && (date(to) || from.fsp() == to.fsp())
        }
        (EvalType::Duration, EvalType::Duration) => from.fsp() == to.fsp(),
        (EvalType::Json, EvalType::Json) => true,
        _ => false,
    }
}

fn string_claim(operation: &str, args: &[Expr], ctx: &EvalContext) -> (Collation, Coercibility) {
    let is_text = |expr: &Expr| {
        let ft = expr.field_type_ref();
        ft.is_string() || matches!(ft.code, TypeCode::Enum | TypeCode::Set | TypeCode::Json)
    };
    if !args.iter().any(is_text) {
        return (ctx.collation, Coercibility::Coercible);
    }
    collate::derive(operation, args).unwrap_or((ctx.collation, Coercibility::Coercible))
}

/// The expression brought to an evaluation type, with the widest declared type that its own one needs.
pub fn cast_to(expr: Expr, eval_type: EvalType, ctx: &EvalContext) -> Expr {
    let expr = hex_for(expr, eval_type);
    let from = expr.field_type_ref();
    if from.code == TypeCode::Null {
        return expr;
    }
    let fsp = fraction_digits(&expr);
    let to = match eval_type {
        EvalType::Int if from.eval_type() == EvalType::Int => return expr,
        EvalType::Int if from.eval_type() == EvalType::Decimal && from.is_unsigned() => FieldType::uint(),
        EvalType::Int => FieldType::int(),
        EvalType::Real if from.code == TypeCode::Double => return expr,
        EvalType::Real => FieldType::double(),
        EvalType::Decimal if from.code == TypeCode::NewDecimal => return expr,
        EvalType::Decimal => decimal_type_of(&expr),
        EvalType::String if from.is_string() => return expr,
        EvalType::String => text_type_of(from, ctx),
        EvalType::DateTime if from.is_time() => return expr,
        EvalType::DateTime if from.code == TypeCode::Duration => FieldType::datetime(fsp),
        EvalType::DateTime if from.eval_type() == EvalType::Int => FieldType::datetime(0),
        EvalType::DateTime => FieldType::datetime(fsp),
        EvalType::Duration if from.code == TypeCode::Duration => return expr,
        EvalType::Duration if from.is_time() => FieldType::duration(fsp),
        EvalType::Duration if from.eval_type() == EvalType::Int => FieldType::duration(0),
        EvalType::Duration => FieldType::duration(fsp),
        EvalType::Json if from.code == TypeCode::Json => return expr,
        EvalType::Json => return to_json(expr),
    };
    build_cast(expr, to)
}

/// Digits of a second's fraction in the time that an expression gives: a literal text's own, six of any other text.
pub fn fraction_digits(expr: &Expr) -> u8 {
    let ft = expr.field_type_ref();
    match (expr, ft.eval_type()) {
        (Expr::Literal { value: Datum::Bytes(text), .. }, _) => {
            let fraction = text.iter().rposition(|b| *b == b'.').map_or(&[][..], |dot| &text[dot + 1..]);
            let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
            // '1.1.2020' has no fraction: a fraction comes after a colon or a long row of digits.
            let timed =
                text.contains(&b':') || text.iter().filter(|b| b.is_ascii_digit()).count() > 8 + digits;
            if timed { digits.min(6) as u8 } else { 0 }
        }
        (_, EvalType::DateTime | EvalType::Duration) => ft.fsp(),
        (_, EvalType::Int) if !matches!(ft.code, TypeCode::Enum | TypeCode::Set) => 0,
        (_, EvalType::Decimal) => ft.decimals.clamp(0, 6) as u8,
        _ => 6,
    }
}

/// The expression as a JSON value: text becomes a JSON string, it is not parsed.
pub fn to_json(expr: Expr) -> Expr {
    if expr.field_type_ref().code == TypeCode::Json {
        return expr;
    }
    let def = function("convert_json").expect("the conversion to JSON is registered");
    Expr::Function(Box::new(FunctionCall {
        function: def,
        args: vec![expr],
        collation: Collation::Utf8mb4Bin,
        field_type: FieldType::json(),
        coercibility: Coercibility::Implicit,
        prepared: Prepared::default(),
    }))
}

/// Digits of an integer expression.
fn int_digits(expr: &Expr) -> u8 {
    match expr {
        Expr::Literal { value: Datum::Int(v), .. } => {
            v.unsigned_abs().checked_ilog10().map_or(1, |d| d as u8 + 1)
        }
        Expr::Literal { value: Datum::UInt(v), .. } => v.checked_ilog10().map_or(1, |d| d as u8 + 1),
        _ => match expr.field_type_ref().code {
            TypeCode::Tiny => 3,
            TypeCode::Short => 5,
            TypeCode::Int24 => 8,
            TypeCode::Long => 10,
            TypeCode::Year => 4,
            TypeCode::LongLong if expr.field_type_ref().length == 1 => 1,
            TypeCode::LongLong if !expr.field_type_ref().is_unsigned() => 19,
            _ => 20,
        },
    }
}

/// The DECIMAL type that holds an expression's values.
pub fn decimal_type_of(expr: &Expr) -> FieldType {
    let from = expr.field_type_ref();
    match from.eval_type() {
        EvalType::Decimal => {
            let scale = from.decimals.clamp(0, 30) as u8;
            let precision = if from.length < 0 { 65 } else { from.length.clamp(1, 65) as u8 };
            FieldType::decimal(precision.max(scale), scale)
        }
        EvalType::Int => FieldType::decimal(int_digits(expr), 0),
        EvalType::DateTime => FieldType::decimal(14 + from.fsp(), from.fsp()),
        EvalType::Duration => FieldType::decimal(7 + from.fsp(), from.fsp()),
        EvalType::Real if (0..=30).contains(&from.decimals) => FieldType::decimal(65, from.decimals as u8),
        EvalType::Real | EvalType::String | EvalType::Json => FieldType::decimal(65, 30),
    }
}

/// Digits of a word of MySQL's decimals: quotients inside expressions have whole words of them.
const WORD_DIGITS: i32 = 9;

/// `2 / 3` shows four digits after the point, but has nine where an expression goes on with it: `(2 / 3) * 3` is 2.0000
/// and not 2.0001. The caller has worked out the type of its own result before, from the digits that are shown.
pub fn widen_quotient(expr: &mut Expr) {
    let Expr::Function(call) = expr else { return };
    if call.field_type.eval_type() != EvalType::Decimal {
        return;
    }
    if call.function.name == "unaryminus" {
        // A sign changes no digits.
        widen_quotient(&mut call.args[0]);
        let widened = call.args[0].field_type_ref();
        (call.field_type.length, call.field_type.decimals) = (widened.length, widened.decimals);
        return;
    }
    if call.function.name != "div" {
        return;
    }
    let shown = call.field_type.decimals.max(0);
    let words = (shown.max(1) + WORD_DIGITS - 1) / WORD_DIGITS;
    let kept = (words * WORD_DIGITS).min(30);
    call.field_type.length = (call.field_type.length + kept - shown).min(65);
    call.field_type.decimals = kept;
}

/// The string type that holds the text of values of this type.
pub fn text_type_of(from: &FieldType, ctx: &EvalContext) -> FieldType {
    let own_collation =
        from.is_string() || matches!(from.code, TypeCode::Enum | TypeCode::Set | TypeCode::Json);
    let collation = match from.code {
        TypeCode::Bit => Collation::Binary,
        _ if own_collation => from.collation,
        _ => ctx.collation,
    };
    FieldType::varchar(text_length(from)).with_collation(collation)
}

/// Characters of the longest text of a value of this type; -1 if unknown.
pub fn text_length(ft: &FieldType) -> i32 {
    match ft.code {
        TypeCode::Enum => ft.elements.iter().map(|e| e.chars().count()).max().unwrap_or(0) as i32,
        TypeCode::Set => ft.elements.iter().map(|e| e.chars().count() + 1).sum::<usize>() as i32,
        TypeCode::NewDecimal if ft.length >= 0 => ft.length + 2,
        TypeCode::Bit => (ft.length + 7) / 8,
        TypeCode::Float | TypeCode::Double => 23,
        TypeCode::Json => -1,
        TypeCode::LongLong => 20,
        _ => ft.length,
    }
}

/// The type that holds the values of all these: results of CASE, IF, COALESCE, UNION.
pub fn common_type(types: &[&FieldType]) -> FieldType {
    let known: Vec<&FieldType> = types.iter().copied().filter(|ft| ft.code != TypeCode::Null).collect();
    let Some(first) = known.first() else { return FieldType::null() };
    let mut merged = match () {
        () if known.iter().all(|ft| ft.code == first.code && ft.elements == first.elements) => {
            same_code(&known)
        }
        () if known.iter().all(|ft| is_int_like(ft)) => common_int(&known),
        () if known.iter().all(|ft| is_int_like(ft) || ft.eval_type() == EvalType::Decimal) => {
            common_decimal(&known)
        }
        () if known
            .iter()
            .all(|ft| is_int_like(ft) || matches!(ft.eval_type(), EvalType::Decimal | EvalType::Real)) =>
        {
            FieldType::double()
        }
        () if known.iter().all(|ft| ft.is_time() || ft.code == TypeCode::Duration) => {
            FieldType::datetime(known.iter().map(|ft| ft.fsp()).max().unwrap_or(0))
        }
        () => common_string(&known),
    };
    let nullable = known.len() < types.len() || known.iter().any(|ft| !ft.is_not_null());
    merged.flags.remove(
        TypeFlags::PRI_KEY
            | TypeFlags::UNIQUE_KEY
            | TypeFlags::MULTIPLE_KEY
            | TypeFlags::AUTO_INCREMENT
            | TypeFlags::ON_UPDATE_NOW
            | TypeFlags::NO_DEFAULT_VALUE
            | TypeFlags::ZEROFILL,
    );
    merged.flags.set(TypeFlags::NOT_NULL, !nullable);
    merged
}

fn is_int_like(ft: &FieldType) -> bool {
    ft.is_integer() || matches!(ft.code, TypeCode::Year | TypeCode::Bit)
}

fn same_code(types: &[&FieldType]) -> FieldType {
    let mut merged = types[0].clone();
    match merged.eval_type() {
        EvalType::Decimal => return common_decimal(types),
        EvalType::Int
            if types.iter().any(|ft| is_int_like(ft) && ft.is_unsigned() != merged.is_unsigned()) =>
        {
            return common_int(types);
        }
        EvalType::String => return common_string(types),
        _ => {}
    }
    for ft in &types[1..] {
        merged.length = if merged.length < 0 || ft.length < 0 { -1 } else { merged.length.max(ft.length) };
        merged.decimals =
            if merged.decimals < 0 || ft.decimals < 0 { -1 } else { merged.decimals.max(ft.decimals) };
    }
    merged
}

fn common_int(types: &[&FieldType]) -> FieldType {
    let unsigned = |ft: &&FieldType| ft.is_unsigned() || ft.code == TypeCode::Bit;
    let wide_unsigned =
        types.iter().any(|ft| unsigned(ft) && matches!(ft.code, TypeCode::LongLong | TypeCode::Bit));
    if types.iter().all(unsigned) {
        FieldType::uint()
    } else if wide_unsigned {
        FieldType::decimal(20, 0)
    } else {
        FieldType::int()
    }
}

fn common_decimal(types: &[&FieldType]) -> FieldType {
    let (mut int_digits, mut scale) = (0, 0);
    for ft in types {
        let (digits, s) = match ft.eval_type() {
            EvalType::Decimal => {
                let s = ft.decimals.clamp(0, 30);
                (if ft.length < 0 { 65 - s } else { ft.length - s }, s)
            }
            _ => (20, 0),
        };
        int_digits = int_digits.max(digits);
        scale = scale.max(s);
    }
    FieldType::decimal((int_digits + scale).clamp(1, 65) as u8, scale as u8)
}

fn common_string(types: &[&FieldType]) -> FieldType {
    let claims: Vec<Collation> = types
        .iter()
        .filter(|ft| ft.is_string() || matches!(ft.code, TypeCode::Enum | TypeCode::Set))
        .map(|ft| ft.collation)
        .collect();
    let collation = match claims.first() {
        None => Collation::default(),
        Some(first) if claims.iter().all(|c| c == first) => *first,
        Some(_) if claims.contains(&Collation::Binary) => Collation::Binary,
        Some(first) => claims.iter().copied().find(|c| !c.is_case_insensitive()).unwrap_or(*first),
    };
    let length =
        types.iter().map(|ft| text_length(ft)).try_fold(0, |a, b| if b < 0 { None } else { Some(a.max(b)) });
    let blob = types.iter().filter(|ft| ft.is_blob()).max_by_key(|ft| ft.length);
    let fixed = types.iter().all(|ft| ft.code == TypeCode::String);
    let merged = match blob {
        Some(blob) => {
            FieldType { length: blob.length.max(length.unwrap_or(-1)), ..FieldType::new(blob.code) }
        }
        None if fixed => FieldType { length: length.unwrap_or(-1), ..FieldType::new(TypeCode::String) },
        None => FieldType::varchar(length.unwrap_or(-1)),
    };
    merged.with_collation(collation)
}

/// The type a value is taken as in arithmetic.
pub fn numeric_context(ft: &FieldType) -> EvalType {
    match ft.code {
        TypeCode::Enum | TypeCode::Set => EvalType::Real,
        _ => match ft.eval_type() {
            EvalType::String | EvalType::Json => EvalType::Real,
            EvalType::DateTime | EvalType::Duration if ft.fsp() > 0 => EvalType::Decimal,
            EvalType::DateTime | EvalType::Duration => EvalType::Int,
            other => other,
        },
    }
}

impl Inference<'_> {
    /// Casts one argument.
    pub fn cast(&mut self, index: usize, eval_type: EvalType) {
        if let Some(arg) = self.args.get_mut(index) {
            let expr = std::mem::replace(arg, Expr::null());
            *arg = cast_to(expr, eval_type, self.ctx);
        }
    }

    /// Casts one argument to a declared type.
    pub fn cast_as(&mut self, index: usize, to: FieldType) {
        if let Some(arg) = self.args.get_mut(index) {
            let expr = std::mem::replace(arg, Expr::null());
            *arg = build_cast(expr, to);
        }
    }

    /// Hexadecimal literals become the numbers they spell: the function is one of numbers.
    pub fn hex_as_numbers(&mut self) {
        for arg in &mut self.args {
            let expr = std::mem::replace(arg, Expr::null());
            *arg = hex_as_number(expr);
        }
    }

    /// Quotients among the arguments keep the digits that MySQL keeps inside an expression.
    pub fn widen_quotients(&mut self) {
        self.args.iter_mut().for_each(widen_quotient);
    }

    /// Casts all arguments.
    pub fn cast_all(&mut self, eval_type: EvalType) {
        for index in 0..self.args.len() {
            self.cast(index, eval_type);
        }
    }

    /// Casts the first arguments to these types.
    pub fn cast_each(&mut self, eval_types: &[EvalType]) {
        for (index, eval_type) in eval_types.iter().enumerate() {
            self.cast(index, *eval_type);
        }
    }

    /// Type of an argument.
    pub fn arg(&self, index: usize) -> &FieldType {
        self.args[index].field_type_ref()
    }

    /// An argument's value if it is a literal.
    pub fn literal(&self, index: usize) -> Option<&Datum> {
        match self.args.get(index) {
            Some(Expr::Literal { value, .. }) => Some(value),
            _ => None,
        }
    }

    /// A constant argument's value.
    pub fn constant(&self, index: usize) -> Option<Datum> {
        let arg = self.args.get(index)?;
        if arg.is_constant() { arg.eval_datum(self.ctx).ok() } else { None }
    }

    /// Works out the collation of all arguments, or fails with MySQL's error 1267.
    pub fn derive_collation(&mut self) -> Result<(), ExprError> {
        let is_text = |expr: &Expr| {
            let ft = expr.field_type_ref();
            ft.is_string() || matches!(ft.code, TypeCode::Enum | TypeCode::Set)
        };
        if self.args.iter().any(is_text) {
            (self.collation, self.coercibility) = collate::derive(self.name, &self.args)?;
        }
        Ok(())
    }

    /// 0, 1 or NULL.
    pub fn boolean(&self) -> FieldType {
        let not_null = self.args.iter().all(|arg| arg.field_type_ref().is_not_null());
        boolean_type(not_null)
    }

    /// A string of at most `length` characters in the derived collation; -1 if unknown.
    pub fn text(&self, length: i32) -> FieldType {
        FieldType::varchar(length).with_collation(self.collation)
    }
}

/// The type of truth values.
pub fn boolean_type(not_null: bool) -> FieldType {
    let field_type = FieldType { length: 1, ..FieldType::int() };
    if not_null { field_type.not_null() } else { field_type }
}
