//! The OpenAPI document, made from the handlers, and the page that shows it.

use actix_web::HttpResponse;
use actix_web::http::header::LOCATION;
use utoipa::OpenApi;
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::problem::Problem;
use super::{batch, embed, embeddings, health, items, list, models, robustness, search, search_batch, snapshots};

/// Where the document is served.
const DOCUMENT: &str = "/openapi.json";

/// The HTTP API of Holdfast.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Holdfast",
        description = "Image search that withstands adversarial attack, and measures while serving that it does.\n\n\
            A picture comes in one of three equal ways: as the body with `Content-Type: image/*`; as the part `image` of a \
            form; as `{\"image\": {\"base64\": …}}` in JSON. Its format is told by its content: JPEG, PNG, WebP, GIF (first \
            frame) or BMP.\n\n\
            Errors are `application/problem+json` (RFC 9457) with a stable `code`. Unknown JSON fields are errors. A picture \
            that cannot be read, or ends early, is 415 `unsupported_image`; one with too many bytes or pixels is 413 \
            `image_too_large`. 429 and 503 carry `Retry-After`.\n\n\
            Every reply carries `X-Request-Id`: yours, if you sent one (1 to 128 of `A-Za-z0-9._:-`), or a new one."
    ),
    paths(
        items::put_item,
        items::get_item,
        items::delete_item,
        items::get_image,
        batch::put_items,
        list::list_items,
        list::count_items,
        list::delete_items,
        search::search,
        search_batch::search_batch,
        embed::embed,
        embeddings::embeddings,
        snapshots::make,
        snapshots::list,
        snapshots::download,
        snapshots::delete,
        models::generations,
        models::models,
        robustness::latest,
        robustness::windows,
        health::healthz,
        health::livez,
        health::readyz,
        health::metrics,
        document,
    ),
    components(schemas(Problem, batch::BatchLine)),
    tags(
        (name = "items", description = "The gallery: pictures with metadata"),
        (name = "search", description = "Nearest pictures, and vectors"),
        (name = "robustness", description = "How the live model holds up under attack"),
        (name = "models", description = "What is being served"),
        (name = "operation", description = "Health, metrics, documentation"),
    )
)]
struct Api;

/// The OpenAPI document as pretty JSON.
pub fn openapi_json() -> String {
    Api::openapi().to_pretty_json().expect("the document is plain data. This is a bug.")
}

/// This document
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "operation",
    responses((status = 200, description = "The OpenAPI document", content_type = "application/json"))
)]
pub(super) async fn document() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(openapi_json())
}

/// The page has a slash at its end, because its files are relative to it.
pub(super) async fn to_docs() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((LOCATION, "/docs/")).finish()
}

/// Swagger UI at `/docs/`, from files within the binary.
pub(super) fn swagger_ui() -> SwaggerUi {
    SwaggerUi::new("/docs/{file:.*}").config(Config::from(DOCUMENT))
}

/// Schema of a picture file inside a form.
#[derive(utoipa::ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "describes bytes; never made")]
pub(super) struct PictureBytes(Vec<u8>);
