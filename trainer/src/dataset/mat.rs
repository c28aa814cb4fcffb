//! MAT files of version 5, as far as annotations need them: numbers, text, cells and arrays of structures.
//!
//! A file is a header of 128 bytes and then elements: a tag of type and size, and the data, padded to 8 bytes. An element
//! of up to 4 bytes lies inside its tag. A variable is an element of type matrix, mostly deflated as a whole; its parts
//! are elements again: flags, dimensions, name, and what its class wants.
//!
//! Source: "MAT-File Format", The MathWorks, chapter 1, level 5.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::ZlibDecoder;

/// A variable, or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Array {
    /// Numbers of any kind.
    Numbers(Vec<f64>),
    /// A string.
    Text(String),
    /// A cell array.
    Cells(Vec<Array>),
    /// A structure array: one map of fields each.
    Structs(Vec<BTreeMap<String, Array>>),
    /// Something that annotations do not use.
    Other,
}

/// What a variable may unpack to, in bytes. The annotations of Cars-196 take 8 MB.
const MAX_UNPACKED: u64 = 256 << 20;
/// How deep cells and structures may be nested.
const MAX_DEPTH: usize = 8;

// Types of data elements.
const INT8: u32 = 1;
const UINT8: u32 = 2;
const INT16: u32 = 3;
const UINT16: u32 = 4;
const INT32: u32 = 5;
const UINT32: u32 = 6;
const SINGLE: u32 = 7;
const DOUBLE: u32 = 9;
const INT64: u32 = 12;
const UINT64: u32 = 13;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
const UTF8: u32 = 16;
const UTF16: u32 = 17;

/// The variables of a file by name.
///
/// # Errors
/// If it is no MAT file of version 5 in little-endian order, or damaged; the text says what is wrong.
pub(super) fn read(file: &[u8]) -> Result<BTreeMap<String, Array>, String> {
    let header = file.get(..128).ok_or("it is shorter than the header of a MAT file")?;
    if header.starts_with(b"MATLAB 7.3") {
        return Err("it is a MAT file of version 7.3, and 5 is needed; save it with the option -v7".into());
    }
    if header[124..] != [0, 1, b'I', b'M'] {
        return Err("it is no MAT file of version 5 in little-endian order".into());
    }
    let mut variables = BTreeMap::new();
    let mut rest = Elements { bytes: &file[128..] };
    while let Some((kind, data)) = rest.next()? {
        let unpacked;
        let (kind, data) = if kind == COMPRESSED {
            unpacked = unpack(data)?;
            Elements { bytes: &unpacked }.next()?.ok_or("a compressed variable is empty")?
        } else {
            (kind, data)
        };
        if kind == MATRIX {
            let (name, array) = matrix(data, 0)?;
            variables.insert(name, array);
        }
    }
    Ok(variables)
}

fn unpack(data: &[u8]) -> Result<Vec<u8>, String> {
    let mut unpacked = Vec::new();
    let outcome = ZlibDecoder::new(data).take(MAX_UNPACKED + 1).read_to_end(&mut unpacked);
    outcome.map_err(|error| format!("a variable cannot be unpacked ({error})"))?;
    if unpacked.len() as u64 > MAX_UNPACKED {
        return Err(format!("a variable unpacks to more than {MAX_UNPACKED} bytes"));
    }
    Ok(unpacked)
}

/// Elements one after the other.
struct Elements<'a> {
    bytes: &'a [u8],
}

