use std::sync::Mutex;

use parlor_protocol::code::Code;
use prometheus::HistogramOpts;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::*;

/// Questions of one call.
const MOST: usize = 20;

/// A store whose calls wait until they are let through.
#[derive(Debug)]
struct Source {
    let_through: Semaphore,
    begun: Semaphore,
    calls: Mutex<Vec<Vec<u32>>>,
    fails: bool,
}

struct Reader {
    source: Arc<Source>,
    batched: Arc<Batched<u32, String>>,
    size: Histogram,
    _worker: JoinSet<()>,
}

fn reader(permits: usize, fails: bool, per_second: u32) -> Reader {
    let source = Arc::new(Source {
        let_through: Semaphore::new(permits),
        begun: Semaphore::new(0),
        calls: Mutex::default(),
        fails,
    });
    let asked = Arc::clone(&source);
    let call: Call<u32, String> = Arc::new(move |keys| {
        let source = Arc::clone(&asked);
        source.calls.lock().unwrap().push(keys.clone());
        source.begun.add_permits(1);
        Box::pin(async move {
            source.let_through.acquire().await.unwrap().forget();
            if source.fails {
                return Err(StoreError::Overloaded);
            }
            Ok(keys.into_iter().map(|key| format!("value {key}")).collect())
        })
    });
    let size = Histogram::with_opts(HistogramOpts::new("size", "size")).unwrap();
    let (batched, worker) = Batched::new(call, MOST, per_second, size.clone());
    let mut tasks = JoinSet::new();
    tasks.spawn(worker.run());
    Reader { source, batched: Arc::new(batched), size, _worker: tasks }
}

impl Reader {
    /// Begins calls until no more is made, so that further questions gather.
    async fn occupy(&self) -> Vec<tokio::task::JoinHandle<Outcome<String>>> {
        let mut occupying = Vec::new();
        for key in 1_000..1_000 + u32::try_from(AT_ONCE).unwrap() {
            occupying.push(self.ask_in_background(key));
            self.source.begun.acquire().await.unwrap().forget();
        }
        occupying
    }

    #[expect(clippy::disallowed_methods, reason = "a test ends its tasks itself")]
    fn ask_in_background(&self, key: u32) -> tokio::task::JoinHandle<Outcome<String>> {
        let batched = Arc::clone(&self.batched);
        tokio::spawn(async move { batched.ask(key).await })
    }

    fn calls(&self) -> Vec<Vec<u32>> {
        let mut calls = self.source.calls.lock().unwrap().clone();
        for keys in &mut calls {
            keys.sort_unstable();
        }
        calls
    }
}

/// Lets the other tasks of this thread go on until none can.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn whoever_asks_alone_is_answered_by_a_call_of_their_own() {
    let reader = reader(10, false, 1_000);
    for key in 0..3 {
        assert_eq!(reader.batched.ask(key).await, Ok(format!("value {key}")));
    }
    assert_eq!(reader.calls(), [[0], [1], [2]]);
}

#[tokio::test]
async fn questions_that_gather_are_one_call_and_the_same_one_is_asked_once() {
    let reader = reader(0, false, 1_000);
    let occupying = reader.occupy().await;
    let asked: Vec<_> = [5, 6, 5, 7, 5].map(|key| reader.ask_in_background(key)).into();
    settle().await;
    reader.source.let_through.add_permits(10);

    for (key, asked) in [5, 6, 5, 7, 5].into_iter().zip(asked) {
        assert_eq!(asked.await.unwrap(), Ok(format!("value {key}")));
    }
    for one in occupying {
        one.await.unwrap().unwrap();
    }
    assert_eq!(reader.calls()[AT_ONCE..], [vec![5, 6, 7]]);
    // Two alone, and five together.
    assert_eq!((reader.size.get_sample_count(), reader.size.get_sample_sum()), (3, 7.0));
}

