//! Pictures and the JSON beside them, in the three equal wire forms: raw, multipart, JSON with base64.
//!
//! Reading from the socket is async and bounded; parsing is blocking work for [`super::state::AppState::blocking`].

use actix_multipart::Multipart;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::{HttpRequest, web};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::StreamExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::error::ApiError;

/// A picture inside JSON.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct JsonPicture {
    /// The bytes of the picture file in standard base64 with padding.
    #[schema(example = "iVBORw0KGgo…")]
    base64: String,
}

impl JsonPicture {
    /// The bytes; `pointer` says where in the body the picture stands.
    pub(super) fn decode(&self, pointer: &str) -> Result<Vec<u8>, ApiError> {
        BASE64_STANDARD.decode(&self.base64).map_err(|error| {
            ApiError::invalid_at(format!("{pointer}/base64"), format!("the picture is not standard base64: {error}"))
        })
    }
}

/// The JSON that goes with a picture: the whole body, or the part named [`Fields::PART`] of a form.
pub(super) trait Fields: DeserializeOwned + Default {
    /// Name of the JSON part of a form.
    const PART: &'static str;

    /// Takes the pictures that are written inside the JSON, each with the pointer to its place.
    fn take_pictures(&mut self) -> Vec<(String, JsonPicture)>;
}

/// A request body that was read and not yet parsed.
pub(super) enum Upload {
    /// `image/*` or `application/octet-stream`.
    Picture(Vec<u8>),
    /// `application/json`.
    Json(Vec<u8>),
    /// `multipart/form-data`: the parts in the order of the form.
    Form(Vec<Part>),
}

/// One part of a form.
pub(super) struct Part {
    /// Its field name.
    pub(super) name: String,
    /// Its content.
    pub(super) bytes: Vec<u8>,
}

impl Upload {
    /// Reads a body of at most `max_bytes`.
    ///
    /// # Errors
    /// If the content type is none of the three forms, the body is too large, or the form is broken.
    pub(super) async fn read(request: &HttpRequest, payload: web::Payload, max_bytes: usize) -> Result<Self, ApiError> {
        match media_type(request).as_deref() {
            Some("application/json") => Ok(Upload::Json(read_body(request, payload, max_bytes).await?)),
            Some("multipart/form-data") => Ok(Upload::Form(read_form(request, payload, max_bytes).await?)),
            Some(raw) if raw.starts_with("image/") || raw == "application/octet-stream" => {
                Ok(Upload::Picture(read_body(request, payload, max_bytes).await?))
            }
            found => Err(ApiError::content_type(found, "image/*, multipart/form-data or application/json")),
        }
    }

    /// Splits the body into its pictures and the JSON beside them.
    ///
    /// # Errors
    /// If the JSON is wrong, base64 is wrong, or a form has an unknown or repeated part.
    pub(super) fn parse<F: Fields>(self) -> Result<(Vec<Vec<u8>>, F), ApiError> {
        match self {
            Upload::Picture(bytes) => Ok((vec![bytes], F::default())),
            Upload::Json(bytes) => {
                let mut fields: F = parse_json(&bytes)?;
                let pictures = fields.take_pictures();
                let pictures = pictures.iter().map(|(pointer, picture)| picture.decode(pointer));
                Ok((pictures.collect::<Result<_, _>>()?, fields))
            }
            Upload::Form(parts) => parse_form(parts),
        }
    }
}

fn parse_form<F: Fields>(parts: Vec<Part>) -> Result<(Vec<Vec<u8>>, F), ApiError> {
    let (mut pictures, mut fields) = (Vec::new(), None::<F>);
    for part in parts {
        match part.name.as_str() {
            "image" => pictures.push(part.bytes),
            name if name == F::PART && fields.is_none() => fields = Some(parse_json(&part.bytes)?),
            name if name == F::PART => return Err(ApiError::invalid(format!("the form has two parts \"{name}\""))),
            name => {
                let known = F::PART;
                return Err(ApiError::invalid(format!(
                    "the form has an unknown part \"{name}\"; known: image, {known}"
                )));
            }
        }
    }
    let mut fields = fields.unwrap_or_default();
    if !fields.take_pictures().is_empty() {
        let part = F::PART;
        return Err(ApiError::invalid(format!(
            "in a form, a picture is a part named \"image\", not a field of \"{part}\""
        )));
    }
    Ok((pictures, fields))
}

/// Exactly one picture.
///
/// # Errors
/// If there is none, or more.
pub(super) fn one_picture(mut pictures: Vec<Vec<u8>>) -> Result<Vec<u8>, ApiError> {
    match (pictures.pop(), pictures.len()) {
        (Some(picture), 0) => Ok(picture),
        (None, _) => Err(ApiError::invalid(
            "there is no picture: send it as the body, as a part \"image\", or as {\"image\": {\"base64\": …}}",
        )),
        (Some(_), more) => Err(ApiError::invalid(format!("one picture is expected, got {}", more + 1))),
    }
}

/// Reads a body of at most `max_bytes` that must be JSON.
///
/// # Errors
/// If the content type is another, the body is too large, or it is not the JSON that is wanted.
pub(super) async fn read_json<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: web::Payload,
    max_bytes: usize,
) -> Result<T, ApiError> {
    match media_type(request).as_deref() {
        Some("application/json") => parse_json(&read_body(request, payload, max_bytes).await?),
        found => Err(ApiError::content_type(found, "application/json")),
    }
}

