//! Custom resource definitions, generated from the types.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, CustomResourceDefinitionNames,
    CustomResourceDefinitionSpec, CustomResourceDefinitionVersion, CustomResourceValidation,
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Value, json};

use crate::{AppProject, Application, GROUP, VERSION};

/// The definitions of [`Application`] and [`AppProject`], without a status subresource, as Argo
/// CD's are. Unknown fields are kept by the API server.
pub fn crds() -> Vec<CustomResourceDefinition> {
    let columns = vec![
        column("Sync Status", ".status.sync.status", 0),
        column("Health Status", ".status.health.status", 0),
        column("Revision", ".status.sync.revision", 10),
        column("Project", ".spec.project", 10),
    ];
    vec![
        definition::<Application>(Application::KIND, &["app", "apps"], columns),
        definition::<AppProject>(AppProject::KIND, &["appproj", "appprojs"], Vec::new()),
    ]
}

fn definition<T: JsonSchema>(
    kind: &str,
    short_names: &[&str],
    columns: Vec<CustomResourceColumnDefinition>,
) -> CustomResourceDefinition {
    let singular = kind.to_lowercase();
    let plural = format!("{singular}s");
    CustomResourceDefinition {
        metadata: ObjectMeta {
            name: Some(format!("{plural}.{GROUP}")),
            labels: Some(
                [
                    ("app.kubernetes.io/name", format!("{plural}.{GROUP}")),
                    ("app.kubernetes.io/part-of", "argocd".to_owned()),
                ]
                .map(|(key, value)| (key.to_owned(), value))
                .into(),
            ),
            ..ObjectMeta::default()
        },
        spec: CustomResourceDefinitionSpec {
            group: GROUP.to_owned(),
            names: CustomResourceDefinitionNames {
                kind: kind.to_owned(),
                list_kind: Some(format!("{kind}List")),
                plural,
                singular: Some(singular),
                short_names: Some(short_names.iter().map(ToString::to_string).collect()),
                ..CustomResourceDefinitionNames::default()
            },
            scope: "Namespaced".to_owned(),
            versions: vec![CustomResourceDefinitionVersion {
                name: VERSION.to_owned(),
                served: true,
                storage: true,
                additional_printer_columns: (!columns.is_empty()).then_some(columns),
                schema: Some(CustomResourceValidation {
                    open_api_v3_schema: Some(structural::<T>()),
                }),
                ..CustomResourceDefinitionVersion::default()
            }],
            ..CustomResourceDefinitionSpec::default()
        },
        status: None,
    }
}

fn column(name: &str, json_path: &str, priority: i32) -> CustomResourceColumnDefinition {
    CustomResourceColumnDefinition {
        name: name.to_owned(),
        json_path: json_path.to_owned(),
        type_: "string".to_owned(),
        priority: (priority != 0).then_some(priority),
        ..CustomResourceColumnDefinition::default()
    }
}

/// The type's schema as the API server wants it: structural, with metadata left to the server.
fn structural<T: JsonSchema>() -> JSONSchemaProps {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value();
    if let Some(metadata) = schema.pointer_mut("/properties/metadata") {
        *metadata = json!({ "type": "object" });
    }
    props(&schema)
}

