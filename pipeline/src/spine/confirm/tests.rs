use super::*;

const A: Destination = Destination(0);

fn part(seq: u64) -> Part {
    Part { seq: Seq(seq), awaited: RouteSet::EMPTY.with(A), items: 1 }
}

fn name(_: Destination) -> Arc<str> {
    Arc::from("a")
}

#[tokio::test]
async fn a_reader_that_is_faster_than_the_answer_to_the_append_is_not_missed() {
    let confirmations = Confirmations::default();
    let (first, second) = (confirmations.appending(), confirmations.appending());
    // Of the second, whose place is not known yet; of nobody.
    confirmations.completed(A, Seq(2), &Completion::delivered(1));
    confirmations.completed(A, Seq(3), &Completion::delivered(1));
    let mut one = first.done(&[part(1)], RouteSet::EMPTY, name);
    let mut two = second.done(&[part(2)], RouteSet::EMPTY, name);
    assert_eq!(two.confirmed().await.unwrap()[0].delivered, 1);
    confirmations.completed(A, Seq(1), &Completion::delivered(1));
    assert_eq!(one.confirmed().await.unwrap()[0].delivered, 1);
    assert!(confirmations.state().early.is_empty(), "nobody will ask for the rest");
    drop((one, two));
    assert!(confirmations.nobody_waits());
    let state = confirmations.state();
    assert!(state.waiting.is_empty() && state.requests.is_empty() && state.appending == 0);
}

#[test]
fn what_was_appended_long_ago_is_not_remembered() {
    let confirmations = Confirmations::default();
    drop(confirmations.appending().done(&[part(9)], RouteSet::EMPTY, name));
    let _appending = confirmations.appending();
    confirmations.completed(A, Seq(9), &Completion::delivered(1));
    assert!(confirmations.state().early.is_empty());
}

#[test]
fn without_anybody_who_waits_nothing_is_kept() {
    let confirmations = Confirmations::default();
    drop(confirmations.appending());
    confirmations.completed(A, Seq(1), &Completion::delivered(1));
    confirmations.explain(A, ALL, false, "no");
    confirmations.available(Destination(200), false);
    let all = RouteSet::EMPTY.with(A).with(Destination(200));
    assert_eq!(confirmations.closed(all), RouteSet::EMPTY.with(Destination(200)));
    assert!(confirmations.closed(RouteSet::EMPTY.with(A)).is_empty());
    confirmations.available(Destination(200), true);
    assert!(confirmations.closed(all).is_empty());
    assert!(confirmations.state().early.is_empty() && confirmations.nobody_waits());
}
