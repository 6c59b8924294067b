//! What a server counts about itself since it started, for Prometheus (`serve --metrics ADDRESS`).
//!
//! | counter | labels | what |
//! |---|---|---|
//! | `campo_requests_total` | `route`, `status` | requests that were answered |
//! | `campo_receipts_total` | `state` | receipts that pushes answered, repeated ones too |
//! | `campo_digest_mismatches_total` | `collection` | comparisons that found rows of a phone unlike the server's |
//! | `campo_rows_differing_total` | `collection` | rows that these comparisons named |
//! | `campo_rows_refetched_total` | `collection` | rows that phones asked for again |
//!
//! No label names a company or a person. What stays above 0 between two looks at
//! `campo_digest_mismatches_total` is damage on phones, or a bug: digests differ for no other reason.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use sync_protocol::wire::compare::CompareAnswer;
use sync_protocol::wire::pull::Records;
use sync_protocol::wire::push::PushAnswer;
use sync_protocol::wire::receipt::ReceiptState;

type Labels<const N: usize> = [(&'static str, String); N];

/// The counters. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    requests: Family<Labels<2>, Counter>,
    receipts: Family<Labels<1>, Counter>,
    mismatches: Family<Labels<1>, Counter>,
    differing: Family<Labels<1>, Counter>,
    refetched: Family<Labels<1>, Counter>,
}

impl Metrics {
    /// A request was answered. `route` is a pattern, not what somebody asked for.
    pub fn request(&self, route: &str, status: u16) {
        let labels = [("route", route.to_owned()), ("status", status.to_string())];
        self.requests.get_or_create(&labels).inc();
    }

    /// A push was answered.
    pub fn pushed(&self, answer: &PushAnswer) {
        for receipt in &answer.receipts {
            let state = state(receipt.state).to_owned();
            self.receipts.get_or_create(&[("state", state)]).inc();
        }
    }

    /// A comparison was answered: of a collection that the schema has.
    pub fn compared(&self, collection: &str, answer: &CompareAnswer) {
        if answer.buckets.is_empty() {
            return;
        }
        let labels = [("collection", collection.to_owned())];
        self.mismatches.get_or_create(&labels).inc();
        self.differing.get_or_create(&labels).inc_by(answer.rows.len() as u64);
    }

    /// A pull brought rows again: of collections that the schema has.
    pub fn refetched(&self, wanted: &[Records]) {
        for records in wanted {
            let labels = [("collection", records.collection.clone())];
            self.refetched.get_or_create(&labels).inc_by(records.ids.len() as u64);
        }
    }

    /// All of them, in the text form of OpenMetrics 1.0.
    #[must_use]
    pub fn text(&self) -> String {
        let mut registry = Registry::with_prefix("campo");
        // The library appends `_total` to a counter's name.
        registry.register("requests", "Requests that were answered", self.requests.clone());
        registry.register("receipts", "Receipts that pushes answered", self.receipts.clone());
        let help = "Comparisons that found rows of a phone unlike the server's";
        registry.register("digest_mismatches", help, self.mismatches.clone());
        registry.register("rows_differing", "Rows that they named", self.differing.clone());
        let help = "Rows that phones asked for again";
        registry.register("rows_refetched", help, self.refetched.clone());
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &registry);
        text
    }
}

fn state(state: ReceiptState) -> &'static str {
    match state {
        ReceiptState::Applied => "applied",
        ReceiptState::Superseded => "superseded",
        ReceiptState::InReview => "in_review",
        ReceiptState::Refused => "refused",
        ReceiptState::Parked => "parked",
        ReceiptState::HandedOver => "handed_over",
        ReceiptState::Discarded => "discarded",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_can_be_read() {
        let metrics = Metrics::default();
        metrics.request("/healthz", 200);
        metrics.clone().request("/healthz", 200);
        let same = CompareAnswer::default();
        metrics.compared("avances", &same);
        assert!(!metrics.text().contains("avances"), "nothing differed");
        metrics.compared("avances", &CompareAnswer { buckets: vec![7], ..same });
        let text = metrics.text();
        for line in [
            "# TYPE campo_requests counter",
            "campo_requests_total{route=\"/healthz\",status=\"200\"} 2",
            "campo_digest_mismatches_total{collection=\"avances\"} 1",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
