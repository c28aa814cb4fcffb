//! `holdfast search`: the hits of a running server as a table.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::SearchArguments;

/// Metadata in a row beyond which it is cut.
const WIDEST_METADATA: usize = 72;

/// The value of `--filter`.
pub(super) fn parse_filter(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(filter @ Value::Object(_)) => Ok(filter),
        Ok(_) => {
            Err("a filter is a JSON object, such as {\"must\": [{\"key\": \"label\", \"match\": \"boot\"}]}".to_owned())
        }
        Err(error) => Err(format!("not JSON: {error}")),
    }
}

pub(super) fn run(arguments: &SearchArguments) -> anyhow::Result<ExitCode> {
    let reply: Value = arguments.connection.client().post("/v1/search", &request(arguments)?)?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        writeln!(out, "{reply:#}")?;
    } else {
        write!(out, "{}", table(&reply))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn request(arguments: &SearchArguments) -> anyhow::Result<Value> {
    let mut request = json!({ "limit": arguments.limit });
    match (&arguments.picture, &arguments.id) {
        (Some(picture), _) => request["image"] = json!({ "base64": BASE64_STANDARD.encode(read(picture)?) }),
        (None, id) => request["id"] = json!(id),
    }
    if let Some(filter) = &arguments.filter {
        request["filter"] = filter.clone();
    }
    if arguments.exact {
        request["exact"] = json!(true);
    }
    Ok(request)
}

fn read(picture: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(picture).with_context(|| format!("cannot read {}", picture.display()))
}

/// One line a hit, nearest first, and a line of facts.
fn table(reply: &Value) -> String {
    let hits = reply["hits"].as_array().map_or(&[][..], Vec::as_slice);
    let id = |hit: &Value| hit["id"].as_str().unwrap_or_default().to_owned();
    let width = hits.iter().map(|hit| id(hit).len()).chain([2]).max().unwrap_or_default();
    let mut table = String::new();
    if !hits.is_empty() {
        table += &format!("   #  distance  similarity  {:width$}  metadata\n", "id");
    }
    for (hit, number) in hits.iter().zip(1..) {
        let (distance, score) =
            (&hit["distance"].as_f64().unwrap_or(f64::NAN), hit["score"].as_f64().unwrap_or(f64::NAN));
        let metadata = shortened(&metadata(&hit["metadata"]));
        let row = format!("{number:4}  {distance:8.4}  {score:10.4}  {:width$}  {metadata}", id(hit));
        table += row.trim_end();
        table += "\n";
    }
    let count = hits.len();
    let took = reply["took_ms"].as_f64().unwrap_or_default();
    let generation = reply["generation"].as_str().unwrap_or("unknown");
    table + &format!("{count} {} in {took:.1} ms, generation {generation}\n", if count == 1 { "hit" } else { "hits" })
}

/// The label, then the other keys.
fn metadata(metadata: &Value) -> String {
    let Some(object) = metadata.as_object() else { return String::new() };
    let label = object.get("label").map(text);
    let others = object.iter().filter(|(key, _)| *key != "label").map(|(key, value)| format!("{key}={}", text(value)));
    label.into_iter().chain(others).collect::<Vec<_>>().join("  ")
}

/// A value without quotation marks and without control characters, which could move the terminal's cursor.
fn text(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Array(texts) => texts.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    };
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= WIDEST_METADATA {
        return text.to_owned();
    }
    text.chars().take(WIDEST_METADATA - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hit_is_a_row_with_its_label_first() {
        let hit =
            json!({"id": "boot.7", "distance": 0.25, "score": 0.96875, "metadata": {"colour": "red", "label": "boot"}});
        let table = table(&json!({"generation": "g", "took_ms": 3.21, "hits": [hit]}));
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines[1], "   1    0.2500      0.9688  boot.7  boot  colour=red");
        assert_eq!(lines[2], "1 hit in 3.2 ms, generation g");
    }

    #[test]
    fn metadata_cannot_send_commands_to_the_terminal() {
        assert_eq!(metadata(&json!({"label": "\u{1b}[2Jgone\n"})), "\u{fffd}[2Jgone\u{fffd}");
    }

    #[test]
    fn a_filter_must_be_an_object() {
        assert!(parse_filter("[]").unwrap_err().contains("JSON object"));
        assert!(parse_filter("{").is_err() && parse_filter("{\"must\": []}").is_ok());
    }
}
