//! Names and units of the node's metrics, in one place. Labels come from closed sets only.

mod asked;
mod files;
mod programs;

pub use programs::{ProgramMetrics, UnderWay};

pub use files::FileMetrics;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

/// Seconds from 100 µs to 10 s.
const LATENCY: [f64; 14] =
    [0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 2.5, 10.0];
/// Sizes from 1 to 512.
const SIZES: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// All metrics of a node. Clones share the same series.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Where everything is registered, also by other parts of the process.
    pub registry: Registry,
    /// HTTP.
    pub http: HttpMetrics,
    /// WebSocket sessions.
    pub ws: WsMetrics,
    /// Rooms.
    pub room: RoomMetrics,
    /// Reads that many share.
    pub reads: ReadMetrics,
    /// Group commits.
    pub committer: CommitterMetrics,
    /// What the bus did not tell.
    pub relay: RelayMetrics,
    /// Accounts.
    pub auth: AuthMetrics,
    /// Files.
    pub files: FileMetrics,
    /// Rooms in which what an erased account has left could not be removed yet.
    pub erasure_failures: IntCounter,
    /// Incoming and outgoing webhooks.
    pub programs: ProgramMetrics,
}

/// HTTP.
#[derive(Debug, Clone)]
pub struct HttpMetrics {
    /// Requests by method, route and status.
    pub requests: IntCounterVec,
    /// Time to the head of the answer by route.
    pub duration: HistogramVec,
    /// Open TCP connections.
    pub connections: IntGauge,
    /// Connections that were not accepted, by reason.
    pub refused: IntCounterVec,
    /// Files of rooms, by outcome.
    pub imports: IntCounterVec,
    /// New certificates, by what became of them.
    pub renewals: IntCounterVec,
}

/// WebSocket sessions.
#[derive(Debug, Clone)]
pub struct WsMetrics {
    /// Open sessions.
    pub sessions: IntGauge,
    /// Ended sessions by reason.
    pub closed: IntCounterVec,
    /// Commands by kind and outcome.
    pub commands: IntCounterVec,
    /// Frames written to sockets.
    pub frames_sent: IntCounter,
    /// Bytes written to sockets.
    pub sent_bytes: IntCounter,
    /// Frames that were shed, by delivery class.
    pub frames_dropped: IntCounterVec,
    /// Bytes that wait for slow connections.
    pub outbox_bytes: IntGauge,
}

/// Rooms.
#[derive(Debug, Clone)]
pub struct RoomMetrics {
    /// Rooms with a connected member, per shard added up.
    pub resident: IntGauge,
    /// Deliveries to sessions and streams.
    pub deliveries: IntCounter,
    /// Holes that were filled from the store.
    pub gaps: IntCounter,
    /// Subscriptions by how they started.
    pub subscriptions: IntCounterVec,
    /// From an event's commit to its delivery on this node.
    pub publish_to_deliver: Histogram,
    /// Changes of presence by what became of them.
    pub presence: IntCounterVec,
    /// Signals about members that were told to nobody, because the room is large.
    pub signals_dropped: IntCounterVec,
}

/// Reads that many share.
#[derive(Debug, Clone)]
pub struct ReadMetrics {
    /// Questions that one call to the store answers, by kind.
    pub batch: HistogramVec,
    /// What is remembered of what was read.
    pub cache: CacheMetrics,
}

/// What a node remembers of accounts, rooms and memberships.
#[derive(Debug, Clone)]
pub struct CacheMetrics {
    /// Lookups by kind and by whether the answer was remembered.
    pub lookups: IntCounterVec,
    /// What was forgotten because it had changed, by kind.
    pub changes: IntCounterVec,
    /// What is remembered, by kind.
    pub entries: IntGaugeVec,
    /// Checks of what is remembered, by outcome.
    pub checks: IntCounterVec,
}

/// Group commits.
#[derive(Debug, Clone)]
pub struct CommitterMetrics {
    /// Writes in one commit.
    pub batch: Histogram,
    /// Time of one commit.
    pub duration: Histogram,
    /// Events added.
    pub events: IntCounter,
}

