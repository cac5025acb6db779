//! Helm options of a source.

use super::source::Values;

object! {
    /// Helm options.
    pub struct Helm {
        optional {
            /// Value files, relative to the chart, or `$ref/…` of another source.
            value_files: Vec<String>,
            /// `--set` parameters.
            parameters: Vec<HelmParameter>,
            /// Release name; absent means the application's name.
            release_name: String,
            /// Values as a YAML text. `valuesObject` takes precedence.
            values: String,
            /// `--set-file` parameters.
            file_parameters: Vec<HelmFileParameter>,
            /// Helm version; ignored.
            version: String,
            /// Pass the repository's credentials to all domains.
            pass_credentials: bool,
            /// A value file that doesn't exist is skipped.
            ignore_missing_value_files: bool,
            /// Leave out the chart's `crds/` folder.
            skip_crds: bool,
            /// Values as an object.
            #[schemars(with = "Option<Values>")]
            values_object: Values,
            /// Namespace to render with; absent means the destination's.
            namespace: String,
            /// Kubernetes version to render with; absent means the destination cluster's.
            kube_version: String,
            /// API versions to render with; absent means the destination cluster's.
            api_versions: Vec<String>,
            /// Leave out test hooks.
            skip_tests: bool,
            /// Don't check values against the chart's schema.
            skip_schema_validation: bool,
        }
    }
}

object! {
    /// A `--set` parameter.
    pub struct HelmParameter {
        optional {
            name: String,
            value: String,
            /// Take booleans and numbers as strings.
            force_string: bool,
        }
    }
}

object! {
    /// A `--set-file` parameter.
    pub struct HelmFileParameter {
        optional {
            name: String,
            path: String,
        }
    }
}
