//! User variables, SLEEP, BENCHMARK, UUID, network addresses, and what fits nowhere else.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tidewater_types::{Datum, EvalType, FieldType};

use crate::error::ExprError;
use crate::expr::Expr;
use crate::registry::{CallContext, FunctionDef, FunctionTraits, Inference, Kernel};

const VOLATILE: FunctionTraits = FunctionTraits::VOLATILE;
const WAITS: FunctionTraits = VOLATILE.union(FunctionTraits::WAITS);

pub(crate) const FUNCTIONS: &[FunctionDef] = &[
    // The variable's name is a literal.
    FunctionDef::new("getvar", 1, 1, infer_getvar, Kernel::Row(getvar)).with(VOLATILE),
    FunctionDef::new("setvar", 2, 2, infer_setvar, Kernel::Row(setvar)).with(VOLATILE),
    FunctionDef::new("sleep", 1, 1, infer_sleep, Kernel::Row(sleep)).with(WAITS),
    FunctionDef::new("benchmark", 2, 2, infer_benchmark, Kernel::Row(benchmark)).with(WAITS),
    FunctionDef::new("any_value", 1, 1, |i| Ok(i.arg(0).clone()), Kernel::Vector(|_, a| Ok(a[0].clone()))),
    FunctionDef::new("values", 1, 1, |i| Ok(i.arg(0).clone()), Kernel::Vector(|_, a| Ok(a[0].clone()))),
    FunctionDef::new("uuid", 0, 0, infer_uuid, Kernel::Row(uuid)).with(VOLATILE),
    FunctionDef::new("uuid_short", 0, 0, |_| Ok(FieldType::uint().not_null()), Kernel::Row(uuid_short))
        .with(VOLATILE),
    FunctionDef::new("is_uuid", 1, 1, infer_text_test, Kernel::Strict(is_uuid)),
    FunctionDef::new("uuid_to_bin", 1, 2, infer_uuid_to_bin, Kernel::Strict(uuid_to_bin)),
    FunctionDef::new("bin_to_uuid", 1, 2, infer_bin_to_uuid, Kernel::Strict(bin_to_uuid)),
    FunctionDef::new("inet_aton", 1, 1, infer_aton, Kernel::Strict(inet_aton)),
    FunctionDef::new("inet_ntoa", 1, 1, infer_ntoa, Kernel::Strict(inet_ntoa)),
    FunctionDef::new("inet6_aton", 1, 1, infer_aton6, Kernel::Strict(inet6_aton)),
    FunctionDef::new("inet6_ntoa", 1, 1, infer_ntoa6, Kernel::Strict(inet6_ntoa)),
    FunctionDef::new(
        "is_ipv4",
        1,
        1,
        infer_text_test,
        Kernel::Row(|_, a| test(a, |t| t.parse::<Ipv4Addr>().is_ok())),
    ),
    FunctionDef::new(
        "is_ipv6",
        1,
        1,
        infer_text_test,
        Kernel::Row(|_, a| test(a, |t| t.parse::<Ipv6Addr>().is_ok())),
    ),
    FunctionDef::new(
        "is_ipv4_compat",
        1,
        1,
        infer_text_test,
        Kernel::Row(|_, a| Ok(address_test(a, |s| s[..6].iter().all(|p| *p == 0) && s[6..] != [0, 0]))),
    ),
    FunctionDef::new(
        "is_ipv4_mapped",
        1,
        1,
        infer_text_test,
        Kernel::Row(|_, a| Ok(address_test(a, |s| s[..5].iter().all(|p| *p == 0) && s[5] == 0xffff))),
    ),
    FunctionDef::new("name_const", 2, 2, |i| Ok(i.arg(1).clone()), Kernel::Row(|_, a| Ok(a[1].clone()))),
];

fn variable_name(args: &[Expr]) -> Option<String> {
    match args.first() {
        Some(Expr::Literal { value: Datum::Bytes(name), .. }) => {
            Some(String::from_utf8_lossy(name).to_lowercase())
        }
        _ => None,
    }
}

/// A variable has the type of what it holds when the statement is planned; an unset one is a NULL text.
fn infer_getvar(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    let name =
        variable_name(&i.args).ok_or_else(|| ExprError::WrongArguments { function: i.name.to_owned() })?;
    let field_type = i.ctx.user_vars.lock().get(&name).map(|(_, field_type)| field_type.clone());
    let field_type = field_type.unwrap_or_else(|| FieldType::string().with_collation(i.ctx.collation));
    i.collation = field_type.collation;
    i.coercibility = crate::collate::Coercibility::Implicit;
    Ok(field_type)
}

