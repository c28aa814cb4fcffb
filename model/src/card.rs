//! The model card: a manifest as a page for people, in the form that model hubs show.
//!
//! The front matter follows the "model card metadata" of the Hugging Face Hub (`library_name`, `pipeline_tag`, `tags`,
//! `datasets`, `model-index`).

use std::fmt::Write as _;

use serde_json::Value;

use crate::checkpoint::Manifest;

/// A Markdown page with YAML front matter: what the net is, what it was trained on, how it scored, how to load it.
///
/// The licence is the configuration's `license`, an identifier as model hubs know them; without one it is unknown.
/// Whatever the report holds as `sanity`, what evaluations found suspicious, is shown as it is.
pub fn model_card(manifest: &Manifest, report: Option<&Value>) -> String {
    let sanity = report.and_then(|report| report.get("sanity")).filter(|sanity| !is_empty(sanity));
    [
        front_matter(manifest),
        summary(manifest),
        warnings(manifest),
        metrics(manifest),
        sanity.map(sanity_checks).unwrap_or_default(),
        curves(manifest),
        training(manifest),
        USE.to_owned(),
    ]
    .concat()
}

const USE: &str = "
## Use

```console
$ holdfast serve --checkpoint FOLDER --data-dir DATA
$ holdfast-trainer evaluate --checkpoint FOLDER --data PICTURES --out report.json
```

The embedding of a picture is a unit vector; the smaller the Euclidean distance, the more alike the pictures. Pixels go
in as intensities in [0, 1]: mean and standard deviation are part of the net. `weights.safetensors` holds float32
parameters under PyTorch's names; `manifest.json` holds their shapes and their checksum, and the program checks both.

The scores above tell how this net fared against the attacks of that evaluation, on that data. They are no promise
about other attacks, larger perturbations or other pictures.
";

