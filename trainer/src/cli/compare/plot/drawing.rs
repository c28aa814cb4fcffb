//! Lines, discs and words, as SVG and as PNG.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use ab_glyph::{Font, FontVec, OutlineCurve};
use anyhow::{Context, bail};
use tiny_skia::{Color, FillRule, LineCap, LineJoin, Paint, PathBuilder, Pixmap, Stroke, StrokeDash, Transform};

/// Pixels of the PNG a unit of the drawing.
const SCALE: f32 = 2.0;
const FAMILIES: &str = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif";
/// Where fonts lie, and which of them have all the letters that are needed, the first the best.
const FONT_FOLDERS: [&str; 4] =
    ["/usr/share/fonts", "/usr/local/share/fonts", "/System/Library/Fonts", "/Library/Fonts"];
const FONT_FILES: [&str; 5] =
    ["Helvetica.ttf", "Arial.ttf", "LiberationSans-Regular.ttf", "DejaVuSans.ttf", "NotoSans-Regular.ttf"];

pub type Point = (f64, f64);
/// Red, green, blue.
pub type Colour = [u8; 3];

/// Where a point lies in its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// A line's colour, width, and lengths of dash and gap; no gap if they are 0.
#[derive(Clone, Copy, Debug)]
pub struct Pen {
    pub colour: Colour,
    pub width: f64,
    pub dash: (f64, f64),
}

enum Shape {
    Lines { points: Vec<Point>, closed: bool, pen: Pen, fill: Option<(Colour, f64)> },
    Disc { centre: Point, radius: f64, pen: Pen, fill: Colour },
    Words { at: Point, anchor: Anchor, size: f64, colour: Colour, words: String, upright: bool },
}

/// Shapes on paper of a size, the later ones above the earlier.
pub struct Drawing {
    size: Point,
    paper: Colour,
    shapes: Vec<Shape>,
}

impl Drawing {
    pub fn new(size: Point, paper: Colour) -> Self {
        Self { size, paper, shapes: Vec::new() }
    }

    pub fn line(&mut self, from: Point, to: Point, pen: Pen) {
        self.lines(vec![from, to], pen);
    }

    pub fn lines(&mut self, points: Vec<Point>, pen: Pen) {
        self.shapes.push(Shape::Lines { points, closed: false, pen, fill: None });
    }

    /// A closed outline, filled with a colour of this opacity.
    pub fn polygon(&mut self, points: Vec<Point>, pen: Pen, fill: Option<(Colour, f64)>) {
        self.shapes.push(Shape::Lines { points, closed: true, pen, fill });
    }

    pub fn disc(&mut self, centre: Point, radius: f64, pen: Pen, fill: Colour) {
        self.shapes.push(Shape::Disc { centre, radius, pen, fill });
    }

    /// Words on a baseline through a point.
    pub fn words(&mut self, at: Point, anchor: Anchor, size: f64, colour: Colour, words: &str) {
        self.shapes.push(Shape::Words { at, anchor, size, colour, words: words.to_owned(), upright: false });
    }

    /// Words that are read from bottom to top, with their middle at a point.
    pub fn upright_words(&mut self, at: Point, size: f64, colour: Colour, words: &str) {
        let (anchor, words) = (Anchor::Middle, words.to_owned());
        self.shapes.push(Shape::Words { at, anchor, size, colour, words, upright: true });
    }

    /// The drawing as text.
    pub fn svg(&self) -> String {
        let ((width, height), paper) = (self.size, hexadecimal(self.paper));
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" font-family=\"{FAMILIES}\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"{paper}\"/>\n"
        );
        for shape in &self.shapes {
            svg.push_str(&element(shape));
            svg.push('\n');
        }
        svg + "</svg>\n"
    }

    /// The drawing in pixels.
    ///
    /// # Errors
    /// If this machine has none of the known fonts, without which the picture would have no words.
    pub fn png(&self) -> anyhow::Result<Vec<u8>> {
        let font = font()?;
        let (width, height) = (self.size.0 as f32 * SCALE, self.size.1 as f32 * SCALE);
        let mut pixels = Pixmap::new(width as u32, height as u32).context("the plot is too large")?;
        let [r, g, b] = self.paper;
        pixels.fill(Color::from_rgba8(r, g, b, 255));
        for shape in &self.shapes {
            paint(&mut pixels, shape, &font);
        }
        pixels.encode_png().context("encoding the plot as PNG")
    }
}