fn getvar(call: &CallContext<'_>, _: &[Datum]) -> Result<Datum, ExprError> {
    let name = variable_name(&call.call.args).unwrap_or_default();
    let held = call.eval.user_vars.lock().get(&name).cloned();
    match held {
        None => Ok(Datum::Null),
        // An assignment of this statement may have changed the type.
        Some((value, field_type)) => {
            crate::cast::cast_datum(&value, &field_type, call.field_type(), call.eval)
        }
    }
}

fn infer_setvar(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    variable_name(&i.args).ok_or_else(|| ExprError::WrongArguments { function: i.name.to_owned() })?;
    Ok(i.arg(1).clone())
}

fn setvar(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let name = variable_name(&call.call.args).unwrap_or_default();
    call.eval.user_vars.lock().insert(name, (args[1].clone(), call.field_type().clone()));
    Ok(args[1].clone())
}

fn infer_sleep(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast(0, EvalType::Real);
    Ok(FieldType::int().not_null())
}

/// In slices, so that KILL gets through; 1 when it did.
fn sleep(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    const SLICE: Duration = Duration::from_millis(20);
    let seconds = match args[0] {
        Datum::Double(seconds) if seconds >= 0.0 => seconds.min(31_536_000.0),
        _ => return Err(ExprError::WrongArguments { function: "sleep.".to_owned() }),
    };
    let Some(sleeper) = &call.eval.sleeper else { return Ok(Datum::Int(0)) };
    let mut left = Duration::from_secs_f64(seconds);
    while !left.is_zero() {
        if call.eval.check_killed().is_err() {
            return Ok(Datum::Int(1));
        }
        let slice = left.min(SLICE);
        sleeper.sleep(slice);
        left -= slice;
    }
    Ok(Datum::Int(0))
}

fn infer_benchmark(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast(0, EvalType::Int);
    Ok(FieldType::int())
}

/// The expression was evaluated once as our argument; the other times are done here.
fn benchmark(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let Datum::Int(count) = args[0] else { return Ok(Datum::Null) };
    if count < 0 {
        call.eval.warn(1411, format!("Incorrect count value: '{count}' for function benchmark"));
        return Ok(Datum::Null);
    }
    let expr = &call.call.args[1];
    if expr.is_constant() || !matches!(expr, Expr::Column(_)) {
        for round in 1..count {
            if round % 1024 == 0 {
                call.eval.check_killed()?;
            }
            let _ = expr.eval_datum(call.eval)?;
        }
    }
    Ok(Datum::Int(0))
}

fn infer_uuid(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.collation = i.ctx.collation;
    Ok(i.text(36).not_null())
}

/// Version 1: the time, then what is random where MySQL has the network card's address.
fn uuid(call: &CallContext<'_>, _: &[Datum]) -> Result<Datum, ExprError> {
    const GREGORIAN_TO_UNIX_100NS: u64 = 0x01b2_1dd2_1381_4000;
    let random = call.eval.random.next_u64();
    let ticks = (call.eval.now_micros.max(0) as u64) * 10 + random % 10 + GREGORIAN_TO_UNIX_100NS;
    let sequence = call.eval.random.next_u64();
    let mut bytes = [0u8; 16];
    bytes[..4].copy_from_slice(&(ticks as u32).to_be_bytes());
    bytes[4..6].copy_from_slice(&((ticks >> 32) as u16).to_be_bytes());
    bytes[6..8].copy_from_slice(&((ticks >> 48) as u16 & 0x0fff | 0x1000).to_be_bytes());
    bytes[8..].copy_from_slice(&(sequence & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000).to_be_bytes());
    // A node address made up carries the multicast bit.
    bytes[10] |= 1;
    Ok(Datum::Bytes(uuid::Uuid::from_bytes(bytes).hyphenated().to_string().into_bytes()))
}

fn uuid_short(call: &CallContext<'_>, _: &[Datum]) -> Result<Datum, ExprError> {
    Ok(Datum::UInt(
        ((call.eval.now_micros.max(0) as u64) / 1_000_000) << 24 | call.eval.random.next_u64() & 0xff_ffff,
    ))
}

