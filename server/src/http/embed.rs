//! `POST /v1/embed`: pictures to vectors, without touching the gallery.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::ApiError;
use super::openapi::PictureBytes;
use super::problem::Problem;
use super::state::AppState;
use super::upload::{Fields, JsonPicture, Upload};

/// The pictures to embed: `image` for one, `images` for several.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EmbedRequest {
    /// One picture.
    image: Option<JsonPicture>,
    /// Several pictures.
    #[serde(default)]
    images: Vec<JsonPicture>,
}

impl Fields for EmbedRequest {
    const PART: &'static str = "query";

    fn take_pictures(&mut self) -> Vec<(String, JsonPicture)> {
        let one = self.image.take().map(|image| ("/image".to_owned(), image));
        let several = self.images.drain(..).enumerate().map(|(at, image)| (format!("/images/{at}"), image));
        one.into_iter().chain(several).collect()
    }
}

/// Pictures as a form: as many parts `image` as there are pictures.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a form; never made")]
pub(super) struct EmbedForm {
    image: Vec<PictureBytes>,
}

/// One vector for each picture, in order.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EmbedReply {
    /// The net that embedded. Vectors of different generations cannot be compared.
    generation: String,
    /// Length of each vector.
    dim: usize,
    /// Unit vectors.
    vectors: Vec<Vec<f32>>,
}

/// Turn pictures into vectors
///
/// Nothing is stored. Several pictures may come as parts `image` of one form, or as `{"images": [{"base64": …}, …]}`; if one
/// of them cannot be read, the request fails.
#[utoipa::path(
    post,
    path = "/v1/embed",
    tag = "search",
    request_body(content(
        (PictureBytes = "image/*"),
        (EmbedRequest = "application/json"),
        (EmbedForm = "multipart/form-data"),
    )),
    responses(
        (status = 200, description = "One vector for each picture", body = EmbedReply),
        (status = 400, description = "A wrong field", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "Too many bytes or pixels", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not a picture, or a damaged one", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Busy; see Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn embed(
    state: web::Data<AppState>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let upload = Upload::read(&request, payload, state.config.http.max_body_bytes).await?;
    let embedded = state
        .into_inner()
        .blocking(move |state| {
            let (pictures, _) = upload.parse::<EmbedRequest>()?;
            let most = state.config.http.max_batch_items;
            if !(1..=most).contains(&pictures.len()) {
                return Err(ApiError::invalid(format!("send 1 to {most} pictures, got {}", pictures.len())));
            }
            Ok(state.service.embed(pictures)?)
        })
        .await?;
    let dim = embedded.vectors.first().map_or(0, Vec::len);
    Ok(HttpResponse::Ok().json(EmbedReply { generation: embedded.generation, dim, vectors: embedded.vectors }))
}
