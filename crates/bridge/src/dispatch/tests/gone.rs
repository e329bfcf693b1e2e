use super::*;

/// Its reader left after the first event.
struct Gone(bool);

#[async_trait::async_trait]
impl Sink for Gone {
    async fn connect(&mut self) -> Result<(), NotReady> {
        if self.0 { Err(NotReady::Later("gone".to_owned())) } else { Ok(()) }
    }

    async fn publish(&mut self, _: &[Arc<Event>]) -> drivetap_sink::Outcome {
        let acked = usize::from(!std::mem::replace(&mut self.0, true));
        drivetap_sink::Outcome::stopped(acked, Stop::Hold { what: "gone".to_owned() })
    }

    fn is_gone(&self) -> bool {
        self.0
    }

    async fn close(self: Box<Self>, _: Duration) {}
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_gone_leaves_the_cursor_to_the_others_and_holds_it_alone() {
    for (others, through, ended) in [(true, 2, counts(1, 0, 5_999, 0)), (false, 0, counts(1, 0, 5_999, 0))] {
        let inlet = Arc::new(Inlet::new(SinkSettings::new("test", Role::Durable), true));
        let (progress, deadline) = (Progress::new(1), CancellationToken::new());
        let backoff = || Backoff::try_new(Duration::from_secs(1), Duration::from_secs(60)).unwrap();
        let office = DeadLetterOffice::new(inlet.settings(), None);
        let (sink, backoffs) = (Box::new(Gone(false)), (backoff(), backoff()));
        let dispatcher = Dispatcher::new(Arc::clone(&inlet), sink, office, Clock::System, backoffs, 1, deadline.clone());
        let task = tokio::spawn(dispatcher.leaving(others).run(Duration::from_secs(1)));
        for batch in [1, 2] {
            let events = changes(3_000);
            inlet.announce(&events);
            inlet.put(&events, Some(progress.ticket(0, BatchId(batch)))).await;
        }
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert_eq!(progress.through(), BatchId(through), "others: {others}");
        inlet.close();
        if !others {
            deadline.cancel();
        }
        task.await.unwrap();
        assert_eq!(inlet.final_counts(), ended, "others: {others}");
    }
}
