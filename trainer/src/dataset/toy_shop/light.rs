//! Light and camera: what lies between the drawn scene and the finished picture.

use image::{Rgb as Pixel, RgbImage};
use rand::{Rng, RngCore};

use super::canvas::{CANVAS, Canvas};

/// The finished picture's side in pixels.
pub(super) const SIDE: u32 = 64;

/// The light of one picture and the camera that takes it.
pub(super) struct Light {
    /// Unit vector towards the light, in the picture plane.
    pub(super) towards: [f32; 2],
    /// Relative fall-off from the lit edge to the far edge.
    slope: f32,
    brightness: f32,
    /// Share added to red and taken from blue.
    warmth: f32,
    contrast: f32,
    /// How much darker the corners are.
    vignette: f32,
    /// Standard deviation of the sensor's noise.
    noise: f32,
    /// Share of a pixel's neighbours mixed into it.
    blur: f32,
}

impl Light {
    /// From dim to bright, from candle to overcast sky; always from above.
    pub(super) fn random(rng: &mut dyn RngCore) -> Self {
        let angle: f32 = rng.random_range(-1.2..1.2);
        let (sin, cos) = angle.sin_cos();
        Self {
            towards: [sin, -cos],
            slope: rng.random_range(0.0..0.3),
            brightness: rng.random_range(0.78..1.2),
            warmth: rng.random_range(-0.11..0.13),
            contrast: rng.random_range(0.86..1.12),
            vignette: rng.random_range(0.0..0.24),
            noise: rng.random_range(0.003..0.022),
            blur: if rng.random_bool(0.3) { rng.random_range(0.2..0.6) } else { 0.0 },
        }
    }

    /// Takes the picture: averages the canvas down, then light, lens and sensor.
    pub(super) fn take(&self, canvas: &Canvas, rng: &mut dyn RngCore) -> RgbImage {
        let sharp = averaged(canvas);
        let mut picture = RgbImage::new(SIDE, SIDE);
        for (x, y, pixel) in picture.enumerate_pixels_mut() {
            let seen = self.focus(&sharp, x, y);
            let gain = self.gain(x, y);
            let tint = [1.0 + self.warmth, 1.0, 1.0 - self.warmth];
            *pixel = Pixel(std::array::from_fn(|channel| {
                let lit = seen[channel] * gain * tint[channel];
                let exposed = (lit - 0.5) * self.contrast + 0.5 + self.noise * bell(rng);
                (exposed.clamp(0.0, 1.0) * 255.0).round() as u8
            }));
        }
        picture
    }

    /// Brightness at a pixel: the light's fall-off and the lens's corners.
    fn gain(&self, x: u32, y: u32) -> f32 {
        let [u, v] = [x, y].map(|i| (i as f32 + 0.5) / SIDE as f32 * 2.0 - 1.0);
        let lit = 1.0 + self.slope * (self.towards[0] * u + self.towards[1] * v);
        self.brightness * lit * (1.0 - self.vignette * (u * u + v * v) / 2.0)
    }

    /// A pixel mixed with its four neighbours, as a lens slightly out of focus does.
    fn focus(&self, sharp: &[[f32; 3]], x: u32, y: u32) -> [f32; 3] {
        let at = |x: u32, y: u32| sharp[(y * SIDE + x) as usize];
        let here = at(x, y);
        if self.blur == 0.0 {
            return here;
        }
        let last = SIDE - 1;
        let around = [
            at(x.saturating_sub(1), y),
            at((x + 1).min(last), y),
            at(x, y.saturating_sub(1)),
            at(x, (y + 1).min(last)),
        ];
        std::array::from_fn(|channel| {
            let mean = around.iter().map(|pixel| pixel[channel]).sum::<f32>() / 4.0;
            here[channel] + (mean - here[channel]) * self.blur
        })
    }
}

/// The canvas averaged down to SIDE × SIDE, values in [0, 1]. The backdrop covers it, so no pixel is transparent.
fn averaged(canvas: &Canvas) -> Vec<[f32; 3]> {
    let factor = CANVAS as usize / SIDE as usize;
    let side = SIDE as usize;
    let pixels = canvas.pixmap.pixels();
    let mut sums = vec![[0.0_f32; 3]; side * side];
    for (i, pixel) in pixels.iter().enumerate() {
        let (x, y) = (i % (side * factor) / factor, i / (side * factor) / factor);
        let sum = &mut sums[y * side + x];
        sum[0] += f32::from(pixel.red());
        sum[1] += f32::from(pixel.green());
        sum[2] += f32::from(pixel.blue());
    }
    let scale = 1.0 / (255.0 * (factor * factor) as f32);
    sums.iter().map(|sum| sum.map(|value| value * scale)).collect()
}

/// A draw from a distribution near the standard normal: the sum of four uniforms, scaled to unit variance.
fn bell(rng: &mut dyn RngCore) -> f32 {
    let word = rng.next_u64();
    let uniforms = [word, word >> 16, word >> 32, word >> 48].map(|part| (part & 0xFFFF) as f32 / 65_536.0);
    (uniforms.iter().sum::<f32>() - 2.0) * 3.0_f32.sqrt()
}
