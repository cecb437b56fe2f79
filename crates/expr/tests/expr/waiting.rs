//! Functions that take long stop when the statement is killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidewater_expr::{EvalContext, Expr, ExprError, Sleeper, build_function};
use tidewater_types::{Datum, FieldType};

/// Waits for nothing; the KILL comes while the third slice is waited for.
#[derive(Default)]
struct KilledInThirdSlice {
    slices: std::sync::atomic::AtomicU32,
    kill: Arc<AtomicBool>,
}

impl Sleeper for KilledInThirdSlice {
    fn sleep(&self, _: Duration) {
        if self.slices.fetch_add(1, Ordering::Relaxed) == 2 {
            self.kill.store(true, Ordering::Relaxed);
        }
    }
}

fn context() -> (EvalContext, Arc<KilledInThirdSlice>) {
    let sleeper = Arc::new(KilledInThirdSlice::default());
    let kill = Arc::clone(&sleeper.kill);
    (EvalContext { sleeper: Some(sleeper.clone()), kill, ..EvalContext::default() }, sleeper)
}

fn text(text: &str) -> Expr {
    Expr::literal(Datum::from(text), FieldType::string())
}

fn evaluate(name: &str, args: Vec<Expr>, ctx: &EvalContext) -> Result<Datum, ExprError> {
    build_function(name, args, ctx).expect("the function exists").eval_datum(ctx)
}

#[test]
fn sleep_tells_that_it_was_killed() {
    let (ctx, sleeper) = context();
    assert_eq!(evaluate("sleep", vec![Expr::int(3600)], &ctx), Ok(Datum::Int(1)));
    assert_eq!(sleeper.slices.load(Ordering::Relaxed), 3);
}

#[test]
fn a_killed_benchmark_does_not_run_to_its_end() {
    let (ctx, sleeper) = context();
    sleeper.kill.store(true, Ordering::Relaxed);
    let endless = vec![Expr::int(i64::MAX), text("x")];
    assert_eq!(evaluate("benchmark", endless, &ctx), Err(ExprError::Killed));
}

#[test]
fn waiting_for_a_lock_ends_with_a_kill_or_with_its_time() {
    let (ctx, sleeper) = context();
    assert!(ctx.locks.try_acquire("busy", ctx.session.connection_id + 1));
    let wait = |seconds| evaluate("get_lock", vec![text("Busy"), Expr::int(seconds)], &ctx);
    assert_eq!(wait(0), Ok(Datum::Int(0)));
    assert_eq!(wait(3600), Err(ExprError::Killed));
    assert_eq!(sleeper.slices.load(Ordering::Relaxed), 3);
}
