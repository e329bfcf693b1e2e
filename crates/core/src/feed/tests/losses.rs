//! What a live sink lost is known until it is told, over restarts too.

use super::*;

fn loss(from: &str, first: u64, last: u64) -> Loss {
    Loss { sink: "live".to_owned(), from: from.parse().unwrap(), first, last }
}

fn told(rig: &mut Rig) -> Option<(String, Arc<Event>)> {
    rig.take(|a| if let Action::TellLoss { sink, event, .. } = a { Some((sink.clone(), Arc::clone(event))) } else { None })
}

const FIRST: &str = "2026-11-23T10:01:00Z";

#[test]
fn the_cursor_moves_past_what_a_live_sink_lost_only_together_with_the_loss() {
    let (mut rig, session) = Rig::running();
    rig.signal(session);
    rig.page(&["a", "b"], delta(1));
    let (batch, _) = rig.published().unwrap();
    // The durable sinks have it while the live one is still waited for.
    rig.handle(Input::Acked { through: batch });
    assert_eq!(rig.saved_place().cursor, Cursor::At(link(0)), "a crash now must not hide what the live sink is about to lose");
    rig.handle(Input::Queued { batch, lost: vec![loss(FIRST, 0, 1)] });
    assert_eq!(rig.saved_place().cursor, Cursor::At(link(1)));
    assert_eq!(rig.saved.as_ref().unwrap().losses.iter().collect::<Vec<_>>(), [&loss(FIRST, 0, 1)]);
}

#[test]
fn a_loss_that_was_not_told_is_told_after_a_restart_until_its_sink_has_heard_of_it() {
    let (mut rig, session) = Rig::running();
    rig.signal(session);
    rig.page(&["a", "b"], delta(1));
    let (batch, _) = rig.published().unwrap();
    rig.handle(Input::Queued { batch, lost: vec![loss(FIRST, 0, 1)] });
    rig.handle(Input::Acked { through: batch });
    let mut ids = Vec::new();
    for _ in 0..2 {
        rig = rig.restart(Duration::from_secs(60));
        let (sink, event) = told(&mut rig).expect("the loss is told again");
        assert_eq!(sink, "live");
        let data = data(&event);
        assert_eq!(
            (&data["reason"], &data["affects"], &data["from"]),
            (&json!("sink_overflow"), &json!("changes"), &json!(FIRST))
        );
        assert_eq!(data["from_sequence"], "00000000000000000000");
        assert_eq!(data["to_sequence"], "00000000000000000001");
        assert!(told(&mut rig).is_none(), "once");
        ids.push(event.id().to_owned());
    }
    assert_eq!(ids[0], ids[1], "a consumer drops the repeat");
    rig.handle(Input::LossTold { sink: "live".to_owned(), from: FIRST.parse().unwrap() });
    assert!(rig.saved.as_ref().unwrap().losses.is_empty());
    assert!(told(&mut rig.restart(Duration::from_secs(60))).is_none());
}

#[test]
fn a_loss_that_grows_is_one_and_a_later_one_is_another() {
    let (mut rig, session) = Rig::running();
    rig.signal(session);
    let later = "2026-11-23T10:02:00Z";
    let steps = [loss(FIRST, 0, 0), loss(FIRST, 0, 1), loss(later, 2, 2)];
    for (n, lost) in (1..).zip(steps) {
        rig.page(&["a"], next(n));
        let (batch, _) = rig.published().unwrap();
        rig.handle(Input::Queued { batch, lost: vec![lost] });
        rig.handle(Input::Acked { through: batch });
    }
    let saved = |rig: &Rig| rig.saved.as_ref().unwrap().losses.iter().cloned().collect::<Vec<_>>();
    assert_eq!(saved(&rig), [loss(FIRST, 0, 1), loss(later, 2, 2)]);
    // Another sink, or another loss of this one, is not it.
    for (sink, from) in [("other", FIRST), ("live", "2026-11-23T10:03:00Z")] {
        rig.handle(Input::LossTold { sink: sink.to_owned(), from: from.parse().unwrap() });
    }
    rig.handle(Input::LossTold { sink: "live".to_owned(), from: FIRST.parse().unwrap() });
    assert_eq!(saved(&rig), [loss(later, 2, 2)]);
}

#[test]
fn a_record_does_not_grow_with_every_loss_and_forgets_no_number() {
    let mut losses = Losses::default();
    for n in 0..100 {
        losses.note(loss(&format!("2026-11-23T10:{:02}:{:02}Z", n / 60, n % 60), n * 10, n * 10 + 9));
    }
    let kept: Vec<_> = losses.iter().collect();
    assert!(kept.len() <= 4, "{kept:?}");
    assert_eq!((kept[0].first, kept.last().unwrap().last), (0, 999));
    assert!(kept.windows(2).all(|two| two[0].last + 1 == two[1].first), "{kept:?}");
}
