//! Manifests, as people write them, for a test's repository.

/// A ConfigMap with one entry.
pub fn config_map(name: &str, key: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  {key}: \"{value}\"\n"
    )
}

/// The same, with annotations.
pub fn annotated_config_map(name: &str, value: &str, annotations: &[(&str, &str)]) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n{}data:\n  value: \"{value}\"\n",
        self::annotations(annotations)
    )
}

pub fn service(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\nspec:\n  selector: {{app: {name}}}\n  ports:\n    - port: 80\n"
    )
}

/// A Deployment of one pod. The image's tag says what becomes of it: see the stack's stages.
pub fn deployment(name: &str, image: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}\nspec:\n  replicas: 1\n  \
         progressDeadlineSeconds: 4\n  selector:\n    matchLabels: {{app: {name}}}\n  template:\n    metadata:\n      \
         labels: {{app: {name}}}\n    spec:\n      containers:\n        - name: main\n          image: {image}\n"
    )
}

/// A Job whose pod completes at once.
pub fn job(name: &str, annotations: &[(&str, &str)]) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: {name}\n{}spec:\n  backoffLimit: 0\n  template:\n    spec:\n      \
         restartPolicy: Never\n      containers:\n        - name: main\n          image: example.org/job:1\n",
        self::annotations(annotations)
    )
}

/// The `annotations` part of a manifest's metadata; nothing if there are none.
pub fn annotations(annotations: &[(&str, &str)]) -> String {
    if annotations.is_empty() {
        return String::new();
    }
    let lines = annotations
        .iter()
        .map(|(key, value)| format!("    {key}: \"{value}\"\n"));
    format!("  annotations:\n{}", lines.collect::<String>())
}

/// A Helm chart of one ConfigMap, below `folder`.
pub fn chart(folder: &str, value: &str) -> Vec<(String, String)> {
    vec![
        (
            format!("{folder}/Chart.yaml"),
            "apiVersion: v2\nname: demo\nversion: 1.0.0\n".to_owned(),
        ),
        (format!("{folder}/values.yaml"), format!("greeting: {value}\n")),
        (
            format!("{folder}/templates/settings.yaml"),
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-settings\ndata:\n  greeting: {{ \
             .Values.greeting | quote }}\n"
                .to_owned(),
        ),
    ]
}
