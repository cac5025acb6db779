//! The real nats-server, through crash, restart and loss of its store.

use std::io;

use deploy::{Nats, NatsConfig};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

/// One line of the server's after it was told `commands`, past its greeting.
async fn ask(nats: &Nats, commands: &str, prefix: &str) -> io::Result<String> {
    let address = nats.url().replace("nats://", "");
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    stream.write_all(commands.as_bytes()).await?;
    let mut line = String::new();
    loop {
        line.clear();
        assert_ne!(stream.read_line(&mut line).await?, 0, "no {prefix}");
        if line.starts_with(prefix) {
            return Ok(line);
        }
    }
}

/// What the JetStream API answers to an empty request, as JSON text.
async fn jetstream(nats: &Nats, subject: &str, payload: &str) -> io::Result<String> {
    let commands = format!(
        "CONNECT {{\"verbose\":false}}\r\nSUB reply 1\r\nPUB {subject} reply {}\r\n{payload}\r\n",
        payload.len()
    );
    ask(nats, &commands, "{").await
}

#[tokio::test]
async fn a_server_keeps_its_port_and_its_store_until_it_is_wiped() {
    let folder = tempfile::tempdir().unwrap();
    let mut nats = Nats::start(&NatsConfig::default(), folder.path())
        .await
        .unwrap();
    let url = nats.url();
    let stream = r#"{"name":"KEPT","subjects":["kept.>"]}"#;
    let created = jetstream(&nats, "$JS.API.STREAM.CREATE.KEPT", stream)
        .await
        .unwrap();
    assert!(created.contains("KEPT"), "{created}");
    assert!(nats.wipe().is_err(), "a running server's store was wiped");

    nats.kill().await;
    nats.start_again().await.unwrap();
    assert_eq!(nats.url(), url);
    let names = jetstream(&nats, "$JS.API.STREAM.NAMES", "").await.unwrap();
    assert!(names.contains("KEPT"), "{names}");

    nats.kill().await;
    nats.wipe().unwrap();
    nats.start_again().await.unwrap();
    let names = jetstream(&nats, "$JS.API.STREAM.NAMES", "").await.unwrap();
    assert!(!names.contains("KEPT"), "{names}");
}

#[tokio::test]
async fn an_included_authorization_is_obeyed() {
    let folder = tempfile::tempdir().unwrap();
    let config = NatsConfig::Generated {
        include: "authorization { token: \"let-me-in\" }".to_owned(),
    };
    let nats = Nats::start(&config, folder.path()).await.unwrap();
    let refused = ask(&nats, "CONNECT {}\r\nPING\r\n", "-ERR").await.unwrap();
    assert!(refused.contains("Authorization"), "{refused}");
    let welcome = "CONNECT {\"verbose\":false,\"auth_token\":\"let-me-in\"}\r\nPING\r\n";
    ask(&nats, welcome, "PONG").await.unwrap();
}

#[tokio::test]
async fn a_broken_configuration_is_an_error_with_the_servers_own_words() {
    let folder = tempfile::tempdir().unwrap();
    let config = NatsConfig::Generated {
        include: "max_payload: [".to_owned(),
    };
    let error = Nats::start(&config, folder.path()).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("Parse error"), "{text}");
    assert!(text.contains("nats-server.log"), "{text}");
}