fn as_text(datum: &Datum) -> Option<&str> {
    match datum {
        Datum::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

fn infer_text_test(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast(0, EvalType::String);
    Ok(crate::infer::boolean_type(false))
}

fn test(args: &[Datum], of: impl Fn(&str) -> bool) -> Result<Datum, ExprError> {
    Ok(Datum::Int(i64::from(as_text(&args[0]).is_some_and(of))))
}

fn is_uuid(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    test(args, |text| uuid::Uuid::try_parse(text).is_ok() && !text.starts_with("urn:"))
}

fn infer_uuid_to_bin(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast_each(&[EvalType::String, EvalType::Int]);
    i.collation = tidewater_types::Collation::Binary;
    Ok(FieldType { length: 16, ..FieldType::binary_string() })
}

fn swapped(args: &[Datum]) -> bool {
    matches!(args.get(1), Some(Datum::Int(v)) if *v != 0)
}

fn wrong_uuid(call: &CallContext<'_>, text: &[u8]) -> ExprError {
    ExprError::IncorrectArgument {
        value: String::from_utf8_lossy(text).into_owned(),
        function: call.call.function.name,
    }
}

fn uuid_to_bin(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let text = as_text(&args[0]).unwrap_or_default();
    let uuid = uuid::Uuid::try_parse(text).map_err(|_| wrong_uuid(call, text.as_bytes()))?;
    let b = *uuid.as_bytes();
    // Swapped: the fast-changing low time comes last, for the sake of indexes.
    let bytes = if swapped(args) { [&b[6..8], &b[4..6], &b[..4], &b[8..]].concat() } else { b.to_vec() };
    Ok(Datum::Bytes(bytes))
}

fn infer_bin_to_uuid(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast_each(&[EvalType::String, EvalType::Int]);
    i.collation = i.ctx.collation;
    Ok(i.text(36))
}

fn bin_to_uuid(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let Datum::Bytes(bytes) = &args[0] else { return Ok(Datum::Null) };
    let Ok(mut b) = <[u8; 16]>::try_from(bytes.as_slice()) else { return Err(wrong_uuid(call, bytes)) };
    if swapped(args) {
        let s = [&b[4..8], &b[2..4], &b[..2], &b[8..]].concat();
        b.copy_from_slice(&s);
    }
    Ok(Datum::Bytes(uuid::Uuid::from_bytes(b).hyphenated().to_string().into_bytes()))
}

fn infer_aton(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast(0, EvalType::String);
    Ok(FieldType::uint())
}

/// Short forms fill with zeros in the middle: '127.1' is 127.0.0.1.
fn inet_aton(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let text = as_text(&args[0]).unwrap_or_default();
    let parts: Option<Vec<u64>> = text.split('.').map(|p| p.parse::<u8>().ok().map(u64::from)).collect();
    let address = match parts.as_deref() {
        Some([a]) => *a,
        Some([a, b]) => a << 24 | b,
        Some([a, b, c]) => a << 24 | b << 16 | c,
        Some([a, b, c, d]) => a << 24 | b << 16 | c << 8 | d,
        _ => {
            call.eval.warn(1411, format!("Incorrect string value: '{text}' for function inet_aton"));
            return Ok(Datum::Null);
        }
    };
    Ok(Datum::UInt(address))
}

fn infer_ntoa(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast(0, EvalType::Int);
    i.collation = i.ctx.collation;
    Ok(i.text(15))
}

fn inet_ntoa(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let address = match &args[0] {
        Datum::Int(v) => u32::try_from(*v).ok(),
        Datum::UInt(v) => u32::try_from(*v).ok(),
        _ => None,
    };
    Ok(address.map_or(Datum::Null, |a| Datum::Bytes(Ipv4Addr::from(a).to_string().into_bytes())))
}

fn infer_aton6(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast(0, EvalType::String);
    i.collation = tidewater_types::Collation::Binary;
    Ok(FieldType { length: 16, ..FieldType::binary_string() })
}

fn inet6_aton(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let text = as_text(&args[0]).unwrap_or_default();
    if let Ok(v4) = text.parse::<Ipv4Addr>() {
        return Ok(Datum::Bytes(v4.octets().to_vec()));
    }
    if let Ok(v6) = text.parse::<Ipv6Addr>() {
        return Ok(Datum::Bytes(v6.octets().to_vec()));
    }
    call.eval.warn(1411, format!("Incorrect string value: '{text}' for function inet6_aton"));
    Ok(Datum::Null)
}

fn infer_ntoa6(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast(0, EvalType::String);
    i.collation = i.ctx.collation;
    Ok(i.text(39))
}

fn inet6_ntoa(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let Datum::Bytes(bytes) = &args[0] else { return Ok(Datum::Null) };
    let text = if let Ok(v4) = <[u8; 4]>::try_from(bytes.as_slice()) {
        Ipv4Addr::from(v4).to_string()
    } else if let Ok(v6) = <[u8; 16]>::try_from(bytes.as_slice()) {
        Ipv6Addr::from(v6).to_string()
    } else {
        return Ok(Datum::Null);
    };
    Ok(Datum::Bytes(text.into_bytes()))
}

fn address_test(args: &[Datum], of: impl Fn([u16; 8]) -> bool) -> Datum {
    let octets = match &args[0] {
        Datum::Bytes(bytes) => <[u8; 16]>::try_from(bytes.as_slice()).ok(),
        _ => None,
    };
    Datum::Int(i64::from(octets.is_some_and(|o| of(Ipv6Addr::from(o).segments()))))
}