fn hexadecimal([r, g, b]: Colour) -> String {
    format!("#{r:02X}{g:02X}{b:02X}")
}

fn element(shape: &Shape) -> String {
    match shape {
        Shape::Lines { points, closed, pen, fill } => {
            let tag = if *closed { "polygon" } else { "polyline" };
            let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let fill = fill.map_or("fill=\"none\"".to_owned(), |(colour, opacity)| {
                format!("fill=\"{}\" fill-opacity=\"{opacity}\"", hexadecimal(colour))
            });
            format!("<{tag} points=\"{}\" {fill} {} stroke-linejoin=\"round\"/>", points.join(" "), stroke(*pen))
        }
        Shape::Disc { centre: (x, y), radius, pen, fill } => {
            let fill = hexadecimal(*fill);
            format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{fill}\" {}/>", stroke(*pen))
        }
        Shape::Words { at: (x, y), anchor, size, colour, words, upright } => {
            let anchor = match anchor {
                Anchor::Start => "start",
                Anchor::Middle => "middle",
                Anchor::End => "end",
            };
            let turn = if *upright { " rotate(-90)" } else { "" };
            let (colour, words) = (hexadecimal(*colour), escaped(words));
            format!(
                "<text transform=\"translate({x:.1} {y:.1}){turn}\" text-anchor=\"{anchor}\" font-size=\"{size}\" \
                 fill=\"{colour}\">{words}</text>"
            )
        }
    }
}

fn stroke(Pen { colour, width, dash: (on, off) }: Pen) -> String {
    let mut text = format!("stroke=\"{}\" stroke-width=\"{width}\"", hexadecimal(colour));
    if off > 0.0 {
        write!(text, " stroke-dasharray=\"{on} {off}\"").expect("writing to a String cannot fail. This is a bug.");
    }
    text
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn paint(pixels: &mut Pixmap, shape: &Shape, font: &FontVec) {
    let scale = Transform::from_scale(SCALE, SCALE);
    match shape {
        Shape::Lines { points, closed, pen, fill } => {
            let Some(path) = path_through(points, *closed) else { return };
            if let Some((colour, opacity)) = fill {
                pixels.fill_path(&path, &ink(*colour, *opacity), FillRule::Winding, scale, None);
            }
            stroke_path(pixels, &path, *pen);
        }
        Shape::Disc { centre: (x, y), radius, pen, fill } => {
            let Some(path) = PathBuilder::from_circle(*x as f32, *y as f32, *radius as f32) else { return };
            pixels.fill_path(&path, &ink(*fill, 1.0), FillRule::Winding, scale, None);
            stroke_path(pixels, &path, *pen);
        }
        Shape::Words { at: (x, y), anchor, size, colour, words, upright } => {
            let (letters, length) = letters(font, words, *size as f32);
            let Some(letters) = letters else { return };
            let back = match anchor {
                Anchor::Start => 0.0,
                Anchor::Middle => length / 2.0,
                Anchor::End => length,
            };
            let place = scale.pre_translate(*x as f32, *y as f32);
            let place = if *upright { place.pre_rotate(-90.0) } else { place };
            pixels.fill_path(&letters, &ink(*colour, 1.0), FillRule::Winding, place.pre_translate(-back, 0.0), None);
        }
    }
}

fn ink([r, g, b]: Colour, opacity: f64) -> Paint<'static> {
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color_rgba8(r, g, b, (opacity * 255.0).round() as u8);
    paint
}

fn stroke_path(pixels: &mut Pixmap, path: &tiny_skia::Path, Pen { colour, width, dash: (on, off) }: Pen) {
    let dash = if off > 0.0 { StrokeDash::new(vec![on as f32, off as f32], 0.0) } else { None };
    let (line_cap, line_join) = (LineCap::Butt, LineJoin::Round);
    let stroke = Stroke { width: width as f32, dash, line_cap, line_join, ..Stroke::default() };
    pixels.stroke_path(path, &ink(colour, 1.0), &stroke, Transform::from_scale(SCALE, SCALE), None);
}

fn path_through(points: &[Point], closed: bool) -> Option<tiny_skia::Path> {
    let mut path = PathBuilder::new();
    for (number, &(x, y)) in points.iter().enumerate() {
        if number == 0 { path.move_to(x as f32, y as f32) } else { path.line_to(x as f32, y as f32) }
    }
    if closed {
        path.close();
    }
    path.finish()
}

