//! Why a picture was refused.

use image::{ImageError, ImageFormat};

use crate::InputShape;

/// A picture that cannot become pixels. Every message is fit for the client who sent the picture.
#[derive(Debug, thiserror::Error)]
pub enum PixelsError {
    /// The file itself is too long; nothing of it was read.
    #[error("the picture has {bytes} bytes, and at most {max_bytes} are accepted; compress or scale it down first")]
    TooManyBytes {
        /// Length of the file.
        bytes: usize,
        /// The limit.
        max_bytes: usize,
    },

    /// The header promises too many pixels; nothing was decoded.
    #[error("the picture is {width}×{height}, and at most {max_pixels} pixels are accepted; scale it down first")]
    TooManyPixels {
        /// Width in the header.
        width: u32,
        /// Height in the header.
        height: u32,
        /// The limit on width × height.
        max_pixels: u64,
    },

    /// The picture is a strip; nothing was decoded.
    #[error(
        "the picture is {width}×{height}, and its longer side may be at most {max_aspect} times its shorter one; \
         crop it first"
    )]
    TooElongated {
        /// Width in the header.
        width: u32,
        /// Height in the header.
        height: u32,
        /// The limit on longer side / shorter side.
        max_aspect: u32,
    },

    /// The decoder asked for more memory than the pixel limit justifies.
    #[error(
        "decoding the {format} picture needs more than {max_bytes} bytes of memory; save it as a plain PNG or JPEG"
    )]
    TooMuchMemory {
        /// The format its content shows.
        format: &'static str,
        /// The limit.
        max_bytes: u64,
    },

    /// The content is not one of the accepted formats.
    #[error("the file is {found}, and a picture must be JPEG, PNG, WebP, GIF or BMP; convert it first")]
    UnknownFormat {
        /// What the content looks like: "a TIFF picture", "no picture at all".
        found: String,
    },

    /// The format is accepted, but not this variant of it.
    #[error("the {format} picture uses a feature that is not supported; save it as a plain PNG or JPEG")]
    UnsupportedFeature {
        /// The format its content shows.
        format: &'static str,
        /// What the decoder said.
        source: ImageError,
    },

    /// The file ends before the picture does.
    #[error("the {format} picture ends early, after {bytes} bytes; send the whole file")]
    Truncated {
        /// The format its content shows.
        format: &'static str,
        /// Length of what arrived.
        bytes: usize,
    },

    /// The content contradicts its format.
    #[error("the {format} picture is damaged and cannot be decoded; check the file in a viewer and send it again")]
    Corrupt {
        /// The format its content shows.
        format: &'static str,
        /// What the decoder said.
        source: ImageError,
    },

    /// The decoder has a bug, and this picture found it.
    #[error("the {format} decoder gave up on this picture; save it again with another program")]
    DecoderPanicked {
        /// The format its content shows.
        format: &'static str,
    },

    /// The picture has no pixels.
    #[error("the picture is {width}×{height}, and both sides must be at least 1; check the file in a viewer")]
    Empty {
        /// Width of the picture.
        width: u32,
        /// Height of the picture.
        height: u32,
    },

    /// No picture becomes this many channels.
    #[error("pictures have 1 channel (grey) or 3 (red, green, blue), not {channels}; check the input of the net")]
    Channels {
        /// Channels that were asked for.
        channels: usize,
    },

    /// One row of a batch has another size than the net's input.
    #[error(
        "picture {index} of the batch has {values} values, and the input ({input}) needs {}; prepare it with `to_pixels`",
        input.len()
    )]
    Length {
        /// Position in the batch, from 0.
        index: usize,
        /// Values it has.
        values: usize,
        /// What the net takes.
        input: InputShape,
    },

    /// A batch needs at least one picture.
    #[error("the batch holds no picture, and a net needs at least one; skip empty batches")]
    NoPictures,

    /// A tensor that is no picture.
    #[error("a picture must be (C, H, W) with C = 1 or 3, got {shape:?}; take one row of the batch")]
    Shape {
        /// Shape of the tensor.
        shape: Vec<usize>,
    },

    /// A tensor with a NaN or an infinity.
    #[error("the pixel at flat position {position} is {value}, and pixels must be finite; look where it was computed")]
    NotFinite {
        /// Position in the flattened tensor.
        position: usize,
        /// NaN or ±infinity.
        value: f32,
    },
}

/// The three ways to refuse a picture, one HTTP status and one metric label each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// A limit on bytes, pixels, aspect ratio or memory.
    TooLarge,
    /// Not a picture, or a format or feature that is not read.
    Unsupported,
    /// The right format, but incomplete or damaged.
    Corrupt,
}

impl Rejection {
    /// A short name, stable across versions: `too_large`, `unsupported` or `corrupt`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Unsupported => "unsupported",
            Self::Corrupt => "corrupt",
        }
    }
}

impl PixelsError {
    /// Why an uploaded picture was refused; `None` where the program, not the picture, is at fault.
    pub fn rejection(&self) -> Option<Rejection> {
        match self {
            Self::TooManyBytes { .. }
            | Self::TooManyPixels { .. }
            | Self::TooElongated { .. }
            | Self::TooMuchMemory { .. } => Some(Rejection::TooLarge),
            Self::UnknownFormat { .. } | Self::UnsupportedFeature { .. } => Some(Rejection::Unsupported),
            Self::Truncated { .. } | Self::Corrupt { .. } | Self::DecoderPanicked { .. } | Self::Empty { .. } => {
                Some(Rejection::Corrupt)
            }
            Self::Channels { .. }
            | Self::Length { .. }
            | Self::NoPictures
            | Self::Shape { .. }
            | Self::NotFinite { .. } => None,
        }
    }
}

/// The name of a format as people write it.
pub(super) fn format_name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Gif => "GIF",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::Avif => "AVIF",
        ImageFormat::Ico => "ICO",
        ImageFormat::Hdr => "Radiance HDR",
        ImageFormat::OpenExr => "OpenEXR",
        ImageFormat::Pnm => "PNM",
        ImageFormat::Qoi => "QOI",
        _ => "less common",
    }
}
