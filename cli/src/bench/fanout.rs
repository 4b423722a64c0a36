//! `bench fan-out`, `bench rooms` and `bench stalled`: what is written in a room goes to everyone
//! in it.

use clap::Args;
use parlor_bench::fanout::{self, FanOutPlan, Meeting, Rate};
use parlor_bench::{Measurement, PAYLOAD_MIN, limits};

use super::peer::PeerArgs;
use super::stage::{Stage, Wanted};
use super::{LoadArgs, positive, positive_rate, refused};
use crate::context::Context;
use crate::failure::Usage;

/// Deliveries a second where nothing is said.
const USUAL_RATE: f64 = 50_000.0;
/// Messages in flight where readers stall: it takes a flood for the server to notice, because the
/// kernel keeps megabytes for each of them.
const USUAL_IN_FLIGHT: usize = 64;

#[derive(Debug, Args)]
pub(super) struct FanOutArgs {
    /// Rooms
    #[arg(long, value_name = "N", default_value_t = 1)]
    rooms: usize,
    /// Readers in each room, each with a connection and a user of its own
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    members: usize,
    #[command(flatten)]
    sending: SendingArgs,
}

#[derive(Debug, Args)]
pub(super) struct RoomsArgs {
    /// Rooms
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    rooms: usize,
    /// Readers in each room, each with a connection and a user of its own
    #[arg(long, value_name = "N", default_value_t = 10)]
    members: usize,
    #[command(flatten)]
    sending: SendingArgs,
}

#[derive(Debug, Args)]
pub(super) struct StalledArgs {
    /// Rooms
    #[arg(long, value_name = "N", default_value_t = 1)]
    rooms: usize,
    /// Readers in each room, each with a connection and a user of its own
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    members: usize,
    /// Of a hundred readers, those that stop reading for a second measurement
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0)]
    stalled: f64,
    #[command(flatten)]
    sending: SendingArgs,
}

/// What is sent, how, and to which system.
#[derive(Debug, Args)]
struct SendingArgs {
    /// Deliveries a second in all, however the server does [default: 50000, but --in-flight 64 where
    /// readers stall]
    #[arg(long, value_name = "N", group = "pace")]
    rate: Option<f64>,
    /// Messages a second in all, however the server does, in place of --rate
    #[arg(long, value_name = "N", group = "pace")]
    messages: Option<f64>,
    /// As many messages as arrive, with so many in flight, in place of --rate
    #[arg(long, value_name = "N", group = "pace")]
    in_flight: Option<usize>,
    /// Length of each message's payload in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 154)]
    payload: usize,
    /// Members of each room that send, in turn
    #[arg(long, value_name = "N", default_value_t = 8)]
    senders: usize,
    /// Send messages that are kept and numbered, in place of signals
    #[arg(long)]
    durable: bool,
    #[command(flatten)]
    peer: PeerArgs,
}

impl FanOutArgs {
    pub(super) async fn run(
        &self,
        load: &LoadArgs,
        context: &Context,
    ) -> anyhow::Result<Measurement> {
        let shape = (self.rooms, self.members);
        Box::pin(self.sending.run("fan-out", shape, None, load, context)).await
    }
}

impl RoomsArgs {
    pub(super) async fn run(
        &self,
        load: &LoadArgs,
        context: &Context,
    ) -> anyhow::Result<Measurement> {
        let shape = (self.rooms, self.members);
        Box::pin(self.sending.run("rooms", shape, None, load, context)).await
    }
}

impl StalledArgs {
    pub(super) async fn run(
        &self,
        load: &LoadArgs,
        context: &Context,
    ) -> anyhow::Result<Measurement> {
        if !(0.0..100.0).contains(&self.stalled) {
            return Err(Usage("--stalled must be from 0 to less than 100".to_owned()).into());
        }
        let shape = (self.rooms, self.members);
        Box::pin(self.sending.run("stalled", shape, Some(self.stalled), load, context)).await
    }
}

impl SendingArgs {
    async fn run(
        &self,
        scenario: &'static str,
        shape: (usize, usize),
        stalled_percent: Option<f64>,
        load: &LoadArgs,
        context: &Context,
    ) -> anyhow::Result<Measurement> {
        let (rooms, members) = shape;
        positive(&[("--rooms", rooms), ("--members", members), ("--senders", self.senders)])?;
        let rate = self.rate(stalled_percent.is_some())?;
        if self.payload < PAYLOAD_MIN {
            return Err(Usage(format!("--payload must be at least {PAYLOAD_MIN}")).into());
        }
        limits::raise((rooms * members) as u64)?;
        let mut plan = FanOutPlan {
            scenario,
            senders: self.senders.min(members),
            payload: self.payload,
            rate,
            stalled_percent,
            warm_up: load.warm_up(),
            duration: load.duration(),
            threads: load.threads,
            server_pids: load.server_pid.clone(),
        };
        let progress = load.report.progress(context);
        if let Some((dialect, address)) = self.peer.peer(load)? {
            if self.durable {
                return Err(Usage("--durable is for Parlor itself".to_owned()).into());
            }
            let meeting = Meeting::of_clients(dialect, address, rooms, members);
            return fanout::run(meeting, plan, &progress).await.map_err(refused);
        }
        let wanted = Wanted { rooms, members, ..Wanted::default() };
        let stage = Box::pin(Stage::set(context, load, &wanted)).await?;
        plan.server_pids.clone_from(&stage.pids);
        let meeting = Meeting::of_users(&stage.target, &stage.crowd, self.durable)?;
        let mut measurement = fanout::run(meeting, plan, &progress).await.map_err(refused)?;
        stage.describe(&mut measurement);
        stage.clear().await?;
        Ok(measurement)
    }

    fn rate(&self, has_stalls: bool) -> Result<Rate, Usage> {
        positive_rate(self.rate)?;
        positive_rate(self.messages)?;
        Ok(match (self.messages, self.in_flight) {
            (Some(messages), _) => Rate::Messages(messages),
            (None, Some(0)) => return Err(Usage("--in-flight must be at least 1".to_owned())),
            (None, Some(in_flight)) => Rate::InFlight(in_flight),
            (None, None) if has_stalls && self.rate.is_none() => Rate::InFlight(USUAL_IN_FLIGHT),
            (None, None) => Rate::Deliveries(self.rate.unwrap_or(USUAL_RATE)),
        })
    }
}
