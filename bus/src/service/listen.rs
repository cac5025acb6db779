//! Connections, bounded in number, in the time that a request may take to come, and in the size of its head.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// Connections at a time; more wait to be accepted. An open page holds one.
const CONNECTIONS: usize = 1_024;
/// Longest time for the head of a request, also on a connection that is kept.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// Largest head of a request, in bytes.
const MAX_HEAD: usize = 32 * 1_024;
/// When nothing can be accepted (no file descriptor is left), this long.
const BREATH: Duration = Duration::from_secs(1);

/// Serves until `stop`, then finishes what is under way.
pub async fn listen(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut open = JoinSet::new();
    let service = TowerToHyperService::new(router);
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(MAX_HEAD);
    loop {
        let accept = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = open.join_next() => {
                note(ended);
                continue;
            }
            accepted = accept => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = server.serve_connection(TokioIo::new(stream), service.clone());
                let connection = graceful.watch(connection);
                open.spawn(async move {
                    let _place = place;
                    if let Err(error) = connection.await {
                        // Whoever is at the other end went away, or never spoke HTTP.
                        tracing::debug!(
                            error = &error as &dyn std::error::Error,
                            "a connection ended early"
                        );
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "can't accept a connection");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
    drop(listener);
    graceful.shutdown().await;
    while let Some(ended) = open.join_next().await {
        note(ended);
    }
    Ok(())
}

/// One request that panics costs its own connection; that it did must not go unseen.
fn note(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "a connection's task failed"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    #[tokio::test]
    async fn what_is_under_way_is_finished_before_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        let router = Router::new().route(
            "/",
            axum::routing::get(async move || {
                stopping.cancel();
                tokio::task::yield_now().await;
                "finished"
            }),
        );
        let serving = tokio::spawn(listen(listener, router, stop));
        let mut client = TcpStream::connect(address).await.unwrap();
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("finished"), "{answer}");
        serving.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_head_without_end_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(listen(listener, Router::new(), stop.clone()));
        let mut client = TcpStream::connect(address).await.unwrap();
        let endless = format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(4 * MAX_HEAD));
        // The server may have closed the connection before all is sent.
        let _ = client.write_all(endless.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
            "{answer}"
        );
        stop.cancel();
        serving.await.unwrap().unwrap();
    }
}