/// JSON Schema to structural schema. Nulls aren't allowed, so that the API server drops them as it
/// does with Argo CD's own definitions; objects keep unknown fields; `true` is anything.
fn props(schema: &Value) -> JSONSchemaProps {
    let schema = unwrap_option(schema);
    let text = |key: &str| schema.get(key).and_then(Value::as_str).map(str::to_owned);
    let int_or_string = schema.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true));
    let properties = schema.get("properties").and_then(Value::as_object);
    let values = schema.get("additionalProperties");
    let open = *schema == Value::Bool(true) || values == Some(&Value::Bool(true));
    JSONSchemaProps {
        type_: if int_or_string { None } else { type_of(schema) },
        format: text("format"),
        description: text("description"),
        properties: properties.map(|properties| {
            properties
                .iter()
                .map(|(name, inner)| (name.clone(), props(inner)))
                .collect()
        }),
        required: schema
            .get("required")
            .and_then(Value::as_array)
            .map(|names| {
                names
                    .iter()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect()
            }),
        items: schema
            .get("items")
            .map(|items| JSONSchemaPropsOrArray::Schema(Box::new(props(items)))),
        additional_properties: values
            .filter(|values| values.is_object())
            .map(|values| JSONSchemaPropsOrBool::Schema(Box::new(props(values)))),
        x_kubernetes_preserve_unknown_fields: open.then_some(true),
        x_kubernetes_int_or_string: int_or_string.then_some(true),
        ..JSONSchemaProps::default()
    }
}

/// The type, without the null that an optional field may have.
fn type_of(schema: &Value) -> Option<String> {
    let name = match schema.get("type")? {
        Value::Array(types) => types.iter().find(|name| *name != "null")?,
        one => one,
    };
    name.as_str().map(str::to_owned)
}

/// `anyOf: [T, null]` is how an optional field reads; the API server wants `T`.
fn unwrap_option(schema: &Value) -> &Value {
    let choices = schema.get("anyOf").and_then(Value::as_array);
    choices
        .and_then(|choices| choices.iter().find(|choice| choice["type"] != "null"))
        .unwrap_or(schema)
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";

    fn visit(schema: &Value, path: &str, check: &mut impl FnMut(&str, &Map<String, Value>)) {
        let object = schema.as_object().unwrap();
        check(path, object);
        for (name, inner) in object
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            visit(inner, &format!("{path}.{name}"), check);
        }
        for key in ["items", "additionalProperties"] {
            if let Some(inner) = object.get(key) {
                visit(inner, &format!("{path}[]"), check);
            }
        }
    }

    fn schemas() -> Vec<Value> {
        crds()
            .into_iter()
            .map(|crd| {
                serde_json::to_value(&crd.spec.versions[0].schema).unwrap()["openAPIV3Schema"]
                    .clone()
            })
            .collect()
    }

    #[test]
    fn every_node_is_structural() {
        for schema in schemas() {
            visit(&schema, "", &mut |path, node| {
                let typed = node.get("type").is_some_and(Value::is_string);
                let free = node.get("x-kubernetes-int-or-string").is_some()
                    || node.get(PRESERVE).is_some();
                assert!(typed || free, "{path} has no type: {node:?}");
                for forbidden in ["anyOf", "oneOf", "allOf", "$ref", "nullable"] {
                    assert!(!node.contains_key(forbidden), "{path} has {forbidden}");
                }
                assert!(
                    !(node.contains_key("properties") && node.contains_key("additionalProperties")),
                    "{path} has both properties and additionalProperties"
                );
            });
        }
    }

    #[test]
    fn every_object_keeps_unknown_fields() {
        for schema in schemas() {
            visit(&schema, "", &mut |path, node| {
                if node.contains_key("properties") {
                    assert_eq!(
                        node.get(PRESERVE),
                        Some(&json!(true)),
                        "{path} would be pruned"
                    );
                }
            });
        }
    }

    #[test]
    fn an_application_has_no_status_subresource() {
        let crds = crds();
        assert!(crds[0].spec.versions[0].subresources.is_none());
        assert_eq!(
            crds[0].metadata.name.as_deref(),
            Some("applications.argoproj.io")
        );
        assert_eq!(
            crds[1].metadata.name.as_deref(),
            Some("appprojects.argoproj.io")
        );
    }

    #[test]
    fn helm_values_are_a_free_object() {
        let helm =
            &schemas()[0]["properties"]["spec"]["properties"]["source"]["properties"]["helm"];
        let values = &helm["properties"]["valuesObject"];
        assert_eq!(values["type"], "object");
        assert_eq!(values[PRESERVE], true);
    }
}
