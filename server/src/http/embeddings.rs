//! `POST /v1/embeddings`: vectors in the shape of OpenAI's API, so that its clients work with pictures.

use actix_web::{HttpRequest, web};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::ApiError;
use super::problem::Problem;
use super::state::AppState;
use super::upload::read_json;

/// Pictures to embed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EmbeddingsRequest {
    /// One picture or several.
    input: Input,
    /// How vectors are written; `float` if absent.
    #[serde(default)]
    encoding_format: Encoding,
    /// Accepted and not used: clients must send a name, and there is one model. The reply says which.
    #[serde(rename = "model")]
    _model: Option<String>,
    /// Accepted and not used.
    #[serde(rename = "user")]
    _user: Option<String>,
    /// If given, the length that vectors have anyway: they are not shortened.
    #[schema(minimum = 1)]
    dimensions: Option<usize>,
}

/// Picture files in standard base64, each alone or as a `data:` URL.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "input must be a picture in base64, a data URL, or an array of these")]
enum Input {
    One(String),
    Several(Vec<String>),
}

/// How vectors are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Encoding {
    /// An array of numbers.
    #[default]
    Float,
    /// The numbers as little-endian f32, in base64.
    Base64,
}

/// Vectors, one for each picture.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EmbeddingsReply {
    /// Always "list".
    object: &'static str,
    data: Vec<EmbeddingReply>,
    /// The generation that embedded. Vectors of different generations cannot be compared.
    model: String,
    usage: Usage,
}

/// The unit vector of one picture.
#[derive(Debug, Serialize, ToSchema)]
struct EmbeddingReply {
    /// Always "embedding".
    object: &'static str,
    /// Which picture, from 0.
    index: usize,
    embedding: Vector,
}

/// A vector as it was asked for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum Vector {
    Float(Vec<f32>),
    Base64(String),
}

/// What it cost, in the words of that API. A picture counts as one token.
#[derive(Debug, Serialize, ToSchema)]
struct Usage {
    prompt_tokens: usize,
    total_tokens: usize,
}

/// Turn pictures into vectors, as OpenAI's clients ask
///
/// The pictures are `input`. Nothing is stored; if one of them cannot be read, the request fails. `POST /v1/embed` does the
/// same and takes pictures as files, too.
#[utoipa::path(
    post,
    path = "/v1/embeddings",
    tag = "search",
    request_body(content((
        EmbeddingsRequest = "application/json",
        example = json!({"input": ["data:image/png;base64,iVBORw0KGgo…"], "model": "holdfast"})
    ))),
    responses(
        (status = 200, description = "One vector for each picture", body = EmbeddingsReply),
        (status = 400, description = "A wrong field", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "Too many bytes or pixels", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not a picture, or a damaged one", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Busy; see Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn embeddings(
    state: web::Data<AppState>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<web::Json<EmbeddingsReply>, ApiError> {
    let wanted: EmbeddingsRequest = read_json(&request, payload, state.config.http.max_body_bytes).await?;
    Ok(web::Json(state.into_inner().blocking(move |state| embed(state, wanted)).await?))
}

fn embed(state: &AppState, wanted: EmbeddingsRequest) -> Result<EmbeddingsReply, ApiError> {
    let pictures = wanted.input.decode()?;
    let (most, count) = (state.config.http.max_batch_items, pictures.len());
    if !(1..=most).contains(&count) {
        return Err(ApiError::invalid_at("/input", format!("send 1 to {most} pictures, got {count}")));
    }
    let embedded = state.service.embed(pictures)?;
    let dim = embedded.vectors.first().map_or(0, Vec::len);
    if let Some(dimensions) = wanted.dimensions.filter(|&dimensions| dimensions != dim) {
        let rule = format!("vectors of this model have {dim} dimensions and are not shortened, got {dimensions}");
        return Err(ApiError::invalid_at("/dimensions", rule));
    }
    let data = embedded.vectors.into_iter().enumerate().map(|(index, vector)| EmbeddingReply {
        object: "embedding",
        index,
        embedding: wanted.encoding_format.write(vector),
    });
    let usage = Usage { prompt_tokens: count, total_tokens: count };
    Ok(EmbeddingsReply { object: "list", data: data.collect(), model: embedded.generation, usage })
}

impl Input {
    fn decode(self) -> Result<Vec<Vec<u8>>, ApiError> {
        match self {
            Input::One(text) => Ok(vec![decode(&text, "/input")?]),
            Input::Several(texts) => {
                let texts = texts.iter().enumerate();
                texts.map(|(at, text)| decode(text, &format!("/input/{at}"))).collect()
            }
        }
    }
}

impl Encoding {
    fn write(self, vector: Vec<f32>) -> Vector {
        match self {
            Encoding::Float => Vector::Float(vector),
            Encoding::Base64 => {
                let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
                Vector::Base64(BASE64_STANDARD.encode(bytes))
            }
        }
    }
}

/// The bytes of a picture in base64, alone or in a data URL, whose media type says nothing that the content does not.
fn decode(text: &str, pointer: &str) -> Result<Vec<u8>, ApiError> {
    let refuse = |detail: String| ApiError::invalid_at(pointer, detail);
    if text.starts_with("http://") || text.starts_with("https://") {
        return Err(refuse("this server fetches no URLs; send the picture itself in base64".to_owned()));
    }
    let base64 = match text.strip_prefix("data:") {
        None => text,
        Some(url) => {
            let parts = url.split_once(',').filter(|(head, _)| head.ends_with(";base64"));
            let Some((_, data)) = parts else {
                return Err(refuse("a data URL must be of the form data:image/png;base64,…".to_owned()));
            };
            data
        }
    };
    let decoded = BASE64_STANDARD.decode(base64);
    decoded.map_err(|error| refuse(format!("the picture is neither standard base64 nor a data URL: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_and_data_urls_give_the_same_bytes() {
        for text in ["cGl4ZWxz", "data:image/png;base64,cGl4ZWxz", "data:;base64,cGl4ZWxz"] {
            assert_eq!(decode(text, "/input").unwrap(), b"pixels");
        }
    }

    #[test]
    fn what_is_no_picture_in_base64_is_refused_with_its_place() {
        for (text, word) in [
            ("https://example.org/a.png", "fetches no URLs"),
            ("data:image/png,raw", "data URL must"),
            ("data:image/png;base64", "data URL must"),
            ("a cat on a mat", "base64"),
        ] {
            let error = decode(text, "/input/3").unwrap_err();
            assert!(
                matches!(&error, ApiError::Invalid { pointer: Some(at), detail } if at == "/input/3" && detail.contains(word)),
                "{text}: {error}"
            );
        }
    }
}
