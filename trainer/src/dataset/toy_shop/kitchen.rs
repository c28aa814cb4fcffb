//! Kitchen department: mug, teapot, bottle.

use super::product::{Ink, Product, area, disc, ellipse, line};

pub(super) static MUG: Product = Product {
    name: "mug",
    parts: &[
        line(Ink::Body, 9.0, "M 68 40 C 98 34 96 76 66 70"),
        area(Ink::Body, "M 18 26 L 73 26 L 69 82 Q 68 91 58 91 L 33 91 Q 23 91 22 82 Z"),
        ellipse(Ink::Trim, 45.5, 26.0, 27.5, 7.0),
        ellipse(Ink::Accent, 45.5, 26.6, 23.0, 4.8),
        line(Ink::Shine, 4.0, "M 28 40 Q 29 60 31 76"),
    ],
};

pub(super) static TEAPOT: Product = Product {
    name: "teapot",
    parts: &[
        line(Ink::Accent, 7.0, "M 26 46 C 2 38 0 80 28 76"),
        area(Ink::Body, "M 70 58 Q 82 54 84 38 L 95 36 Q 97 66 74 82 Z"),
        ellipse(Ink::Accent, 48.0, 89.0, 19.0, 4.0),
        ellipse(Ink::Body, 48.0, 63.0, 32.0, 26.5),
        area(Ink::Trim, "M 28 42 Q 30 26 48 26 Q 66 26 68 42 Q 48 48 28 42 Z"),
        disc(Ink::Accent, 48.0, 22.0, 5.5),
        line(Ink::Shine, 4.0, "M 25 56 Q 23 64 27 74"),
    ],
};

pub(super) static BOTTLE: Product = Product {
    name: "bottle",
    parts: &[
        area(Ink::Accent, "M 41 5 L 59 5 Q 61 5 61 8 L 61 17 L 39 17 L 39 8 Q 39 5 41 5 Z"),
        area(
            Ink::Body,
            "M 42 16 L 58 16 L 58 27 Q 58 33 66 38 Q 73 43 73 52 L 73 88 Q 73 95 66 95 L 34 95 Q 27 95 27 88 L 27 52 \
             Q 27 43 34 38 Q 42 33 42 27 Z",
        ),
        line(Ink::Trim, 3.0, "M 42 25 L 58 25"),
        ellipse(Ink::Trim, 50.0, 64.0, 13.0, 13.0),
        area(Ink::Accent, "M 50 55 Q 60 66 54 72 Q 50 75 46 72 Q 40 66 50 55 Z"),
        line(Ink::Shine, 4.0, "M 33 50 L 33 82"),
    ],
};
