//! Looking for a secret value in every place that Towline writes to or answers from.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use futures::TryStreamExt;
use tests::{Installation, LocalStack, Scene};

use crate::canaries::Search;

/// Every place that holds a piece of a value, but for the objects that should: Secrets whose names begin with `credentials`.
pub(crate) async fn sweep(
    towline: &Installation,
    scene: &Scene<'_>,
    search: &Search,
) -> anyhow::Result<BTreeSet<String>> {
    let mut sweep = Sweep {
        towline,
        scene,
        search,
        found: BTreeSet::new(),
    };
    sweep.files();
    sweep.streams().await?;
    sweep.services().await?;
    sweep.answers().await?;
    sweep.objects().await?;
    Ok(sweep.found)
}

struct Sweep<'a> {
    towline: &'a Installation,
    scene: &'a Scene<'a>,
    search: &'a Search,
    found: BTreeSet<String>,
}

impl Sweep<'_> {
    fn look(&mut self, place: impl Into<String>, bytes: &[u8]) {
        if let Some(at) = self.search.find(bytes) {
            self.found.insert(format!("{} at byte {at}", place.into()));
        }
    }

    /// Logs, keys, state, NATS' store with all streams and object stores, temporary folders of the services.
    fn files(&mut self) {
        let own = files(self.towline.folder()).into_iter();
        let others = temporary_files(self.towline.stack()).into_iter();
        for file in own.chain(others).chain(logs(self.towline.stack())) {
            let bytes = std::fs::read(&file).unwrap_or_default();
            self.look(file.display().to_string(), &bytes);
        }
    }

    /// Streams, buckets and object stores again, as a reader sees them.
    async fn streams(&mut self) -> anyhow::Result<()> {
        let jetstream = async_nats::jetstream::new(self.towline.inspector().await?);
        let streams: Vec<String> = jetstream.stream_names().try_collect().await?;
        anyhow::ensure!(streams.len() > 10, "only {streams:?}");
        for name in streams {
            let stream = jetstream.get_stream(&name).await?;
            let state = &stream.cached_info().state;
            for sequence in state.first_sequence..=state.last_sequence {
                if let Ok(message) = stream.get_raw_message(sequence).await {
                    let place = format!("{name} {}", message.subject);
                    self.look(place.clone(), &message.payload);
                    let headers = format!("{:?}", message.headers);
                    self.look(place, headers.as_bytes());
                }
            }
        }
        Ok(())
    }

    /// Metrics, command lines, environments.
    async fn services(&mut self) -> anyhow::Result<()> {
        for service in self.towline.state()?.services {
            let metrics = self.towline.metrics(&service.name).await?;
            self.look(format!("metrics of {}", service.name), metrics.as_bytes());
            for file in ["cmdline", "environ"] {
                let path = PathBuf::from(format!("/proc/{}/{file}", service.pid));
                let bytes = std::fs::read(&path).unwrap_or_default();
                self.look(path.display().to_string(), &bytes);
            }
        }
        Ok(())
    }

    /// The monitor's pages, and its API through the command.
    async fn answers(&mut self) -> anyhow::Result<()> {
        let app = format!("{}-web", self.scene.name);
        let own = format!("/applications/{}/{app}", self.towline.namespace());
        for path in ["/", &own] {
            let page = self.towline.page(path).await?;
            anyhow::ensure!(page.contains(&app), "the page {path} does not show {app}");
            self.look(format!("page {path}"), page.as_bytes());
        }
        for arguments in [
            vec!["get"],
            vec!["get", &app],
            vec!["get", &app, "-o", "json"],
            vec!["history", &app, "-o", "json"],
            vec!["events", &app, "-o", "json"],
            vec!["diff", &app],
            vec!["diff", &app, "-o", "json"],
            vec!["secrets", "check", &app],
            vec!["secrets", "check", &app, "-o", "json"],
            vec!["secrets", "audit", &app, "-o", "json"],
        ] {
            self.command(&arguments).await?;
        }
        Ok(())
    }

    /// What a command prints. It may fail: its words count.
    async fn command(&mut self, arguments: &[&str]) -> anyhow::Result<()> {
        let output = self.towline.towline(arguments).await?;
        anyhow::ensure!(
            !output.stdout.is_empty() || !output.stderr.is_empty() || output.status.success(),
            "towline {arguments:?} says nothing"
        );
        let place = format!("towline {}", arguments.join(" "));
        self.look(place.clone(), &output.stdout);
        self.look(place, &output.stderr);
        Ok(())
    }

    /// Everything in the cluster's namespaces, unpacked where it is packed.
    async fn objects(&mut self) -> anyhow::Result<()> {
        let (scene, store) = (self.scene, self.towline.store_namespace());
        for namespace in [
            scene.namespace(),
            self.towline.namespace(),
            &store,
            "default",
        ] {
            for kind in [
                "Application",
                "AppProject",
                "ConfigMap",
                "Event",
                "Secret",
                "Pod",
            ] {
                for object in scene.cluster.list(kind, namespace).await? {
                    let name = object["metadata"]["name"].as_str().unwrap_or_default();
                    if (kind, namespace) == ("Secret", scene.namespace())
                        && name.starts_with("credentials")
                    {
                        continue;
                    }
                    let place = format!("{kind} {namespace}/{name}");
                    self.look(place.clone(), object.to_string().as_bytes());
                    self.look(place, &decoded(&object));
                }
            }
        }
        Ok(())
    }
}

/// A Secret's or ConfigMap's binary values, decoded, and unpacked where they are compressed.
fn decoded(object: &serde_json::Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in ["data", "binaryData"] {
        for value in object[field].as_object().into_iter().flatten() {
            let plain = value
                .1
                .as_str()
                .and_then(|text| BASE64_STANDARD.decode(text).ok())
                .unwrap_or_default();
            let mut unpacked = Vec::new();
            let mut reader = flate2::read::MultiGzDecoder::new(plain.as_slice());
            // What isn't compressed stays as it is.
            if std::io::Read::read_to_end(&mut reader, &mut unpacked).is_ok() {
                bytes.extend(unpacked);
            }
            bytes.extend(plain);
        }
    }
    bytes
}

/// What cluster, Vault and others beside Towline logged.
fn logs(stack: &LocalStack) -> Vec<PathBuf> {
    let root = stack.kubeconfig().ancestors().nth(2).map(files);
    let mut logs = root.unwrap_or_default();
    logs.retain(|file| file.extension().is_some_and(|ending| ending == "log"));
    logs
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files
}

/// Small files below the usual temporary folders, of Towline's by their names.
fn temporary_files(stack: &LocalStack) -> Vec<PathBuf> {
    let own = stack
        .kubeconfig()
        .ancestors()
        .nth(2)
        .map(Path::to_owned)
        .unwrap_or_default();
    let folders = [std::env::temp_dir(), PathBuf::from("/dev/shm")];
    let mut found = Vec::new();
    for folder in folders {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.contains("towline") && path != own && path.is_dir() {
                found.extend(files(&path));
            }
        }
    }
    found.retain(|file| file.metadata().is_ok_and(|data| data.len() < 64 << 20));
    found
}
