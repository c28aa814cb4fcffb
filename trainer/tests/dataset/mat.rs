//! Writes MAT files of version 5 as the development kit of Cars-196 has them: compressed variables, numbers in the
//! narrowest type.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

/// A member of a structure or a cell.
pub enum Value {
    Number(u32),
    Text(String),
}

fn element(kind: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    if (1..=4).contains(&data.len()) && kind != 14 {
        bytes.extend((kind | (data.len() as u32) << 16).to_le_bytes());
    } else {
        bytes.extend([kind.to_le_bytes(), (data.len() as u32).to_le_bytes()].as_flattened());
    }
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

fn matrix(class: u8, columns: u32, name: &str, content: &[u8]) -> Vec<u8> {
    let flags = [[class, 0, 0, 0], [0; 4]];
    let dimensions = [1_u32, columns].map(u32::to_le_bytes);
    let parts = [
        element(6, flags.as_flattened()),
        element(5, dimensions.as_flattened()),
        element(1, name.as_bytes()),
        content.to_vec(),
    ];
    element(14, &parts.concat())
}

fn member(value: &Value) -> Vec<u8> {
    match value {
        Value::Number(number @ 0..=255) => matrix(6, 1, "", &element(2, &[*number as u8])),
        Value::Number(number) => matrix(6, 1, "", &element(4, &(*number as u16).to_le_bytes())),
        Value::Text(text) => matrix(4, text.len() as u32, "", &element(16, text.as_bytes())),
    }
}

/// A structure array.
pub fn structs(name: &str, fields: &[&str], records: &[Vec<Value>]) -> Vec<u8> {
    const LENGTH: usize = 17;
    let mut names: Vec<u8> = Vec::new();
    for field in fields {
        names.extend(field.bytes());
        names.resize(names.len().next_multiple_of(LENGTH), 0);
    }
    let mut content = [element(5, &(LENGTH as u32).to_le_bytes()), element(1, &names)].concat();
    content.extend(records.iter().flatten().flat_map(member));
    matrix(2, records.len() as u32, name, &content)
}

/// A cell array of strings.
pub fn cells(name: &str, texts: &[String]) -> Vec<u8> {
    let content: Vec<u8> = texts.iter().flat_map(|text| member(&Value::Text(text.clone()))).collect();
    matrix(1, texts.len() as u32, name, &content)
}

/// A file of compressed variables.
pub fn file(variables: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = b"MATLAB 5.0 MAT-file, written by a test".to_vec();
    bytes.resize(124, b' ');
    bytes.extend([0, 1, b'I', b'M']);
    for variable in variables {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(variable).unwrap();
        let data = encoder.finish().unwrap();
        bytes.extend([15_u32.to_le_bytes(), (data.len() as u32).to_le_bytes()].as_flattened());
        bytes.extend(data);
    }
    bytes
}
