//! Counters of commands, looked up once.

use std::time::Duration;

use tidewater_proto::COMMAND_NAMES;

pub(super) struct CommandMetrics {
    handles: [(metrics::Counter, metrics::Histogram); COMMAND_NAMES.len()],
}

impl CommandMetrics {
    pub(super) fn new() -> Self {
        Self {
            handles: COMMAND_NAMES.map(|name| {
                let count = metrics::counter!("tidewater_kv_command_total", "command" => name);
                (count, metrics::histogram!("tidewater_kv_command_duration_seconds", "command" => name))
            }),
        }
    }

    pub(super) fn record(&self, command: usize, duration: Duration) {
        let (count, durations) = &self.handles[command];
        count.increment(1);
        durations.record(duration.as_secs_f64());
    }
}