/// A string as YAML: every JSON string is one.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A name as an identifier on a hub: `toy-shop` for "Toy shop!".
fn identifier(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let dashed: String = name.chars().map(plain).collect();
    dashed.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

fn title(manifest: &Manifest) -> String {
    format!("{} trained on {} with {}", manifest.backbone, manifest.dataset.name, manifest.defense)
}

fn front_matter(manifest: &Manifest) -> String {
    let license = manifest.config.get("license").and_then(Value::as_str).unwrap_or("unknown");
    let mut text = format!(
        "---\nlicense: {}\nlibrary_name: holdfast\npipeline_tag: image-feature-extraction\n\
         tags:\n- image-retrieval\n- metric-learning\n- adversarial-robustness\n- {}\n\
         datasets:\n- {}\n",
        quoted(license),
        quoted(&manifest.backbone),
        quoted(&identifier(&manifest.dataset.name)),
    );
    if !manifest.metrics.is_empty() {
        text.push_str("metrics:\n");
        for name in manifest.metrics.keys() {
            line(&mut text, format_args!("- {}", quoted(name)));
        }
        text.push_str(&model_index(manifest));
    }
    text.push_str("---\n\n");
    text
}

fn model_index(manifest: &Manifest) -> String {
    let dataset = &manifest.dataset.name;
    let mut text = format!(
        "model-index:\n- name: {}\n  results:\n  - task:\n      type: image-feature-extraction\n\
         \x20   dataset:\n      name: {}\n      type: {}\n    metrics:\n",
        quoted(&title(manifest)),
        quoted(dataset),
        quoted(&identifier(dataset)),
    );
    for (name, value) in &manifest.metrics {
        let name = quoted(name);
        line(&mut text, format_args!("    - type: {name}\n      name: {name}\n      value: {value}"));
    }
    text
}

fn summary(manifest: &Manifest) -> String {
    let Manifest { backbone, input, embedding_dim, dataset, defense, steps, seed, created, .. } = manifest;
    let parameters: usize = manifest.parameters.values().map(|shape| shape.iter().product::<usize>()).sum();
    format!(
        "# {}\n\n\
         An embedding net for image search.\n\n\
         | | |\n|---|---|\n\
         | Backbone | `{backbone}`, {parameters} parameters |\n\
         | Input | {} × {} × {} (channels × height × width) |\n\
         | Embedding | {embedding_dim} numbers, unit length |\n\
         | Data | {}: {} pictures of {} classes, sha256 `{}` |\n\
         | Defense | {defense} |\n\
         | Training | {steps} steps, seed {seed} |\n\
         | Saved | {created} |\n",
        title(manifest),
        input.channels,
        input.height,
        input.width,
        dataset.name,
        dataset.pictures,
        dataset.classes,
        dataset.sha256,
    )
}

fn warnings(manifest: &Manifest) -> String {
    manifest.warnings.iter().map(|warning| format!("\n> **Warning:** {warning}\n")).collect()
}

fn metrics(manifest: &Manifest) -> String {
    if manifest.metrics.is_empty() {
        return "\n## Metrics\n\nThis net was not evaluated.\n".into();
    }
    let mut text =
        String::from("\n## Metrics\n\nThe whole evaluation is in `report.json`.\n\n| metric | value |\n|---|---:|\n");
    for (name, value) in &manifest.metrics {
        line(&mut text, format_args!("| {name} | {value:.3} |"));
    }
    text
}

fn sanity_checks(sanity: &Value) -> String {
    format!("\n## Sanity checks of the evaluation\n\n{}", list(sanity, 0))
}

/// Any JSON value as a nested list.
fn list(value: &Value, depth: usize) -> String {
    let indent = "  ".repeat(depth);
    let entry = |label: &str, value: &Value| match value {
        Value::Array(_) | Value::Object(_) => format!("{indent}- {label}\n{}", list(value, depth + 1)),
        Value::String(text) => format!("{indent}- {label} {text}\n"),
        scalar => format!("{indent}- {label} {scalar}\n"),
    };
    match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| entry(&format!("{name}:"), value)).collect(),
        Value::Array(values) => values.iter().map(|value| entry("", value).replacen("-  ", "- ", 1)).collect(),
        scalar => entry("", scalar).replacen("-  ", "- ", 1),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn curves(manifest: &Manifest) -> String {
    let drawn = manifest.attachments.contains_key("curves.svg");
    if drawn { "\n## Training\n\n![loss and hardness of each step](curves.svg)\n".into() } else { String::new() }
}

fn training(manifest: &Manifest) -> String {
    format!("\n## Configuration\n\n```json\n{:#}\n```\n", manifest.config)
}

fn line(text: &mut String, arguments: std::fmt::Arguments) {
    writeln!(text, "{arguments}").expect("writing to a String cannot fail. This is a bug.");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InputShape;
    use crate::checkpoint::{DatasetFingerprint, FORMAT};

    fn manifest() -> Manifest {
        Manifest {
            format: FORMAT,
            backbone: "c2f2".into(),
            input: InputShape { channels: 1, height: 28, width: 28 },
            embedding_dim: 512,
            config: serde_json::json!({ "steps": 300 }),
            seed: 7,
            steps: 300,
            defense: "HM[S,gLGA]&ICS".into(),
            dataset: DatasetFingerprint {
                name: "shop: \"toys\"".into(),
                sha256: "0".repeat(64),
                pictures: 60_000,
                classes: 10,
            },
            metrics: [("r@1".to_string(), 80.0)].into(),
            warnings: Vec::new(),
            created: jiff::Timestamp::UNIX_EPOCH,
            parameters: [("fc.weight".to_string(), vec![3, 4]), ("fc.bias".to_string(), vec![3])].into(),
            weights_sha256: "1".repeat(64),
            attachments: [("curves.svg".to_string(), "2".repeat(64))].into(),
        }
    }

    #[test]
    fn the_card_tells_what_the_net_is_and_how_it_scored() {
        let card = model_card(&manifest(), None);

        for part in [
            "`c2f2`, 15 parameters",
            "1 × 28 × 28",
            "HM[S,gLGA]&ICS",
            "| r@1 | 80.000 |",
            "](curves.svg)",
            "\"steps\": 300",
        ] {
            assert!(card.contains(part), "{part} is missing from\n{card}");
        }
    }

    #[test]
    fn front_matter_quotes_names_and_stands_between_dashes() {
        let card = model_card(&manifest(), None);

        let front_matter = card.split("---\n").nth(1).unwrap();
        assert!(card.starts_with("---\n"));
        for part in
            [r#"name: "shop: \"toys\"""#, "datasets:\n- \"shop-toys\"", "license: \"unknown\"", "metrics:\n- \"r@1\""]
        {
            assert!(front_matter.contains(part), "{part} is missing from {front_matter}");
        }
    }

    #[test]
    fn the_configuration_names_the_licence() {
        let config = serde_json::json!({ "license": "apache-2.0" });

        assert!(model_card(&Manifest { config, ..manifest() }, None).starts_with("---\nlicense: \"apache-2.0\"\n"));
    }

    #[test]
    fn warnings_and_what_the_report_finds_suspicious_are_shown() {
        let warnings = vec!["the net collapsed at step 150".to_owned()];
        let report = serde_json::json!({ "sanity": { "flags": ["gradients vanish"], "random start": 3 } });

        let card = model_card(&Manifest { warnings, ..manifest() }, Some(&report));

        assert!(card.contains("> **Warning:** the net collapsed at step 150"), "{card}");
        assert!(card.contains("- flags:\n  - gradients vanish\n- random start: 3\n"), "{card}");
        for empty in [serde_json::json!({}), serde_json::json!({ "sanity": [] })] {
            assert!(!model_card(&manifest(), Some(&empty)).contains("Sanity"));
        }
    }

    #[test]
    fn a_net_without_evaluation_says_so() {
        let card = model_card(&Manifest { metrics: Default::default(), ..manifest() }, None);

        assert!(card.contains("not evaluated"));
        assert!(!card.contains("model-index"));
    }
}
