//! Everything that is logged on one thread.

use std::fmt::{Debug, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Metadata, Subscriber};

/// Collects what is logged on this thread until it is dropped.
pub(super) struct Log {
    text: Arc<Mutex<String>>,
    _guard: DefaultGuard,
}

struct Collector {
    text: Arc<Mutex<String>>,
    spans: AtomicU64,
}

/// Writes each field as a name and its `Debug` form.
struct Fields<'a>(&'a mut String);

impl Log {
    pub(super) fn start() -> Self {
        let text = Arc::<Mutex<String>>::default();
        let collector = Collector { text: text.clone(), spans: AtomicU64::new(1) };
        Self { text, _guard: tracing::subscriber::set_default(collector) }
    }

    pub(super) fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Collector {
    fn write(&self, record: impl FnOnce(&mut Fields<'_>)) {
        let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        record(&mut Fields(&mut text));
        text.push('\n');
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = write!(self.0, " {field}={value}");
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl Subscriber for Collector {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.write(|fields| span.record(fields));
        Id::from_u64(self.spans.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        self.write(|fields| values.record(fields));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.write(|fields| event.record(fields));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_and_every_span_is_collected() {
        let log = Log::start();
        let span = tracing::trace_span!("call", url = "in_a_span");
        span.in_scope(|| tracing::trace!(key = ?Some("in_an_event"), "and a message"));
        let text = log.text();
        for part in ["in_a_span", "in_an_event", "and a message"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
