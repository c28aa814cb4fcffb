//! Colours: plain RGB arithmetic, and the palettes in which products come.

use tiny_skia::Color;

/// A colour, sRGB values in [0, 1].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rgb(pub(super) [f32; 3]);

impl Rgb {
    pub(super) const WHITE: Self = Self([1.0; 3]);
    pub(super) const BLACK: Self = Self([0.0; 3]);

    /// From `0xRRGGBB`.
    pub(super) const fn hex(code: u32) -> Self {
        let [_, red, green, blue] = code.to_be_bytes();
        Self([red as f32 / 255.0, green as f32 / 255.0, blue as f32 / 255.0])
    }

    /// From hue in turns, saturation and lightness in [0, 1].
    pub(super) fn hsl(hue: f32, saturation: f32, lightness: f32) -> Self {
        let reach = saturation * lightness.min(1.0 - lightness);
        let channel = |offset: f32| {
            let sector = (offset + hue.rem_euclid(1.0) * 12.0) % 12.0;
            lightness - reach * (sector - 3.0).min(9.0 - sector).clamp(-1.0, 1.0)
        };
        Self([channel(0.0), channel(8.0), channel(4.0)])
    }

    /// The colour `share` of the way from here to `other`.
    pub(super) fn mix(self, other: Self, share: f32) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + (other.0[i] - self.0[i]) * share))
    }

    /// For tiny-skia, with an opacity in [0, 1].
    pub(super) fn with_alpha(self, alpha: f32) -> Color {
        let [red, green, blue] = self.0.map(|value| value.clamp(0.0, 1.0));
        Color::from_rgba(red, green, blue, alpha.clamp(0.0, 1.0)).expect("channels are clamped. This is a bug.")
    }
}

/// The colours of a product.
pub(super) struct Palette {
    /// One word, part of class names.
    pub(super) name: &'static str,
    /// The main colour.
    pub(super) body: Rgb,
    /// What textures, rims and soles are drawn in.
    pub(super) trim: Rgb,
    /// Handles, wheels, legs: dark enough to read against both.
    pub(super) accent: Rgb,
}

const fn palette(name: &'static str, body: u32, trim: u32, accent: u32) -> Palette {
    Palette { name, body: Rgb::hex(body), trim: Rgb::hex(trim), accent: Rgb::hex(accent) }
}

/// Every palette. Some share a body or a trim hue on purpose: colour alone must not name a class.
pub(super) static PALETTES: [Palette; 9] = [
    palette("tomato", 0xE2_50_36, 0xFB_EF_DC, 0x4A_2A_2A),
    palette("ocean", 0x1F_6F_B5, 0xCD_EA_F5, 0x14_2F_4B),
    palette("mustard", 0xF0_B0_2E, 0xFF_F6_DF, 0x6A_3D_1E),
    palette("forest", 0x3B_7F_4A, 0xE9_E4_B8, 0x1F_38_26),
    palette("lilac", 0x9A_78_CC, 0xF5_E9_FF, 0x3B_2B_5C),
    palette("blush", 0xF2_8F_A6, 0xFF_F3_EE, 0x8A_2E_4C),
    palette("ink", 0x34_3C_4A, 0xF0_C2_4B, 0x1B_1E_26),
    palette("oat", 0xE6_D5_B8, 0xB5_5D_3C, 0x4B_35_26),
    palette("mint", 0x6F_CD_B4, 0xF2_5F_5C, 0x1D_56_4E),
];

#[cfg(test)]
mod tests {
    use super::Rgb;

    #[test]
    fn hues_a_third_of_a_turn_apart_are_red_green_and_blue() {
        assert_eq!(Rgb::hsl(0.0, 1.0, 0.5), Rgb::hex(0xFF_00_00));
        assert_eq!(Rgb::hsl(1.0 / 3.0, 1.0, 0.5), Rgb::hex(0x00_FF_00));
        assert_eq!(Rgb::hsl(2.0 / 3.0, 1.0, 0.5), Rgb::hex(0x00_00_FF));
    }
}
