//! THE table of public signatures: TiDB names a function together with the types of its arguments by one number.
//!
//! Numbers are those of tipb's `ScalarFuncSig`. A form is a letter for each argument:
//!
//! | letter | argument |
//! | --- | --- |
//! | `i` `n` `w` | an integer; a signed one; an unsigned one |
//! | `r` `d` | a double; a decimal |
//! | `s` `c` `b` | a string; one of characters; one of bytes |
//! | `t` `u` `j` | a date or datetime; a TIME; JSON |
//!
//! Where several rows fit a call the first counts. LIKE, IS NOT NULL and the truth tests that keep NULL have other arguments here
//! than there: `public` turns them.
//!
//! # What is left out
//! Functions whose results TiKV computes differently, or not at all in the versions we know.

use std::collections::HashMap;
use std::sync::OnceLock;

use tidewater_types::{EvalType, FieldType};

/// A row of the table.
#[derive(Debug)]
pub(super) struct Signature {
    /// The number.
    pub(super) sig: i32,
    /// Our function's name.
    pub(super) name: &'static str,
    args: Args,
    result: &'static str,
}

#[derive(Debug)]
enum Args {
    /// These.
    Fixed(&'static str),
    /// These, the last one as often as you like.
    Repeat(&'static str),
    /// Conditions and results in turn, then perhaps one more result.
    Case(&'static str),
}

const fn fixed(sig: i32, name: &'static str, args: &'static str, result: &'static str) -> Signature {
    Signature { sig, name, args: Args::Fixed(args), result }
}

const fn repeat(sig: i32, name: &'static str, args: &'static str, result: &'static str) -> Signature {
    Signature { sig, name, args: Args::Repeat(args), result }
}

const fn case(sig: i32, name: &'static str, result: &'static str) -> Signature {
    Signature { sig, name, args: Args::Case(result), result }
}

/// What a TiKV evaluates, as far as we know.
#[rustfmt::skip]
const SENT: &[Signature] = &[
    // Comparisons, by what both sides are.
    fixed(100, "lt", "ii", "i"),
    fixed(101, "lt", "rr", "i"),
    fixed(102, "lt", "dd", "i"),
    fixed(103, "lt", "ss", "i"),
    fixed(104, "lt", "tt", "i"),
    fixed(105, "lt", "uu", "i"),
    fixed(106, "lt", "jj", "i"),
    fixed(110, "le", "ii", "i"),
    fixed(111, "le", "rr", "i"),
    fixed(112, "le", "dd", "i"),
    fixed(113, "le", "ss", "i"),
    fixed(114, "le", "tt", "i"),
    fixed(115, "le", "uu", "i"),
    fixed(116, "le", "jj", "i"),
    fixed(120, "gt", "ii", "i"),
    fixed(121, "gt", "rr", "i"),
    fixed(122, "gt", "dd", "i"),
    fixed(123, "gt", "ss", "i"),
    fixed(124, "gt", "tt", "i"),
    fixed(125, "gt", "uu", "i"),
    fixed(126, "gt", "jj", "i"),
    fixed(130, "ge", "ii", "i"),
    fixed(131, "ge", "rr", "i"),
    fixed(132, "ge", "dd", "i"),
    fixed(133, "ge", "ss", "i"),
    fixed(134, "ge", "tt", "i"),
    fixed(135, "ge", "uu", "i"),
    fixed(136, "ge", "jj", "i"),
    fixed(140, "eq", "ii", "i"),
    fixed(141, "eq", "rr", "i"),
    fixed(142, "eq", "dd", "i"),
    fixed(143, "eq", "ss", "i"),
    fixed(144, "eq", "tt", "i"),
    fixed(145, "eq", "uu", "i"),
    fixed(146, "eq", "jj", "i"),
    fixed(150, "ne", "ii", "i"),
    fixed(151, "ne", "rr", "i"),
    fixed(152, "ne", "dd", "i"),
    fixed(153, "ne", "ss", "i"),
    fixed(154, "ne", "tt", "i"),
    fixed(155, "ne", "uu", "i"),
    fixed(156, "ne", "jj", "i"),
    fixed(160, "nulleq", "ii", "i"),
    fixed(161, "nulleq", "rr", "i"),
    fixed(162, "nulleq", "dd", "i"),
    fixed(163, "nulleq", "ss", "i"),
    fixed(164, "nulleq", "tt", "i"),
    fixed(165, "nulleq", "uu", "i"),
    fixed(166, "nulleq", "jj", "i"),
    // Arithmetic. TiKV looks at the signs of integers itself.
    fixed(200, "plus", "rr", "r"),
    fixed(201, "plus", "dd", "d"),
    fixed(203, "plus", "ii", "i"),
    fixed(204, "minus", "rr", "r"),
    fixed(205, "minus", "dd", "d"),
    fixed(207, "minus", "ii", "i"),
    fixed(208, "mul", "rr", "r"),
    fixed(209, "mul", "dd", "d"),
    fixed(210, "mul", "ii", "i"),
    fixed(211, "div", "rr", "r"),
    fixed(212, "div", "dd", "d"),
    fixed(213, "intdiv", "ii", "i"),
    fixed(214, "intdiv", "dd", "i"),
    fixed(215, "mod", "rr", "r"),
    fixed(216, "mod", "dd", "d"),
    fixed(217, "mod", "ii", "i"),
    fixed(3108, "unaryminus", "i", "i"),
    fixed(3109, "unaryminus", "r", "r"),
    fixed(3110, "unaryminus", "d", "d"),
    // Casts: from the argument, to the result.
    fixed(1, "cast", "i", "i"),
    fixed(2, "cast", "i", "r"),
    fixed(3, "cast", "i", "s"),
    fixed(4, "cast", "i", "d"),
    fixed(5, "cast", "i", "t"),
    fixed(6, "cast", "i", "u"),
    fixed(7, "cast", "i", "j"),
    fixed(10, "cast", "r", "i"),
    fixed(11, "cast", "r", "r"),
    fixed(12, "cast", "r", "s"),
    fixed(13, "cast", "r", "d"),
    fixed(14, "cast", "r", "t"),
    fixed(15, "cast", "r", "u"),
    fixed(16, "cast", "r", "j"),
    fixed(20, "cast", "d", "i"),
    fixed(21, "cast", "d", "r"),
    fixed(22, "cast", "d", "s"),
    fixed(23, "cast", "d", "d"),
    fixed(24, "cast", "d", "t"),
    fixed(25, "cast", "d", "u"),
    fixed(26, "cast", "d", "j"),
    fixed(30, "cast", "s", "i"),
    fixed(31, "cast", "s", "r"),
    fixed(32, "cast", "s", "s"),
    fixed(33, "cast", "s", "d"),
    fixed(34, "cast", "s", "t"),
    fixed(35, "cast", "s", "u"),
    fixed(36, "cast", "s", "j"),
    fixed(40, "cast", "t", "i"),
    fixed(41, "cast", "t", "r"),
    fixed(42, "cast", "t", "s"),
    fixed(43, "cast", "t", "d"),
    fixed(44, "cast", "t", "t"),
    fixed(45, "cast", "t", "u"),
    fixed(46, "cast", "t", "j"),
    fixed(50, "cast", "u", "i"),
    fixed(51, "cast", "u", "r"),
    fixed(52, "cast", "u", "s"),
    fixed(53, "cast", "u", "d"),
    fixed(55, "cast", "u", "u"),
    fixed(56, "cast", "u", "j"),
    fixed(60, "cast", "j", "i"),
    fixed(61, "cast", "j", "r"),
    fixed(62, "cast", "j", "s"),
    fixed(63, "cast", "j", "d"),
    fixed(64, "cast", "j", "t"),
    fixed(65, "cast", "j", "u"),
    fixed(66, "cast", "j", "j"),
    // Logic and bits.
    fixed(3101, "and", "ii", "i"),
    fixed(3102, "or", "ii", "i"),
    fixed(3103, "xor", "ii", "i"),
    fixed(3104, "not", "i", "i"),
    fixed(3105, "not", "d", "i"),
    fixed(3106, "not", "r", "i"),
    fixed(3111, "isnull", "d", "i"),
    fixed(3112, "isnull", "u", "i"),
    fixed(3113, "isnull", "r", "i"),
    fixed(3114, "isnull", "s", "i"),
    fixed(3115, "isnull", "t", "i"),
    fixed(3116, "isnull", "i", "i"),
    fixed(3117, "isnull", "j", "i"),
    fixed(3122, "istrue", "i", "i"),
    fixed(3123, "istrue", "r", "i"),
    fixed(3124, "istrue", "d", "i"),
    fixed(3125, "isfalse", "i", "i"),
    fixed(3126, "isfalse", "r", "i"),
    fixed(3127, "isfalse", "d", "i"),
    fixed(3118, "bitand", "ii", "i"),
    fixed(3119, "bitor", "ii", "i"),
    fixed(3120, "bitxor", "ii", "i"),
    fixed(3121, "bitneg", "i", "i"),
    fixed(3128, "bit_count", "i", "i"),
    fixed(3129, "leftshift", "ii", "i"),
    fixed(3130, "rightshift", "ii", "i"),
    // Lists. The last letter of a repeated form stands for any number of arguments.
    repeat(4001, "in", "ii", "i"),
    repeat(4002, "in", "rr", "i"),
    repeat(4003, "in", "dd", "i"),
    repeat(4004, "in", "ss", "i"),
    repeat(4005, "in", "tt", "i"),
    repeat(4006, "in", "uu", "i"),
    repeat(4007, "in", "jj", "i"),
    // Control.
    fixed(4101, "ifnull", "ii", "i"),
    fixed(4102, "ifnull", "rr", "r"),
    fixed(4103, "ifnull", "dd", "d"),
    fixed(4104, "ifnull", "ss", "s"),
    fixed(4105, "ifnull", "tt", "t"),
    fixed(4106, "ifnull", "uu", "u"),
    fixed(4113, "ifnull", "jj", "j"),
    fixed(4107, "if", "iii", "i"),
    fixed(4108, "if", "irr", "r"),
    fixed(4109, "if", "idd", "d"),
    fixed(4110, "if", "iss", "s"),
    fixed(4111, "if", "itt", "t"),
    fixed(4112, "if", "iuu", "u"),
    fixed(4114, "if", "ijj", "j"),
    repeat(4201, "coalesce", "i", "i"),
    repeat(4202, "coalesce", "r", "r"),
    repeat(4203, "coalesce", "d", "d"),
    repeat(4204, "coalesce", "s", "s"),
    repeat(4205, "coalesce", "t", "t"),
    repeat(4206, "coalesce", "u", "u"),
    repeat(4207, "coalesce", "j", "j"),
    case(4208, "case", "i"),
    case(4209, "case", "r"),
    case(4210, "case", "d"),
    case(4211, "case", "s"),
    case(4212, "case", "t"),
    case(4213, "case", "u"),
    case(4214, "case", "j"),
    // Extremes.
    repeat(4215, "greatest", "ii", "i"),
    repeat(4216, "greatest", "rr", "r"),
    repeat(4217, "greatest", "dd", "d"),
    repeat(4218, "greatest", "ss", "s"),
    repeat(4220, "least", "ii", "i"),
    repeat(4221, "least", "rr", "r"),
    repeat(4222, "least", "dd", "d"),
    repeat(4223, "least", "ss", "s"),
    // Mathematics.
    fixed(2101, "abs", "n", "i"),
    fixed(2102, "abs", "w", "i"),
    fixed(2103, "abs", "r", "r"),
    fixed(2104, "abs", "d", "d"),
    fixed(2106, "ceil", "i", "i"),
    fixed(2107, "ceil", "d", "i"),
    fixed(2108, "ceil", "d", "d"),
    fixed(2109, "ceil", "r", "r"),
    fixed(2111, "floor", "i", "i"),
    fixed(2112, "floor", "d", "i"),
    fixed(2113, "floor", "d", "d"),
    fixed(2114, "floor", "r", "r"),
    fixed(2121, "round", "r", "r"),
    fixed(2122, "round", "i", "i"),
    fixed(2123, "round", "d", "d"),
    fixed(2124, "round", "ri", "r"),
    fixed(2125, "round", "ii", "i"),
    fixed(2126, "round", "di", "d"),
    fixed(2131, "ln", "r", "r"),
    fixed(2131, "log", "r", "r"),
    fixed(2132, "log", "rr", "r"),
    fixed(2133, "log2", "r", "r"),
    fixed(2134, "log10", "r", "r"),
    fixed(2137, "power", "rr", "r"),
    fixed(2138, "conv", "sii", "s"),
    fixed(2139, "crc32", "s", "i"),
    fixed(2140, "sign", "r", "i"),
    fixed(2141, "sqrt", "r", "r"),
    fixed(2142, "acos", "r", "r"),
    fixed(2143, "asin", "r", "r"),
    fixed(2144, "atan", "r", "r"),
    fixed(2145, "atan2", "rr", "r"),
    fixed(2145, "atan", "rr", "r"),
    fixed(2146, "cos", "r", "r"),
    fixed(2147, "cot", "r", "r"),
    fixed(2148, "degrees", "r", "r"),
    fixed(2149, "exp", "r", "r"),
    fixed(2150, "pi", "", "r"),
    fixed(2151, "radians", "r", "r"),
    fixed(2152, "sin", "r", "r"),
    fixed(2153, "tan", "r", "r"),
    fixed(2154, "truncate", "ni", "i"),
    fixed(2155, "truncate", "ri", "r"),
    fixed(2156, "truncate", "di", "d"),
    fixed(2157, "truncate", "wi", "i"),
    // Strings.
    fixed(7001, "bit_length", "s", "i"),
    fixed(7002, "bin", "i", "s"),
    fixed(7003, "ascii", "s", "i"),
    fixed(7005, "char_length", "c", "i"),
    fixed(7065, "char_length", "b", "i"),
    fixed(7016, "find_in_set", "ss", "i"),
    fixed(7019, "from_base64", "s", "s"),
    fixed(7020, "hex", "i", "s"),
    fixed(7021, "hex", "s", "s"),
    fixed(7024, "instr", "cc", "i"),
    fixed(7025, "instr", "ss", "i"),
    fixed(7026, "ltrim", "s", "s"),
    fixed(7027, "left", "ci", "s"),
    fixed(7028, "left", "bi", "s"),
    fixed(7029, "length", "s", "i"),
    fixed(7030, "locate", "cc", "i"),
    fixed(7031, "locate", "cci", "i"),
    fixed(7032, "locate", "ss", "i"),
    fixed(7033, "locate", "ssi", "i"),
    fixed(7066, "lower", "c", "s"),
    fixed(7034, "lower", "b", "s"),
    fixed(7035, "lpad", "cic", "s"),
    fixed(7036, "lpad", "sis", "s"),
    fixed(7038, "oct", "i", "s"),
    fixed(7039, "oct", "s", "s"),
    fixed(7040, "ord", "s", "i"),
    fixed(7041, "quote", "s", "s"),
    fixed(7042, "rtrim", "s", "s"),
    fixed(7043, "repeat", "si", "s"),
    fixed(7044, "replace", "sss", "s"),
    fixed(7045, "reverse", "c", "s"),
    fixed(7046, "reverse", "b", "s"),
    fixed(7047, "right", "ci", "s"),
    fixed(7048, "right", "bi", "s"),
    fixed(7049, "rpad", "cic", "s"),
    fixed(7050, "rpad", "sis", "s"),
    fixed(7051, "space", "i", "s"),
    fixed(7052, "strcmp", "ss", "i"),
    fixed(7053, "substring", "ci", "s"),
    fixed(7054, "substring", "cii", "s"),
    fixed(7055, "substring", "bi", "s"),
    fixed(7056, "substring", "bii", "s"),
    fixed(7057, "substring_index", "ssi", "s"),
    fixed(7058, "to_base64", "s", "s"),
    fixed(7059, "trim", "s", "s"),
    fixed(7060, "trim", "ss", "s"),
    fixed(7062, "unhex", "s", "s"),
    fixed(7063, "upper", "c", "s"),
    fixed(7064, "upper", "b", "s"),
    repeat(7006, "concat", "s", "s"),
    repeat(7007, "concat_ws", "ss", "s"),
    repeat(7009, "elt", "is", "s"),
    repeat(7013, "field", "ii", "i"),
    repeat(7014, "field", "rr", "i"),
    repeat(7015, "field", "ss", "i"),
    repeat(7037, "make_set", "is", "s"),
    // Dates and times.
    fixed(6001, "date_format", "ts", "s"),
    fixed(6003, "datediff", "tt", "i"),
    fixed(6007, "timediff", "uu", "u"),
    fixed(6012, "date", "t", "t"),
    fixed(6013, "hour", "u", "i"),
    fixed(6014, "minute", "u", "i"),
    fixed(6015, "second", "u", "i"),
    fixed(6016, "microsecond", "u", "i"),
    fixed(6017, "month", "t", "i"),
    fixed(6018, "monthname", "t", "s"),
    fixed(6021, "dayname", "t", "s"),
    fixed(6022, "dayofmonth", "t", "i"),
    fixed(6023, "dayofweek", "t", "i"),
    fixed(6024, "dayofyear", "t", "i"),
    fixed(6025, "week", "ti", "i"),
    fixed(6027, "weekday", "t", "i"),
    fixed(6028, "weekofyear", "t", "i"),
    fixed(6029, "year", "t", "i"),
    fixed(6030, "yearweek", "ti", "i"),
    fixed(6069, "makedate", "ii", "t"),
    fixed(6070, "maketime", "iir", "u"),
    fixed(6071, "period_add", "ii", "i"),
    fixed(6072, "period_diff", "ii", "i"),
    fixed(6075, "time_to_sec", "u", "i"),
    fixed(6077, "to_days", "t", "i"),
    fixed(6078, "to_seconds", "t", "i"),
    fixed(6084, "last_day", "t", "t"),
    fixed(6106, "from_days", "i", "t"),
    // Digests, addresses, JSON.
    fixed(4504, "md5", "s", "s"),
    fixed(4507, "sha1", "s", "s"),
    fixed(4508, "sha2", "si", "s"),
    fixed(4510, "uncompressed_length", "s", "i"),
    fixed(4561, "inet_aton", "s", "i"),
    fixed(4562, "inet_ntoa", "i", "s"),
    fixed(4563, "inet6_aton", "s", "s"),
    fixed(4564, "inet6_ntoa", "s", "s"),
    fixed(4565, "is_ipv4", "s", "i"),
    fixed(4566, "is_ipv4_compat", "s", "i"),
    fixed(4567, "is_ipv4_mapped", "s", "i"),
    fixed(4568, "is_ipv6", "s", "i"),
    fixed(5003, "json_type", "j", "s"),
    fixed(5022, "json_depth", "j", "i"),
    repeat(5001, "json_extract", "js", "j"),
];

/// What others may send besides.
#[rustfmt::skip]
const READ: &[Signature] = &[
    // The date is that of the store's clock.
    fixed(54, "cast", "u", "t"),
    fixed(219, "plus", "ii", "i"),
    fixed(220, "plus", "ii", "i"),
    fixed(221, "plus", "ii", "i"),
    fixed(222, "plus", "ii", "i"),
    fixed(223, "mod", "ii", "i"),
    fixed(224, "mod", "ii", "i"),
    fixed(225, "mod", "ii", "i"),
    fixed(226, "mod", "ii", "i"),
    fixed(227, "minus", "ii", "i"),
    fixed(228, "minus", "ii", "i"),
    fixed(229, "minus", "ii", "i"),
    fixed(230, "minus", "ii", "i"),
    fixed(231, "minus", "ii", "i"),
    fixed(232, "minus", "ii", "i"),
    fixed(233, "minus", "ii", "i"),
    fixed(234, "intdiv", "ii", "i"),
    fixed(235, "intdiv", "ii", "i"),
    fixed(236, "intdiv", "ii", "i"),
    fixed(237, "intdiv", "ii", "i"),
    fixed(218, "mul", "ii", "i"),
    fixed(6026, "week", "t", "i"),
    fixed(6031, "yearweek", "t", "i"),
    fixed(6073, "quarter", "t", "i"),
    fixed(6074, "sec_to_time", "d", "u"),
    fixed(6090, "extract", "st", "i"),
    fixed(6091, "extract", "su", "i"),
    fixed(6097, "date_add", "tss", "t"),
    fixed(6098, "date_add", "tis", "t"),
    fixed(6104, "date_sub", "tss", "t"),
    fixed(6105, "date_sub", "tis", "t"),
];

impl Signature {
    /// Whether it stands for a call with these arguments and this result; `None` is an argument of no type, a NULL.
    fn fits(&self, args: &[Option<&FieldType>], result: &FieldType) -> bool {
        is(self.result, result)
            && self.takes(args.len())
            && args
                .iter()
                .enumerate()
                .all(|(at, arg)| arg.is_none_or(|arg| is(self.letter(at, args.len()), arg)))
    }

    fn takes(&self, count: usize) -> bool {
        match self.args {
            Args::Fixed(letters) => count == letters.len(),
            Args::Repeat(letters) => count >= letters.len(),
            Args::Case(_) => count >= 2,
        }
    }

    /// The letter of an argument.
    fn letter(&self, at: usize, count: usize) -> &'static str {
        match self.args {
            Args::Fixed(letters) | Args::Repeat(letters) => {
                let at = at.min(letters.len().saturating_sub(1));
                letters.get(at..=at).unwrap_or("")
            }
            Args::Case(result) if at % 2 == 1 || (at + 1 == count && count % 2 == 1) => result,
            Args::Case(_) => "i",
        }
    }

    /// How an argument is evaluated.
    pub(super) fn arg_type(&self, at: usize, count: usize) -> Option<EvalType> {
        self.letter(at, count).bytes().next().and_then(eval_type)
    }

    /// Whether a call may have arguments and a result that are evaluated like these.
    pub(super) fn accepts(&self, args: &[Option<EvalType>], result: EvalType) -> bool {
        self.takes(args.len())
            && self.result.bytes().next().and_then(eval_type) == Some(result)
            && args.iter().enumerate().all(|(at, arg)| arg.is_none() || *arg == self.arg_type(at, args.len()))
    }

    /// Types of a call it stands for.
    pub(super) fn example(&self) -> (Vec<FieldType>, FieldType) {
        let (count, result) = match self.args {
            Args::Fixed(letters) => (letters.len(), self.result),
            Args::Repeat(letters) => (letters.len() + 1, self.result),
            Args::Case(result) => (5, result),
        };
        let args = (0..count).map(|at| example_type(self.letter(at, count))).collect();
        (args, example_type(result))
    }
}

fn example_type(letter: &str) -> FieldType {
    match letter {
        "w" => FieldType::uint(),
        "r" => FieldType::double(),
        "d" => FieldType::decimal(20, 4),
        "s" | "c" => FieldType::varchar(20),
        "b" => FieldType::binary_string(),
        "t" => FieldType::datetime(0),
        "u" => FieldType::duration(0),
        "j" => FieldType::json(),
        _ => FieldType::int(),
    }
}

fn eval_type(letter: u8) -> Option<EvalType> {
    Some(match letter {
        b'i' | b'n' | b'w' => EvalType::Int,
        b'r' => EvalType::Real,
        b'd' => EvalType::Decimal,
        b's' | b'c' | b'b' => EvalType::String,
        b't' => EvalType::DateTime,
        b'u' => EvalType::Duration,
        b'j' => EvalType::Json,
        _ => return None,
    })
}

/// Whether a letter stands for a type.
fn is(letter: &str, field_type: &FieldType) -> bool {
    let Some(letter) = letter.as_bytes().first() else { return false };
    eval_type(*letter) == Some(field_type.eval_type())
        && match letter {
            b'n' => !field_type.is_unsigned(),
            b'w' => field_type.is_unsigned(),
            b'c' => !field_type.is_binary_string(),
            b'b' => field_type.is_binary_string(),
            _ => true,
        }
}

/// The signature of a call.
pub(super) fn of_call(
    name: &str,
    args: &[Option<&FieldType>],
    result: &FieldType,
) -> Option<&'static Signature> {
    static BY_NAME: OnceLock<HashMap<&'static str, Vec<&'static Signature>>> = OnceLock::new();
    let by_name = BY_NAME.get_or_init(|| {
        let mut map: HashMap<_, Vec<_>> = HashMap::new();
        SENT.iter().for_each(|row| map.entry(row.name).or_default().push(row));
        map
    });
    by_name.get(name)?.iter().copied().find(|row| row.fits(args, result))
}

/// The signature with a number.
pub(super) fn by_number(sig: i32) -> Option<&'static Signature> {
    static BY_NUMBER: OnceLock<HashMap<i32, &'static Signature>> = OnceLock::new();
    let by_number = BY_NUMBER.get_or_init(|| {
        let mut map = HashMap::new();
        for row in SENT.iter().chain(READ) {
            map.entry(row.sig).or_insert(row);
        }
        map
    });
    by_number.get(&sig).copied()
}

/// All rows that are sent.
pub(super) fn all() -> impl Iterator<Item = &'static Signature> {
    SENT.iter()
}
