use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::jetstream::stream::LastRawMessageErrorKind;
use bus::message::command::{Command, Verb};
use bus::subject::{self, Stream, WATCHER_COMMANDS};
use bus::{Bus, Delivery, MAX_ATTEMPTS, Outcome, Work};

use crate::setup::{Broker, app, here, provision, refresh, soon};

fn work(bus: &Bus) -> Work<Command> {
    bus.work(Stream::Commands, WATCHER_COMMANDS)
}

async fn take(work: &Work<Command>) -> Delivery<Command> {
    soon("work", work.next()).await
}

fn on() -> String {
    subject::command(&here(), &app("shop"), Verb::Refresh)
}

async fn command(bus: &Bus, id: &str) {
    bus.publish(Stream::Commands, &on(), &refresh(id), Some(id))
        .await
        .unwrap();
}

/// Waits until nothing of `stream` is left.
async fn emptied(broker: &Broker, stream: &str) {
    let jetstream = broker.jetstream().await;
    let look = async {
        let mut stream = jetstream.get_stream(stream).await.unwrap();
        while stream.info().await.unwrap().state.messages > 0 {
            tokio::task::yield_now().await;
        }
    };
    soon("the stream's end", look).await;
}

/// The dead letter of COMMANDS: its original subject, the reason, and its body.
async fn dead(broker: &Broker) -> (String, String, String) {
    let jetstream = broker.jetstream().await;
    let letters = subject::dead(Stream::Commands);
    let look = async {
        let stream = jetstream.get_stream("DEAD").await.unwrap();
        loop {
            match stream.get_last_raw_message_by_subject(&letters).await {
                Ok(letter) => break letter,
                Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                    tokio::task::yield_now().await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    };
    let letter = soon("a dead letter", look).await;
    let header = |name| letter.headers.get(name).unwrap().to_string();
    (
        header("towline-subject"),
        header("towline-reason"),
        String::from_utf8(letter.payload.to_vec()).unwrap(),
    )
}

#[tokio::test]
async fn what_is_done_is_gone_and_what_is_retried_comes_again_counted() {
    let (broker, bus) = Broker::provisioned().await;
    let work = work(&bus);
    command(&bus, "one").await;
    let first = take(&work).await;
    assert_eq!((first.value.id.as_str(), first.attempt), ("one", 1));
    assert_eq!(first.subject, on());
    first
        .finish(Outcome::Retry(Duration::from_millis(10)))
        .await;
    let second = take(&work).await;
    assert_eq!((second.value.id.as_str(), second.attempt), ("one", 2));
    second.finish(Outcome::Done).await;
    emptied(&broker, "COMMANDS").await;
}

#[tokio::test]
async fn a_delivery_dropped_without_an_answer_comes_again_at_once() {
    let (_broker, bus) = Broker::provisioned().await;
    let work = work(&bus);
    command(&bus, "one").await;
    drop(take(&work).await);
    // Long before the wait for an answer ends.
    let again = tokio::time::timeout(Duration::from_secs(5), work.next()).await;
    assert_eq!(again.unwrap().attempt, 2);
}

#[tokio::test]
async fn what_is_rejected_becomes_a_dead_letter_with_subject_and_reason() {
    let (broker, bus) = Broker::provisioned().await;
    command(&bus, "one").await;
    let delivery = take(&work(&bus)).await;
    delivery
        .finish(Outcome::Reject("no such\r\nfolder".to_owned()))
        .await;
    let (subject, reason, body) = dead(&broker).await;
    assert_eq!((subject, reason.as_str()), (on(), "no such  folder"));
    assert!(body.contains("\"one\""), "{body}");
    emptied(&broker, "COMMANDS").await;
}

#[tokio::test]
async fn an_unreadable_body_becomes_a_dead_letter_and_the_next_message_is_taken() {
    let (broker, bus) = Broker::provisioned().await;
    let jetstream = broker.jetstream().await;
    let nonsense = jetstream.publish(on(), "nonsense".into());
    nonsense.await.unwrap().await.unwrap();
    command(&bus, "one").await;
    assert_eq!(take(&work(&bus)).await.value.id, "one");
    let (subject, reason, body) = dead(&broker).await;
    assert_eq!((subject, body.as_str()), (on(), "nonsense"));
    assert!(reason.contains("not a valid command.issued"), "{reason}");
}

#[tokio::test]
async fn the_last_retry_becomes_a_dead_letter() {
    let (broker, bus) = Broker::provisioned().await;
    let work = work(&bus);
    command(&bus, "one").await;
    for attempt in 1..=MAX_ATTEMPTS {
        let delivery = take(&work).await;
        assert_eq!(delivery.attempt, attempt);
        delivery.finish(Outcome::Retry(Duration::ZERO)).await;
    }
    assert_eq!(dead(&broker).await.1, "8 attempts failed");
    emptied(&broker, "COMMANDS").await;
}

#[tokio::test]
async fn a_message_that_its_workers_die_of_becomes_a_dead_letter_and_the_next_is_taken() {
    let (broker, bus) = Broker::provisioned().await;
    let work = work(&bus);
    command(&bus, "deadly").await;
    for _ in 0..MAX_ATTEMPTS {
        drop(take(&work).await);
    }
    command(&bus, "harmless").await;
    let harmless = take(&work).await;
    assert_eq!(harmless.value.id, "harmless");
    // The last one handed back may reach the broker behind the harmless one: somebody has to go on taking.
    let letter = tokio::select! {
        letter = dead(&broker) => letter,
        taken = work.next() => panic!("{} was taken once more", taken.value.id),
    };
    assert_eq!(letter.1, "no answer to 8 deliveries");
}

#[tokio::test]
async fn two_replicas_share_the_work_and_each_message_is_taken_once() {
    let (broker, bus) = Broker::provisioned().await;
    let other = broker.bus().await;
    let (one, two) = (work(&bus), work(&other));
    let mut ids = BTreeSet::new();
    for round in 0..10 {
        command(&bus, &format!("{round}-a")).await;
        command(&bus, &format!("{round}-b")).await;
        // Each holds one while the other gets the other.
        let (first, second) = tokio::join!(take(&one), take(&two));
        for delivery in [first, second] {
            assert_eq!(delivery.attempt, 1);
            assert!(ids.insert(delivery.value.id.clone()));
            delivery.finish(Outcome::Done).await;
        }
    }
    assert_eq!(ids.len(), 20);
    emptied(&broker, "COMMANDS").await;
}

#[tokio::test]
async fn work_that_takes_longer_than_the_brokers_patience_is_not_given_to_another() {
    let (broker, bus) = Broker::provisioned().await;
    let jetstream = broker.jetstream().await;
    let stream = jetstream.get_stream("COMMANDS").await.unwrap();
    let consumer = stream.consumer_info(WATCHER_COMMANDS).await.unwrap();
    stream.delete_consumer(WATCHER_COMMANDS).await.unwrap();
    let patience = Duration::from_millis(600);
    let impatient = async_nats::jetstream::consumer::pull::Config {
        durable_name: Some(WATCHER_COMMANDS.to_owned()),
        filter_subject: consumer.config.filter_subject,
        ack_wait: patience,
        ..Default::default()
    };
    stream.create_consumer(impatient).await.unwrap();
    command(&bus, "long").await;
    let held = take(&work(&bus)).await;
    let other = work(&broker.bus().await);
    let early = tokio::time::timeout(patience * 3, other.next()).await;
    assert!(early.is_err(), "it was given to another");
    held.finish(Outcome::Done).await;
    emptied(&broker, "COMMANDS").await;
}

#[tokio::test]
async fn work_goes_on_after_a_crash_and_after_the_loss_of_the_broker() {
    let (mut broker, bus) = Broker::provisioned().await;
    let work = work(&bus);
    let taker = tokio::spawn({
        let work = work.clone();
        async move { take(&work).await.value.id }
    });
    broker.restart().await;
    command(&bus, "after the crash").await;
    assert_eq!(taker.await.unwrap(), "after the crash");

    broker.wipe().await;
    provision(&bus).await;
    command(&bus, "after the loss").await;
    assert_eq!(take(&work).await.value.id, "after the loss");
}

#[tokio::test]
async fn a_caller_that_drops_next_again_and_again_gets_every_message_at_its_first_attempt() {
    let (_broker, bus) = Broker::provisioned().await;
    for number in 0..50 {
        command(&bus, &format!("{number}")).await;
    }
    let work = work(&bus);
    let working = async {
        let mut done = 0;
        while done < 50 {
            tokio::select! {
                biased;
                delivery = work.next() => {
                    assert_eq!((delivery.value.id.clone(), delivery.attempt), (done.to_string(), 1));
                    delivery.finish(Outcome::Done).await;
                    done += 1;
                }
                () = tokio::task::yield_now() => {}
            }
        }
    };
    soon("working", working).await;
}
