//! GET_LOCK, RELEASE_LOCK, RELEASE_ALL_LOCKS, IS_FREE_LOCK, IS_USED_LOCK.
//!
//! Left out: MySQL finds deadlocks among waiting connections (error 3058); here they wait until their time is over.

use std::time::Duration;

use tidewater_types::{Datum, EvalType, FieldType};

use crate::error::ExprError;
use crate::registry::{CallContext, FunctionDef, FunctionTraits, Inference, Kernel};

const VOLATILE: FunctionTraits = FunctionTraits::VOLATILE;

/// Characters of a lock's name.
const NAME_LENGTH_MAX: usize = 64;

/// How long a waiting connection rests between two tries; KILL gets through as often.
const TRY_EVERY: Duration = Duration::from_millis(10);

/// A negative time to wait means no end: a year.
const WAIT_MAX: Duration = Duration::from_secs(31_536_000);

pub(crate) const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("get_lock", 2, 2, infer_get_lock, Kernel::Row(get_lock))
        .with(VOLATILE.union(FunctionTraits::WAITS)),
    FunctionDef::new("release_lock", 1, 1, infer_named, Kernel::Row(release_lock)).with(VOLATILE),
    FunctionDef::new("release_all_locks", 0, 0, |_| Ok(FieldType::uint()), Kernel::Row(release_all_locks))
        .with(VOLATILE),
    FunctionDef::new("is_free_lock", 1, 1, infer_named, Kernel::Row(is_free_lock)).with(VOLATILE),
    FunctionDef::new("is_used_lock", 1, 1, infer_holder, Kernel::Row(is_used_lock)).with(VOLATILE),
];

fn infer_named(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast(0, EvalType::String);
    Ok(FieldType::int())
}

fn infer_holder(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast(0, EvalType::String);
    Ok(FieldType::uint())
}

fn infer_get_lock(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast_each(&[EvalType::String, EvalType::Real]);
    Ok(FieldType::int())
}

/// Names differ by more than case.
fn lock_name(name: &Datum) -> Result<String, ExprError> {
    let text = match name {
        Datum::Bytes(text) => String::from_utf8_lossy(text).to_lowercase(),
        _ => return Err(ExprError::LockName { name: "NULL".to_owned() }),
    };
    if text.is_empty() || text.chars().count() > NAME_LENGTH_MAX {
        return Err(ExprError::LockName { name: text });
    }
    Ok(text)
}

/// 1 when the lock is taken, 0 when the time to wait is over.
fn get_lock(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let name = lock_name(&args[0])?;
    let mut left = match args[1] {
        Datum::Double(seconds) if seconds >= 0.0 => {
            Duration::try_from_secs_f64(seconds).unwrap_or(WAIT_MAX).min(WAIT_MAX)
        }
        Datum::Double(_) => WAIT_MAX,
        _ => return Ok(Datum::Null),
    };
    let connection = call.eval.session.connection_id;
    loop {
        if call.eval.locks.try_acquire(&name, connection) {
            return Ok(Datum::Int(1));
        }
        call.eval.check_killed()?;
        let Some(sleeper) = call.eval.sleeper.as_ref().filter(|_| !left.is_zero()) else {
            return Ok(Datum::Int(0));
        };
        let rest = left.min(TRY_EVERY);
        sleeper.sleep(rest);
        left -= rest;
    }
}

/// 1 when the lock was ours, 0 when it is another's, NULL when it is nobody's.
fn release_lock(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let released = call.eval.locks.release(&lock_name(&args[0])?, call.eval.session.connection_id);
    Ok(released.map_or(Datum::Null, |released| Datum::Int(i64::from(released))))
}

fn release_all_locks(call: &CallContext<'_>, _: &[Datum]) -> Result<Datum, ExprError> {
    Ok(Datum::UInt(call.eval.locks.release_all(call.eval.session.connection_id)))
}

fn is_free_lock(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let holder = call.eval.locks.holder(&lock_name(&args[0])?);
    Ok(Datum::Int(i64::from(holder.is_none())))
}

fn is_used_lock(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    Ok(call.eval.locks.holder(&lock_name(&args[0])?).map_or(Datum::Null, Datum::UInt))
}
