//! Metrics of files.

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};

use super::Register;

/// Seconds from 10 ms to 30 s.
const IMAGE_TIMES: [f64; 9] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Files.
#[derive(Debug, Clone)]
pub struct FileMetrics {
    /// Uploads by what became of them.
    pub uploads: IntCounterVec,
    /// Bytes of parts that arrived.
    pub received: IntCounter,
    /// Parts and pictures for which there was no memory, or not enough.
    pub crowded: IntCounter,
    /// Bytes of files that were sent.
    pub served: IntCounter,
    /// Time to load and remake an image.
    pub images: Histogram,
    /// Objects and folders of them that were removed.
    pub removed: IntCounter,
    /// Removals that are due.
    pub purges: IntGauge,
    /// What the storage did not do, by operation.
    pub failures: IntCounterVec,
}

impl FileMetrics {
    pub(super) fn new(register: &Register<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            uploads: register.counters(
                "parlor_files_uploads_total",
                "Uploads by what became of them.",
                &["outcome"],
            )?,
            received: register.counter(
                "parlor_files_received_bytes_total",
                "Bytes of parts of uploads that arrived.",
            )?,
            crowded: register.counter(
                "parlor_files_crowded_total",
                "Parts of uploads that were refused or cut short, and pictures that were refused, \
                 because too much arrived at once.",
            )?,
            served: register
                .counter("parlor_files_sent_bytes_total", "Bytes of files that were sent.")?,
            images: register.histogram(
                "parlor_files_image_duration_seconds",
                "Time to load an image and make it anew.",
                &IMAGE_TIMES,
            )?,
            removed: register.counter(
                "parlor_files_removals_total",
                "Objects, or all objects of a file, that were removed.",
            )?,
            purges: register.gauge(
                "parlor_files_removals_due",
                "Objects, or all objects of a file, that are to be removed.",
            )?,
            failures: register.counters(
                "parlor_files_failures_total",
                "What the storage for files did not do.",
                &["operation"],
            )?,
        })
    }
}
