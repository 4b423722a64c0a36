//! What other programs are told, and what they post.

use prometheus::{Histogram, IntCounterVec, IntGauge};

use super::{LATENCY, Register};

/// Incoming and outgoing webhooks.
#[derive(Debug, Clone)]
pub struct ProgramMetrics {
    /// Attempts to deliver an event, by outcome.
    pub deliveries: IntCounterVec,
    /// Time of one attempt.
    pub duration: Histogram,
    /// Turns that were ended so that others got theirs, by what bounds them.
    pub turns_cut: IntCounterVec,
    /// Calls of incoming webhooks, by outcome.
    pub posts: IntCounterVec,
    /// Slash commands, by name and outcome.
    pub commands: IntCounterVec,
    /// What is under way at the moment.
    pub under_way: UnderWay,
}

/// What of other programs is under way at the moment.
#[derive(Debug, Clone)]
pub struct UnderWay {
    /// Calls that somebody waits for.
    pub calls: IntGauge,
    /// Look-ups of where names lead.
    pub look_ups: IntGauge,
}

impl ProgramMetrics {
    pub(super) fn new(register: &Register<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            deliveries: register.counters(
                "parlor_webhook_deliveries_total",
                "Attempts to deliver an event to a webhook.",
                &["outcome"],
            )?,
            duration: register.histogram(
                "parlor_webhook_delivery_seconds",
                "Time of one attempt to deliver an event.",
                &LATENCY,
            )?,
            turns_cut: register.counters(
                "parlor_webhook_turns_cut_total",
                "Turns of webhooks that were ended so that others got theirs.",
                &["bound"],
            )?,
            posts: register.counters(
                "parlor_integration_posts_total",
                "Calls of incoming webhooks.",
                &["outcome"],
            )?,
            commands: register.counters(
                "parlor_command_calls_total",
                "Slash commands that were asked for.",
                &["command", "outcome"],
            )?,
            under_way: UnderWay {
                calls: register.gauge(
                    "parlor_program_calls",
                    "Calls of other programs that somebody waits for.",
                )?,
                look_ups: register.gauge(
                    "parlor_program_look_ups",
                    "Names of other programs' hosts that are being looked up.",
                )?,
            },
        })
    }
}
