//! `--set key=value`: single values that replace those of a configuration file.

use toml::{Table, Value};

use crate::error::{Error, Result};

/// Sets the value at a dotted key, creating the tables on the way.
///
/// # Errors
/// If a part of the key is empty, or a value on the way is no table.
pub(super) fn apply(table: &mut Table, key: &str, value: &str) -> Result<()> {
    let refuse = |reason: String| Error::Override { key: key.to_owned(), value: value.to_owned(), reason };
    let parts: Vec<&str> = key.split('.').map(str::trim).collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err(refuse("a key is made of names with dots between them, such as defense.pgd.steps".to_owned()));
    }
    let (last, path) = parts.split_last().expect("split returns at least one part. This is a bug.");
    let mut place = table;
    for part in path {
        let inner = place.entry(*part).or_insert_with(|| Value::Table(Table::new()));
        let kind = inner.type_str();
        place = inner.as_table_mut().ok_or_else(|| refuse(format!("\"{part}\" holds one {kind}, not a table")))?;
    }
    place.insert((*last).to_owned(), parse(value));
    Ok(())
}

/// A TOML value, or else the text itself as a string, so that shells need no nested quotes.
fn parse(text: &str) -> Value {
    let assigned: Option<Table> = toml::from_str(&format!("value = {text}")).ok();
    assigned
        .filter(|table| table.len() == 1)
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(text: &str, key: &str, value: &str) -> Result<Table> {
        let mut table: Table = toml::from_str(text).unwrap();
        apply(&mut table, key, value).map(|()| table)
    }

    #[test]
    fn values_are_toml_and_anything_else_is_a_string() {
        for (text, value) in [
            ("3", Value::Integer(3)),
            ("-0.5", Value::Float(-0.5)),
            ("true", Value::Boolean(true)),
            ("\"quoted\"", Value::String("quoted".into())),
            ("plain", Value::String("plain".into())),
            ("8/255", Value::String("8/255".into())),
            ("1\nsteps = 2", Value::String("1\nsteps = 2".into())),
        ] {
            assert_eq!(parse(text), value);
        }
        assert!(parse("{ weight = 0.5 }").is_table());
    }

    #[test]
    fn missing_tables_are_created_and_neighbours_stay() {
        let table = applied("[a]\nkept = 1", "a.b.c", "2").unwrap();

        assert_eq!(table, toml::from_str("a = { kept = 1, b = { c = 2 } }").unwrap());
    }

    #[test]
    fn a_key_that_leads_nowhere_is_refused() {
        for (key, complaint) in [("steps.inner", "\"steps\" holds one integer"), ("a..b", "dots between"), ("", "dots")]
        {
            let message = applied("steps = 1", key, "2").unwrap_err().to_string();
            assert!(message.contains(complaint), "{message}");
        }
    }
}
