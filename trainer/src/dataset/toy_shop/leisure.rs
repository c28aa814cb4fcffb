//! Leisure department: toy car, umbrella, guitar, camera.

use super::product::{Ink, Product, area, disc, ellipse, line};

pub(super) static CAR: Product = Product {
    name: "car",
    parts: &[
        area(
            Ink::Body,
            "M 3 70 Q 3 54 14 51 L 26 48 L 37 29 Q 40 24 47 24 L 66 24 Q 73 24 76 29 L 86 49 Q 97 52 97 66 L 97 76 \
             Q 97 78 94 78 L 6 78 Q 3 78 3 74 Z",
        ),
        area(Ink::GLASS, "M 35 48 L 43 34 Q 44 31 48 31 L 54 31 L 54 48 Z"),
        area(Ink::GLASS, "M 59 31 L 65 31 Q 69 31 70 34 L 77 48 L 59 48 Z"),
        line(Ink::Trim, 4.0, "M 4 72 L 96 72"),
        disc(Ink::GLOW, 8.0, 60.0, 4.5),
        disc(Ink::Accent, 26.0, 78.0, 13.0),
        disc(Ink::Accent, 74.0, 78.0, 13.0),
        disc(Ink::METAL, 26.0, 78.0, 5.5),
        disc(Ink::METAL, 74.0, 78.0, 5.5),
    ],
};

pub(super) static UMBRELLA: Product = Product {
    name: "umbrella",
    parts: &[
        line(Ink::Accent, 4.5, "M 50 50 L 50 84 Q 50 94 41 94 Q 33 93 33 85"),
        line(Ink::Accent, 4.0, "M 50 14 L 50 5"),
        area(Ink::Body, "M 4 58 Q 6 12 50 11 Q 94 12 96 58 Q 86 49 73 57 Q 62 48 50 57 Q 38 48 27 57 Q 14 49 4 58 Z"),
        line(Ink::Accent, 1.8, "M 50 11 Q 30 24 27 57"),
        line(Ink::Accent, 1.8, "M 50 11 L 50 57"),
        line(Ink::Accent, 1.8, "M 50 11 Q 70 24 73 57"),
    ],
};

pub(super) static GUITAR: Product = Product {
    name: "guitar",
    parts: &[
        area(Ink::Accent, "M 43 3 L 57 3 L 55 18 L 45 18 Z"),
        area(Ink::WOOD, "M 46 16 L 54 16 L 54 60 L 46 60 Z"),
        area(
            Ink::Body,
            "M 50 40 Q 72 36 72 50 Q 71 57 74 62 Q 84 72 78 84 Q 70 96 50 95 Q 30 96 22 84 Q 16 72 26 62 Q 29 57 28 50 \
             Q 28 36 50 40 Z",
        ),
        area(Ink::WOOD, "M 46 36 L 54 36 L 54 56 L 46 56 Z"),
        disc(Ink::Accent, 50.0, 62.0, 9.0),
        line(Ink::Accent, 4.5, "M 40 82 L 60 82"),
        line(Ink::Trim, 1.6, "M 48 12 L 47 82"),
        line(Ink::Trim, 1.6, "M 52 12 L 53 82"),
    ],
};

pub(super) static CAMERA: Product = Product {
    name: "camera",
    parts: &[
        area(Ink::Accent, "M 36 28 L 41 17 L 63 17 L 68 28 Z"),
        area(Ink::Accent, "M 14 22 L 28 22 L 28 30 L 14 30 Z"),
        area(
            Ink::Body,
            "M 12 28 L 88 28 Q 96 28 96 36 L 96 78 Q 96 86 88 86 L 12 86 Q 4 86 4 78 L 4 36 Q 4 28 12 28 Z",
        ),
        area(Ink::Trim, "M 5 32 Q 6 28 12 28 L 88 28 Q 94 28 95 32 L 96 40 L 4 40 Z"),
        disc(Ink::METAL, 52.0, 59.0, 22.0),
        disc(Ink::Accent, 52.0, 59.0, 18.0),
        disc(Ink::GLASS, 52.0, 59.0, 10.0),
        ellipse(Ink::Shine, 48.0, 55.0, 4.0, 3.0),
        disc(Ink::GLOW, 84.0, 34.0, 4.0),
    ],
};
