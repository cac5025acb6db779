//! A chart as large as argo-cd's 9.x: some 130 templates of 2 KiB with many conditions and helpers, three definitions of 1.8 MiB
//! together among them, and 180 KiB of commented values; 60 objects come of it.

use std::fmt::Write as _;

use super::case::Files;

const COMPONENTS: [&str; 10] = [
    "server",
    "repo-server",
    "controller",
    "appset",
    "notifications",
    "commit",
    "dex",
    "cache",
    "configs",
    "init",
];
/// Templates of each component; those that are off by default come to nothing, as most of argo-cd's do.
const ON: &[&str] = &[
    "deployment",
    "service",
    "account",
    "role",
    "binding",
    "config",
];
const OFF: &[&str] = &[
    "ingress", "metrics", "monitor", "scaler", "budget", "policy",
];
/// Bytes of the definitions.
const DEFINITIONS: [(&str, usize); 3] =
    [("fleets", 1_386_000), ("ships", 397_000), ("ropes", 17_000)];

pub(crate) fn large(at: &str) -> Files {
    let mut files = vec![
        (
            "Chart.yaml".to_owned(),
            "apiVersion: v2\nname: large\nversion: 9.1.0\nappVersion: v3.2.0\n".to_owned(),
        ),
        ("values.yaml".to_owned(), values()),
        ("README.md".to_owned(), "A line of a README. ".repeat(8_000)),
        ("templates/_helpers.tpl".to_owned(), HELPERS.to_owned()),
    ];
    for component in COMPONENTS {
        for kind in ON.iter().chain(OFF) {
            let name = format!("templates/{component}/{kind}.yaml");
            files.push((name, template(component, kind)));
        }
    }
    for (plural, bytes) in DEFINITIONS {
        let name = format!("templates/crds/crd-{plural}.yaml");
        files.push((name, definition(plural, bytes)));
    }
    let file = |(name, text): (String, String)| (format!("{at}/{name}"), text.into_bytes());
    let mut files: Files = files.into_iter().map(file).collect();
    files.sort();
    files
}

fn values() -> String {
    let mut text = String::from(
        "replicaCount: 1\nglobal:\n  image: {repository: registry.example.org/large, tag: ''}\n  labels: {}\n  annotations: {}\n  \
         domain: example.org\ncrds: {install: true, keep: true}\n",
    );
    for component in COMPONENTS {
        let _ = writeln!(text, "{component}:");
        let _ = writeln!(text, "  enabled: true\n  replicas: 1");
        for off in OFF {
            let _ = writeln!(text, "  {off}: {{enabled: false, annotations: {{}}}}");
        }
        for number in 0..60 {
            let _ = writeln!(
                text,
                "  # -- What the option number {number} of {component} does, and when somebody would want something else than its\n  \
                 # default, with an example of it and of what has to be set beside it.\n  option{number}: \"\"\n  more{number}: {{}}"
            );
        }
        let _ = writeln!(
            text,
            "  resources: {{}}\n  env: []\n  params:\n    log.level: info\n    log.format: text"
        );
    }
    text
}

