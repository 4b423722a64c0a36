//! One bar for each system, from zero to its median, with a line from its least to its most.

use plotters::prelude::{IntoDrawingArea as _, PathElement, Rectangle, Text};
use plotters::style::Color as _;
use plotters::style::text_anchor::HPos;

use super::super::compare::Spread;
use super::{GRID, INK, WIDTH, color, picture, pixel, words};

/// Height of a system: its name above its bar.
const ROW: u32 = 78;
const BAR_FROM: i32 = 36;
const BAR_TO: i32 = 60;
/// Half the height of the ends of the line from least to most.
const END: i32 = 8;

/// One system.
#[derive(Debug)]
pub(in super::super) struct Bar<'a> {
    pub(in super::super) name: &'a str,
    /// Its place among the systems, which gives it its color.
    pub(in super::super) place: usize,
    pub(in super::super) spread: Spread,
    /// What is written beside the name.
    pub(in super::super) value: String,
}

/// Draws bars in their order; `None` when there is nothing above zero to draw.
pub(in super::super) fn bars(all: &[Bar<'_>]) -> Option<String> {
    let most = all.iter().map(|bar| bar.spread.most).fold(0.0, f64::max);
    if most <= 0.0 {
        return None;
    }
    let height = ROW * u32::try_from(all.len()).ok()?;
    picture(height, |backend| {
        let area = backend.into_drawing_area();
        let end = pixel(f64::from(WIDTH));
        let x = |value: f64| pixel(value.max(0.0) / most * f64::from(WIDTH - 4));
        let row = pixel(f64::from(ROW));
        for (top, bar) in (0..).step_by(usize::try_from(row).unwrap_or(1)).zip(all) {
            let (from, to) = (top + BAR_FROM, top + BAR_TO);
            area.draw(&Text::new(bar.name.to_owned(), (0, top + 16), words(HPos::Left)))?;
            let value = bar.value.clone();
            area.draw(&Text::new(value, (end, top + 16), words(HPos::Right)))?;
            area.draw(&Rectangle::new([(0, from), (end, to)], GRID.mix(0.5).filled()))?;
            let fill = color(bar.place).filled();
            area.draw(&Rectangle::new([(0, from), (x(bar.spread.median), to)], fill))?;
            let (least, most) = (x(bar.spread.least), x(bar.spread.most));
            if most - least > 1 {
                let middle = i32::midpoint(from, to);
                let style = INK.stroke_width(3);
                area.draw(&PathElement::new([(least, middle), (most, middle)], style))?;
                for at in [least, most] {
                    let ends = [(at, middle - END), (at, middle + END)];
                    area.draw(&PathElement::new(ends, style))?;
                }
            }
        }
        area.present()
    })
}
