//! The metrics of the gates.

use crate::setup::{FAST, Setup, key};
use engine::gates::{Verdict, Work};
use metrics_exporter_prometheus::PrometheusBuilder;

#[test]
fn metrics_have_the_provider_as_their_only_label() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let text = || recorder.handle().render();
    metrics::with_local_recorder(&recorder, || {
        let mut setup = Setup::new(256, FAST);
        let under_way: Vec<_> =
            [1, 2, 3].map(|n| setup.enter(key(n, "stripe"), Work::Due)).into_iter().collect();
        assert!(text().contains("refundry_provider_calls_at_once{provider=\"stripe\"} 3\n"));
        drop(under_way);
        assert!(text().contains("refundry_provider_calls_at_once{provider=\"stripe\"} 0\n"));

        for account in [1, 2] {
            for _ in 0..3 {
                setup.call(key(account, "adyen"), Verdict::Unauthorized);
            }
        }
        for _ in 0..5 {
            setup.call(key(3, "adyen"), Verdict::Lost);
        }
        assert!(text().contains("refundry_provider_breaker_open{provider=\"adyen\"} 3\n"));
        setup.gates.resume(&key(1, "adyen"));
        setup.gates.resume(&key(1, "adyen"));
        setup.pass_ms(15 * 60_000);
        setup.call(key(2, "adyen"), Verdict::Answered);
        // The third one is still out of reach, which makes no second one of it.
        setup.call(key(3, "adyen"), Verdict::Lost);
        assert!(text().contains("refundry_provider_breaker_open{provider=\"adyen\"} 1\n"));

        setup.call(key(1, "mollie"), Verdict::Throttled { retry_after_ms: Some(1_000) });
        setup.call(key(2, "mollie"), Verdict::Throttled { retry_after_ms: None });
        assert!(text().contains("refundry_provider_throttled_total{provider=\"mollie\"} 2\n"));
    });
}

#[test]
fn a_gate_that_is_forgotten_is_not_counted_as_open() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let text = || recorder.handle().render();
    metrics::with_local_recorder(&recorder, || {
        let mut setup = Setup::new(256, FAST);
        for _ in 0..5 {
            setup.call(key(1, "adyen"), Verdict::Lost);
        }
        setup.pass_ms(3_600_000);
        for account in 0..200 {
            setup.call(key(account, "stripe"), Verdict::Answered);
            setup.pass_ms(1);
        }
        assert!(text().contains("refundry_provider_breaker_open{provider=\"adyen\"} 0\n"));
        assert!(setup.gates.states(setup.now).len() <= 100);
    });
}
