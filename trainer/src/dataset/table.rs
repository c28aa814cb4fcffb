//! Tables of comma-separated values, of which some columns matter.

use std::path::Path;

use csv::{ReaderBuilder, StringRecord, Trim};

/// The wanted columns of a table, in the order they were asked for.
pub(super) struct Table {
    rows: Vec<(u64, Vec<String>)>,
}

impl Table {
    /// A file whose first line names its columns. Other columns than the wanted ones are passed over; an `optional` one
    /// that the file does not have is empty on every line.
    ///
    /// # Errors
    /// If it cannot be read, a column is missing, or a line has too few; the text says what is wrong.
    pub(super) fn with_header(path: &Path, columns: &[&str], optional: &[&str]) -> Result<Self, String> {
        let places = |header: &StringRecord| {
            let place = |column: &&str| header.iter().position(|name| name.eq_ignore_ascii_case(column));
            let missing = |column: &&str| format!("its first line has no column \"{column}\"");
            let wanted = columns.iter().map(|column| place(column).map(Some).ok_or_else(|| missing(column)));
            wanted.chain(optional.iter().map(|column| Ok(place(column)))).collect()
        };
        Self::read(path, true, &[columns, optional].concat(), places)
    }

    /// A file of nothing but rows, whose first columns are the wanted ones.
    ///
    /// # Errors
    /// If it cannot be read, or a line has too few columns; the text says what is wrong.
    pub(super) fn without_header(path: &Path, columns: &[&str]) -> Result<Self, String> {
        Self::read(path, false, columns, |_| Ok((0..columns.len()).map(Some).collect()))
    }

    fn read(
        path: &Path,
        has_header: bool,
        columns: &[&str],
        places: impl Fn(&StringRecord) -> Result<Vec<Option<usize>>, String>,
    ) -> Result<Self, String> {
        let told = |error: csv::Error| format!("it cannot be read as a table ({error})");
        let mut builder = ReaderBuilder::new();
        let mut reader =
            builder.has_headers(has_header).trim(Trim::All).flexible(true).from_path(path).map_err(told)?;
        let header = if has_header { reader.headers().map_err(told)?.clone() } else { StringRecord::new() };
        let places = places(&header)?;
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(told)?;
            let line = record.position().map_or(0, csv::Position::line);
            let value = |(place, column): (&Option<usize>, &&str)| {
                let Some(place) = *place else { return Ok(String::new()) };
                let missing = || format!("line {line} has no {column}; it may have been cut short");
                record.get(place).map(str::to_owned).ok_or_else(missing)
            };
            rows.push((line, places.iter().zip(columns).map(value).collect::<Result<_, _>>()?));
        }
        if rows.is_empty() { Err("it lists nothing".into()) } else { Ok(Self { rows }) }
    }

    /// Each row with its line number, from 1.
    pub(super) fn rows(&self) -> impl Iterator<Item = (u64, &[String])> {
        self.rows.iter().map(|(line, row)| (*line, row.as_slice()))
    }
}
