use std::future::pending;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;

use rustix::process::{Signal, getpid, kill_process};
use tokio::sync::oneshot;

use super::*;
use crate::exit;
use crate::telemetry::CapturedLogs;

fn lifecycle(pre_stop: u64, abort_after: u64) -> Lifecycle {
    Lifecycle::new(Timing {
        pre_stop: Duration::from_secs(pre_stop),
        abort_after: Duration::from_secs(abort_after),
    })
}

#[tokio::test(start_paused = true)]
async fn cooperative_tasks_stop_cleanly() {
    let lifecycle = lifecycle(0, 30);
    let draining = lifecycle.draining();
    lifecycle.spawn("polite", async move { draining.cancelled().await });

    let stopped = lifecycle.shut_down().await;

    assert_eq!(stopped, Stopped::Cleanly);
    assert_eq!(stopped.exit_code(), exit::SUCCESS);
}

#[tokio::test(start_paused = true)]
async fn stages_follow_each_other_in_time() {
    let lifecycle = lifecycle(5, 30);
    let started = Instant::now();
    let (at_drain, drained) = oneshot::channel();
    let draining = lifecycle.draining();
    lifecycle.spawn("watch", async move {
        draining.cancelled().await;
        at_drain.send(started.elapsed()).unwrap();
        sleep(Duration::from_secs(3)).await;
    });
    assert_eq!(lifecycle.phase(), Phase::Running);

    lifecycle.begin_shutdown();
    assert_eq!(lifecycle.phase(), Phase::LameDuck);
    assert!(!lifecycle.draining().is_cancelled());
    let stopped = lifecycle.wait().await;

    assert_eq!(stopped, Stopped::Cleanly);
    assert_eq!(drained.await.unwrap(), Duration::from_secs(5));
    assert_eq!(started.elapsed(), Duration::from_secs(8));
    assert_eq!(lifecycle.phase(), Phase::Draining);
}

