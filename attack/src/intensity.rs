//! Pixel intensities in configuration: a number such as `0.30196`, or a fraction such as `"77/255"`.
//!
//! For use as `#[serde(with = "holdfast_attack::intensity")]` on an `f64`; written back as a number.

use serde::{Deserialize, Deserializer, Serializer, de};

/// The value of `"8/255"`, `"0.03"` or `"1"`; nothing for anything else.
#[must_use]
pub fn parse(text: &str) -> Option<f64> {
    let number = |part: &str| part.trim().parse::<f64>().ok();
    let value = match text.split_once('/') {
        Some((numerator, denominator)) => number(numerator)? / number(denominator)?,
        None => number(text)?,
    };
    value.is_finite().then_some(value)
}

/// Reads a number or a fraction.
///
/// # Errors
/// If the text is neither; the range is checked by the owner of the value.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a pixel intensity: a number such as 0.03 or a fraction such as \"8/255\"")]
    enum Written {
        Number(f64),
        Text(String),
    }
    match Written::deserialize(deserializer)? {
        Written::Number(value) => Ok(value),
        Written::Text(text) => parse(&text).ok_or_else(|| {
            de::Error::custom(format!(
                "invalid pixel intensity \"{text}\"; write a number such as 0.03 or a fraction such as \"8/255\""
            ))
        }),
    }
}

/// Writes the number.
///
/// # Errors
/// Only those of the serializer.
pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(*value)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_fraction_and_its_decimal_are_the_same_intensity() {
        assert_eq!(parse("51/255"), Some(0.2));
        assert_eq!(parse("0.2"), Some(0.2));
        assert_eq!(parse(" 8 / 255 "), Some(8.0 / 255.0));
    }

    #[test]
    fn nonsense_is_no_intensity() {
        for text in ["", "eight", "8/", "/255", "8/0", "1/2/3", "inf"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
