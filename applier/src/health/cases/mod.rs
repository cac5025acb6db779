//! Cases of every kind that has a rule, from what the API documentation says of its status. Files of `of` (what the objects of its
//! cases have in common) and `cases`: what it is, its health, and the fields that are otherwise.

use serde_json::{Map, Value};

use super::assess;

const FILES: [(&str, &str); 5] = [
    ("workloads", include_str!("workloads.yaml")),
    ("pods", include_str!("pods.yaml")),
    ("jobs", include_str!("jobs.yaml")),
    ("services", include_str!("services.yaml")),
    ("others", include_str!("others.yaml")),
];

#[test]
fn every_case_has_the_health_that_its_kind_documents() {
    let mut count = 0;
    let mut wrong = Vec::new();
    for (file, text) in FILES {
        let groups: Vec<Value> = serde_saphyr::from_str(text).unwrap();
        for group in &groups {
            for case in group["cases"].as_array().unwrap() {
                count += 1;
                let [what, expected, otherwise] = case.as_array().unwrap().as_slice() else {
                    panic!("{file}: {case}");
                };
                let object = with(&group["of"], otherwise);
                let found = assess(&object).map_or("none", |health| health.status.as_str());
                if Some(found) != expected.as_str() {
                    wrong.push(format!("{file}: {what} is {found}, not {expected}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 150, "{count} cases");
}

fn with(common: &Value, otherwise: &Value) -> Value {
    let fields = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let mut object: Map<String, Value> = fields(common);
    object.extend(fields(otherwise));
    Value::Object(object)
}
