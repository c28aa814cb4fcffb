//! Which ids and vectors are legal.

use super::ServiceError;

const MAX_ID_BYTES: usize = 128;

/// Checks the rule of ids: 1 to 128 bytes of `A-Za-z0-9._:-`.
pub(super) fn check_id(id: &str) -> Result<(), ServiceError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    if (1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(legal) {
        return Ok(());
    }
    let bytes = id.len();
    let rule = format!("an id has 1 to {MAX_ID_BYTES} bytes of A-Z a-z 0-9 . _ : -; this one has {bytes} bytes");
    Err(ServiceError::invalid(if bytes > MAX_ID_BYTES { rule } else { format!("{rule}: {id:?}") }))
}

/// The unit vector of the same direction.
///
/// Any finite vector but zero has one, so clients may send sums and differences of embeddings; what is checked is only what
/// would make the direction meaningless.
pub(super) fn normalised(vector: &[f32]) -> Result<Vec<f32>, ServiceError> {
    if let Some(position) = vector.iter().position(|number| !number.is_finite()) {
        let number = vector[position];
        return Err(ServiceError::invalid(format!("a vector must be finite, but its number {position} is {number}")));
    }
    // In f64 neither the square of the largest f32 nor that of the smallest is lost.
    let norm = vector.iter().map(|&number| f64::from(number).powi(2)).sum::<f64>().sqrt();
    if norm == 0.0 {
        return Err(ServiceError::invalid("a vector must have a direction: not all of its numbers may be 0"));
    }
    Ok(vector.iter().map(|&number| (f64::from(number) / norm) as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_short_and_made_of_harmless_characters() {
        for id in ["a", "shoe.1", "a:b_c-D.9", &"x".repeat(128)] {
            assert!(check_id(id).is_ok(), "{id}");
        }
        for id in ["", "a/b", "ä", "a b", "a\n", "a%2e", &"x".repeat(129)] {
            assert!(matches!(check_id(id), Err(ServiceError::InvalidRequest { .. })), "{id:?}");
        }
    }

    #[test]
    fn every_finite_vector_but_zero_becomes_a_unit_vector_of_its_direction() {
        for scale in [1.0, 1e-45, 1e-20, 1e20, f32::MAX / 4.0] {
            let unit = normalised(&[3.0 * scale, -4.0 * scale]).unwrap();
            let (x, y) = (f64::from(unit[0]), f64::from(unit[1]));
            assert!((x - 0.6).abs() < 1e-6 && (y + 0.8).abs() < 1e-6, "{scale}: {unit:?}");
        }
    }

    #[test]
    fn vectors_without_a_direction_are_refused() {
        for vector in [&[0.0, -0.0][..], &[], &[1.0, f32::NAN], &[f32::INFINITY, 1.0]] {
            assert!(matches!(normalised(vector), Err(ServiceError::InvalidRequest { .. })), "{vector:?}");
        }
    }
}
