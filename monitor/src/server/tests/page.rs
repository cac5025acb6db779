use axum::http::{Method, StatusCode};

use super::setup::{ask, get, served};

#[tokio::test]
async fn the_page_shows_every_application_and_what_is_wrong() {
    let served = served(None, "127.0.0.1:80");
    let page = get(&served.router, "/", "").await;
    assert_eq!(page.status, StatusCode::OK);
    for word in [
        "spectrograph",
        "valley",
        "Degraded",
        "ComparisonError",
        "pinned to 2",
        "OutOfSync",
    ] {
        assert!(page.text.contains(word), "{word}");
    }
    let filtered = get(&served.router, "/?health=Degraded", "").await;
    assert!(filtered.text.contains("guider-summit") && !filtered.text.contains("dome-valley"));
    let odd = get(
        &served.router,
        "/?health=%3Cscript%3E&name=%22%3E%3Cscript%3E",
        "",
    )
    .await;
    assert!(!odd.text.contains("\"><script>"));
}

#[tokio::test]
async fn what_others_wrote_is_text_on_the_page() {
    let served = served(None, "127.0.0.1:80");
    let page = get(&served.router, "/applications/argocd/guider-summit", "").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(!page.text.contains("<script>alert(1)"));
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_eq!(page.headers["x-content-type-options"], "nosniff");
    assert_eq!(
        get(&served.router, "/applications/argocd/none", "")
            .await
            .status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_page_for_this_machine_is_not_shown_under_another_name() {
    let served = served(None, "127.0.0.1:80");
    let rebound = ask(
        &served.router,
        Method::GET,
        "/",
        &[("host", "evil.example.org")],
        "",
    )
    .await;
    assert_eq!(rebound.status, StatusCode::FORBIDDEN);
    let live = ask(
        &served.router,
        Method::GET,
        "/live",
        &[("host", "evil.example.org")],
        "",
    )
    .await;
    assert_eq!(live.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_page_beyond_this_machine_wants_a_login() {
    let served = served(None, "0.0.0.0:80");
    for path in ["/", "/live", "/applications/argocd/dome-summit"] {
        let stranger = ask(
            &served.router,
            Method::GET,
            path,
            &[("cookie", "towline_token=stolen")],
            "",
        )
        .await;
        assert_eq!(stranger.headers["location"], "/login", "{path}");
    }
    let form = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("host", "t.example.org"),
        ("origin", "https://t.example.org"),
    ];
    let login = ask(
        &served.router,
        Method::POST,
        "/login",
        &form,
        "token=guest-token",
    )
    .await;
    let cookie = login.headers["set-cookie"].to_str().unwrap();
    assert!(
        cookie.contains("HttpOnly; SameSite=Strict") && cookie.ends_with("Secure"),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().unwrap();
    let page = ask(&served.router, Method::GET, "/", &[("cookie", cookie)], "").await;
    assert_eq!(page.status, StatusCode::OK);
    let wrong = ask(&served.router, Method::POST, "/login", &form, "token=wrong").await;
    assert!(wrong.headers.get("set-cookie").is_none());
    let foreign = [form[0], form[1], ("origin", "https://evil.example.org")];
    let forged = ask(
        &served.router,
        Method::POST,
        "/login",
        &foreign,
        "token=guest-token",
    )
    .await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    assert!(forged.headers.get("set-cookie").is_none());
}
