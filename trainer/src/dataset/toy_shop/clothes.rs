//! Clothes department: shirt, shoe, bag, sock, cap.

use super::product::{Ink, Product, area, disc, line};

pub(super) static SHIRT: Product = Product {
    name: "shirt",
    parts: &[
        area(
            Ink::Body,
            "M 33 13 Q 50 26 67 13 L 80 18 L 97 42 L 83 54 L 76 46 L 77 88 Q 50 94 23 88 L 24 46 L 17 54 L 3 42 L 20 18 Z",
        ),
        line(Ink::Trim, 5.0, "M 34 14 Q 50 33 66 14"),
        line(Ink::Trim, 4.0, "M 95 41 L 83 51"),
        line(Ink::Trim, 4.0, "M 5 41 L 17 51"),
        area(Ink::Accent, "M 56 42 L 68 42 L 68 53 L 62 57 L 56 53 Z"),
    ],
};

pub(super) static SHOE: Product = Product {
    name: "shoe",
    parts: &[
        area(Ink::Body, "M 8 36 Q 20 46 30 34 L 37 25 Q 42 23 46 28 Q 54 46 72 53 Q 96 58 96 76 L 5 76 Q 3 56 8 36 Z"),
        area(Ink::Trim, "M 75 54 Q 96 60 96 76 L 72 76 Q 67 63 75 54 Z"),
        area(Ink::Accent, "M 8 36 Q 14 41 19 40 Q 16 58 20 76 L 5 76 Q 3 56 8 36 Z"),
        area(Ink::Trim, "M 3 75 L 97 75 Q 99 88 90 88 L 12 88 Q 3 88 3 75 Z"),
        line(Ink::Accent, 2.5, "M 5 82 L 96 82"),
        line(Ink::Trim, 3.5, "M 40 38 L 50 31"),
        line(Ink::Trim, 3.5, "M 46 46 L 56 38"),
        line(Ink::Trim, 3.5, "M 53 53 L 63 45"),
    ],
};

pub(super) static BAG: Product = Product {
    name: "bag",
    parts: &[
        line(Ink::Accent, 6.0, "M 32 42 C 30 2 70 2 68 42"),
        area(Ink::Body, "M 16 38 L 84 38 L 92 86 Q 93 93 86 93 L 14 93 Q 7 93 8 86 Z"),
        area(Ink::Trim, "M 16 38 L 84 38 L 86 49 L 14 49 Z"),
        disc(Ink::Accent, 32.0, 43.5, 3.0),
        disc(Ink::Accent, 68.0, 43.5, 3.0),
    ],
};

pub(super) static SOCK: Product = Product {
    name: "sock",
    parts: &[
        area(
            Ink::Body,
            "M 26 14 L 62 14 L 61 50 Q 63 60 76 66 Q 95 75 91 86 Q 88 95 74 93 Q 46 92 32 78 Q 24 68 26 50 Z",
        ),
        area(Ink::Trim, "M 24 6 Q 44 3 64 6 L 63 22 Q 44 25 25 22 Z"),
        area(Ink::Accent, "M 26 56 Q 40 60 44 86 Q 36 83 32 78 Q 25 70 26 56 Z"),
        area(Ink::Accent, "M 80 68 Q 95 76 91 86 Q 88 95 74 93 Q 68 80 80 68 Z"),
    ],
};

pub(super) static CAP: Product = Product {
    name: "cap",
    parts: &[
        area(Ink::Body, "M 10 68 Q 6 22 44 20 Q 78 20 80 62 Q 46 72 10 68 Z"),
        line(Ink::Accent, 2.5, "M 44 20 Q 26 36 27 69"),
        line(Ink::Accent, 2.5, "M 44 20 Q 62 36 60 66"),
        area(Ink::Trim, "M 36 68 Q 62 58 80 60 Q 99 66 98 76 Q 96 82 86 78 Q 62 70 36 74 Q 30 72 36 68 Z"),
        disc(Ink::Accent, 44.0, 19.0, 4.0),
    ],
};