/// The outlines of words from the origin to the right, and how long they are.
fn letters(font: &FontVec, words: &str, size: f32) -> (Option<tiny_skia::Path>, f32) {
    let scale = size / font.units_per_em().unwrap_or(1000.0);
    let (mut path, mut pen, mut before) = (PathBuilder::new(), 0.0, None);
    for letter in words.chars().map(|letter| font.glyph_id(letter)) {
        pen += before.map_or(0.0, |before| font.kern_unscaled(before, letter));
        // Fonts count upwards.
        let place = |point: ab_glyph::Point| ((pen + point.x) * scale, -point.y * scale);
        let mut last = None;
        for curve in font.outline(letter).map(|outline| outline.curves).unwrap_or_default() {
            let (OutlineCurve::Line(start, end)
            | OutlineCurve::Quad(start, _, end)
            | OutlineCurve::Cubic(start, _, _, end)) = curve;
            if last != Some((start.x, start.y)) {
                let (x, y) = place(start);
                path.move_to(x, y);
            }
            last = Some((end.x, end.y));
            let (x, y) = place(end);
            match curve {
                OutlineCurve::Line(..) => path.line_to(x, y),
                OutlineCurve::Quad(_, control, _) => path.quad_to(place(control).0, place(control).1, x, y),
                OutlineCurve::Cubic(_, one, two, _) => {
                    path.cubic_to(place(one).0, place(one).1, place(two).0, place(two).1, x, y);
                }
            }
        }
        pen += font.h_advance_unscaled(letter);
        before = Some(letter);
    }
    (path.finish(), pen * scale)
}

/// A font of this machine.
fn font() -> anyhow::Result<FontVec> {
    let files: Vec<PathBuf> = FONT_FOLDERS.iter().flat_map(|folder| files_below(Path::new(folder), 4)).collect();
    for known in FONT_FILES {
        if let Some(file) = files.iter().find(|file| file.file_name().is_some_and(|name| name == known)) {
            let bytes = fs::read(file).with_context(|| format!("cannot read the font {}", file.display()))?;
            return FontVec::try_from_vec(bytes).with_context(|| format!("{} is no font", file.display()));
        }
    }
    bail!(
        "this machine has none of the fonts {}, with which a PNG would be labelled: install one below {}, or ask for an SVG",
        FONT_FILES.join(", "),
        FONT_FOLDERS[0]
    )
}

/// All files below a folder, so many folders deep; nothing where there is none.
fn files_below(folder: &Path, depth: usize) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(io::Result::ok).map(|entry| entry.path());
    let below = |path: PathBuf| match path.is_dir() {
        true if depth > 0 => files_below(&path, depth - 1),
        true => Vec::new(),
        false => vec![path],
    };
    entries.flat_map(below).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEN: Pen = Pen { colour: [200, 0, 0], width: 4.0, dash: (0.0, 0.0) };

    fn drawing() -> Drawing {
        let mut drawing = Drawing::new((100.0, 50.0), [255, 255, 255]);
        drawing.polygon(vec![(10.0, 10.0), (30.0, 10.0), (30.0, 30.0)], PEN, Some(([0, 0, 200], 0.5)));
        drawing.disc((70.0, 20.0), 10.0, PEN, [0, 200, 0]);
        drawing.words((50.0, 45.0), Anchor::Middle, 12.0, [0, 0, 0], "a & b <c>");
        drawing
    }

    #[test]
    fn words_are_escaped_in_svg() {
        let svg = drawing().svg();

        assert!(svg.contains(">a &amp; b &lt;c&gt;</text>"), "{svg}");
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    }

    #[test]
    fn a_png_shows_what_the_svg_says() {
        let Ok(png) = drawing().png() else {
            println!("skipped: this machine has no known font");
            return;
        };

        let picture = image::load_from_memory(&png).unwrap().to_rgb8();

        let at = |x: u32, y: u32| picture.get_pixel(2 * x, 2 * y).0;
        assert_eq!(picture.dimensions(), (200, 100));
        assert_eq!((at(70, 20), at(20, 10), at(50, 3)), ([0, 200, 0], [200, 0, 0], [255, 255, 255]));
        assert!((25..95).any(|x| at(x, 42)[0] < 128), "the words are missing");
    }
}
