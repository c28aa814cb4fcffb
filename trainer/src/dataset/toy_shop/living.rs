//! Living-room department: chair, lamp, clock, plant.

use super::product::{Ink, Product, area, disc, ellipse, line};

pub(super) static CHAIR: Product = Product {
    name: "chair",
    parts: &[
        line(Ink::Accent, 5.0, "M 33 62 L 35 84"),
        line(Ink::Accent, 5.0, "M 67 62 L 65 84"),
        line(Ink::Accent, 5.0, "M 34 44 L 32 58"),
        line(Ink::Accent, 5.0, "M 66 44 L 68 58"),
        area(Ink::Body, "M 30 5 L 70 5 Q 79 5 78 14 L 75 46 L 25 46 L 22 14 Q 21 5 30 5 Z"),
        area(Ink::Body, "M 24 54 L 76 54 Q 84 55 86 66 Q 50 72 14 66 Q 16 55 24 54 Z"),
        area(Ink::Trim, "M 14 65 Q 50 71 86 65 Q 87 71 83 72 Q 50 77 17 72 Q 13 71 14 65 Z"),
        line(Ink::Accent, 6.0, "M 22 74 L 17 95"),
        line(Ink::Accent, 6.0, "M 78 74 L 83 95"),
    ],
};

pub(super) static LAMP: Product = Product {
    name: "lamp",
    parts: &[
        line(Ink::Accent, 5.0, "M 50 50 L 50 88"),
        ellipse(Ink::GLOW, 50.0, 51.0, 32.0, 5.5),
        area(Ink::Body, "M 36 8 L 64 8 L 86 51 Q 50 58 14 51 Z"),
        line(Ink::Trim, 3.0, "M 36 8 L 64 8"),
        line(Ink::Trim, 3.5, "M 15 51 Q 50 58 85 51"),
        line(Ink::Accent, 1.8, "M 66 54 L 66 66"),
        disc(Ink::Accent, 66.0, 67.5, 2.4),
        area(Ink::Accent, "M 28 94 Q 30 84 50 84 Q 70 84 72 94 Z"),
    ],
};

pub(super) static CLOCK: Product = Product {
    name: "clock",
    parts: &[
        line(Ink::Accent, 6.0, "M 30 82 L 23 94"),
        line(Ink::Accent, 6.0, "M 70 82 L 77 94"),
        line(Ink::Accent, 4.0, "M 50 20 L 50 10"),
        area(Ink::Trim, "M 12 30 Q 8 10 30 9 Q 38 10 40 16 Z"),
        area(Ink::Trim, "M 88 30 Q 92 10 70 9 Q 62 10 60 16 Z"),
        disc(Ink::Body, 50.0, 54.0, 38.0),
        disc(Ink::PAPER, 50.0, 54.0, 23.0),
        line(Ink::Accent, 3.5, "M 50 54 L 50 38"),
        line(Ink::Accent, 3.5, "M 50 54 L 61 60"),
        disc(Ink::Accent, 50.0, 54.0, 3.0),
    ],
};

pub(super) static PLANT: Product = Product {
    name: "plant",
    parts: &[
        area(Ink::LEAF, "M 48 56 Q 14 50 10 22 Q 40 24 50 56 Z"),
        area(Ink::LEAF, "M 52 56 Q 86 50 90 20 Q 60 24 50 56 Z"),
        area(Ink::LEAF, "M 50 56 Q 30 28 50 3 Q 70 28 50 56 Z"),
        line(Ink::STALK, 2.0, "M 50 54 L 50 14"),
        area(Ink::Body, "M 22 56 L 78 56 L 71 89 Q 70 95 63 95 L 37 95 Q 30 95 29 89 Z"),
        area(Ink::Trim, "M 18 48 L 82 48 L 81 59 L 19 59 Z"),
    ],
};
