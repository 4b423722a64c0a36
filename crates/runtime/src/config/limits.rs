//! `[limits]`.

use std::time::Duration;

use super::section::section;
use super::size::ByteSize;

section! {
    /// Bounds. Rates are told to clients in headers and frames, sizes in `welcome` and `/info`.
    limits: LimitsConfig {
        /// Applies rate and connection limits. Bounds on memory hold in any case.
        enabled: bool = true;

        /// Largest WebSocket frame or message.
        frame: ByteSize = ByteSize::kib(64), where |s| (1 << 10..=16 << 20).contains(&s.get()) => "must be from 1KiB to 16MiB";
        /// Largest body of a chat message.
        body: ByteSize = ByteSize::kib(16), where |s| (1..=1 << 20).contains(&s.get()) => "must be from 1B to 1MiB";
        /// Largest data of a `signal`.
        signal: ByteSize = ByteSize::kib(4), where |s| s.get() <= 64 << 10 => "must be at most 64KiB";
        /// Bytes that may wait for one connection before it is degraded and then closed.
        outbox: ByteSize = ByteSize::kib(256), where |s| (16 << 10..=64 << 20).contains(&s.get()) => "must be from 16KiB to 64MiB";
        /// Bytes that may wait for all connections of a node together; the fullest are closed first.
        outbox_total: ByteSize = ByteSize::mib(256), where |s| s.get() >= 1 << 20 => "must be at least 1MiB";
        /// How long pieces of replies to one room may wait for others, to be sent together.
        delta_cork: Duration = Duration::from_millis(15), where |d| d.as_millis() <= 1_000 => "must be at most 1s";
        /// Largest body of an HTTP request.
        request_body: ByteSize = ByteSize::kib(256), where |s| (1 << 10..=64 << 20).contains(&s.get()) => "must be from 1KiB to 64MiB";
        /// Largest head of an HTTP request.
        request_head: ByteSize = ByteSize::kib(8), where |s| (8 << 10..=64 << 10).contains(&s.get()) => "must be from 8KiB to 64KiB";

        /// Largest file of a room that is imported.
        import: ByteSize = ByteSize::mib(1_024), where |s| s.get() >= 1 << 20 => "must be at least 1MiB";
        /// Messages of such a file. While it is read the node remembers each of them with about 40 bytes.
        import_messages: usize = 1_000_000, where |n| *n >= 1 => "must be at least 1";
        /// People whom such a file may name.
        import_people: usize = 100_000, where |n| *n >= 1 => "must be at least 1";
        /// A file of which nothing was written for so long is taken back: whoever read it has died.
        import_idle: Duration = Duration::from_mins(10), where |d| d.as_secs() >= 1 => "must be at least 1s";

        /// Rooms that one connection may subscribe to.
        subscriptions: usize = 200, where |n| *n >= 1 => "must be at least 1";
        /// Commands of one connection that may be in work at the same time.
        commands_in_flight: usize = 32, where |n| *n >= 1 => "must be at least 1";
        /// Open connections of one node.
        connections: usize = 50_000, where |n| *n >= 1 => "must be at least 1";
        /// Open connections of one address. IPv6 addresses count by their /64.
        connections_per_address: usize = 100, where |n| *n >= 1 => "must be at least 1";
        /// Open connections of one user.
        connections_per_user: usize = 20, where |n| *n >= 1 => "must be at least 1";
        /// Open connections that have not said who they are.
        unauthenticated: usize = 1_000, where |n| *n >= 1 => "must be at least 1";
        /// Connections of one node that may be in their handshake at the same time; more are told to come back.
        handshakes: usize = 1_024, where |n| *n >= 1 => "must be at least 1";
        /// Upgrades to `WebSocket` that one node answers in a second; more are told to come back.
        upgrades_per_second: u32 = 2_000, where |n| *n >= 1 => "must be at least 1";
        /// Members of one room.
        room_members: usize = 100_000, where |n| *n >= 2 => "must be at least 2";
        /// Rooms that one user may own.
        rooms_per_user: usize = 200, where |n| *n >= 1 => "must be at least 1";
        /// Rooms that a node keeps in memory.
        resident_rooms: usize = 10_000, where |n| *n >= 1 => "must be at least 1";
        /// Newest events of a room that a node keeps in memory for those who resume.
        ring_events: usize = 256, where |n| (1..=100_000).contains(n) => "must be from 1 to 100000";
        /// Bytes of such events of one room.
        ring_bytes: ByteSize = ByteSize::kib(256), where |s| s.get() >= 1 << 10 => "must be at least 1KiB";
        /// Events that a resuming client is sent; one that missed more gets `resync`.
        replay_events: usize = 1_000, where |n| *n >= 1 => "must be at least 1";
        /// Reads of one kind (users, memberships) in a second that those who connect cause on one node; beyond it many are answered by one read.
        reads_per_second: u32 = 64, where |n| (1..=10_000).contains(n) => "must be from 1 to 10000";
        /// Accounts, rooms and memberships that a node remembers, so many of each; 0: none.
        cache_entries: usize = 20_000;
        /// Questions in a second that a node asks Postgres for what has changed, before it uses what it remembers; beyond it many wait for one.
        cache_checks_per_second: u32 = 256, where |n| (1..=10_000).contains(n) => "must be from 1 to 10000";
        /// Members of a room up to which it is told who comes, goes, types and has read; in larger ones clients read the list of members.
        presence_room: usize = 500;
        /// Writes that may wait for the store; more are refused with `unavailable`.
        committer_queue: usize = 10_000, where |n| *n >= 1 => "must be at least 1";
        /// Writes that are committed together.
        committer_batch: usize = 512, where |n| (1..=10_000).contains(n) => "must be from 1 to 10000";
        /// Events that may wait on the bus for one node; what is lost is read from the store.
        bus_queue: usize = 8_192, where |n| *n >= 1 => "must be at least 1";
        /// Addresses and users whose rates are remembered.
        rate_entries: usize = 100_000, where |n| *n >= 1_000 => "must be at least 1000";

        /// Messages of one user in a second.
        publish_per_second: u32 = 10, where |n| *n >= 1 => "must be at least 1";
        /// Messages of one user at once after a pause.
        publish_burst: u32 = 20, where |n| *n >= 1 => "must be at least 1";
        /// Messages in one room in a second.
        room_publish_per_second: u32 = 100, where |n| *n >= 1 => "must be at least 1";
        /// Messages in one room at once after a pause.
        room_publish_burst: u32 = 200, where |n| *n >= 1 => "must be at least 1";
        /// Messages from one address in a second.
        address_publish_per_second: u32 = 50, where |n| *n >= 1 => "must be at least 1";
        /// Messages from one address at once after a pause.
        address_publish_burst: u32 = 100, where |n| *n >= 1 => "must be at least 1";
        /// Commands of one connection in a second; a connection far above is closed with 4529.
        commands_per_second: u32 = 50, where |n| *n >= 1 => "must be at least 1";
        /// Commands of one connection at once after a pause.
        commands_burst: u32 = 400, where |n| *n >= 1 => "must be at least 1";
        /// `typing` of one user in a second; more are dropped without an answer.
        typing_per_second: u32 = 2, where |n| *n >= 1 => "must be at least 1";
        /// Who is told to be typing, and does not say it again, is told not to be after this.
        typing_lasts: Duration = Duration::from_secs(8), where |d| (100..=60_000).contains(&d.as_millis()) => "must be from 100ms to 1m";
        /// `signal` of one user in a second.
        signals_per_second: u32 = 20, where |n| *n >= 1 => "must be at least 1";
        /// `signal` of one user at once after a pause.
        signals_burst: u32 = 40, where |n| *n >= 1 => "must be at least 1";
        /// Changes over HTTP of one user in a second: of rooms, members, invites, bots, connections to the outside, one's own account. Messages have a rate of their own besides.
        changes_per_second: u32 = 10, where |n| *n >= 1 => "must be at least 1";
        /// Such changes of one user at once after a pause.
        changes_burst: u32 = 100, where |n| *n >= 1 => "must be at least 1";
        /// Searches of one user in a second.
        searches_per_second: u32 = 2, where |n| *n >= 1 => "must be at least 1";
        /// Searches of one user at once after a pause.
        searches_burst: u32 = 20, where |n| *n >= 1 => "must be at least 1";
        /// Slash commands of one user in a second. What a command does has its own rate besides.
        slash_commands_per_second: u32 = 2, where |n| *n >= 1 => "must be at least 1";
        /// Slash commands of one user at once after a pause.
        slash_commands_burst: u32 = 20, where |n| *n >= 1 => "must be at least 1";
        /// Requests of one user in a second that bring parts of files.
        uploads_per_second: u32 = 20, where |n| *n >= 1 => "must be at least 1";
        /// Such requests of one user at once after a pause.
        uploads_burst: u32 = 200, where |n| *n >= 1 => "must be at least 1";
        /// Rooms that one user may begin to follow in a second, on all connections together.
        subscribes_per_second: u32 = 20, where |n| *n >= 1 => "must be at least 1";
        /// Rooms that one user may begin to follow at once after a pause: what all their devices follow.
        subscribes_burst: u32 = 1_000, where |n| *n >= 1 => "must be at least 1";
        /// Read markers that one user may move in a second over the WebSocket.
        read_markers_per_second: u32 = 10, where |n| *n >= 1 => "must be at least 1";
        /// Read markers that one user may move at once after a pause.
        read_markers_burst: u32 = 100, where |n| *n >= 1 => "must be at least 1";
        /// Pages of history that one user may read in a second.
        history_per_second: u32 = 5, where |n| *n >= 1 => "must be at least 1";
        /// Pages of history that one user may read at once after a pause.
        history_burst: u32 = 30, where |n| *n >= 1 => "must be at least 1";
        /// HTTP requests of one user in a minute.
        requests_per_minute: u32 = 600, where |n| *n >= 1 => "must be at least 1";
        /// HTTP requests of one address without a login in a minute.
        anonymous_requests_per_minute: u32 = 60, where |n| *n >= 1 => "must be at least 1";
        /// Messages of one incoming webhook in a second.
        hook_posts_per_second: u32 = 5, where |n| *n >= 1 => "must be at least 1";
        /// Messages of one incoming webhook at once after a pause.
        hook_posts_burst: u32 = 30, where |n| *n >= 1 => "must be at least 1";
        /// Calls of incoming webhooks from one address in a minute.
        hook_requests_per_minute: u32 = 600, where |n| *n >= 1 => "must be at least 1";
        /// Registrations from one address in an hour.
        register_per_hour: u32 = 20, where |n| *n >= 1 => "must be at least 1";
        /// Wrong passwords for one user from one address before each further try has to wait.
        login_failures: u32 = 5, where |n| *n >= 1 => "must be at least 1";
        /// The wait for each further try.
        login_failure_delay: Duration = Duration::from_secs(30), where |d| (1..=3_600).contains(&d.as_secs()) => "must be from 1s to 1h";
        /// Wrong passwords for one user from all addresses in an hour before tries are slowed down.
        login_failures_per_user_hour: u32 = 30, where |n| *n >= 1 => "must be at least 1";
        /// Wrong passwords from one address in an hour.
        login_failures_per_address_hour: u32 = 100, where |n| *n >= 1 => "must be at least 1";

        /// Time for the head of an HTTP request and for the WebSocket's handshake.
        handshake_timeout: Duration = Duration::from_secs(5), where |d| !d.is_zero() => "must be more than 0";
        /// Time for the first `hello`.
        hello_timeout: Duration = Duration::from_secs(10), where |d| !d.is_zero() => "must be more than 0";
        /// How often a connection is asked whether it is alive.
        heartbeat: Duration = Duration::from_secs(25), where |d| d.as_millis() >= 50 => "must be at least 50ms";
        /// A connection that is silent for so long is closed.
        idle_timeout: Duration = Duration::from_mins(1), where |d| d.as_millis() >= 100 => "must be at least 100ms";
        /// A connection that takes nothing for so long is closed.
        write_timeout: Duration = Duration::from_secs(10), where |d| !d.is_zero() => "must be more than 0";
        /// Time for an HTTP request, but for streams and `?wait=reply`.
        request_timeout: Duration = Duration::from_secs(30), where |d| !d.is_zero() => "must be more than 0";
        /// How long one page of a search looks for answers; it then leads on to the rest.
        search_time: Duration = Duration::from_secs(1), where |d| (10..=10_000).contains(&d.as_millis()) => "must be from 10ms to 10s";
        /// Time for `?wait=reply`.
        wait_reply_timeout: Duration = Duration::from_mins(5), where |d| !d.is_zero() => "must be more than 0";
    }
}
