//! One good webhook of each sender, with the fields that its documentation names.

use axum::http::HeaderMap;
use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use watcher::webhook::Provider;

pub(crate) const SECRET: &str = "between-us";

/// A request as a sender makes it.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) provider: Provider,
    pub(crate) headers: HeaderMap,
    pub(crate) query: Option<String>,
    pub(crate) body: Value,
    /// Which header carries the proof, and what goes before its hexadecimal digits; none if it isn't a signature.
    signed: Option<(&'static str, &'static str)>,
    /// A URL of the repository that it is about, in a form that the sender doesn't use.
    pub(crate) about: &'static str,
    pub(crate) concerns: &'static str,
}

impl Sent {
    fn new(provider: Provider, headers: &[(&'static str, &str)], body: Value) -> Self {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        Self {
            provider,
            headers,
            query: None,
            body,
            signed: None,
            about: "",
            concerns: "main",
        }
    }

    fn signed(mut self, header: &'static str, prefix: &'static str) -> Self {
        self.signed = Some((header, prefix));
        self
    }

    fn about(mut self, url: &'static str) -> Self {
        self.about = url;
        self
    }

    fn artifact(mut self) -> Self {
        self.concerns = "1.x";
        self
    }

    pub(crate) fn with(mut self, body: Value) -> Self {
        self.body = body;
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(&self.body).unwrap()
    }

    /// The headers, with the signature of these bytes.
    pub(crate) fn proven(&self, body: &[u8], secret: &str) -> HeaderMap {
        let mut headers = self.headers.clone();
        if let Some((name, prefix)) = self.signed {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
            mac.update(body);
            let value = format!("{prefix}{}", hex::encode(mac.finalize().into_bytes()));
            headers.insert(name, value.parse().unwrap());
        }
        headers
    }

    /// Headers and query of the same from somebody who doesn't know the secret, or knows another.
    pub(crate) fn stranger(&self, secret: Option<&str>) -> (HeaderMap, Option<String>) {
        let bytes = self.bytes();
        let mut headers = secret.map_or_else(
            || self.headers.clone(),
            |secret| self.proven(&bytes, secret),
        );
        let basic = |secret: &str| {
            let encoded =
                base64::engine::general_purpose::STANDARD.encode(format!("azure:{secret}"));
            format!("Basic {encoded}")
        };
        for name in ["x-gitlab-token", "authorization"] {
            if headers.remove(name).is_some()
                && let Some(secret) = secret
            {
                let value = match self.provider {
                    Provider::AzureDevOps => basic(secret),
                    _ => secret.to_owned(),
                };
                headers.insert(name, value.parse().unwrap());
            }
        }
        if let Some(secret) = secret
            && headers.contains_key("x-hook-uuid")
        {
            headers.insert("x-hook-uuid", secret.parse().unwrap());
        }
        let query = self.query.as_ref().and(secret);
        (headers, query.map(|secret| format!("token={secret}")))
    }
}

fn github_push() -> Value {
    json!({
        "ref": "refs/heads/main",
        "before": "6113728f27ae82c7b1a177c8d03f9e96e0adf246",
        "after": "0000000000000000000000000000000000000001",
        "created": false, "deleted": false, "forced": false,
        "repository": {
            "id": 1, "name": "web", "full_name": "Acme/web", "private": true,
            "html_url": "https://github.com/Acme/web",
            "clone_url": "https://github.com/Acme/web.git",
            "ssh_url": "git@github.com:Acme/web.git",
            "git_url": "git://github.com/Acme/web.git",
            "url": "https://api.github.com/repos/Acme/web",
            "default_branch": "main", "pushed_at": 1_700_000_000,
        },
        "pusher": {"name": "ada", "email": "ada@example.org"},
        "commits": [{"id": "1", "added": [], "removed": [], "modified": ["a.yaml"]}],
        "head_commit": null,
    })
}

fn gogs_push(host: &str) -> Value {
    json!({
        "ref": "refs/heads/main", "before": "0", "after": "1", "compare_url": "", "commits": [],
        "repository": {
            "id": 1, "name": "web", "full_name": "acme/web",
            "html_url": format!("https://{host}/acme/web"),
            "ssh_url": format!("ssh://git@{host}:2222/acme/web.git"),
            "clone_url": format!("https://{host}/acme/web.git"),
            "default_branch": "main",
        },
        "pusher": {"login": "ada"}, "sender": {"login": "ada"},
    })
}

fn gitlab_push(kind: &str, reference: &str) -> Value {
    json!({
        "object_kind": kind, "event_name": kind, "ref": reference,
        "before": "95790bf891e76fee5e1747ab589903a6a1f80f22",
        "after": "da1560886d4f094c3e6c9ef40349f7d38b5d27d7",
        "project_id": 15,
        "project": {
            "id": 15, "name": "web", "web_url": "https://gitlab.example.org/acme/team/web",
            "git_ssh_url": "git@gitlab.example.org:acme/team/web.git",
            "git_http_url": "https://gitlab.example.org/acme/team/web.git",
            "namespace": "team", "path_with_namespace": "acme/team/web", "default_branch": "main",
            "url": "git@gitlab.example.org:acme/team/web.git",
        },
        "repository": {
            "name": "web", "url": "git@gitlab.example.org:acme/team/web.git",
            "homepage": "https://gitlab.example.org/acme/team/web",
            "git_http_url": "https://gitlab.example.org/acme/team/web.git",
            "git_ssh_url": "git@gitlab.example.org:acme/team/web.git", "visibility_level": 0,
        },
        "commits": [], "total_commits_count": 0,
    })
}

fn package(action: &str) -> Value {
    json!({
        "id": 1, "name": "charts/web", "namespace": "acme", "ecosystem": "CONTAINER",
        "package_type": "CONTAINER", "html_url": "https://github.com/orgs/acme/packages",
        "owner": {"login": "Acme", "id": 1},
        "package_version": {
            "id": 1, "version": "sha256:0a", "name": "sha256:0a",
            "package_url": format!("ghcr.io/acme/charts/web:{action}"),
            "container_metadata": {"tag": {"name": "1.4.2", "digest": "sha256:0a"}, "labels": {}},
        },
    })
}

fn bitbucket_push() -> Value {
    json!({
        "actor": {"nickname": "ada"},
        "repository": {
            "type": "repository", "name": "web", "full_name": "acme/web", "uuid": "{1}",
            "links": {
                "self": {"href": "https://api.bitbucket.org/2.0/repositories/acme/web"},
                "html": {"href": "https://bitbucket.org/acme/web"},
            },
            "project": {"key": "WEB"}, "scm": "git", "is_private": true,
        },
        "push": {"changes": [
            {"new": null, "old": {"type": "branch", "name": "gone", "target": {"hash": "1"}}, "closed": true},
            {
                "new": {"type": "branch", "name": "main", "target": {"hash": "2"}},
                "old": {"type": "branch", "name": "main", "target": {"hash": "1"}},
                "created": false, "forced": false, "truncated": false, "commits": [],
            },
        ]},
    })
}

fn bitbucket_server_push() -> Value {
    json!({
        "eventKey": "repo:refs_changed", "date": "2026-01-13T22:26:25+1100",
        "actor": {"name": "ada", "id": 1},
        "repository": {
            "slug": "web", "id": 84, "name": "web", "scmId": "git", "state": "AVAILABLE",
            "project": {"key": "ACME", "id": 84, "name": "Acme", "type": "NORMAL"},
            "links": {"clone": [
                {"href": "ssh://git@git.example.org:7999/acme/web.git", "name": "ssh"},
                {"href": "https://git.example.org/scm/acme/web.git", "name": "http"},
            ]},
        },
        "changes": [{
            "ref": {"id": "refs/heads/main", "displayId": "main", "type": "BRANCH"},
            "refId": "refs/heads/main", "fromHash": "1", "toHash": "2", "type": "UPDATE",
        }],
    })
}

fn azure_push() -> Value {
    json!({
        "subscriptionId": "1", "notificationId": 2, "id": "3", "eventType": "git.push",
        "publisherId": "tfs", "resourceVersion": "1.0",
        "resource": {
            "commits": [],
            "refUpdates": [{"name": "refs/heads/main", "oldObjectId": "1", "newObjectId": "2"}],
            "repository": {
                "id": "4", "name": "web", "url": "https://dev.azure.com/acme/_apis/git/repositories/4",
                "project": {"id": "5", "name": "shop"},
                "defaultBranch": "refs/heads/main",
                "remoteUrl": "https://dev.azure.com/acme/shop/_git/web",
            },
            "pushedBy": {"displayName": "Ada"}, "pushId": 14,
        },
    })
}

fn harbor_data() -> Value {
    json!({
        "resources": [
            {"digest": "sha256:0b", "tag": "", "resource_url": "harbor.example.org/acme/web@sha256:0b"},
            {"digest": "sha256:0a", "tag": "1.4.2", "resource_url": "harbor.example.org/acme/web:1.4.2"},
        ],
        "repository": {
            "date_created": 1, "name": "web", "namespace": "acme",
            "repo_full_name": "acme/web", "repo_type": "private",
        },
    })
}

fn docker_hub() -> Value {
    json!({
        "callback_url": "https://registry.hub.docker.com/u/acme/web/hook/2141/",
        "push_data": {"pushed_at": 1_417_566_161, "pusher": "ada", "tag": "1.4.2"},
        "repository": {
            "comment_count": 0, "is_official": false, "is_private": true, "name": "web",
            "namespace": "acme", "owner": "acme", "repo_name": "acme/web",
            "repo_url": "https://registry.hub.docker.com/v2/repositories/acme/web", "star_count": 0,
            "status": "Active",
        },
    })
}

/// Every kind of webhook that causes a look at something.
#[expect(clippy::too_many_lines, reason = "a table")]
pub(crate) fn all() -> Vec<Sent> {
    use Provider as P;
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("azure:{SECRET}"));
    let basic = format!("Basic {basic}");
    let gitlab = |event, body| {
        Sent::new(
            P::GitLab,
            &[("x-gitlab-event", event), ("x-gitlab-token", SECRET)],
            body,
        )
        .about("ssh://git@gitlab.example.org:2222/Acme/team/web")
    };
    let harbor = |body| {
        Sent::new(P::Harbor, &[("authorization", SECRET)], body)
            .about("oci://harbor.example.org/acme/web")
            .artifact()
    };
    let ghcr = |event, field: &str| {
        let mut body = json!({"action": "published", "sender": {"login": "ada"}});
        body[field] = package(event);
        Sent::new(P::Ghcr, &[("x-github-event", event)], body)
            .signed("x-hub-signature-256", "sha256=")
            .about("oci://GHCR.io/acme/charts/web")
            .artifact()
    };
    let mut update = gitlab_push("repository_update", "");
    update["ref"] = Value::Null;
    update["refs"] = json!(["refs/heads/other", "refs/heads/main"]);
    let mut tag = gitlab("Tag Push Hook", gitlab_push("tag_push", "refs/tags/v1.4.2"));
    tag.concerns = "^1.0.0";
    let mut docker = Sent::new(P::DockerHub, &[], docker_hub())
        .about("registry-1.docker.io/acme/web")
        .artifact();
    docker.query = Some(format!("token={SECRET}"));
    vec![
        Sent::new(P::GitHub, &[("x-github-event", "push")], github_push())
            .signed("x-hub-signature-256", "sha256=")
            .about("ssh://git@ssh.github.com:443/acme/web.git"),
        ghcr("package", "package"),
        ghcr("registry_package", "registry_package"),
        gitlab("Push Hook", gitlab_push("push", "refs/heads/main")),
        tag,
        gitlab("System Hook", gitlab_push("push", "refs/heads/main")),
        gitlab("System Hook", update),
        Sent::new(
            P::Bitbucket,
            &[("x-hook-uuid", SECRET), ("x-event-key", "repo:push")],
            bitbucket_push(),
        )
        .about("git@bitbucket.org:Acme/web.git"),
        Sent::new(
            P::BitbucketServer,
            &[("x-event-key", "repo:refs_changed"), ("x-request-id", "1")],
            bitbucket_server_push(),
        )
        .signed("x-hub-signature", "sha256=")
        .about("https://git.example.org/scm/ACME/web"),
        Sent::new(
            P::Gitea,
            &[
                ("x-gitea-event", "push"),
                ("x-gogs-event", "push"),
                ("x-github-event", "push"),
                ("x-hub-signature-256", "sha256=00"),
            ],
            gogs_push("gitea.example.org"),
        )
        .signed("x-gitea-signature", "")
        .about("git@gitea.example.org:acme/web.git"),
        Sent::new(
            P::Forgejo,
            &[
                ("x-forgejo-event", "push"),
                ("x-gitea-event", "push"),
                ("x-gogs-event", "push"),
                ("x-github-event", "push"),
            ],
            gogs_push("codeberg.example.org"),
        )
        .signed("x-forgejo-signature", "")
        .about("https://codeberg.example.org/acme/web"),
        Sent::new(
            P::Gogs,
            &[("x-gogs-event", "push"), ("x-github-event", "push")],
            gogs_push("gogs"),
        )
        .signed("x-gogs-signature", "")
        .about("http://gogs:3000/acme/web.git"),
        Sent::new(
            P::AzureDevOps,
            &[("x-vss-activityid", "1"), ("authorization", &basic)],
            azure_push(),
        )
        .about("git@ssh.dev.azure.com:v3/acme/shop/web"),
        harbor(json!({
            "type": "PUSH_ARTIFACT", "occur_at": 1_680_501_893, "operator": "ada",
            "event_data": harbor_data(),
        })),
        harbor(json!({
            "specversion": "1.0", "id": "1", "source": "/projects/1/webhook/policies/1",
            "type": "harbor.artifact.pushed", "datacontenttype": "application/json",
            "data": harbor_data(),
        })),
        docker,
    ]
}
