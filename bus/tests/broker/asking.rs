use std::time::{Duration, Instant};

use bus::message::secret::{Answer, Refusal, RefusalReason, Request};
use bus::{Bus, BusError};

use crate::setup::{Broker, here, soon};

fn question(text: &str) -> Request {
    Request {
        question: text.to_owned(),
        signature: "none".to_owned(),
    }
}

async fn ask(bus: &Bus, text: &str) -> Result<Answer, BusError> {
    let subject = bus::subject::resolve(&here());
    bus.ask(&subject, &question(text), Duration::from_secs(10))
        .await
}

/// Answers one request with what it got.
async fn answer_one(bus: Bus) {
    let subject = bus::subject::resolve(&here());
    let mut serve = bus.serve::<Request>(&subject).await.unwrap();
    let asked = serve.next().await.unwrap();
    let message = match &asked.value {
        Ok(request) => request.question.clone(),
        Err(error) => error.to_string(),
    };
    let refusal = Refusal {
        reason: RefusalReason::NotFound,
        message,
        references: Vec::new(),
    };
    asked.reply(&Answer::Refused(refusal)).await.unwrap();
}

fn message(answer: Answer) -> String {
    match answer {
        Answer::Refused(refusal) => refusal.message,
        Answer::Sealed(_) => "sealed".to_owned(),
        Answer::Stated(_) => "stated".to_owned(),
    }
}

/// Asks until somebody serves.
async fn ask_until_answered(bus: &Bus, text: &str) -> String {
    loop {
        match ask(bus, text).await {
            Ok(answer) => return message(answer),
            Err(BusError::Ask { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn one_of_several_replicas_answers_and_the_other_stays_free() {
    let broker = Broker::start().await;
    let (asker, one, two) = (broker.bus().await, broker.bus().await, broker.bus().await);
    let replicas = [tokio::spawn(answer_one(one)), tokio::spawn(answer_one(two))];
    for text in ["first", "second"] {
        let answer = soon("an answer", ask_until_answered(&asker, text)).await;
        assert_eq!(answer, text);
    }
    // Each answers once and ends: both did.
    for replica in replicas {
        soon("a replica's end", replica).await.unwrap();
    }
}

#[tokio::test]
async fn asking_when_nobody_serves_is_an_error_at_once() {
    let broker = Broker::start().await;
    let bus = broker.bus().await;
    let started = Instant::now();
    let error = ask(&bus, "anybody?").await.unwrap_err();
    assert!(matches!(error, BusError::Ask { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_request_that_cannot_be_read_is_told_to_who_serves() {
    let broker = Broker::start().await;
    let served = tokio::spawn(answer_one(broker.bus().await));
    let client = async_nats::connect(broker.args().url).await.unwrap();
    let subject = bus::subject::resolve(&here());
    let asking = async {
        loop {
            match client.request(subject.clone(), "nonsense".into()).await {
                Ok(reply) => break reply,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    let reply = soon("an answer", asking).await;
    let answer: Answer = serde_json::from_slice(&reply.payload).unwrap();
    assert!(message(answer).contains("not a valid secret.asked"));
    soon("the replica's end", served).await.unwrap();
}

#[tokio::test]
async fn serving_goes_on_after_a_crash_of_the_broker() {
    let mut broker = Broker::start().await;
    let asker = broker.bus().await;
    let served = tokio::spawn(answer_one(broker.bus().await));
    broker.restart().await;
    let answer = soon("an answer", ask_until_answered(&asker, "after")).await;
    assert_eq!(answer, "after");
    soon("the replica's end", served).await.unwrap();
}