impl<'a> Elements<'a> {
    /// The type and the data of the next element; none at the end.
    fn next(&mut self) -> Result<Option<(u32, &'a [u8])>, String> {
        const CUT: &str = "it ends in the middle of an element; it may have been cut short";

        if self.bytes.is_empty() {
            return Ok(None);
        }
        let word = |at: usize| {
            let bytes = self.bytes.get(at..at + 4).ok_or(CUT)?;
            Ok::<_, String>(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
        };
        let (first, size_of_small) = (word(0)?, (word(0)? >> 16) as usize);
        let (kind, start, size) =
            if size_of_small > 0 { (first & 0xFFFF, 4, size_of_small) } else { (first, 8, word(4)? as usize) };
        let data = self.bytes.get(start..).and_then(|rest| rest.get(..size)).ok_or(CUT)?;
        let end = if kind == COMPRESSED { start + size } else { (start + size).next_multiple_of(8) };
        self.bytes = self.bytes.get(end..).unwrap_or_default();
        Ok(Some((kind, data)))
    }

    /// The data of the next element, which has to be there.
    fn expect(&mut self, what: &str) -> Result<(u32, &'a [u8]), String> {
        self.next()?.ok_or_else(|| format!("an array lacks its {what}"))
    }
}

/// The name and the content of an array.
fn matrix(data: &[u8], depth: usize) -> Result<(String, Array), String> {
    const CELL: u8 = 1;
    const STRUCT: u8 = 2;
    const CHAR: u8 = 4;
    const DOUBLES: u8 = 6;
    const UINT64S: u8 = 15;

    if depth > MAX_DEPTH {
        return Err(format!("its arrays are nested more than {MAX_DEPTH} deep"));
    }
    if data.is_empty() {
        return Ok((String::new(), Array::Numbers(Vec::new()))); // how an empty field may be written
    }
    let mut parts = Elements { bytes: data };
    let (_, flags) = parts.expect("flags")?;
    let class = *flags.first().ok_or("an array has empty flags")?;
    let dimensions = numbers(parts.expect("dimensions")?)?;
    let count = dimensions.iter().product::<f64>() as usize;
    let name = text(parts.expect("name")?)?;
    let array = match class {
        CELL => Array::Cells(inner(&mut parts, count, depth)?),
        STRUCT => Array::Structs(structs(&mut parts, count, depth)?),
        CHAR => Array::Text(text(parts.expect("text")?)?),
        DOUBLES..=UINT64S => Array::Numbers(numbers(parts.expect("numbers")?)?),
        _ => Array::Other,
    };
    Ok((name, array))
}

/// The next `count` arrays.
fn inner(parts: &mut Elements<'_>, count: usize, depth: usize) -> Result<Vec<Array>, String> {
    let next = |_| Ok(matrix(parts.expect("next member")?.1, depth + 1)?.1);
    (0..count).map(next).collect()
}

/// Field by field of one structure after the other.
fn structs(parts: &mut Elements<'_>, count: usize, depth: usize) -> Result<Vec<BTreeMap<String, Array>>, String> {
    let length = numbers(parts.expect("length of field names")?)?.first().map_or(0, |&length| length as usize);
    let (_, names) = parts.expect("field names")?;
    if length == 0 || names.len() < length {
        return Err("a structure has no field names".into());
    }
    let names: Vec<String> = names.chunks(length).map(|name| text((INT8, name))).collect::<Result<_, _>>()?;
    let next = |_| Ok(names.iter().cloned().zip(inner(parts, names.len(), depth)?).collect());
    (0..count).map(next).collect()
}

/// Numbers, widened from how they are stored, which may be narrower than the class of their array.
fn numbers((kind, data): (u32, &[u8])) -> Result<Vec<f64>, String> {
    fn each<const N: usize>(data: &[u8], widen: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        data.as_chunks().0.iter().map(|&bytes| widen(bytes)).collect()
    }
    Ok(match kind {
        INT8 => each(data, |bytes| f64::from(i8::from_le_bytes(bytes))),
        UINT8 => each(data, |bytes| f64::from(u8::from_le_bytes(bytes))),
        INT16 => each(data, |bytes| f64::from(i16::from_le_bytes(bytes))),
        UINT16 => each(data, |bytes| f64::from(u16::from_le_bytes(bytes))),
        INT32 => each(data, |bytes| f64::from(i32::from_le_bytes(bytes))),
        UINT32 => each(data, |bytes| f64::from(u32::from_le_bytes(bytes))),
        SINGLE => each(data, |bytes| f64::from(f32::from_le_bytes(bytes))),
        DOUBLE => each(data, f64::from_le_bytes),
        INT64 => each(data, |bytes| i64::from_le_bytes(bytes) as f64),
        UINT64 => each(data, |bytes| u64::from_le_bytes(bytes) as f64),
        other => return Err(format!("it has data of the unknown type {other} where numbers are expected")),
    })
}

/// Text up to its first zero.
fn text((kind, data): (u32, &[u8])) -> Result<String, String> {
    let text = match kind {
        INT8 | UINT8 | UTF8 => String::from_utf8_lossy(data).into_owned(),
        UINT16 | UTF16 => {
            let units: Vec<u16> = data.as_chunks().0.iter().map(|&bytes| u16::from_le_bytes(bytes)).collect();
            String::from_utf16_lossy(&units)
        }
        other => return Err(format!("it has data of the unknown type {other} where text is expected")),
    };
    Ok(text.split('\0').next().unwrap_or_default().to_owned())
}
