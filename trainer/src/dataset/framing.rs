//! From a decoded picture to what a net sees: all of it, or a window of it.

use holdfast_model::InputShape;
use rand::{Rng, RngCore};
use serde::{Deserialize, Serialize};

/// Which part of a picture a net sees. Either way the picture is resized first, its aspect ratio ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// All of it, resized to the net's input.
    Whole,
    /// Resized to 8/7 of the net's input (256 for 224): in training a random window, mirrored half of the time; in tests
    /// the middle.
    Crop,
}

/// A window of a resized picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Rows above it.
    pub top: usize,
    /// Columns left of it.
    pub left: usize,
    /// Whether left and right are swapped.
    pub mirrored: bool,
}

impl Framing {
    /// What is published for a net with this input: windows for large pictures (224 × 224), the whole of small ones.
    #[must_use]
    pub fn usual(input: InputShape) -> Self {
        if input.height >= 128 && input.width >= 128 { Self::Crop } else { Self::Whole }
    }

    /// The shape that pictures are resized to before a window is taken.
    #[must_use]
    pub fn resized(self, input: InputShape) -> InputShape {
        let larger = |side: usize| (side * 8).div_ceil(7);
        match self {
            Self::Whole => input,
            Self::Crop => InputShape { height: larger(input.height), width: larger(input.width), ..input },
        }
    }

    /// The window in the middle.
    #[must_use]
    pub fn centre(self, input: InputShape) -> Window {
        let (rows, columns) = self.spare(input);
        Window { top: rows / 2, left: columns / 2, mirrored: false }
    }

    /// A window to train on. [`Framing::Whole`] leaves nothing to chance.
    pub fn random(self, input: InputShape, rng: &mut dyn RngCore) -> Window {
        if self == Self::Whole {
            return self.centre(input);
        }
        let (rows, columns) = self.spare(input);
        // 32-bit draws are the same on every platform.
        let mut draw = |most: usize| rng.random_range(0..=most as u32) as usize;
        let (top, left) = (draw(rows), draw(columns));
        Window { top, left, mirrored: rng.random_bool(0.5) }
    }

    fn spare(self, input: InputShape) -> (usize, usize) {
        let resized = self.resized(input);
        (resized.height - input.height, resized.width - input.width)
    }
}

impl Window {
    /// Cuts the window of shape `input` out of a picture of shape `resized`, both C·H·W.
    #[must_use]
    pub fn cut(self, picture: &[u8], resized: InputShape, input: InputShape) -> Vec<u8> {
        let mut cut = Vec::with_capacity(input.len());
        for channel in 0..input.channels {
            for row in 0..input.height {
                let start = (channel * resized.height + self.top + row) * resized.width + self.left;
                let line = &picture[start..start + input.width];
                if self.mirrored { cut.extend(line.iter().rev()) } else { cut.extend_from_slice(line) }
            }
        }
        cut
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const LARGE: InputShape = InputShape { channels: 3, height: 224, width: 224 };
    const SMALL: InputShape = InputShape { channels: 2, height: 2, width: 3 };
    const RESIZED: InputShape = InputShape { channels: 2, height: 3, width: 5 };

    #[test]
    fn a_net_of_224_pixels_sees_windows_of_256_and_small_nets_see_all() {
        assert_eq!(Framing::usual(LARGE), Framing::Crop);
        assert_eq!(Framing::Crop.resized(LARGE), InputShape { channels: 3, height: 256, width: 256 });
        assert_eq!(Framing::Crop.centre(LARGE), Window { top: 16, left: 16, mirrored: false });
        for side in [28, 64] {
            let input = InputShape { channels: 3, height: side, width: side };
            assert_eq!(Framing::usual(input), Framing::Whole);
            assert_eq!(Framing::Whole.resized(input), input);
        }
    }

    #[test]
    fn windows_lie_anywhere_within_and_half_of_them_are_mirrored() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);

        let windows: Vec<Window> = (0..4000).map(|_| Framing::Crop.random(LARGE, &mut rng)).collect();

        let tops: BTreeSet<usize> = windows.iter().map(|window| window.top).collect();
        let lefts: BTreeSet<usize> = windows.iter().map(|window| window.left).collect();
        assert_eq!((tops.len(), tops.first(), tops.last()), (33, Some(&0), Some(&32)));
        assert_eq!((lefts.len(), lefts.first(), lefts.last()), (33, Some(&0), Some(&32)));
        let mirrored = windows.iter().filter(|window| window.mirrored).count();
        assert!((1850..2150).contains(&mirrored), "{mirrored} of 4000; 2000 ± 32 were expected");
    }

    #[test]
    fn a_window_holds_the_rows_and_columns_it_says() {
        let picture: Vec<u8> = (0..30).collect();

        let straight = Window { top: 1, left: 2, mirrored: false }.cut(&picture, RESIZED, SMALL);
        let mirrored = Window { top: 0, left: 1, mirrored: true }.cut(&picture, RESIZED, SMALL);

        assert_eq!(straight, [7, 8, 9, 12, 13, 14, 22, 23, 24, 27, 28, 29]);
        assert_eq!(mirrored, [3, 2, 1, 8, 7, 6, 18, 17, 16, 23, 22, 21]);
    }

    #[test]
    fn the_whole_picture_stays_as_it_is() {
        let picture: Vec<u8> = (0..12).collect();
        let window = Framing::Whole.random(SMALL, &mut ChaCha8Rng::seed_from_u64(1));

        assert_eq!(window.cut(&picture, SMALL, SMALL), picture);
    }
}