/// Parses JSON; what is wrong is told with a pointer to its place.
pub(super) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let pointer = json_pointer(error.path());
        ApiError::invalid_at(pointer, error.inner().to_string())
    })?;
    deserializer.end().map_err(|error| ApiError::invalid(error.to_string()))?;
    Ok(value)
}

pub(super) fn json_pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;

    path.iter().fold(String::new(), |pointer, segment| match segment {
        Segment::Seq { index } => format!("{pointer}/{index}"),
        Segment::Map { key } => format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { variant } => format!("{pointer}/{variant}"),
        Segment::Unknown => pointer,
    })
}

/// The media type of the body without parameters, in lower case.
pub(super) fn media_type(request: &HttpRequest) -> Option<String> {
    let value = request.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// Reads a whole body; one that is announced as too large is refused before it is read.
pub(super) async fn read_body(
    request: &HttpRequest,
    mut payload: web::Payload,
    max_bytes: usize,
) -> Result<Vec<u8>, ApiError> {
    refuse_announced(request, max_bytes)?;
    let mut body = Vec::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| ApiError::invalid(format!("the body ends early: {error}")))?;
        if body.len() + chunk.len() > max_bytes {
            return Err(ApiError::BodyTooLarge { max_bytes });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Reads the parts of a form, which together may have `max_bytes`.
pub(super) async fn read_form(
    request: &HttpRequest,
    payload: web::Payload,
    max_bytes: usize,
) -> Result<Vec<Part>, ApiError> {
    refuse_announced(request, max_bytes)?;
    let broken = |error| ApiError::invalid(format!("the form is broken: {error}"));
    let mut form = Multipart::new(request.headers(), payload);
    let (mut parts, mut total) = (Vec::new(), 0);
    while let Some(field) = form.next().await {
        let mut field = field.map_err(broken)?;
        let name = field.name().unwrap_or_default().to_owned();
        let mut bytes = Vec::new();
        while let Some(chunk) = field.next().await {
            let chunk = chunk.map_err(broken)?;
            total += chunk.len();
            if total > max_bytes {
                return Err(ApiError::BodyTooLarge { max_bytes });
            }
            bytes.extend_from_slice(&chunk);
        }
        parts.push(Part { name, bytes });
    }
    Ok(parts)
}

fn refuse_announced(request: &HttpRequest, max_bytes: usize) -> Result<(), ApiError> {
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    match announced {
        Some(bytes) if bytes > max_bytes => Err(ApiError::BodyTooLarge { max_bytes }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Wanted {
        image: Option<JsonPicture>,
        vector: Vec<f32>,
    }

    impl Fields for Wanted {
        const PART: &'static str = "query";

        fn take_pictures(&mut self) -> Vec<(String, JsonPicture)> {
            self.image.take().map(|image| ("/image".to_owned(), image)).into_iter().collect()
        }
    }

    fn part(name: &str, content: &str) -> Part {
        Part { name: name.to_owned(), bytes: content.as_bytes().to_vec() }
    }

    fn complaint(upload: Upload) -> (Option<String>, String) {
        match upload.parse::<Wanted>() {
            Err(ApiError::Invalid { pointer, detail }) => (pointer, detail),
            other => panic!("expected an invalid request, got {:?}", other.map(|(pictures, _)| pictures)),
        }
    }

    #[test]
    fn the_three_wire_forms_give_the_same_picture() {
        let forms = [
            Upload::Picture(b"pixels".to_vec()),
            Upload::Json(br#"{"image": {"base64": "cGl4ZWxz"}}"#.to_vec()),
            Upload::Form(vec![part("query", "{}"), part("image", "pixels")]),
        ];
        for form in forms {
            let (pictures, _) = form.parse::<Wanted>().unwrap();
            assert_eq!(one_picture(pictures).unwrap(), b"pixels");
        }
    }

    #[test]
    fn a_problem_in_json_is_told_with_its_place() {
        let (pointer, detail) = complaint(Upload::Json(br#"{"image": {"base46": "cGl4ZWxz"}}"#.to_vec()));
        assert_eq!(pointer.as_deref(), Some("/image/base46"));
        assert!(detail.contains("unknown field `base46`"), "{detail}");

        let (pointer, _) = complaint(Upload::Json(br#"{"vector": [1, null]}"#.to_vec()));
        assert_eq!(pointer.as_deref(), Some("/vector/1"));

        let (pointer, _) = complaint(Upload::Json(br#"{"image": {"base64": "%%%"}}"#.to_vec()));
        assert_eq!(pointer.as_deref(), Some("/image/base64"));
    }

    #[test]
    fn not_a_number_is_no_json() {
        for text in ["{\"vector\": [NaN]}", "{\"vector\": [1e999]}", "{\"vector\": [1]} more"] {
            complaint(Upload::Json(text.as_bytes().to_vec()));
        }
    }

    #[test]
    fn a_form_with_an_unknown_or_repeated_part_is_refused() {
        assert!(complaint(Upload::Form(vec![part("picture", "x")])).1.contains("unknown part \"picture\""));
        assert!(complaint(Upload::Form(vec![part("query", "{}"), part("query", "{}")])).1.contains("two parts"));
    }

    #[test]
    fn none_or_two_pictures_where_one_is_expected_are_refused() {
        assert!(one_picture(vec![]).is_err());
        assert!(one_picture(vec![vec![1], vec![2]]).is_err());
    }
}
