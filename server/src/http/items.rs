//! `/v1/items/{id}`: one item of the gallery and its picture.

use actix_web::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use actix_web::web::{self, Query};
use actix_web::{HttpRequest, HttpResponse};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::ApiError;
use super::openapi::PictureBytes;
use super::problem::Problem;
use super::state::AppState;
use super::thumbnail::{PictureFile, thumbnail};
use super::upload::{Fields, JsonPicture, Upload, one_picture};
use crate::service::{ItemView, Metadata, NewItem};

/// An item to store, without its id, which is in the path.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PutItem {
    /// The picture; required, here or beside this JSON.
    image: Option<JsonPicture>,
    /// Flat: strings, numbers, booleans and arrays of strings. `label` is the class.
    #[serde(default)]
    #[schema(value_type = Object, example = json!({"label": "boot", "price": 79.5}))]
    metadata: Metadata,
}

impl Fields for PutItem {
    const PART: &'static str = "item";

    fn take_pictures(&mut self) -> Vec<(String, JsonPicture)> {
        self.image.take().map(|image| ("/image".to_owned(), image)).into_iter().collect()
    }
}

/// An item to store, as a form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a form; never made")]
pub(super) struct PutItemForm {
    image: PictureBytes,
    item: Option<PutItem>,
}

/// An item of the gallery.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ItemReply {
    id: String,
    #[schema(value_type = Object)]
    metadata: Metadata,
    picture: PictureReply,
    /// How often it was written, from 1.
    revision: u64,
    /// When it was last written.
    #[schema(value_type = String, format = DateTime)]
    updated: Timestamp,
}

/// The stored picture of an item.
#[derive(Debug, Serialize, ToSchema)]
struct PictureReply {
    /// Told by its content.
    content_type: String,
    bytes: u64,
    sha256: String,
    /// In pixels.
    width: u32,
    /// In pixels.
    height: u32,
}

impl From<ItemView> for ItemReply {
    fn from(item: ItemView) -> Self {
        let ItemView { id, metadata, content_type, bytes, sha256, width, height, revision, updated } = item;
        let picture = PictureReply { content_type, bytes, sha256, width, height };
        ItemReply { id, metadata, picture, revision, updated }
    }
}

/// Store or replace an item
///
/// The answer means: on disk, and found by searches from now on. The same id again replaces picture and metadata; a raw body
/// carries no metadata.
#[utoipa::path(
    put,
    path = "/v1/items/{id}",
    tag = "items",
    params(("id" = String, Path, description = "1 to 128 of `A-Za-z0-9._:-`, chosen by the client")),
    request_body(content(
        (PictureBytes = "image/*"),
        (PutItemForm = "multipart/form-data"),
        (PutItem = "application/json"),
    )),
    responses(
        (status = 200, description = "Stored and searchable", body = ItemReply),
        (status = 400, description = "A wrong id, field or metadata", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "Too many bytes or pixels", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not a picture, or a damaged one", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Busy; see Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn put_item(
    state: web::Data<AppState>,
    id: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<web::Json<ItemReply>, ApiError> {
    let upload = Upload::read(&request, payload, state.config.http.max_body_bytes).await?;
    let item = state
        .into_inner()
        .blocking(move |state| {
            let (pictures, PutItem { metadata, .. }) = upload.parse()?;
            let item = NewItem { id: id.into_inner(), picture: one_picture(pictures)?, metadata };
            let stored = state.service.put(vec![item]).pop().expect("one result an item. This is a bug.");
            Ok(stored?)
        })
        .await?;
    Ok(web::Json(item.into()))
}

/// Look at an item
#[utoipa::path(
    get,
    path = "/v1/items/{id}",
    tag = "items",
    params(("id" = String, Path, description = "The item")),
    responses(
        (status = 200, description = "The item", body = ItemReply),
        (status = 404, description = "No item has this id", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_item(
    state: web::Data<AppState>,
    id: web::Path<String>,
) -> Result<web::Json<ItemReply>, ApiError> {
    let item = state.into_inner().blocking(move |state| Ok(state.service.get(&id)?)).await?;
    Ok(web::Json(item.into()))
}

/// Delete an item
///
/// The answer means: gone from disk, and no longer found.
#[utoipa::path(
    delete,
    path = "/v1/items/{id}",
    tag = "items",
    params(("id" = String, Path, description = "The item")),
    responses(
        (status = 204, description = "Deleted"),
        (status = 404, description = "No item has this id", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn delete_item(state: web::Data<AppState>, id: web::Path<String>) -> Result<HttpResponse, ApiError> {
    state.into_inner().blocking(move |state| Ok(state.service.delete(&id)?)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// How a stored picture is wanted.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ImageParameters {
    /// Longer side in pixels; absent: the stored file itself. Nothing is enlarged.
    #[param(minimum = 16, maximum = 1024)]
    size: Option<u32>,
}

/// The picture of an item
///
/// The stored file as it came in, or a thumbnail as PNG or JPEG.
#[utoipa::path(
    get,
    path = "/v1/items/{id}/image",
    tag = "items",
    params(("id" = String, Path, description = "The item"), ImageParameters),
    responses(
        (status = 200, description = "The picture", body = PictureBytes, content_type = "image/*"),
        (status = 304, description = "The client has it already (If-None-Match)"),
        (status = 400, description = "A size out of range", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No item has this id", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_image(
    state: web::Data<AppState>,
    id: web::Path<String>,
    parameters: Query<ImageParameters>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let size = parameters.size;
    let known = request.headers().get(IF_NONE_MATCH).cloned();
    let (tag, file) = state
        .into_inner()
        .blocking(move |state| {
            // Named by content: the same picture has the same tag for ever.
            let tag = picture_tag(&state.service.get(&id)?.sha256, size);
            if known.is_some_and(|known| known == tag.as_str()) {
                return Ok((tag, None));
            }
            let stored = state.service.picture(&id)?;
            let file = PictureFile { content_type: stored.content_type, bytes: stored.bytes };
            let file = size.map_or(Ok(file.clone()), |size| thumbnail(file, size, &state.config.pictures))?;
            Ok((tag, Some(file)))
        })
        .await?;
    let mut response = if file.is_some() { HttpResponse::Ok() } else { HttpResponse::NotModified() };
    // The id may get another picture at any time, so a browser asks again, and mostly hears 304.
    response.insert_header((ETAG, tag)).insert_header((CACHE_CONTROL, "private, no-cache"));
    Ok(match file {
        Some(file) => response.content_type(file.content_type).body(file.bytes),
        None => response.finish(),
    })
}

fn picture_tag(sha256: &str, size: Option<u32>) -> String {
    size.map_or_else(|| format!("\"{sha256}\""), |size| format!("\"{sha256}-{size}\""))
}