#[tokio::test]
async fn answer_is_never_from_a_call_that_began_before_the_question() {
    let reader = reader(0, false, 1_000);
    let early = reader.ask_in_background(1);
    reader.source.begun.acquire().await.unwrap().forget();

    // The same key, but what has begun may have looked already.
    let late = reader.ask_in_background(1);
    reader.source.begun.acquire().await.unwrap().forget();
    reader.source.let_through.add_permits(2);

    early.await.unwrap().unwrap();
    late.await.unwrap().unwrap();
    assert_eq!(reader.calls(), [[1], [1]]);
}

#[tokio::test]
async fn one_call_answers_no_more_than_it_may() {
    let reader = reader(0, false, 1_000);
    let _occupying = reader.occupy().await;
    let most = u32::try_from(MOST).unwrap();
    let asked: Vec<_> = (0..=most).map(|key| reader.ask_in_background(key)).collect();
    settle().await;
    reader.source.let_through.add_permits(10);
    for one in asked {
        one.await.unwrap().unwrap();
    }
    let sizes: Vec<usize> = reader.calls().iter().map(Vec::len).skip(AT_ONCE).collect();
    assert_eq!(sizes, [MOST, 1]);
}

#[tokio::test]
async fn failure_reaches_everyone_who_waits_once() {
    let reader = reader(0, true, 1_000);
    let mut occupying = reader.occupy().await;
    occupying.extend([1, 2, 1].map(|key| reader.ask_in_background(key)));
    settle().await;
    reader.source.let_through.add_permits(10);
    for one in occupying {
        assert_eq!(one.await.unwrap().unwrap_err().code, Code::Unavailable);
    }
    assert_eq!(reader.calls()[AT_ONCE..], [vec![1, 2]]);
}

#[tokio::test]
async fn those_who_have_gone_are_not_asked_for_and_others_are_answered() {
    let reader = reader(0, false, 1_000);
    let mut occupying = reader.occupy().await;
    let (gone, stays) = (reader.ask_in_background(1), reader.ask_in_background(2));
    settle().await;
    gone.abort();
    occupying.remove(0).abort();
    settle().await;
    reader.source.let_through.add_permits(10);

    assert_eq!(stays.await.unwrap(), Ok("value 2".to_owned()));
    assert_eq!(reader.calls()[AT_ONCE..], [vec![2]]);
}

#[tokio::test]
async fn questions_that_wait_are_bounded() {
    let reader = reader(0, false, 1_000);
    let _occupying = reader.occupy().await;
    let question = |key| Question { key, answer: oneshot::channel().0 };
    let mut waiting = 0;
    while reader.batched.questions.try_send(question(1)).is_ok() {
        waiting += 1;
    }
    assert_eq!(waiting, QUESTIONS_MAX);
    assert_eq!(reader.batched.ask(2).await.unwrap_err().code, Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn many_calls_in_a_short_time_become_few() {
    let reader = reader(usize::MAX >> 4, false, 8);
    let started = Instant::now();
    let mut answered = 0;
    while started.elapsed() < Duration::from_secs(10) {
        let asked: Vec<_> = (0..10).map(|key| reader.ask_in_background(key)).collect();
        tokio::time::sleep(Duration::from_millis(5)).await;
        answered += asked.len();
    }
    let calls = reader.calls().len();
    assert!(answered >= 10_000, "{answered}");
    // Eight a second, and a burst.
    assert!((80..=84).contains(&calls), "{calls}");
}

#[test]
fn pace_allows_a_burst_after_a_pause_and_then_goes_evenly() {
    let start = Instant::now();
    let mut pace = Pace::new(16, start);
    let begun: Vec<_> = (0..6).map(|_| pace.next(start) - start).collect();
    let step = Duration::from_millis(62) + Duration::from_micros(500);
    assert_eq!(
        begun,
        [Duration::ZERO, Duration::ZERO, Duration::ZERO, Duration::ZERO, step, step * 2]
    );
    // A pause fills it up again, and not more.
    let later = start + Duration::from_mins(1);
    let begun: Vec<_> = (0..5).map(|_| pace.next(later) - later).collect();
    assert_eq!(begun[3..], [Duration::ZERO, step]);
}
