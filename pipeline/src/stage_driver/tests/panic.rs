//! A stage that panics starts over: what it cannot take is left out and counted, everything else goes on.

use super::*;

fn dropped(world: &World) -> Vec<(&'static str, u64)> {
    let snapshot = world.ledger.check();
    let stage = snapshot.get("stage/hold").unwrap();
    stage.dropped.iter().map(|(_, reason, items)| (*reason, items.iter().sum())).collect()
}

#[tokio::test]
async fn an_item_it_cannot_take_is_left_out_and_all_others_arrive_once() {
    for rule in [CursorRule::Emitted, CursorRule::Absorbed] {
        let world = World::new();
        let spine = spine(&world, rule);
        let running = start(&world, &spine);
        append(&world, &spine, &["a"]).await;
        settle().await;
        append(&world, &spine, &["b", "poison", "c"]).await;
        append(&world, &spine, &["d"]).await;
        settle().await;
        assert!(!running.driving.is_finished());
        pass(&world, 11).await;
        let mut all = out(&spine);
        all.sort();
        assert_eq!(all, ["a", "b", "c", "d"], "{rule:?}");
        assert_eq!((dropped(&world), spine.backlog(STAGE).records), (vec![("panic", 1)], 0));
        assert!(running.diary.lock().unwrap().iter().any(|line| line == "reset"));
        running.end(Ending::Shutdown).await;
        world.assert_balanced();
    }
}

#[tokio::test]
async fn windows_are_the_same_after_it_has_started_over() {
    let world = World::new();
    let spine = spine(&world, CursorRule::Emitted);
    let running = start(&world, &spine);
    append(&world, &spine, &["a"]).await;
    pass(&world, 6).await;
    append(&world, &spine, &["poison", "b"]).await;
    pass(&world, 3).await;
    assert_eq!(out(&spine), [""; 0]);
    pass(&world, 1).await;
    assert_eq!(out(&spine), ["a"]);
    pass(&world, 5).await;
    assert_eq!(out(&spine), [""; 0]);
    pass(&world, 1).await;
    assert_eq!(out(&spine), ["b"]);
    running.end(Ending::Shutdown).await;
    world.assert_balanced();
}

#[tokio::test]
async fn an_entry_of_which_no_item_alone_is_at_fault_is_left_out_as_a_whole() {
    for rule in [CursorRule::Emitted, CursorRule::Absorbed] {
        let world = World::new();
        let spine = spine(&world, rule);
        let running = start(&world, &spine);
        append(&world, &spine, &["x", "y"]).await;
        append(&world, &spine, &["a"]).await;
        settle().await;
        pass(&world, 10).await;
        assert_eq!((out(&spine), dropped(&world)), (vec!["a".to_owned()], vec![("panic", 2)]));
        running.end(Ending::Shutdown).await;
        world.assert_balanced();
    }
}

#[tokio::test]
async fn where_no_entry_is_at_fault_it_tries_again_after_a_pause_and_the_log_keeps_everything() {
    let world = World::new();
    let spine = spine(&world, CursorRule::Emitted);
    let running = start(&world, &spine);
    append(&world, &spine, &["late poison"]).await;
    append(&world, &spine, &["a"]).await;
    settle().await;
    pass(&world, 12).await;
    assert_eq!((out(&spine), dropped(&world)), (vec!["late poison".to_owned(), "a".to_owned()], vec![]));
    assert_eq!(running.diary.lock().unwrap().iter().filter(|line| *line == "reset").count(), 4);
    running.end(Ending::Shutdown).await;
    world.assert_balanced();
}

#[tokio::test]
async fn in_memory_what_cannot_be_decided_is_lost_and_counted() {
    let world = World::new();
    let spine = spine(&world, CursorRule::Absorbed);
    let running = start(&world, &spine);
    append(&world, &spine, &["late poison"]).await;
    settle().await;
    pass(&world, 10).await;
    // It could be drained.
    assert_eq!((out(&spine), dropped(&world)), (vec!["late poison".to_owned()], vec![]));
    append(&world, &spine, &["a"]).await;
    settle().await;
    pass(&world, 10).await;
    assert_eq!(out(&spine), ["a"]);
    running.end(Ending::Shutdown).await;
    world.assert_balanced();
}