/// What the bus did not tell.
#[derive(Debug, Clone)]
pub struct RelayMetrics {
    /// Time of one read of the store's tail.
    pub duration: Histogram,
    /// Reads that failed.
    pub failures: IntCounter,
    /// Commits that were read.
    pub commits: IntCounter,
    /// When the tail was last read, in seconds since the Unix epoch.
    pub read_at: IntGauge,
    /// Changes of the store's epoch.
    pub epoch_changes: IntCounter,
    /// Reads of events that were not made, because the same one was under way.
    pub shared_reads: IntCounter,
}

/// Accounts.
#[derive(Debug, Clone)]
pub struct AuthMetrics {
    /// Logins by outcome.
    pub logins: IntCounterVec,
    /// Refused by a rate limit, by action.
    pub rate_limited: IntCounterVec,
    /// Users, rooms and addresses whose rate is remembered, by limit.
    pub rate_entries: prometheus::IntGaugeVec,
    /// Requests of those for whom there was no room, so that they share a budget, by limit.
    pub rate_overflows: IntCounterVec,
}

impl Metrics {
    /// Registers everything beside what the backends have registered.
    ///
    /// # Errors
    ///
    /// Fails only when a name is wrong or used twice, which a test would show.
    pub fn new(registry: Registry) -> prometheus::Result<Self> {
        let register = Register(&registry);
        let build = register.gauges("parlor_build_info", "The version that runs.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Self {
            http: HttpMetrics::new(&register)?,
            ws: WsMetrics::new(&register)?,
            room: RoomMetrics::new(&register)?,
            reads: ReadMetrics {
                batch: register.histograms(
                    "parlor_store_read_batch",
                    "Questions that one call to the store answers.",
                    &SIZES,
                    &["kind"],
                )?,
                cache: CacheMetrics::new(&register)?,
            },
            committer: CommitterMetrics {
                batch: register.histogram(
                    "parlor_store_commit_batch",
                    "Writes in one commit.",
                    &SIZES,
                )?,
                duration: register.histogram(
                    "parlor_store_commit_duration_seconds",
                    "Time of one commit.",
                    &LATENCY,
                )?,
                events: register.counter("parlor_store_events_total", "Events added to logs.")?,
            },
            relay: RelayMetrics::new(&register)?,
            programs: ProgramMetrics::new(&register)?,
            auth: AuthMetrics {
                logins: register.counters(
                    "parlor_auth_logins_total",
                    "Logins by outcome.",
                    &["outcome"],
                )?,
                rate_limited: register.counters(
                    "parlor_auth_rate_limited_total",
                    "Requests and commands refused by a rate limit.",
                    &["action"],
                )?,
                rate_entries: register.gauges(
                    "parlor_auth_rate_entries",
                    "Keys whose rate is remembered.",
                    &["limit"],
                )?,
                rate_overflows: register.counters(
                    "parlor_auth_rate_overflows_total",
                    "Checks of keys that share a budget, because too many are remembered.",
                    &["limit"],
                )?,
            },
            files: FileMetrics::new(&register)?,
            erasure_failures: register.counter(
                "parlor_erasure_failures_total",
                "Rooms in which what an erased account has left could not be removed yet.",
            )?,
            registry,
        })
    }
}

impl HttpMetrics {
    fn new(register: &Register<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            requests: register.counters(
                "parlor_http_requests_total",
                "HTTP requests.",
                &["method", "route", "status"],
            )?,
            duration: register.histograms(
                "parlor_http_request_duration_seconds",
                "Time to the head of the answer.",
                &LATENCY,
                &["route"],
            )?,
            connections: register.gauge("parlor_http_connections", "Open TCP connections.")?,
            imports: register.counters(
                "parlor_http_imports_total",
                "Files of rooms that were to be imported.",
                &["outcome"],
            )?,
            refused: register.counters(
                "parlor_http_connections_refused_total",
                "Connections and upgrades that were not accepted.",
                &["reason"],
            )?,
            renewals: register.counters(
                "parlor_http_certificate_renewals_total",
                "New files of the certificate, by what became of them.",
                &["outcome"],
            )?,
        })
    }
}

