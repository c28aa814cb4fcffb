//! The model card: a manifest as a page for people, in the form that model hubs show.
//!
//! The front matter follows the "model card metadata" of the Hugging Face Hub (`library_name`, `pipeline_tag`, `tags`,
//! `datasets`, `model-index`).

use std::fmt::Write as _;

use serde_json::Value;

use crate::checkpoint::Manifest;

/// A Markdown page with YAML front matter: what the net is, what it was trained on, how it scored, how to load it.
pub fn model_card(manifest: &Manifest) -> String {
    let mut card = front_matter(manifest);
    card.push_str(&summary(manifest));
    card.push_str(&metrics(manifest));
    card.push_str(&training(manifest));
    card.push_str(USE);
    card
}

const USE: &str = "
## Use

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

fn title(manifest: &Manifest) -> String {
    format!("{} trained on {} with {}", manifest.backbone, manifest.dataset.name, manifest.defense)
}

fn front_matter(manifest: &Manifest) -> String {
    let dataset = quoted(&manifest.dataset.name);
    let mut text = format!(
        "---\nlibrary_name: holdfast\npipeline_tag: image-feature-extraction\n\
         tags:\n- image-retrieval\n- metric-learning\n- adversarial-robustness\n- {}\n\
         datasets:\n- {dataset}\n",
        quoted(&manifest.backbone)
    );
    if !manifest.metrics.is_empty() {
        text.push_str(&model_index(manifest));
    }
    text.push_str("---\n\n");
    text
}

fn model_index(manifest: &Manifest) -> String {
    let dataset = quoted(&manifest.dataset.name);
    let mut text = format!(
        "model-index:\n- name: {}\n  results:\n  - task:\n      type: image-feature-extraction\n\
         \x20   dataset:\n      name: {dataset}\n      type: {dataset}\n    metrics:\n",
        quoted(&title(manifest))
    );
    for (name, value) in &manifest.metrics {
        let name = quoted(name);
        line(&mut text, format_args!("    - type: {name}\n      value: {value}"));
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
            created: jiff::Timestamp::UNIX_EPOCH,
            parameters: [("fc.weight".to_string(), vec![3, 4]), ("fc.bias".to_string(), vec![3])].into(),
            weights_sha256: "1".repeat(64),
        }
    }

    #[test]
    fn the_card_tells_what_the_net_is_and_how_it_scored() {
        let card = model_card(&manifest());

        for part in ["`c2f2`, 15 parameters", "1 × 28 × 28", "HM[S,gLGA]&ICS", "| r@1 | 80.000 |", "\"steps\": 300"] {
            assert!(card.contains(part), "{part} is missing from\n{card}");
        }
    }

    #[test]
    fn front_matter_quotes_names_and_stands_between_dashes() {
        let card = model_card(&manifest());

        let front_matter = card.split("---\n").nth(1).unwrap();
        assert!(card.starts_with("---\n"));
        assert!(front_matter.contains(r#"- "shop: \"toys\"""#), "{front_matter}");
    }

    #[test]
    fn a_net_without_evaluation_says_so() {
        let card = model_card(&Manifest { metrics: Default::default(), ..manifest() });

        assert!(card.contains("not evaluated"));
        assert!(!card.contains("model-index"));
    }
}
