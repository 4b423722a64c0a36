//! The floor under the load that everything is measured with: all that is sent arrives.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use parlor_bench::fanout::{self, FanOutPlan, Meeting, Rate};
use parlor_bench::progress::Progress;
use parlor_bench::{Address, dialect};

/// Ends the server also when a test fails.
struct Floor(Child);

impl Drop for Floor {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn serve() -> (Floor, Address) {
    let mut server = Command::new(env!("CARGO_BIN_EXE_floor"))
        .arg("epoll")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the floor can be started");
    let mut said = String::new();
    let out = server.stdout.take().expect("it was asked for");
    let server = Floor(server);
    BufReader::new(out).read_line(&mut said).expect("it says where it listens");
    let address = said.trim().strip_prefix("listening on ").expect("it says where it listens");
    let address = Address::parse(&format!("ws://{address}/"), false).expect("it is on loopback");
    (server, address)
}

async fn measure(rooms: usize, members: usize, rate: Rate) {
    let (server, address) = serve();
    let dialect = dialect::by_name("epoll").expect("the floor has a dialect");
    let meeting = Meeting::of_clients(dialect, address, rooms, members);
    let plan = FanOutPlan {
        scenario: "fan-out",
        senders: 2,
        payload: 154,
        rate,
        stalled_percent: None,
        warm_up: Duration::from_millis(100),
        duration: Duration::from_secs(1),
        threads: 1,
        server_pids: vec![server.0.id()],
    };
    let found = fanout::run(meeting, plan, &Progress::hidden()).await.expect("it is measured");
    let delivery = found.delivery.expect("deliveries are checked");
    assert!(delivery.is_clean(), "{delivery:?}");
    assert_eq!(delivery.arrived, delivery.expected);
    assert_eq!(delivery.expected, delivery.published * members as u64);
    assert!(delivery.published > 0);
}

#[tokio::test]
async fn everything_arrives_as_fast_as_it_can() {
    measure(2, 8, Rate::InFlight(16)).await;
}

#[tokio::test]
async fn everything_arrives_at_a_rate() {
    measure(1, 20, Rate::Messages(100.0)).await;
}

fn compare(arguments: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("compare");
    Command::new(script).args(arguments).output().expect("the script can be run")
}

#[test]
fn comparison_lists_every_system_that_has_a_dialect() {
    let listed = compare(&["--list"]);
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let listed = String::from_utf8(listed.stdout).unwrap();
    let first = |line: &str| line.split_whitespace().next().unwrap_or_default().to_owned();
    let listed: Vec<String> = listed.lines().map(first).collect();
    for name in dialect::NAMES {
        assert!(listed.iter().any(|listed| listed == name), "{name} is not in {listed:?}");
    }
}

#[test]
fn comparison_says_what_it_takes_and_refuses_the_rest() {
    let help = compare(&["--help"]);
    assert!(help.status.success());
    assert!(String::from_utf8(help.stdout).unwrap().contains("--rounds"));
    for wrong in [&["--systems", "telegraph"][..], &["--rounds", "0"], &["--scenarios", ""]] {
        assert_eq!(compare(wrong).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn help_is_for_those_who_give_no_command() {
    let help = Command::new(env!("CARGO_BIN_EXE_floor")).output().unwrap();
    assert!(help.status.success());
    assert!(String::from_utf8(help.stdout).unwrap().contains("floor epoll"));
    let unknown = Command::new(env!("CARGO_BIN_EXE_floor")).arg("epol").output().unwrap();
    assert_eq!(unknown.status.code(), Some(1));
}