impl WsMetrics {
    fn new(register: &Register<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            sessions: register.gauge("parlor_ws_sessions", "Open sessions.")?,
            closed: register.counters(
                "parlor_ws_sessions_closed_total",
                "Ended sessions.",
                &["reason"],
            )?,
            commands: register.counters(
                "parlor_ws_commands_total",
                "Commands of clients.",
                &["kind", "outcome"],
            )?,
            frames_sent: register
                .counter("parlor_ws_frames_sent_total", "Frames written to sockets.")?,
            sent_bytes: register
                .counter("parlor_ws_sent_bytes_total", "Bytes written to sockets.")?,
            frames_dropped: register.counters(
                "parlor_ws_frames_dropped_total",
                "Frames that were shed for slow connections.",
                &["delivery"],
            )?,
            outbox_bytes: register
                .gauge("parlor_ws_outbox_bytes", "Bytes that wait for slow connections.")?,
        })
    }
}

impl RoomMetrics {
    fn new(register: &Register<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            resident: register
                .gauge("parlor_room_resident", "Rooms in memory, counted once for each shard.")?,
            deliveries: register
                .counter("parlor_room_deliveries_total", "Frames queued for sessions.")?,
            gaps: register.counter(
                "parlor_bus_gaps_total",
                "Holes in a room's events that were filled from the store.",
            )?,
            subscriptions: register.counters(
                "parlor_room_subscriptions_total",
                "Subscriptions by how they started.",
                &["start"],
            )?,
            publish_to_deliver: register.histogram(
                "parlor_room_publish_to_deliver_seconds",
                "From the time of an event to its fan-out on this node.",
                &LATENCY,
            )?,
            presence: register.counters(
                "parlor_room_presence_total",
                "Changes of presence by what became of them, in rooms or of users.",
                &["outcome"],
            )?,
            signals_dropped: register.counters(
                "parlor_room_signals_dropped_total",
                "Signals about members that were told to nobody, because the room is large.",
                &["family"],
            )?,
        })
    }
}

impl RelayMetrics {
    fn new(register: &Register<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            duration: register.histogram(
                "parlor_relay_tail_duration_seconds",
                "Time of one read of the store's tail.",
                &LATENCY,
            )?,
            failures: register.counter(
                "parlor_relay_tail_failures_total",
                "Reads of the store's tail that failed.",
            )?,
            commits: register.counter(
                "parlor_relay_commits_total",
                "Commits that were read from the store's tail, also of this node.",
            )?,
            read_at: register.gauge(
                "parlor_relay_tail_read_timestamp_seconds",
                "When the store's tail was last read.",
            )?,
            epoch_changes: register.counter(
                "parlor_relay_epoch_changes_total",
                "Changes of the store's epoch: it was restored or failed over.",
            )?,
            shared_reads: register.counter(
                "parlor_relay_shared_reads_total",
                "Reads of events that were not made, because the same one was under way.",
            )?,
        })
    }
}

impl CacheMetrics {
    fn new(register: &Register<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            lookups: register.counters(
                "parlor_cache_lookups_total",
                "Accounts and rooms that were looked for in memory, by kind and outcome.",
                &["kind", "outcome"],
            )?,
            changes: register.counters(
                "parlor_cache_changes_total",
                "Changes that made something in memory out of date, by kind.",
                &["kind"],
            )?,
            entries: register.gauges(
                "parlor_cache_entries",
                "Accounts, rooms and memberships in memory.",
                &["kind"],
            )?,
            checks: register.counters(
                "parlor_cache_checks_total",
                "Questions to the store for what has changed, by outcome.",
                &["outcome"],
            )?,
        })
    }
}

/// Makes and registers in one step.
struct Register<'a>(&'a Registry);

impl Register<'_> {
    fn add<C: prometheus::core::Collector + Clone + 'static>(
        &self,
        collector: C,
    ) -> prometheus::Result<C> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.add(IntCounter::new(name, help)?)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        self.add(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.add(IntGauge::new(name, help)?)
    }

    fn gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<prometheus::IntGaugeVec> {
        self.add(prometheus::IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> prometheus::Result<Histogram> {
        self.add(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?)
    }

    fn histograms(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
        labels: &[&str],
    ) -> prometheus::Result<HistogramVec> {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.add(HistogramVec::new(options, labels)?)
    }
}
