//! Options for a folder of plain manifests.

object! {
    /// Options for a folder of plain manifests.
    pub struct Directory {
        optional {
            /// Look into subfolders too.
            recurse: bool,
            /// Jsonnet options.
            jsonnet: Jsonnet,
            /// Glob of files to leave out.
            exclude: String,
            /// Glob of files to take.
            include: String,
            /// Take files whatever their extension.
            disable_extension_filter: bool,
        }
    }
}

object! {
    /// Jsonnet options.
    pub struct Jsonnet {
        optional {
            /// External variables.
            ext_vars: Vec<JsonnetVar>,
            /// Top-level arguments.
            tlas: Vec<JsonnetVar>,
            /// Library folders.
            libs: Vec<String>,
        }
    }
}

object! {
    /// A Jsonnet variable.
    pub struct JsonnetVar {
        required {
            name: String,
            value: String,
        }
        optional {
            /// The value is code, not text.
            code: bool,
        }
    }
}
