//! `holdfast status`: what a running server says of itself, on one screen.

use std::io::Write;
use std::process::ExitCode;

use holdfast_server::client::{Client, ClientError};
use serde_json::{Value, json};

use super::StatusArguments;

pub(super) fn run(arguments: &StatusArguments) -> anyhow::Result<ExitCode> {
    let status = ask(&arguments.connection.client())?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        writeln!(out, "{status:#}")?;
    } else {
        write!(out, "{}", lines(&status))?;
    }
    Ok(if status["ready"] == true { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// What the server answers; parts that the key may not read are null.
fn ask(client: &Client) -> Result<Value, ClientError> {
    let health: Value = client.get("/healthz")?;
    let (ready, detail) = match client.get_text("/readyz") {
        Ok(text) => (true, text.trim().to_owned()),
        Err(ClientError::Refused(refusal)) if refusal.status == 503 => (false, refusal.detail),
        Err(error) => return Err(error),
    };
    let generations = if_allowed(client.get::<Value>("/v1/generations"))?;
    let robustness = if_allowed(client.get::<Value>("/v1/robustness"))?;
    Ok(json!({
        "url": client.address(), "ready": ready, "readiness": detail,
        "health": health, "generations": generations, "robustness": robustness,
    }))
}

fn if_allowed(answer: Result<Value, ClientError>) -> Result<Value, ClientError> {
    match answer {
        Err(ClientError::Refused(refusal)) if refusal.is_about_access() => Ok(Value::Null),
        answer => answer,
    }
}

/// One fact a line, its name in the first column.
fn lines(status: &Value) -> String {
    let health = &status["health"];
    let ready = if status["ready"] == true { "yes" } else { "no" };
    let readiness = status["readiness"].as_str().filter(|detail| *detail != "ok");
    let mut facts = vec![
        ("server", format!("{}, version {}", text(&status["url"]), text(&health["version"]))),
        ("ready", readiness.map_or(ready.to_owned(), |detail| format!("{ready}: {detail}"))),
        ("health", text(&health["status"])),
        ("items", text(&health["items"])),
        ("generation", text(&health["generation"])),
    ];
    if status["generations"].is_null() && status["robustness"].is_null() {
        facts.push(("model", "not shown: this needs an API key that may read".to_owned()));
    }
    facts.extend(model(&status["generations"]["current"]["model"]).map(|model| ("model", model)));
    facts.extend(robustness(&status["robustness"]).map(|robustness| ("robustness", robustness)));
    facts.into_iter().map(|(name, value)| format!("{name:<11} {value}\n")).collect()
}

fn model(model: &Value) -> Option<String> {
    let defense = text(&model["defense"]);
    let data = text(&model["dataset"]["name"]);
    model
        .is_object()
        .then(|| format!("{}, {defense}, {} steps on {data}", text(&model["backbone"]), text(&model["steps"])))
}

/// The newest window of the monitor: R@1 untouched and attacked, and the score of each attack.
fn robustness(view: &Value) -> Option<String> {
    let window = &view["latest"];
    if !view.is_object() {
        return None;
    }
    if window.is_null() {
        return Some(format!("no result yet; the monitor is {}", text(&view["state"]).replace('_', " ")));
    }
    let set = if window["canary"].is_null() { &window["live"] } else { &window["canary"] };
    let recall = &set["recall_at_1"];
    let recall = match (recall["benign"].as_f64(), recall["adversarial"].as_f64()) {
        (Some(benign), Some(adversarial)) => Some(format!("R@1 {benign:.1} %, under attack {adversarial:.1} %")),
        _ => None,
    };
    let attacks = set["attacks"].as_array().into_iter().flatten();
    let outcomes = attacks.flat_map(|attack| attack["outcomes"].as_array().into_iter().flatten());
    let scores = outcomes.map(|outcome| {
        let score = outcome["score"].as_f64().unwrap_or(f64::NAN);
        format!("{} {score:.0}", text(&outcome["name"]))
    });
    let scores = scores.collect::<Vec<_>>().join(", ");
    Some(recall.into_iter().chain([format!("scores of 100: {scores}")]).collect::<Vec<_>>().join("; "))
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "unknown".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_fact_a_line() {
        let window = json!({
            "canary": {
                "recall_at_1": {"benign": 80.0, "adversarial": 31.25},
                "attacks": [{"outcomes": [{"name": "ES:R", "score": 33.4}, {"name": "QA+", "score": 60.0}]}],
            },
        });
        let told = lines(&json!({
            "url": "http://a", "ready": false, "readiness": "stopping",
            "health": {"status": "ok", "items": 7, "generation": "g", "version": "1"},
            "generations": {"current": {"model": {"backbone": "c3f1", "defense": "HM", "steps": 9, "dataset": {"name": "toys"}}}},
            "robustness": {"latest": window},
        }));
        assert!(told.contains("ready       no: stopping\n") && told.contains("items       7\n"), "{told}");
        assert!(told.contains("model       c3f1, HM, 9 steps on toys\n"), "{told}");
        assert!(told.contains("R@1 80.0 %, under attack 31.2 %; scores of 100: ES:R 33, QA+ 60"), "{told}");
    }

    #[test]
    fn what_a_key_may_not_read_is_said() {
        let told = lines(
            &json!({"url": "u", "ready": true, "readiness": "ok", "health": {}, "generations": null, "robustness": null}),
        );
        assert!(told.contains("needs an API key"), "{told}");
    }
}
