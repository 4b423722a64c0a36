//! How a figure went from second to second, a line for each system.

use plotters::prelude::{ChartBuilder, IntoDrawingArea as _, LineSeries};
use plotters::style::Color as _;

use super::{GRID, MUTED, SMALL, color, font, picture};

const HEIGHT: u32 = 320;
const AXIS_X: u32 = 44;
const AXIS_Y: u32 = 140;

/// One system.
#[derive(Debug)]
pub(in super::super) struct Line {
    /// Its place among the systems, which gives it its color.
    pub(in super::super) place: usize,
    /// Seconds since the beginning, and the figure then.
    pub(in super::super) points: Vec<(f64, f64)>,
}

/// Draws lines from zero; `None` when no line has two points.
pub(in super::super) fn timeline(all: &[Line], show: fn(f64) -> String) -> Option<String> {
    let lines: Vec<(usize, Vec<(f64, f64)>)> = all
        .iter()
        .map(|line| {
            let finite = |(at, value): &(f64, f64)| at.is_finite() && value.is_finite();
            (line.place, line.points.iter().copied().filter(finite).collect())
        })
        .filter(|(_, points): &(usize, Vec<_>)| points.len() > 1)
        .collect();
    let points = || lines.iter().flat_map(|(_, points)| points);
    let last = points().map(|(at, _)| *at).fold(0.0, f64::max);
    let most = points().map(|(_, value)| *value).fold(0.0, f64::max);
    if last <= 0.0 || most <= 0.0 {
        return None;
    }
    picture(HEIGHT, |backend| {
        let area = backend.into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .x_label_area_size(AXIS_X)
            .y_label_area_size(AXIS_Y)
            .margin_top(14)
            .margin_right(36)
            .build_cartesian_2d(0.0..last, 0.0..most * 1.08)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(7)
            .y_labels(5)
            .x_label_formatter(&|at| format!("{at:.0} s"))
            .y_label_formatter(&|value| show(*value))
            .label_style(font(SMALL).color(&MUTED))
            .axis_style(GRID)
            .bold_line_style(GRID)
            .light_line_style(GRID.mix(0.0))
            .draw()?;
        for (place, points) in lines {
            chart.draw_series(LineSeries::new(points, color(place).stroke_width(4)))?;
        }
        area.present()
    })
}
