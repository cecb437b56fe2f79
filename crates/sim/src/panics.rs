//! Panics of tasks in the background, which tokio keeps to itself.

use std::cell::RefCell;
use std::panic::PanicHookInfo;
use std::sync::Once;
use std::time::Duration;

/// Between looks at whether somebody has panicked.
const LOOK: Duration = Duration::from_millis(100);

thread_local! {
    /// `None` while no run is played on this thread, else what was said by those who panicked.
    static SAID: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// From here on panics on this thread are noted, and not printed: a run is played.
pub(crate) fn begin() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let is_noted = SAID.with_borrow_mut(|said| said.as_mut().map(|said| said.push(describe(panic))));
            if is_noted.is_none() {
                usual(panic);
            }
        }));
    });
    SAID.set(Some(Vec::new()));
}

/// The run is over. Returns what the first one said who panicked.
pub(crate) fn end() -> Option<String> {
    SAID.take().and_then(|said| said.into_iter().next())
}

/// Waits until somebody panics.
pub(crate) async fn wait() {
    while SAID.with_borrow(|said| said.as_ref().is_none_or(Vec::is_empty)) {
        tokio::time::sleep(LOOK).await;
    }
}

fn describe(panic: &PanicHookInfo<'_>) -> String {
    let payload = panic.payload();
    let said = payload.downcast_ref::<&str>().copied();
    let said = said.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no words");
    let place =
        panic.location().map_or(String::new(), |place| format!(" at {}:{}", place.file(), place.line()));
    format!("a panic{place}: {said}")
}