#[tokio::test(start_paused = true)]
async fn stuck_tasks_are_dropped_at_the_hard_limit() {
    let lifecycle = lifecycle(5, 30);
    lifecycle.spawn("stuck", pending());
    lifecycle.spawn("also stuck", pending());
    let started = Instant::now();

    let stopped = lifecycle.shut_down().await;

    assert_eq!(stopped, Stopped::Aborted { tasks: 2 });
    assert_eq!(stopped.exit_code(), exit::FAILURE);
    assert_eq!(started.elapsed(), Duration::from_secs(30));
    assert_eq!(lifecycle.tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn second_request_aborts_at_once() {
    let lifecycle = lifecycle(20, 30);
    lifecycle.spawn("stuck", pending());
    let started = Instant::now();
    lifecycle.begin_shutdown();
    lifecycle.abort();

    assert_eq!(lifecycle.wait().await, Stopped::Aborted { tasks: 1 });
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn later_stages_imply_the_earlier_ones() {
    let lifecycle = Lifecycle::default();

    lifecycle.abort();

    assert!(lifecycle.lame_duck().is_cancelled());
    assert!(lifecycle.draining().is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn panic_in_an_ordinary_task_ends_that_task_only() {
    let lifecycle = Lifecycle::default();
    let (logs, _guard) = CapturedLogs::start();
    let (done, ended) = oneshot::channel::<()>();
    lifecycle.spawn("careless", async move {
        let _done = done;
        panic!("on purpose");
    });
    assert!(ended.await.is_err());
    tokio::task::yield_now().await;

    assert_eq!(lifecycle.phase(), Phase::Running);
    assert_eq!(lifecycle.panics(), 1);
    assert!(logs.contains("task panicked"));
    assert_eq!(lifecycle.shut_down().await, Stopped::Cleanly);
}

#[tokio::test(start_paused = true)]
async fn panic_in_a_critical_task_stops_the_process_with_a_failure() {
    let lifecycle = Lifecycle::default();
    let draining = lifecycle.draining();
    let drained = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&drained);
    lifecycle.spawn("polite", async move {
        draining.cancelled().await;
        noted.store(true, Ordering::Relaxed);
    });
    lifecycle.spawn_critical("committer", async { panic!("on purpose") });

    let stopped = lifecycle.wait().await;

    assert_eq!(stopped, Stopped::Failed { task: "committer".to_owned() });
    assert_eq!(stopped.exit_code(), exit::FAILURE);
    assert!(drained.load(Ordering::Relaxed), "the others were asked to finish");
}

#[tokio::test(start_paused = true)]
async fn early_end_of_a_critical_task_is_a_failure_but_not_a_late_one() {
    let early = Lifecycle::default();
    early.spawn_critical("listener", async {});
    assert_eq!(early.wait().await, Stopped::Failed { task: "listener".to_owned() });

    let late = Lifecycle::default();
    let draining = late.draining();
    late.spawn_critical("listener", async move { draining.cancelled().await });
    assert_eq!(late.shut_down().await, Stopped::Cleanly);
}

#[tokio::test(start_paused = true)]
async fn task_spawned_while_draining_is_waited_for() {
    let lifecycle = Lifecycle::default();
    let inner = lifecycle.clone();
    let (done, ended) = oneshot::channel();
    let draining = lifecycle.draining();
    lifecycle.spawn("outer", async move {
        draining.cancelled().await;
        inner.spawn("inner", async move {
            sleep(Duration::from_secs(1)).await;
            done.send(()).unwrap();
        });
    });

    assert_eq!(lifecycle.shut_down().await, Stopped::Cleanly);
    assert!(ended.await.is_ok());
}

#[tokio::test]
async fn tasks_on_other_threads_are_drained_and_waited_for() {
    let lifecycle = Lifecycle::default();
    let (sender, ended) = mpsc::channel();
    for shard in 0..3 {
        let sender = sender.clone();
        let on_thread = lifecycle.clone();
        lifecycle
            .spawn_thread(format!("shard-{shard}"), move || async move {
                let draining = on_thread.draining();
                // A local task of the shard, like a session.
                let session = std::rc::Rc::new(sender);
                let token = draining.clone();
                on_thread.spawn_local("session", async move {
                    token.cancelled().await;
                    // Outlives the shard's own task.
                    sleep(Duration::from_millis(20)).await;
                    session.send(shard).unwrap();
                });
                draining.cancelled().await;
            })
            .unwrap();
    }
    drop(sender);
    assert!(lifecycle.tasks() >= 3);

    assert_eq!(lifecycle.shut_down().await, Stopped::Cleanly);

    let mut shards: Vec<_> = ended.try_iter().collect();
    shards.sort_unstable();
    assert_eq!(shards, [0, 1, 2]);
}

#[tokio::test]
async fn stuck_tasks_on_other_threads_are_dropped_and_counted() {
    let lifecycle = lifecycle(0, 0);
    let on_thread = lifecycle.clone();
    let (spawned, both_are_there) = tokio::sync::oneshot::channel();
    lifecycle
        .spawn_thread("shard-0", move || async move {
            on_thread.spawn_local("stuck session", pending());
            spawned.send(()).unwrap();
            on_thread.draining().cancelled().await;
            pending::<()>().await;
        })
        .unwrap();

    both_are_there.await.unwrap();
    assert_eq!(lifecycle.shut_down().await, Stopped::Aborted { tasks: 2 });
}

#[tokio::test]
async fn panic_on_a_thread_stops_the_process_with_a_failure() {
    let lifecycle = Lifecycle::default();
    lifecycle.spawn_thread("shard-0", || async { panic!("on purpose") }).unwrap();

    assert_eq!(lifecycle.wait().await, Stopped::Failed { task: "shard-0".to_owned() });
}

#[tokio::test]
async fn task_that_never_yields_does_not_hold_the_process() {
    let lifecycle = lifecycle(0, 0);
    let (release, blocked) = mpsc::channel::<()>();
    let (tell, begun) = tokio::sync::oneshot::channel();
    lifecycle
        .spawn_thread("blocked", move || async move {
            tell.send(()).unwrap();
            assert!(blocked.recv().is_err());
        })
        .unwrap();
    begun.await.unwrap();
    let started = Instant::now();

    let stopped = lifecycle.shut_down().await;

    assert!(matches!(stopped, Stopped::Aborted { tasks } if tasks >= 1), "{stopped:?}");
    assert!(started.elapsed() >= ABORT_PATIENCE);
    drop(release);
}

/// One test for both signals, because they reach the whole process.
#[tokio::test]
async fn first_signal_drains_and_second_aborts() {
    let lifecycle = Lifecycle::default();
    lifecycle.obey_signals().unwrap();
    lifecycle.spawn("stuck", pending());

    kill_process(getpid(), Signal::TERM).unwrap();
    lifecycle.lame_duck().cancelled().await;
    assert!(!lifecycle.aborting().is_cancelled());

    kill_process(getpid(), Signal::INT).unwrap();
    assert_eq!(lifecycle.wait().await, Stopped::Aborted { tasks: 1 });
}
