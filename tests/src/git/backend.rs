//! `git http-backend` as a CGI program: the request's body streams in, the answer's streams out.

use std::path::Path;
use std::process::Stdio;

use anyhow::Context;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use axum::response::Response;
use futures::TryStreamExt;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio_util::io::{ReaderStream, StreamReader};

/// Longest header that is read from the program.
const MAX_HEADERS: usize = 64;

/// Answers `request` for `path` (below the folder `root`), in the name of `user` if somebody is known.
pub(super) async fn answer(
    root: &Path,
    path: &str,
    user: Option<&str>,
    request: Request<Body>,
) -> anyhow::Result<Response> {
    let mut command = Command::new("git");
    command
        .arg("http-backend")
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        // The repositories may belong to another user than the one who runs the tests.
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env("REQUEST_METHOD", request.method().as_str())
        .env("PATH_INFO", path)
        .env("QUERY_STRING", request.uri().query().unwrap_or_default())
        .env("REMOTE_ADDR", "127.0.0.1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    if let Some(user) = user {
        command.env("REMOTE_USER", user);
    }
    for (name, variable) in [
        (header::CONTENT_TYPE.as_str(), "CONTENT_TYPE"),
        (header::CONTENT_LENGTH.as_str(), "CONTENT_LENGTH"),
        (header::CONTENT_ENCODING.as_str(), "HTTP_CONTENT_ENCODING"),
        ("git-protocol", "GIT_PROTOCOL"),
    ] {
        if let Some(value) = request.headers().get(name).and_then(|v| v.to_str().ok()) {
            command.env(variable, value);
        }
    }
    let mut child = command.spawn().context("starting git http-backend")?;
    let stdin = child.stdin.take().context("its stdin")?;
    let mut stdout = BufReader::new(child.stdout.take().context("its stdout")?);
    let feeding = tokio::spawn(feed(request.into_body(), stdin));
    let (status, headers) = head(&mut stdout).await?;
    let chunks = ReaderStream::new(stdout);
    // The program lives as long as its answer is read.
    let chunks = chunks.inspect_ok(move |_| {
        let _keep = (&child, &feeding);
    });
    let mut response = Response::new(Body::from_stream(chunks));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

async fn feed(body: Body, mut stdin: ChildStdin) -> std::io::Result<()> {
    let chunks = body.into_data_stream().map_err(std::io::Error::other);
    tokio::io::copy(&mut StreamReader::new(chunks), &mut stdin).await?;
    stdin.shutdown().await
}

/// The CGI header: `Status: 404 Not Found` and others, up to an empty line.
async fn head(stdout: &mut BufReader<ChildStdout>) -> anyhow::Result<(StatusCode, HeaderMap)> {
    let mut status = StatusCode::OK;
    let mut headers = HeaderMap::new();
    for _ in 0..MAX_HEADERS {
        let mut line = String::new();
        if stdout.read_line(&mut line).await? == 0 {
            anyhow::bail!("git http-backend ended within its header");
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Ok((status, headers));
        }
        let (name, value) = line.split_once(':').context("a header without a colon")?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("status") {
            status = value.split(' ').next().unwrap_or_default().parse()?;
        } else {
            let name: HeaderName = name.parse()?;
            headers.insert(name, HeaderValue::from_str(value)?);
        }
    }
    anyhow::bail!("git http-backend has no end of headers")
}
