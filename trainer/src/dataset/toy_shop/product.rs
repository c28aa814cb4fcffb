//! What the shop sells: the language in which a product is written, and the list of products.

use tiny_skia::Path;

use super::outline::{outline, oval, stroked};
use super::palette::{Palette, Rgb};
use super::{clothes, kitchen, leisure, living};

/// What a part is made of: where its colour comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Ink {
    /// The palette's main colour, printed with the texture.
    Body,
    /// The palette's second colour.
    Trim,
    /// The palette's dark colour.
    Accent,
    /// The same in every palette: leaves, glass, wood.
    Fixed(Rgb),
    /// A reflection: thin white.
    Shine,
}

impl Ink {
    pub(super) const LEAF: Self = Self::Fixed(Rgb::hex(0x4F_A0_58));
    pub(super) const STALK: Self = Self::Fixed(Rgb::hex(0x38_7A_45));
    pub(super) const PAPER: Self = Self::Fixed(Rgb::hex(0xFD_FB_F4));
    pub(super) const GLASS: Self = Self::Fixed(Rgb::hex(0xBF_DF_E8));
    pub(super) const WOOD: Self = Self::Fixed(Rgb::hex(0xB0_7C_4E));
    pub(super) const METAL: Self = Self::Fixed(Rgb::hex(0xC9_CD_D2));
    pub(super) const GLOW: Self = Self::Fixed(Rgb::hex(0xFF_F1_B8));

    /// The colour and opacity of this ink in a palette.
    pub(super) fn colour(self, palette: &Palette) -> (Rgb, f32) {
        match self {
            Self::Body => (palette.body, 1.0),
            Self::Trim => (palette.trim, 1.0),
            Self::Accent => (palette.accent, 1.0),
            Self::Fixed(colour) => (colour, 1.0),
            Self::Shine => (Rgb::WHITE, 0.5),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Figure {
    Area(&'static str),
    Line { width: f32, text: &'static str },
    Oval { x: f32, y: f32, rx: f32, ry: f32 },
}

/// One piece of a product, on the 100 × 100 grid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) ink: Ink,
    figure: Figure,
}

impl Part {
    /// The outline to fill, in grid units.
    pub(super) fn path(&self) -> Path {
        match self.figure {
            Figure::Area(text) => outline(text),
            Figure::Line { width, text } => stroked(&outline(text), width),
            Figure::Oval { x, y, rx, ry } => oval(x, y, rx, ry),
        }
    }
}

/// A filled outline.
pub(super) const fn area(ink: Ink, text: &'static str) -> Part {
    Part { ink, figure: Figure::Area(text) }
}

/// A line of some width with round ends.
pub(super) const fn line(ink: Ink, width: f32, text: &'static str) -> Part {
    Part { ink, figure: Figure::Line { width, text } }
}

/// An ellipse: centre and radii.
pub(super) const fn ellipse(ink: Ink, x: f32, y: f32, rx: f32, ry: f32) -> Part {
    Part { ink, figure: Figure::Oval { x, y, rx, ry } }
}

/// A circle: centre and radius.
pub(super) const fn disc(ink: Ink, x: f32, y: f32, radius: f32) -> Part {
    ellipse(ink, x, y, radius, radius)
}

/// A kind of product, painted part by part from back to front.
#[derive(Debug)]
pub(super) struct Product {
    /// One word, part of class names.
    pub(super) name: &'static str,
    pub(super) parts: &'static [Part],
}

impl Product {
    /// The lowest point, in grid units.
    pub(super) fn underside(&self) -> f32 {
        self.parts.iter().map(|part| part.path().bounds().bottom()).fold(0.0, f32::max)
    }
}

/// Every product: one table in one of the department files, one line here.
pub(super) static PRODUCTS: [&Product; 16] = [
    &kitchen::MUG,
    &clothes::SHIRT,
    &living::CHAIR,
    &leisure::CAR,
    &kitchen::TEAPOT,
    &clothes::SHOE,
    &living::LAMP,
    &leisure::UMBRELLA,
    &kitchen::BOTTLE,
    &clothes::BAG,
    &living::CLOCK,
    &leisure::GUITAR,
    &living::PLANT,
    &clothes::SOCK,
    &leisure::CAMERA,
    &clothes::CAP,
];
