//! Plots as SVG that stands in a page.
//!
//! The colors are those of a light page; the style sheet replaces them on a dark one, so they are
//! named here and nowhere else. Sizes are twice those of a narrow screen, because the drawing works
//! in whole pixels and is scaled down to the width that there is.

use plotters::prelude::{RGBColor, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontDesc, FontFamily, FontStyle, TextStyle};

mod bars;
mod percentiles;
mod timeline;

pub(super) use bars::{Bar, bars};
pub(super) use percentiles::{Percentiles, percentiles};
pub(super) use timeline::{Line, timeline};

const WIDTH: u32 = 720;
/// Size of words and values.
const TEXT: f64 = 26.0;
/// Size of the numbers at an axis.
const SMALL: f64 = 25.0;
const INK: RGBColor = RGBColor(0x24, 0x29, 0x2f);
const MUTED: RGBColor = RGBColor(0x59, 0x63, 0x6e);
const GRID: RGBColor = RGBColor(0xd8, 0xde, 0xe4);
/// One color for each system; systems beyond them share.
const SERIES: [RGBColor; 10] = [
    RGBColor(0x09, 0x69, 0xda),
    RGBColor(0xbc, 0x4c, 0x00),
    RGBColor(0x1a, 0x7f, 0x37),
    RGBColor(0x82, 0x50, 0xdf),
    RGBColor(0xbf, 0x39, 0x89),
    RGBColor(0x9a, 0x67, 0x00),
    RGBColor(0x1b, 0x7c, 0x83),
    RGBColor(0x6e, 0x77, 0x81),
    RGBColor(0xcf, 0x22, 0x2e),
    RGBColor(0x4d, 0x6b, 0x1f),
];

/// Returns the color of a system by its place.
fn color(place: usize) -> RGBColor {
    SERIES[place % SERIES.len()]
}

/// Returns the number of the color of a system, which the style sheet knows it by.
pub(super) fn series(place: usize) -> usize {
    place % SERIES.len()
}

/// Returns what the style sheet must replace: for each color its name and its value here.
#[cfg(test)]
pub(super) fn colors() -> Vec<String> {
    let all = [INK, MUTED, GRID].into_iter().chain(SERIES);
    all.map(|RGBColor(r, g, b)| format!("#{r:02X}{g:02X}{b:02X}")).collect()
}

fn font(size: f64) -> FontDesc<'static> {
    FontDesc::new(FontFamily::SansSerif, size, FontStyle::Normal)
}

fn words(horizontal: HPos) -> TextStyle<'static> {
    TextStyle::from(font(TEXT)).color(&INK).pos(Pos::new(horizontal, VPos::Center))
}

/// Draws into a new picture; `None` when the drawing fails, which leaves the tables to speak.
fn picture<E>(height: u32, draw: impl FnOnce(SVGBackend<'_>) -> Result<(), E>) -> Option<String> {
    let mut svg = String::new();
    draw(SVGBackend::with_string(&mut svg, (WIDTH, height))).ok()?;
    Some(svg)
}

/// Returns a place in pixels.
#[expect(clippy::cast_possible_truncation, reason = "clamped to what a picture can be")]
fn pixel(value: f64) -> i32 {
    value.clamp(-1e6, 1e6).round() as i32
}
