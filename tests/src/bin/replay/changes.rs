//! Single changes instead of commits: of every value file of an application, and of a sample of each other class of files.

use std::collections::{BTreeMap, BTreeSet};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use crate::fleet::Key;
use crate::history::History;
use crate::kind::{class, is_yaml};
use crate::render::Outcome;
use crate::replay::Replay;
use crate::report::Report;

/// Deviations that are printed.
const SHOWN: usize = 20;

/// Changes every `values.yaml` and `values-<name>.yaml` beside an application's chart, and says whether the watcher has exactly
/// those applications rendered that are made of that chart, respectively that name that file.
pub(crate) fn value_files(history: &History, replay: &Replay<'_>) -> anyhow::Result<bool> {
    let at = replay.at();
    // Those without manifests are rendered with each commit.
    let sound = |outcome: &Outcome| matches!(outcome, Outcome::Manifests(_));
    let mut charts: BTreeMap<&str, Vec<(&Key, Vec<&str>)>> = BTreeMap::new();
    let mut passed_over = BTreeSet::new();
    for (key, definition, outcome) in replay.applications() {
        for source in &definition.sources {
            if !sound(outcome) {
                passed_over.insert(key.clone());
                continue;
            }
            let files = source.helm.iter().flat_map(|helm| &helm.value_files);
            let files = files.flatten().map(String::as_str).collect();
            charts.entry(source.path()).or_default().push((key, files));
        }
    }
    let (mut own, mut shared, mut deviating) = ([0; 3], [0; 2], Vec::new());
    for file in history.files(&at.place)? {
        let Some((folder, name)) = file.rsplit_once('/') else {
            continue;
        };
        let is_values = name.starts_with("values") && is_yaml(name);
        let Some(apps) = charts.get(folder).filter(|_| is_values) else {
            continue;
        };
        let names = |(key, files): &(&Key, Vec<&str>)| {
            (name == "values.yaml" || files.contains(&name)).then(|| (*key).clone())
        };
        let expected: BTreeSet<Key> = apps.iter().filter_map(names).collect();
        let change = history.changed(at, &file, |text| format!("{text}\n# replayed\n"))?;
        let affected: BTreeSet<Key> = (replay.affected(&change).into_iter())
            .filter(|key| !passed_over.contains(key))
            .collect();
        if affected != expected {
            deviating.push(format!(
                "  {file}: {} rendered instead of {}",
                affected.len(),
                expected.len()
            ));
        } else if name == "values.yaml" {
            shared[0] += 1;
            shared[1] += expected.len();
        } else {
            // Of no environment in which the application is on: nobody reads it.
            own[expected.len().min(2)] += 1;
        }
    }
    println!(
        "values-<name>.yaml: {} render exactly the one application that names it, {} no application (none names it), {} exactly \
         the several that name it\n\
         values.yaml: {} render exactly the {} applications of their charts\n\
         {} render something else",
        own[1],
        own[0],
        own[2],
        shared[0],
        shared[1],
        deviating.len(),
    );
    for line in deviating.iter().take(SHOWN) {
        println!("{line}");
    }
    Ok(deviating.is_empty())
}

/// Changes so many files of each class, one at a time, and compares with rendering everything.
pub(crate) async fn sampled(
    history: &History,
    replay: &mut Replay<'_>,
    number: usize,
    seed: u64,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut random = StdRng::seed_from_u64(seed);
    let at = replay.at().clone();
    let mut classes: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for file in history.files(&at.place)? {
        classes.entry(class(&file)).or_default().push(file);
    }
    for (class, files) in classes {
        println!(
            "# {class}: {} of {} files",
            number.min(files.len()),
            files.len()
        );
        let chosen: Vec<&String> = files.sample(&mut random, number).collect();
        for file in chosen {
            let change = history.changed(&at, file, |text| edited(class, text, &mut random))?;
            let step = replay.try_step(&change).await?;
            println!("{}", report.add(&change, class, &step));
        }
    }
    Ok(())
}

/// A text that means something else where that can be had without understanding it.
fn edited(class: &str, text: &str, random: &mut StdRng) -> String {
    match class {
        "templates" => {
            format!("{text}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: replayed\n")
        }
        "values.yaml" | "values-<name>.yaml" => other_value(text, random),
        _ => format!("{text}\n# replayed\n"),
    }
}

/// One plain value of a YAML text is another.
fn other_value(text: &str, random: &mut StdRng) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let plain = |line: &str| {
        let (key, value) = line.split_once(": ")?;
        let value = value.trim();
        let is_plain = !value.is_empty()
            && value.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && !key.trim_start().starts_with('#');
        let other = match value {
            "true" => "false".to_owned(),
            "false" => "true".to_owned(),
            number if number.parse::<u32>().is_ok() => format!("{number}1"),
            word => format!("{word}x"),
        };
        is_plain.then(|| format!("{key}: {other}"))
    };
    let candidates: Vec<(usize, String)> = (lines.iter().enumerate())
        .filter_map(|(at, line)| Some((at, plain(line)?)))
        .collect();
    let Some((at, other)) = candidates.choose(random) else {
        return format!("{text}\nreplayed: true\n");
    };
    let mut lines = lines;
    lines[*at] = other;
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_value_file_differs_in_one_plain_value() {
        let mut random = StdRng::seed_from_u64(1);
        let text = "# a: b\nimage:\n  tag: \"1\"\n  on: true\n";
        assert_eq!(
            other_value(text, &mut random),
            "# a: b\nimage:\n  tag: \"1\"\n  on: false\n"
        );
        assert_eq!(other_value("", &mut random), "\nreplayed: true\n");
    }
}