const HELPERS: &str = r#"{{- define "large.name" -}}
{{- .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end }}
{{- define "large.fullname" -}}
{{- printf "%s-%s" .context.Release.Name .component | trunc 63 | trimSuffix "-" -}}
{{- end }}
{{- define "large.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .context.Chart.Name .context.Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: {{ include "large.name" .context }}-{{ .component }}
app.kubernetes.io/instance: {{ .context.Release.Name }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/managed-by: {{ .context.Release.Service }}
{{- with .context.Values.global.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- define "large.selector" -}}
app.kubernetes.io/name: {{ include "large.name" .context }}-{{ .component }}
app.kubernetes.io/instance: {{ .context.Release.Name }}
{{- end }}
"#;

fn template(component: &str, kind: &str) -> String {
    let (version, kind_name, spec) = match kind {
        "deployment" => ("apps/v1", "Deployment", deployment()),
        "service" => (
            "v1",
            "Service",
            "spec:\n  ports:\n    - {name: http, port: 80, targetPort: 8080}\n  selector:\n    {{- include \"large.selector\" $c | nindent 4 }}\n".to_owned(),
        ),
        "account" => (
            "v1",
            "ServiceAccount",
            "automountServiceAccountToken: true\n".to_owned(),
        ),
        "role" => (
            "rbac.authorization.k8s.io/v1",
            "Role",
            "rules:\n{{- range list \"secrets\" \"configmaps\" \"events\" }}\n  - apiGroups: ['']\n    resources: [{{ . }}]\n    verbs: [get, list, watch]\n{{- end }}\n".to_owned(),
        ),
        "binding" => (
            "rbac.authorization.k8s.io/v1",
            "RoleBinding",
            "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{ include \"large.fullname\" $c }}}\nsubjects:\n  - {kind: ServiceAccount, name: {{ include \"large.fullname\" $c }}, namespace: {{ .Release.Namespace }}}\n".to_owned(),
        ),
        "config" => (
            "v1",
            "ConfigMap",
            "data:\n{{- range $key, $value := $v.params }}\n  {{ $key }}: {{ $value | quote }}\n{{- end }}\n".to_owned(),
        ),
        off => ("networking.k8s.io/v1", "Ingress", format!("spec: {{name: {off}}}\n") + &deployment()),
    };
    let wanted = if OFF.contains(&kind) {
        format!("and $v.enabled $v.{kind}.enabled")
    } else {
        "$v.enabled".to_owned()
    };
    format!(
        "{{{{- $v := index .Values {component:?} }}}}\n{{{{- $c := dict \"context\" . \"component\" {component:?} }}}}\n\
         {{{{- if {wanted} }}}}\napiVersion: {version}\nkind: {kind_name}\nmetadata:\n  name: {{{{ include \"large.fullname\" $c }}}}\n  \
         namespace: {{{{ .Release.Namespace | quote }}}}\n  labels:\n    {{{{- include \"large.labels\" $c | nindent 4 }}}}\n  \
         {{{{- with .Values.global.annotations }}}}\n  annotations:\n    {{{{- toYaml . | nindent 4 }}}}\n  {{{{- end }}}}\n{spec}{{{{- end }}}}\n"
    )
}

fn deployment() -> String {
    let mut options = String::new();
    for number in 0..30 {
        let _ = writeln!(
            options,
            "            {{{{- if $v.option{number} }}}}\n            - --option-{number}={{{{ $v.option{number} }}}}\n            {{{{- end }}}}"
        );
    }
    let mut mounts = String::new();
    for number in 0..10 {
        let _ = writeln!(
            mounts,
            "          {{{{- with $v.more{number} }}}}\n          more{number}:\n            {{{{- toYaml . | nindent 12 }}}}\n          {{{{- end }}}}"
        );
    }
    format!(
        r#"spec:
  replicas: {{{{ $v.replicas }}}}
  selector:
    matchLabels:
      {{{{- include "large.selector" $c | nindent 6 }}}}
  template:
    metadata:
      labels:
        {{{{- include "large.labels" $c | nindent 8 }}}}
      annotations:
        checksum/params: {{{{ toYaml $v.params | sha256sum }}}}
    spec:
      serviceAccountName: {{{{ include "large.fullname" $c }}}}
      containers:
        - name: main
          image: "{{{{ .Values.global.image.repository }}}}:{{{{ default .Chart.AppVersion .Values.global.image.tag }}}}"
          args:
            - --serve
{options}          ports: [{{name: http, containerPort: 8080}}]
          livenessProbe: {{httpGet: {{path: /healthz, port: http}}, periodSeconds: 10}}
          readinessProbe: {{httpGet: {{path: /healthz, port: http}}, periodSeconds: 10}}
          resources:
            {{{{- toYaml $v.resources | nindent 12 }}}}
{mounts}"#
    )
}

/// A custom resource definition of so many bytes, most of them a schema with descriptions.
fn definition(plural: &str, bytes: usize) -> String {
    let kind = plural[..1].to_uppercase() + plural[1..].trim_end_matches('s');
    let mut text = format!(
        "{{{{- if .Values.crds.install }}}}\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: {plural}.example.org\n  \
         annotations:\n    {{{{- if .Values.crds.keep }}}}\n    \"helm.sh/resource-policy\": keep\n    {{{{- end }}}}\nspec:\n  group: example.org\n  \
         names: {{kind: {kind}, plural: {plural}}}\n  scope: Namespaced\n  versions:\n  - name: v1\n    served: true\n    storage: true\n    schema:\n      \
         openAPIV3Schema:\n        type: object\n        properties:\n"
    );
    let mut number = 0;
    while text.len() < bytes {
        let _ = write!(
            text,
            "          field{number}:\n            description: |-\n              What the field number {number} is for, in a sentence or two of\n              \
             the length that generated descriptions have.\n            properties:\n              name:\n                type: string\n              \
             weight:\n                format: int64\n                type: integer\n              matchLabels:\n                additionalProperties:\n                  \
             type: string\n                type: object\n            required:\n            - name\n            type: object\n"
        );
        number += 1;
    }
    text.push_str("{{- end }}\n");
    text
}
