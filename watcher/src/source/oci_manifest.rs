//! What a registry's manifest says: which image of a list, and which of its layers holds the files, by Argo CD's rules. Pure.

use serde::Deserialize;

use super::Content;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const HELM_CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
const HELM_CHART: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
/// As Helm 3.0 to 3.6 pushed them.
const HELM_CHART_OLD: &str = "application/tar+gzip";
/// As Argo CD's `--oci-layer-media-types`, unless it is given.
const LAYERS: [&str; 3] = [
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    HELM_CHART,
];
/// As Argo CD.
const MAX_LAYERS: usize = 10;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default)]
    pub(super) media_type: String,
    #[serde(default)]
    pub(super) digest: String,
    #[serde(default)]
    pub(super) size: u64,
}

impl Manifest {
    pub(super) fn is_chart(&self) -> bool {
        let config = self.config.as_ref();
        config.is_some_and(|config| config.media_type == HELM_CONFIG)
    }

    /// The digest of a list's one image; none if this is no list.
    pub(super) fn only(&self) -> Result<Option<String>, String> {
        if !self.layers.is_empty() || self.manifests.is_empty() {
            return Ok(None);
        }
        let images = self.manifests.iter();
        let mut images = images.filter(|one| one.media_type == MANIFEST);
        let (Some(only), None) = (images.next(), images.next()) else {
            return Err("it is a list of several images, of which none is meant".to_owned());
        };
        if is_digest(&only.digest) {
            Ok(Some(only.digest.clone()))
        } else {
            Err("it lists an image without its digest".to_owned())
        }
    }

    /// The one layer that holds the files.
    pub(super) fn files(&self, content: Content) -> Result<&Descriptor, String> {
        let chart = self.is_chart();
        if self.layers.len() > MAX_LAYERS {
            return Err(format!("it has more than {MAX_LAYERS} layers"));
        }
        if content == Content::Chart && !chart {
            return Err(format!(
                "it is no Helm chart: its configuration isn't {HELM_CONFIG}"
            ));
        }
        let counts = |layer: &&Descriptor| {
            let kind = layer.media_type.as_str();
            if chart {
                kind == HELM_CHART || content == Content::Chart && kind == HELM_CHART_OLD
            } else {
                ["tar+gzip", "tar.gzip", "tar"]
                    .iter()
                    .any(|end| kind.ends_with(end))
            }
        };
        let mut layers = self.layers.iter().filter(counts);
        let (Some(layer), None) = (layers.next(), layers.next()) else {
            let found = self.layers.iter().filter(counts).count();
            return Err(format!(
                "it must have exactly one layer with files (tar or tar+gzip), and has {found}"
            ));
        };
        if !chart && !LAYERS.contains(&layer.media_type.as_str()) {
            let (kind, allowed) = (short(&layer.media_type), LAYERS.join(", "));
            return Err(format!(
                "its layer is of type {kind:?}, and only {allowed} are taken"
            ));
        }
        if !is_digest(&layer.digest) {
            return Err("its layer has no digest by sha256".to_owned());
        }
        Ok(layer)
    }
}

pub(super) fn short(text: &str) -> String {
    text.chars().take(200).collect()
}

pub(super) fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64
            && hex
                .bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}
